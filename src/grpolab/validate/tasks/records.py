"""RecordTask: prompts from a data set, judged by a verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.tasks.base import NoVerdict, OneSplit, Prompt
from grpolab.validate.tasks.identity import VerifierId, verifier_id
from grpolab.validate.tasks.rows import Row
from grpolab.validate.tasks.verifiers import TrlReward, Verifier, as_verdict, identify


class RecordTask(OneSplit):
    """One prompt per row; its id is the row's number, its label the column ``label`` if given.

    ``verifier`` is any function (completion, row) -> verdict, or a `TrlReward`. What it raises goes
    through: who asks counts it (`grpolab.validate.rollouts.judge.judge_all`), since one bad row
    must not cost what was already sampled, and must not pass for a wrong answer.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        verifier: Verifier | TrlReward,
        name: str = "records",
        prompt: str = "prompt",
        label: str | None = None,
    ) -> None:
        for column in (prompt, *([label] if label else [])):
            missing = next((i for i, row in enumerate(rows) if column not in row), None)
            if missing is not None:
                known = ", ".join(sorted(rows[missing]))
                raise UserError(f"row {missing} has no column {column!r}; it has {known}")
        self.name = name
        self._rows = tuple(rows)
        self._verifier = verifier
        self._prompts = tuple(
            _prompt(i, row[prompt], str(row[label]) if label else "all")
            for i, row in enumerate(rows)
        )

    @cached_property
    def verifier(self) -> VerifierId:
        """The function by its source, with the rows that it judges by."""
        name, known = identify(self._verifier)
        return verifier_id(name, known, *self._rows)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion is right; NoVerdict where the verifier gives none."""
        row = self._rows[prompt.id]
        if isinstance(self._verifier, TrlReward):
            (verdict,) = self._verifier.judge([prompt.text], [completion], [row])
        else:
            verdict = as_verdict(self._verifier(completion, row))
        if verdict is None:
            raise NoVerdict("the verifier gave none")
        return verdict

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[bool | None] | None:
        """All at once where the verifier takes many; else None: one by one."""
        if not isinstance(self._verifier, TrlReward) or not prompts:
            return None
        rows = [self._rows[prompt.id] for prompt in prompts]
        return self._verifier.judge([p.text for p in prompts], completions, rows)


def _prompt(index: int, prompt: Any, label: str) -> Prompt:
    """Read a prompt: text, or a chat as a list of messages with a role and a content."""
    if isinstance(prompt, str):
        return Prompt(index, prompt, label)
    if isinstance(prompt, Sequence) and prompt and all(_is_message(m) for m in prompt):
        pairs = tuple((str(m["role"]), str(m["content"])) for m in prompt)
        return Prompt(index, pairs[-1][1], label, pairs)
    raise UserError(
        f"row {index}: a prompt must be text or a list of messages with role and content, got"
        f" {type(prompt).__name__}"
    )


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and {"role", "content"} <= set(value)
