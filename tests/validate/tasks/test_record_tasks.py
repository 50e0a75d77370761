"""Records with answers: verifiers by name, plain functions, TRL-style rewards."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.rollouts.judge import judge, judge_all
from grpolab.validate.tasks import NoVerdict, RecordTask, Task, TrlReward, load_task, make_verifier
from grpolab.validate.tasks.numbers import last_number
from grpolab.validate.tasks.verifiers import as_verdict

ROWS = [{"prompt": "1 + 1", "answer": "2", "kind": "a"}, {"prompt": "2 + 3", "answer": "5"}]


@pytest.mark.parametrize(
    ("name", "answer", "completion", "right"),
    [
        ("exact", "a b", " a\nb ", True), ("exact", "a", "A", False), ("exact", "", "", True),
        ("numeric", "#### 1,234", "it is $1234.", True), ("numeric", "72", "72.5", False),
        ("numeric", "72", "no idea", False), ("numeric", "72", "７２", False),
        ("numeric", "72", "72 or 73", False), ("numeric", "0.1", "1e-1", True),
        ("numeric", "3", "1e999", False), ("numeric", "-2", "so x = -2", True),
        ("regex", "(yes|y)", "yes", True), ("regex", "y", "yes", False),
    ],
)  # fmt: skip
def test_verifiers_by_name(name: str, answer: str, completion: str, right: bool) -> None:
    assert make_verifier(name)(completion, {"answer": answer}) is right


def test_the_last_extracted_answer_counts() -> None:
    check = make_verifier("numeric", extract=r"<answer>(.*?)</answer>", answer="gold")
    row = {"gold": 4}
    assert check("<answer>3</answer> no, <answer>4</answer> 5", row) is True
    assert check("4", row) is False


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: make_verifier("fuzzy"), "known verifiers: exact, numeric, regex, math"),
        (lambda: make_verifier("exact", extract="("), "is no pattern"),
        (lambda: make_verifier("exact", extract="(a)(b)"), "must have one group, has 2"),
    ],
)
def test_bad_verifiers_are_named(make: Any, match: str) -> None:
    with pytest.raises(UserError, match=match):
        make()


def test_math_answers_or_the_missing_package() -> None:
    if importlib.util.find_spec("math_verify") is None:
        with pytest.raises(UserError, match=r"pip install 'grpolab\[math\]'"):
            make_verifier("math")
        return
    check = make_verifier("math")
    assert check(r"thus $\frac{2}{4}$", {"answer": "$0.5$"}) is True
    assert check(r"thus $\frac{3}{4}$", {"answer": "$0.5$"}) is False
    with pytest.raises(NoVerdict):
        check("1", {"answer": ""})


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(True, True), (0, False), (1.0, True), (None, None), (math.nan, None),
     (np.bool_(True), True), (np.float64(0), False), (np.float64(math.nan), None)],
)  # fmt: skip
def test_what_counts_as_a_verdict(value: object, verdict: bool | None) -> None:
    assert as_verdict(value) is verdict


@pytest.mark.parametrize("value", ["1", [], object()])
def test_what_does_not(value: object) -> None:
    with pytest.raises(TypeError, match="binary reward"):
        as_verdict(value)


@pytest.mark.parametrize("value", [0.5, 2, -1, math.inf, np.float32(0.25)])
def test_scores_need_a_threshold(value: Any) -> None:
    with pytest.raises(UserError, match="--threshold"):
        as_verdict(value)
    assert as_verdict(value, threshold=0.4) is bool(value >= 0.4)
    assert as_verdict(math.nan, threshold=0.4) is None


def test_a_plain_function_judges() -> None:
    task = RecordTask(ROWS, verifier=lambda text, row: text == row["answer"], name="sums")
    prompts = task.prompts("eval")
    assert judge(task, [prompts[0]] * 2 + [prompts[1]], ["2", "5", "5"]) == [
        True,
        False,
        True,
    ]
    assert task.verify(prompts[1], "5") is True
    assert task.classes == ("all",)


def test_a_verifier_that_raises_costs_its_own_verdict_only() -> None:
    def moody(text: str, row: Mapping[str, Any]) -> object:
        if text == "bad":
            raise RuntimeError("no parser")
        return None if text == "odd" else text == row["answer"]

    task = RecordTask(ROWS, verifier=moody, name="sums")
    prompts = [task.prompts()[0]]
    judged = judge_all(task, prompts, ["2", "bad", "odd", "3"])
    assert judged.verdicts == [True, None, None, False]
    assert judged.num_errors == 1
    assert judged.first_error.startswith("RuntimeError: no parser (test_record_tasks.py:")
    with pytest.raises(RuntimeError, match="no parser"):
        task.verify(prompts[0], "bad")
    with pytest.raises(NoVerdict, match="gave none"):
        task.verify(prompts[0], "odd")


def test_trl_rewards_get_columns_and_a_threshold() -> None:
    calls = []

    def reward(
        prompts: list[str], completions: list[str], answer: list[str], **_: object
    ) -> list[float | None]:
        calls.append((prompts, completions, answer))
        table = {"right": 0.9, "near": 0.4, "unknown": None}
        return [table[text] for text in completions]

    rows = [{"prompt": "p", "answer": "1"}, {"prompt": "q", "answer": "2"}]
    task = RecordTask(rows, verifier=TrlReward(reward, threshold=0.5))
    p, q = task.prompts()
    assert task.verify_many([p, q, q], ["right", "near", "unknown"]) == [True, False, None]
    assert calls == [(["p", "q", "q"], ["right", "near", "unknown"], ["1", "2", "2"])]
    judged = judge_all(task, [p, q], ["right", "bad"])
    assert judged.verdicts == [True, None]
    assert (judged.num_errors, judged.first_error[:8]) == (1, "KeyError")


def test_trl_chats_and_wrong_lengths() -> None:
    def chat(prompts: object, completions: list[list[dict[str, str]]], **_: object) -> list[float]:
        return [float(c[0]["role"] == "assistant" and c[0]["content"] == "x") for c in completions]

    judge = TrlReward(chat, conversational=True)
    assert judge.judge(["p", "p"], ["x", "y"], [{}, {}]) == [True, False]
    with pytest.raises(TypeError, match="1 rewards for 2 completions"):
        TrlReward(lambda **_: [1.0]).judge(["p", "p"], ["x", "y"], [{}, {}])


def test_records_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    task = load_task(path, verifier="numeric")
    assert task.name == "sums.jsonl"
    assert judge(task, task.prompts("eval"), ["it is 2", "it is 2"]) == [True, False]
    with pytest.raises(UserError, match="row 1 has no 'kind'"):
        load_task(path, verifier="exact", answer="kind")
    with pytest.raises(UserError, match="row 0 has no column 'question'; it has answer, kind"):
        load_task(path, verifier="exact", prompt="question")
    with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
        load_task(path, verifier="exact", limit=0)


def test_chats_and_labels() -> None:
    rows = [{"q": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "t": 1}]
    task = RecordTask(rows, verifier=lambda text, row: True, prompt="q", label="t")
    assert [(p.text, p.label) for p in task.prompts()] == [("u", "1")]
    assert task.prompts()[0].messages == (("system", "s"), ("user", "u"))
    with pytest.raises(UserError, match="got int"):
        RecordTask([{"prompt": 3}], verifier=lambda text, row: True)
    with pytest.raises(UserError, match="split 'eval' only"):
        task.prompts("train")


def test_a_task_without_batches_is_judged_one_by_one() -> None:
    class Parity(Task):
        name = "parity"

        def prompts(self, split: str) -> tuple[()]:
            return ()

        def verify(self, prompt: object, completion: str) -> bool:
            if not completion:
                raise NoVerdict("nothing to judge")
            return len(completion) % 2 == 0

    prompt = RecordTask(ROWS, verifier=lambda text, row: True).prompts()[0]
    assert judge(Parity(), [prompt] * 3, ["ab", "", "a"]) == [True, None, False]


def test_last_number_is_ascii() -> None:
    assert last_number("٣ 4 ５") == 4


REWARDS = """
def contains(completion, row):
    return row["answer"] in completion.split()

def reward(prompts, completions, answer, **_):
    return [None if c == "" else float(c == a) for c, a in zip(completions, answer)]

number = 3
"""


def test_a_verifier_in_a_file(tmp_path):
    path, code = tmp_path / "rows.jsonl", tmp_path / "rewards.py"
    path.write_text('{"prompt": "2 + 3 =", "answer": "5"}\n')
    code.write_text(REWARDS)
    task = load_task(path, verifier=f"{code}:contains")
    (prompt,) = task.prompts("eval")
    assert [task.verify(prompt, text) for text in ("it is 5", "15")] == [True, False]
    task = load_task(path, verifier=f"{code}:reward")
    assert judge(task, [prompt] * 3, ["5", "6", ""]) == [True, False, None]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nothing", REWARDS, "has no function 'nothing'"),
        ("number", REWARDS, "has no function 'number'"),
        ("contains", "import no_such_module", "cannot be run .ModuleNotFoundError"),
        ("contains", None, "no such file"),
    ],
)
def test_a_file_without_the_verifier(tmp_path, name, text, message):
    path, code = tmp_path / "rows.jsonl", tmp_path / "rewards.py"
    path.write_text('{"prompt": "2 + 3 =", "answer": "5"}\n')
    if text is not None:
        code.write_text(text)
    with pytest.raises(UserError, match=message):
        load_task(path, verifier=f"{code}:{name}")
