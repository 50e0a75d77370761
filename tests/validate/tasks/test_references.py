"""References are judged before a run, once, and a task whose references fail is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli._rollout_options import TaskOptions, checked, take_prompts
from grpolab.cli.rollout import rollout
from grpolab.cli.train import train
from grpolab.cli.triage import triage
from grpolab.errors import UserError
from grpolab.validate.sandbox import Job, Outcome, Result, Sandbox, choose_level
from grpolab.validate.tasks import CodeTask, RecordTask, load_task, sound_prompts
from grpolab.validate.tasks.references import PassedBefore

ADD = {
    "text": "Add.",
    "code": "def add(a, b):\n    return a + b",
    "test_list": ["assert add(1, 2) == 3"],
}
BROKEN = {**ADD, "test_list": ["assert add(1, 2) == 4"]}
RAISES = {**ADD, "code": "def add(a, b):\n    raise ValueError('no\x1b[31m')"}
APPS = {
    "question": "Double.",
    "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]}),
    "solutions": json.dumps(["print input() * 2", "print(int(input()) * 2)", "print(3)"]),
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    try:
        choose_level()
    except UserError as err:
        pytest.skip(str(err))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "grpolab" / "passed-references.txt"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that sandboxes run."""
    jobs: list[Job] = []
    run_many: Callable[..., list[Result]] = Sandbox.run_many

    def counted(self: Sandbox, asked: Sequence[Job], **options: Any) -> list[Result]:
        jobs.extend(asked)
        return run_many(self, asked, **options)

    monkeypatch.setattr(Sandbox, "run_many", counted)
    return jobs


def sound(rows: Sequence[dict[str, Any]], **options: Any) -> list[int]:
    with CodeTask.from_rows(rows) as task:
        return [prompt.id for prompt in sound_prompts(task, task.prompts(), **options)]


def test_failing_references_are_refused_with_their_list() -> None:
    with pytest.raises(UserError) as caught:
        sound([ADD, BROKEN, ADD, RAISES])
    message = str(caught.value)
    assert "2 of 4 problems fail their own reference" in message
    assert "rows 1 (wrong: AssertionError" in message
    assert "3 (exception: ValueError" in message
    assert "--leave-out-broken" in message
    assert sound([ADD, BROKEN, ADD, RAISES], leave_out=True) == [0, 2]
    with pytest.raises(UserError, match="no problem passes"):
        sound([BROKEN], leave_out=True)


def test_all_failing_rows_are_named() -> None:
    with pytest.raises(UserError, match=r"25 of 25 .* 19 \(wrong.*\), 20, 21, 22, 23, 24;"):
        sound([BROKEN] * 25)


def test_what_passed_is_not_judged_again(ran: list[Job], cache: Path) -> None:
    assert sound([ADD, APPS]) == [0, 1]
    assert len(ran) == 3  # the first solution of APPS is Python 2
    ran.clear()
    assert sound([ADD, APPS]) == [0, 1]
    assert [job.program for job in ran] == ["print input() * 2"]
    ran.clear()
    other = {**ADD, "test_list": ["assert add(2, 2) == 4"]}
    assert sound([ADD, other]) == [0, 1]
    assert [job.program for job in ran] == [ADD["code"]]  # other tests, another verdict
    assert len(cache.read_text().split()) == 3


def test_a_failure_is_judged_again(ran: list[Job]) -> None:
    for _ in range(2):
        with pytest.raises(UserError):
            sound([BROKEN])
    assert len(ran) == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", b"abc\n", b""])
def test_a_broken_cache_is_passed_over(cache: Path, content: bytes) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    assert sound([ADD]) == [0]
    assert sound([ADD]) == [0]


def test_no_place_for_a_cache(cache: Path, ran: list[Job]) -> None:
    cache.parent.parent.write_text("a file where a folder should be")
    assert sound([ADD]) == sound([ADD]) == [0]
    assert len(ran) == 2


def test_limits_are_part_of_the_key(tmp_path: Path) -> None:
    from grpolab.validate.sandbox import CodeTests, Limits

    job = Job("x = 1", CodeTests(tests="assert x"))
    passed = PassedBefore(tmp_path / "passed")
    with Sandbox() as one, Sandbox(limits=Limits(cpu_seconds=1)) as other:
        passed.add([job], one)
        again = PassedBefore(tmp_path / "passed")
        assert again.holds(job, one)
        assert not again.holds(job, other)
        assert not again.holds(Job("x = 2", job.tests), one)


def test_only_the_prompts_of_the_run_are_judged(ran: list[Job]) -> None:
    with CodeTask.from_rows([ADD, BROKEN, {**ADD, "code": ""}]) as task:
        prompts = task.prompts()
        assert sound_prompts(task, [prompts[0], prompts[2]]) == [prompts[0], prompts[2]]
        assert len(ran) == 1
        assert checked(task, [prompts[0]], leave_out=False) == [prompts[0]]
        with pytest.raises(UserError):
            checked(task, list(prompts), leave_out=False)


def test_a_failing_sandbox_is_no_failing_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Result(Outcome.SANDBOX_ERROR, "none", "no more processes")
    monkeypatch.setattr(Sandbox, "run_many", lambda self, jobs, progress: [broken] * len(jobs))
    for leave_out in (False, True):
        with pytest.raises(UserError, match=r"sandbox failed on 2 of 2 .*no more processes"):
            sound([ADD, ADD], leave_out=leave_out)


def test_tasks_without_programs_have_nothing_to_judge() -> None:
    task = RecordTask([{"prompt": "1 + 1", "answer": "2"}], verifier=lambda text, row: True)
    assert sound_prompts(task, task.prompts()) == list(task.prompts())


@pytest.mark.parametrize(
    ("command", "then"),
    [(rollout, "no-model"), (train, "--prompts-per-step"), (triage, "no-model")],
)
def test_commands_refuse_before_they_load_a_model(
    command: Callable[..., None], then: str, tmp_path: Path
) -> None:
    source = tmp_path / "code.jsonl"
    source.write_text("\n".join(map(json.dumps, [ADD, BROKEN, ADD])))
    app = typer.Typer()
    app.command()(command)
    (model := tmp_path / "no-model").mkdir()  # a name would be asked for on the network
    args = [str(model), "--task", str(source), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*args, "--max-new-tokens", "8"])
    assert isinstance(result.exception, UserError)
    assert "1 of 3 problems fail" in str(result.exception)
    limited = CliRunner().invoke(app, [*args, "--limit", "1", "--max-new-tokens", "8"])
    assert then in str(limited.exception)  # the sound problem alone goes on


def test_held_out_problems_are_judged_too(tmp_path: Path) -> None:
    source = tmp_path / "code.jsonl"
    source.write_text("\n".join(map(json.dumps, [ADD, BROKEN])))
    app = typer.Typer()
    app.command()(train)
    args = ["no-such-model", "--task", str(source), "--out", str(tmp_path / "run"), "--limit", "1"]
    result = CliRunner().invoke(app, [*args, "--max-new-tokens", "8", "--eval-every", "1"])
    assert "1 of 1 problems fail their own reference" in str(result.exception)


def test_broken_problems_can_be_left_out(tmp_path: Path) -> None:
    source = tmp_path / "code.jsonl"
    source.write_text("\n".join(map(json.dumps, [ADD, BROKEN, ADD])))
    with take_prompts(TaskOptions(str(source), leave_out_broken=True)) as (
        task,
        prompts,
    ):
        assert [prompt.id for prompt in prompts] == [0, 2]
        assert len(task.prompts("eval")) == 3
    with load_task(source) as loaded:
        assert isinstance(loaded, CodeTask)
        assert list(loaded.check_references()) == [1]
