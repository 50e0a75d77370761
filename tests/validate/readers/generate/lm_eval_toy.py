"""Write data/lm_eval.samples.jsonl by running lm-evaluation-harness on a toy task.

    pip install lm-eval==0.4.13
    python tests/validate/readers/generate/lm_eval_toy.py

Four repeats per document, scored by pass@1 and pass@2, as the humaneval tasks do.
"""

import itertools
import json
import shutil
import tempfile
from pathlib import Path

OUT = Path(__file__).parents[1] / "data" / "lm_eval.samples.jsonl"
TASK = """
task: toy_add
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
repeats: 4
generation_kwargs: {{until: ["\\n"], do_sample: true}}
metric_list:
  - metric: !function toy_metric.pass_at_k
    aggregation: mean
    higher_is_better: true
    k: [1, 2]
filter_list:
  - name: strip
    filter:
      - function: custom
        filter_fn: !function toy_metric.strip
"""
METRIC = """
from math import comb

def pass_at_k(references, predictions, k):
    c = sum(p == references[0] for p in predictions[0])
    n = len(predictions[0])
    return {f"pass@{i}": 1 - comb(n - c, i) / comb(n, i) for i in k}

def strip(resps, docs):
    return [[r.strip() for r in resp] for resp in resps]
"""
ANSWERS = [["2", "2", "2", "2"], ["3", "0", "3", "0"], ["0", "0", "0", "4"], ["0", "0", "0", "0"]]


def main():
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Scripted(LM):
        def generate_until(self, requests, **kwargs):
            place = itertools.count()
            seen = {}
            for request in requests:
                seen.setdefault(request.doc_id, next(place))
            taken = {doc: iter(ANSWERS[doc]) for doc in seen}
            return [" " + next(taken[r.doc_id]) for r in requests]

        def loglikelihood(self, requests, **kwargs):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"question": f"2+{i}=", "answer": str(2 + i)} for i in range(4)]
        (folder / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        (folder / "toy_add.yaml").write_text(TASK.format(data=folder / "data.jsonl"))
        (folder / "toy_metric.py").write_text(METRIC)
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        results = lm_eval.simple_evaluate(
            model=Scripted(), tasks=["toy_add"], task_manager=manager, log_samples=True,
            bootstrap_iters=0,
        )  # fmt: skip
        tracker = EvaluationTracker(output_path=str(folder / "out"))
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        tracker.save_results_samples(task_name="toy_add", samples=samples["toy_add"])
        shutil.copy(next((folder / "out").rglob("samples_toy_add_*.jsonl")), OUT)


if __name__ == "__main__":
    main()
