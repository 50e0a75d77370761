"""Programs: write a Python expression of x that has given values; the sandbox runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from grpolab.validate.sandbox import Outcome, Sandbox
from grpolab.validate.study.tasks import branches
from grpolab.validate.study.tasks.problems import Problem, ProblemTask, SplitSizes
from grpolab.validate.study.tasks.runs import Runs
from grpolab.validate.tasks.base import NoVerdict, Prompt
from grpolab.validate.tasks.sandboxed import Sandboxed

CLASSES = ("add", "mul")
NUM_MUL = 3500
"""Problems kept of class ``mul``, evenly spread: more would drown class ``add`` in the corpus."""

_HEAD = "def f(x): return "


def one_sandbox() -> Sandbox:
    """A sandbox for one program at a time: batches make it fast enough."""
    return Sandbox(workers=1)


class ProgramTask(ProblemTask, Sandboxed):
    """A `ProblemTask` whose completions are expressions of x, judged by running them.

    A completion becomes ``def f(x): return <completion>`` and runs in the sandbox; the values that
    come back as text are compared here with the expected ones, at inputs that the prompt shows and
    at others that it does not. A completion may be right without being among ``solutions``.

    The inputs are the same for all problems, so a program is run once however often and for
    whatever problem it is written. Programs of the task's own words share a process, since no such
    expression can touch another; any other program gets one of its own. ``outcomes`` counts
    verdicts by outcome, ``num_programs`` the distinct programs run.
    """

    def __init__(
        self,
        name: str,
        problems: Sequence[Problem],
        *,
        inputs: Sequence[int],
        expected: Sequence[Sequence[int]],
        classes: tuple[str, str],
        vocabulary: Sequence[str],
        noise: float,
        seed: int,
        sizes: SplitSizes | None = None,
        sandbox: Callable[[], Sandbox] = one_sandbox,
    ) -> None:
        ProblemTask.__init__(
            self, name, problems, classes=classes, vocabulary=vocabulary, noise=noise, seed=seed,
            sizes=sizes,
        )  # fmt: skip
        Sandboxed.__init__(self, sandbox)
        self._expected = [" ".join(map(str, values)) for values in expected]
        words = frozenset(vocabulary)
        self._runs = Runs(
            inputs,
            harmless=lambda source: words.issuperset(source.removeprefix(_HEAD).split(" ")),
        )

    @property
    def num_programs(self) -> int:
        """Distinct programs run so far."""
        return len(self._runs)

    def judge(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[Outcome]:
        """What comes of every completion; ValueError for a prompt of another task."""
        for prompt in prompts:
            self._check(prompt)
        sources = [_HEAD + text for text in completions]
        runs = self._runs.of(sources, run_many=lambda jobs: self._open().run_many(jobs))
        found = []
        for prompt, source in zip(prompts, sources, strict=True):
            run = runs[source]
            right = run.outcome is Outcome.PASS and run.values == self._expected[prompt.id]
            wrong = run.outcome is Outcome.PASS and not right
            found.append(Outcome.WRONG if wrong else run.outcome)
        self.outcomes.update(found)
        return found

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[bool | None]:
        """One verdict per pair, None where the sandbox failed."""
        return [outcome.verdict for outcome in self.judge(prompts, completions)]

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion is right; NoVerdict where the sandbox failed."""
        (verdict,) = self.verify_many([prompt], [completion])
        if verdict is None:
            raise NoVerdict("the sandbox failed")
        return verdict


def programs(
    *,
    seed: int,
    noise: float = 0.4,
    sizes: SplitSizes | None = None,
    sandbox: Callable[[], Sandbox] = one_sandbox,
) -> ProgramTask:
    """Prompts "4 5 5 4 3 ->", completions "x + 3 if x<3 else 8 - x": one branch, real Python.

    The prompt lists f(1) .. f(5); f is the shortest program with these values (see `branches`), and
    its values at 0, 6, 7, 10 and 13 are tested too. Class ``add`` can do with + and -, ``mul``
    needs ``*``, ``//`` or ``%``. The canonical program is the shortest; longer ones split a
    constant or write a multiple as a sum.

    >>> task = programs(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [5639, 512, 512, 2800, 1000]
    """
    problems = _problems()
    numbers = [str(n) for n in range(branches.LARGEST_VALUE + 1)]
    bounds = range(len(branches.SHOWN))
    conditions = [w for k in bounds[1:] for w in (f"x<{k + 1}", f"x>{k}")]
    return ProgramTask(
        "programs",
        list(problems.values()),
        inputs=branches.INPUTS,
        expected=list(problems),
        classes=CLASSES,
        vocabulary=[*numbers, "x", "+", "-", *branches.PRODUCTS, "if", "else", *conditions, "->"],
        noise=noise,
        seed=seed,
        sizes=sizes,
        sandbox=sandbox,
    )


@cache
def _problems() -> Mapping[branches.Values, Problem]:
    """Problems by the values of f; which of them noise replaces differs from one to the next."""
    by_class: dict[str, list[branches.Function]] = {label: [] for label in CLASSES}
    for function in branches.functions():
        by_class[CLASSES[all(map(_has_product, function.programs))]].append(function)
    mul = by_class["mul"]
    by_class["mul"] = [mul[i * len(mul) // NUM_MUL] for i in range(NUM_MUL)]
    problems: dict[branches.Values, Problem] = {}
    for label, chosen in by_class.items():
        for values, texts in chosen:
            words = [str(v) for v in values[: len(branches.SHOWN)]] + ["->"]
            place = len(problems) % len(branches.SHOWN)
            words[place] = "{}"
            answers = branches.canonical_first(texts)
            problems[values] = Problem(" ".join(words), values[place], label, answers)
    return MappingProxyType(problems)


def _has_product(program: str) -> bool:
    return any(word in branches.PRODUCTS for word in program.split())
