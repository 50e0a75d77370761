"""Joined: prompts to train on and prompts to evaluate on, from two tasks, as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from grpolab.errors import UserError
from grpolab.validate.tasks.base import Prompt, Task, TaskReport, Verdict
from grpolab.validate.tasks.identity import VerifierId, verifier_id

HELD_OUT = "held out"


class Joined(Task):
    """The prompts of ``first``, and those of ``second`` as the split `HELD_OUT`.

    Each prompt is judged by its own task. Prompts of ``second`` get ids behind those of ``first``.
    """

    def __init__(
        self, first: Task, trained: Sequence[Prompt], second: Task, held_out: Sequence[Prompt]
    ) -> None:
        self.name, self.stop = first.name, first.stop
        self.max_new_tokens = max(first.max_new_tokens, second.max_new_tokens)
        self._tasks = first, second
        self._offset = 1 + max(prompt.id for prompt in trained)
        self._trained = tuple(trained)
        self._held_out = tuple(replace(p, id=p.id + self._offset) for p in held_out)

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of ``train`` or `HELD_OUT`."""
        if split not in ("train", HELD_OUT):
            raise UserError(f"task {self.name} has the splits train and {HELD_OUT}, not {split!r}")
        return self._trained if split == "train" else self._held_out

    @property
    def verifier(self) -> VerifierId:
        """Both verifiers, by the name of the first."""
        first, second = (task.verifier for task in self._tasks)
        return verifier_id(first.name, first, second)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """The verdict of the task that the prompt comes from."""
        task, own = self._own(prompt)
        return task.verify(own, completion)

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[Verdict] | None:
        """All at once where all prompts come from one task."""
        pairs = [self._own(prompt) for prompt in prompts]
        if len({id(task) for task, _ in pairs}) != 1:
            return None
        return pairs[0][0].verify_many([own for _, own in pairs], completions)

    def report(self) -> TaskReport:
        """The levels and outcomes of both."""
        first, second = (task.report() for task in self._tasks)
        outcomes = Counter(first.outcomes) + Counter(second.outcomes)
        return TaskReport(first.level or second.level, outcomes)

    def close(self) -> None:
        """Close both."""
        for task in self._tasks:
            task.close()

    def _own(self, prompt: Prompt) -> tuple[Task, Prompt]:
        second = prompt.id >= self._offset
        own = replace(prompt, id=prompt.id - self._offset) if second else prompt
        return self._tasks[int(second)], own
