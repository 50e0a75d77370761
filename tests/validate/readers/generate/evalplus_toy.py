"""Write data/evalplus.eval_results.json.gz by running EvalPlus on toy solutions.

    pip install evalplus==0.3.1
    python tests/validate/readers/generate/evalplus_toy.py

EvalPlus wants all 164 task ids, so the toy data set has them, each asking for x + 1.
"""

import gzip
import json
import os
import tempfile
from pathlib import Path

OUT = Path(__file__).parents[1] / "data" / "evalplus.eval_results.json.gz"
RIGHT, HALF, WRONG = "return x + 1", "return abs(x) + 1", "return x"


def problem(i):
    prompt = 'def f(x):\n    """Add one."""\n'
    return {
        "task_id": f"HumanEval/{i}", "prompt": prompt, "entry_point": "f",
        "canonical_solution": "    return x + 1\n", "contract": "", "test": "",
        "base_input": [[1], [2]], "plus_input": [[-3], [0]], "atol": 0,
    }  # fmt: skip


def solution(i, sample):
    """Task 0: always right; 1: right on the base tests only; 2: an endless loop; rest: i % 3."""
    body = {0: RIGHT, 1: HALF, 2: "while True: pass"}.get(i)
    if body is None:
        body = RIGHT if sample < i % 3 else WRONG
    return {"task_id": f"HumanEval/{i}", "solution": f"def f(x):\n    {body}\n"}


def main():
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "problems.jsonl"
        data.write_text("".join(json.dumps(problem(i)) + "\n" for i in range(164)))
        os.environ["HUMANEVAL_OVERRIDE_PATH"] = str(data)
        os.environ["XDG_CACHE_HOME"] = folder
        from evalplus.evaluate import evaluate

        samples = Path(folder) / "samples.jsonl"
        rows = [solution(i, s) for i in range(164) for s in range(2)]
        samples.write_text("".join(json.dumps(r) + "\n" for r in rows))
        evaluate(dataset="humaneval", samples=str(samples), parallel=2, i_just_wanna_run=True)
        result = next(Path(folder).glob("samples*eval_results.json"))
        OUT.write_bytes(gzip.compress(result.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
