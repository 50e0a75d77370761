"""CodeTask: Python problems judged in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Self

from grpolab.errors import UserError
from grpolab.validate.sandbox import Job, Outcome, Result, Sandbox
from grpolab.validate.tasks.base import NoVerdict, OneSplit, Prompt
from grpolab.validate.tasks.code_formats import CodeProblem, read_problem
from grpolab.validate.tasks.extract import extract_program
from grpolab.validate.tasks.identity import VerifierId, verifier_id
from grpolab.validate.tasks.references import PassedBefore, judge_hash
from grpolab.validate.tasks.rows import Row
from grpolab.validate.tasks.sandboxed import Sandboxed

MAX_REFERENCES = 5
"""References of a problem that are tried, where its data set has many."""


class CodeTask(OneSplit, Sandboxed):
    """Problems whose completions are programs; a context manager that owns its sandbox.

    ``sandbox`` makes the sandbox when the first verdict is asked for; by default the strongest
    that works here. ``outcomes`` counts what came of every program judged so far, and ``level``
    says behind which walls.
    """

    def __init__(
        self,
        problems: Sequence[CodeProblem],
        *,
        name: str = "code",
        sandbox: Callable[[], Sandbox] = Sandbox,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        super().__init__(sandbox)
        if not problems:
            raise UserError(f"task {name} has no problems")
        self.name = name
        self._problems = tuple(problems)
        self._prompts = tuple(Prompt(i, p.prompt, "code") for i, p in enumerate(problems))
        self._progress = progress

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Row],
        *,
        form: str | None = None,
        name: str = "code",
        sandbox: Callable[[], Sandbox] = Sandbox,
    ) -> Self:
        """From rows of a data set; the form (see `FORMATS`) is recognised by its columns."""
        problems = [read_problem(row, number=i, form=form) for i, row in enumerate(rows)]
        return cls(problems, name=name, sandbox=sandbox)

    @cached_property
    def verifier(self) -> VerifierId:
        """The sandbox by its source, with the tests of the problems."""
        return verifier_id("tests", extract_program, judge_hash(), *self._problems)

    def judge(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[Result]:
        """The result of every completion, with its outcome and what the program used."""
        jobs = []
        for prompt, text in zip(prompts, completions, strict=True):
            problem = self._problems[prompt.id]
            program = extract_program(
                text,
                prompt_code=problem.prompt_code,
                entry_point=problem.entry_point,
                names=problem.names,
            )
            jobs.append(Job(program, problem.tests))
        results = self._open().run_many(jobs, progress=self._progress)
        self.outcomes.update(result.outcome for result in results)
        return results

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[bool | None]:
        """One verdict per pair, None where the sandbox failed."""
        return [result.outcome.verdict for result in self.judge(prompts, completions)]

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion passes its tests; NoVerdict where the sandbox failed."""
        (result,) = self.judge([prompt], [completion])
        verdict = result.outcome.verdict
        if verdict is None:
            raise NoVerdict(result.detail)
        return verdict

    def check_references(
        self,
        prompts: Sequence[Prompt] | None = None,
        *,
        passed: PassedBefore | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Mapping[int, Result]:
        """Results of the references of problems none of whose references passes, by prompt id.

        A problem whose own reference fails has broken tests, or tests that need what a sandbox
        does not have: leave it out, else it counts as one that no model can solve. Of the first
        `MAX_REFERENCES` references of a problem one that passes is enough; a problem without any
        is not judged. Those in ``passed`` are not judged again, and what passes is added to it.
        """
        left = [prompt.id for prompt in (self._prompts if prompts is None else prompts)]
        failing: dict[int, Result] = {}
        for turn in range(MAX_REFERENCES):
            left = [i for i in left if len(self._problems[i].references) > turn]
            if not left:
                break
            found = self._run_references(left, turn, passed, progress or self._progress)
            failing.update(found)
            left = [i for i in left if found[i].outcome is not Outcome.PASS]
        return {i: r for i, r in sorted(failing.items()) if r.outcome is not Outcome.PASS}

    def _run_references(
        self,
        ids: Sequence[int],
        turn: int,
        passed: PassedBefore | None,
        progress: Callable[[int, int], None],
    ) -> dict[int, Result]:
        """Results of one reference of each problem; those that passed before are not run."""
        sandbox = self._open()
        jobs = {i: Job(self._problems[i].references[turn], self._problems[i].tests) for i in ids}
        known = {i for i, job in jobs.items() if passed is not None and passed.holds(job, sandbox)}
        new = {i: job for i, job in jobs.items() if i not in known}
        ran = sandbox.run_many(list(new.values()), progress=progress)
        results = dict(zip(new, ran, strict=True))
        if passed is not None:
            good = [job for i, job in new.items() if results[i].outcome is Outcome.PASS]
            passed.add(good, sandbox)
        before = Result(Outcome.PASS, str(sandbox.level), "passed in an earlier run")
        return {i: results.get(i, before) for i in ids}

    def without(self, ids: Sequence[int]) -> CodeTask:
        """The same task without some problems, which are numbered anew."""
        left = [p for i, p in enumerate(self._problems) if i not in set(ids)]
        return CodeTask(left, name=self.name, sandbox=self._make_sandbox, progress=self._progress)
