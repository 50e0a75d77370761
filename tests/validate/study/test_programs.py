"""The task `programs`: real Python, run in the sandbox, against Python itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.sandbox import Job, Limits, Outcome, Result, Sandbox, choose_level
from grpolab.validate.study.tasks import ProgramTask, programs
from grpolab.validate.study.tasks.branches import (
    INPUTS,
    PRODUCTS,
    SHOWN,
    canonical_first,
    functions,
)
from grpolab.validate.tasks import NoVerdict, Prompt


@pytest.fixture(scope="module", autouse=True)
def _needs_a_sandbox() -> None:
    try:
        choose_level()
    except UserError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="module")
def task() -> Iterator[ProgramTask]:
    with programs(seed=0) as made:
        yield made


def everything(task: ProgramTask) -> list[Prompt]:
    return [*task.prompts("base"), *task.prompts("eval")]


def find(task: ProgramTask, text: str) -> Prompt:
    return next(p for p in everything(task) if p.text == text)


def at(program: str, inputs: Sequence[int]) -> list[Any]:
    """What Python makes of a program that the task wrote itself."""
    return [eval(program, {"x": x}) for x in inputs]


def test_every_known_program_has_the_shown_values_and_one_set_of_hidden_ones(
    task: ProgramTask,
) -> None:
    for prompt in everything(task)[::7]:
        values = [at(program, INPUTS) for program in task.solutions(prompt)]
        assert all(found == values[0] for found in values)
        assert [str(v) for v in values[0][: len(SHOWN)]] == prompt.text.split()[:-1]
        assert all(type(v) is int for v in values[0])


def test_the_prompt_has_one_shortest_explanation() -> None:
    lengths: dict[tuple[int, ...], int] = {}
    for function in functions():
        shown = function.values[: len(SHOWN)]
        assert shown not in lengths
        lengths[shown] = min(len(program.split()) for program in function.programs)
    assert set(lengths.values()) == {5, 7, 9}


def test_canonical_programs() -> None:
    programs = ["7 if x>2 else x - 1", "2 * x if x<3 else 7", "x * 2 if x<3 else 7"]
    programs += ["x + x if x<3 else 7", "x + x if x<3 else 7", "7 if x<3 else x", "7"]
    assert canonical_first(programs) == (
        "7", "7 if x<3 else x", "x + x if x<3 else 7", "7 if x>2 else x - 1",
        "2 * x if x<3 else 7", "x * 2 if x<3 else 7",
    )  # fmt: skip


def test_classes_and_sizes(task: ProgramTask) -> None:
    labels = Counter(p.label for p in everything(task))
    assert labels == {"add": 3139, "mul": 3500}
    for prompt in everything(task):
        lengths = [len(s.split()) for s in task.solutions(prompt)]
        assert lengths == sorted(lengths)
        without = [s for s in task.solutions(prompt) if not set(s.split()) & set(PRODUCTS)]
        assert prompt.label == ("add" if without else "mul")


def test_every_demonstration_passes_in_the_sandbox(task: ProgramTask) -> None:
    for style in ("canonical", "random", "short", "long"):
        prompts = [*task.prompts("sft"), *task.prompts("sft_broad")]
        answers = task.demonstrations(prompts, style=style, rng=np.random.default_rng(1))
        assert task.verify_many(prompts, answers) == [True] * len(prompts)


def test_verdicts_are_those_of_python(task: ProgramTask) -> None:
    rng = np.random.default_rng(4)
    prompts = [task.prompts("eval")[i] for i in rng.integers(1000, size=600)]
    answers = task.demonstrations(prompts, style="random", rng=rng)
    for i, answer in enumerate(answers):
        words = answer.split()
        for _ in range(i % 3):  # two thirds of them with one or two words changed
            words[rng.integers(len(words))] = task.vocabulary[rng.integers(len(task.vocabulary))]
        answers[i] = " ".join(words)
    verdicts = task.verify_many(prompts, answers)
    for prompt, answer, verdict in zip(prompts, answers, verdicts, strict=True):
        wanted = at(task.solutions(prompt)[0], INPUTS)
        try:
            right = at(answer, INPUTS) == wanted
        except Exception:
            right = False
        assert verdict is right, (prompt, answer)
    assert 0.3 < np.mean(np.array(verdicts, dtype=bool)) < 0.6


def test_answers_that_nobody_wrote_down(task: ProgramTask) -> None:
    prompt = find(task, "4 5 5 4 3 ->")
    assert task.solutions(prompt)[0] == "x + 3 if x<3 else 8 - x"
    right = [
        "3 + x if x<3 else 8 - x",
        "min(x + 3, 8 - x) if x != 3 else 5",
        "x+3 if x<=2 else 8-x",
    ]
    right += ["(lambda y: y + 3 if y < 3 else 8 - y)(x)", "x + 3 if x < 3 else 8 - x  # yes"]
    assert task.verify_many([prompt] * len(right), right) == [True] * len(right)
    assert right[1] not in task.solutions(prompt)


def test_hidden_inputs_count(task: ProgramTask) -> None:
    prompt = find(task, "4 5 5 4 3 ->")
    table = "[0, 4, 5, 5, 4, 3][x]"
    guess = "x + 3 if x<3 else abs(8 - x)"
    assert at(table, SHOWN) == at(guess, SHOWN) == [4, 5, 5, 4, 3]
    assert task.judge([prompt] * 2, [table, guess]) == [Outcome.EXCEPTION, Outcome.WRONG]


@pytest.mark.parametrize(
    ("completion", "outcome"),
    [
        ("", Outcome.WRONG),
        ("x + 3.0 if x<3 else 8 - x", Outcome.WRONG),
        ("type('C', (int,), {})(x + 3 if x<3 else 8 - x)", Outcome.WRONG),
        ("x / 0", Outcome.EXCEPTION),
        ("5 // x", Outcome.EXCEPTION),
        ("x +", Outcome.EXCEPTION),
        ("x\nx x", Outcome.EXCEPTION),
        ("\0", Outcome.EXCEPTION),
        ("\ud800", Outcome.EXCEPTION),
        ("９ - x", Outcome.EXCEPTION),
        ("True", Outcome.WRONG),
        ("[0] * 10 ** 12", Outcome.OOM),
        ("__import__('sys').exit()", Outcome.WRONG),
        ("__import__('os')._exit(0)", Outcome.WRONG),
        ("print('4 5 5 4 3 3 2 1 -2 -5')", Outcome.WRONG),
        ("x" + " + x" * 20_000, Outcome.EXCEPTION),
    ],
)
def test_odd_completions(task: ProgramTask, completion: str, outcome: Outcome) -> None:
    prompt = find(task, "4 5 5 4 3 ->")
    assert task.judge([prompt], [completion]) == [outcome]


def test_a_program_without_end_costs_itself_alone() -> None:
    def quick() -> Sandbox:
        return Sandbox(limits=Limits(cpu_seconds=0.2), workers=1)

    with programs(seed=0, sandbox=quick) as task:
        prompt = find(task, "4 5 5 4 3 ->")
        texts = ["sum(iter(int, 1))", "x + 3 if x<3 else 8 - x"]
        assert task.judge([prompt] * 2, texts) == [Outcome.TIMEOUT, Outcome.PASS]


def test_a_batch_that_breaks_is_taken_apart() -> None:
    with programs(seed=0) as task:
        prompt = find(task, "4 5 5 4 3 ->")
        deep = "if " * 200_000  # words of the task, yet more than the parser of Python bears
        texts = ["x + 3 if x<3 else 8 - x", deep, "x"]
        outcomes = task.judge([prompt] * 3, texts)
        assert outcomes[::2] == [Outcome.PASS, Outcome.WRONG]
        assert not outcomes[1].verdict


def test_a_program_cannot_spoil_the_others(task: ProgramTask) -> None:
    prompt = find(task, "4 5 5 4 3 ->")
    good, spoiler = (
        "3 + x if x<3 else 8 - x",
        "__import__('builtins').__dict__.update(repr=str.upper)",
    )
    with programs(seed=0) as fresh:
        assert fresh.verify_many([prompt] * 3, [spoiler, good, "7"]) == [False, True, False]


def test_each_program_runs_once_whatever_the_problem(
    task: ProgramTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []
    real = Sandbox.run_many

    def counted(self: Sandbox, batch: Sequence[Job]) -> list[Result]:
        jobs.extend(batch)
        return real(self, batch)

    monkeypatch.setattr(Sandbox, "run_many", counted)
    with programs(seed=1) as fresh:
        prompts = fresh.prompts("rl")[:50]
        texts = [f"{c} - x if x<4 else x" for c in range(50)]
        every = [(p, t) for p in prompts for t in texts]
        first = judge(fresh, [p for p, _ in every], [t for _, t in every])
        assert (len(jobs), fresh.num_programs) == (1, 50)
        again = fresh.verify_many([p for p, _ in every], [t for _, t in every])
        assert first == again
        assert len(jobs) == 1
        assert fresh.level in ("bubblewrap", "landlock")
        assert sum(fresh.outcomes.values()) == 2 * len(every)


def test_a_failing_sandbox_gives_no_verdict_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Result(Outcome.SANDBOX_ERROR, "none", "no more processes")
    with programs(seed=0) as task:
        prompt = task.prompts("eval")[0]
        good = task.solutions(prompt)[0]
        with monkeypatch.context() as patch:
            patch.setattr(Sandbox, "run_many", lambda self, jobs: [broken] * len(jobs))
            assert judge(task, [prompt] * 2, [good, "import"]) == [None, None]
            assert task.outcomes == {Outcome.SANDBOX_ERROR: 2}
            assert task.num_programs == 0
            with pytest.raises(NoVerdict):
                task.verify(prompt, good)
        assert task.verify(prompt, good) is True


def test_verdicts_do_not_depend_on_company_or_order() -> None:
    with programs(seed=0) as one, programs(seed=0) as other:
        prompts = list(one.prompts("eval")[:300])
        answers = one.demonstrations(prompts, style="long", rng=np.random.default_rng(0))
        texts = answers[1:] + answers[:1]
        together = one.verify_many(prompts, texts)
        backwards = other.verify_many(prompts[::-1], texts[::-1])[::-1]
        assert together == backwards
        assert [one.verify(p, t) for p, t in zip(prompts, texts, strict=True)] == together


def test_a_forgotten_task_ends_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Sandbox] = []
    real = Sandbox.close
    monkeypatch.setattr(Sandbox, "close", lambda self: (closed.append(self), real(self))[1])
    task = programs(seed=0)
    task.verify(task.prompts("eval")[0], "x")
    del task
    assert len(closed) == 1


def test_a_foreign_prompt_is_an_error(task: ProgramTask) -> None:
    with pytest.raises(ValueError, match="prompt must be one of task programs"):
        task.verify(Prompt(0, "1 2 3", "add"), "x")
