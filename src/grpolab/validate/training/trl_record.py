"""From TRL's reward calls and log lines to the rows that the own loop writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.theory.groups import IntArray
from grpolab.validate.rollouts.collect import describe, rollouts
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.training.log import StepLog, StepRecord

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

Row = tuple[int, float | None, Sequence[int], bool, str]
"""Prompt, verdict, token ids, whether it was cut off, text."""
Gather = Callable[[list[Any]], list[Any]]


class Recorder:
    """Judges completions for TRL and puts groups and log lines of a step together.

    ``gather`` joins the lists of all processes in the order of their ranks (accelerate's
    ``gather_object``): the rollouts of a group may lie on two of them. A completion whose last
    token is none of ``ends`` was cut off.
    """

    def __init__(
        self,
        task: Task,
        prompts: Sequence[Prompt],
        *,
        group_size: int,
        inner_epochs: int,
        gather: Gather,
        ends: Sequence[int] = (),
    ) -> None:
        self._task = task
        self._by_id = {prompt.id: prompt for prompt in prompts}
        self._group_size, self._inner_epochs = group_size, inner_epochs
        self._gather, self._ends = gather, frozenset(ends)
        self._rollouts: Rollouts | None = None
        self._groups: tuple[IntArray, IntArray, IntArray] | None = None
        self._entropy = math.nan
        self._frac_truncated = math.nan
        self._mean_length = 0.0

    def reward(
        self,
        completions: Sequence[Any],
        prompt_id: Sequence[int],
        *,
        completion_ids: Sequence[Sequence[int]],
        **_: Any,
    ) -> list[float | None]:
        """One verdict per completion, None where there is none; TRL's reward function."""
        asked = [self._by_id[int(i)] for i in prompt_id]
        texts = [_text(c) for c in completions]
        verdicts = judge(self._task, asked, texts)
        rewards = [None if verdict is None else float(verdict) for verdict in verdicts]
        rows = [
            (prompt.id, reward, list(ids), not ids or ids[-1] not in self._ends, text)
            for prompt, reward, ids, text in zip(
                asked, rewards, completion_ids, texts, strict=True
            )
        ]  # fmt: skip
        rows = self._gather(rows)
        self._groups = group_rows([row[:2] for row in rows], self._group_size)
        self._rollouts = rollout_table(rows, self._group_size)
        return rewards

    def record(self, logs: Mapping[str, Any], *, update: int) -> StepRecord | None:
        """The row of a step from the log line of its last update, counted from 1; else None.

        Entropy and truncation are those of the policy that sampled, the rest is that of the last
        update, as in the own loop.
        """
        if "grad_norm" not in logs or self._groups is None:
            return None
        if "completions/clipped_ratio" in logs:  # a line with fresh completions
            self._entropy = _number(logs, "entropy")
            self._frac_truncated = _number(logs, "completions/clipped_ratio")
            self._mean_length = float(logs.get("completions/mean_length") or 0.0)
        if update % self._inner_epochs:
            return None
        correct, size, ids = self._groups
        mean, same = StepRecord.reward_stats(correct, size)
        log = StepLog(
            step=update // self._inner_epochs - 1,
            mean_reward=mean,
            frac_zero_std=same,
            entropy=self._entropy,
            grad_norm=_number(logs, "grad_norm"),
            loss=_number(logs, "loss"),
            kl=float(logs.get("kl") or 0.0),
            clip_low=float(logs.get("clip_ratio/low_mean") or 0.0),
            clip_high=float(logs.get("clip_ratio/high_mean") or 0.0),
            frac_truncated=self._frac_truncated,
            num_missing=int(len(ids) * self._group_size - size.sum()),
            num_tokens=round(self._mean_length * len(ids) * self._group_size),
        )
        return StepRecord(log, correct, size, ids, self._rollouts)


def group_rows(
    pairs: Sequence[tuple[int, float | None]], group_size: int
) -> tuple[IntArray, IntArray, IntArray]:
    """(num_correct, group_size, prompt_id) [M] of contiguous groups; None is no verdict.

    >>> [a.tolist() for a in group_rows([(7, 1.0), (7, None), (3, 0.0), (3, 1.0)], 2)]
    [[1, 1], [1, 2], [7, 3]]
    """
    ids = np.array([i for i, _ in pairs], dtype=np.int64).reshape(-1, group_size)
    if (ids != ids[:, :1]).any():
        raise ValueError("rollouts of one prompt must stand side by side")
    reward = np.array([math.nan if r is None else r for _, r in pairs]).reshape(ids.shape)
    size = (~np.isnan(reward)).sum(axis=1)
    return np.nansum(reward, axis=1).astype(np.int64), size, ids[:, 0]


def rollout_table(rows: Sequence[Row], group_size: int) -> Rollouts:
    """Rows of contiguous groups as a table.

    TRL hands a reward function no probabilities: entropy and logprob are NaN.
    """
    prompt, reward, tokens, cut, text = zip(*rows, strict=True)
    width = max(1, max(map(len, tokens)))
    padded = np.array([[*ids, *[NO_TOKEN] * (width - len(ids))] for ids in tokens])
    draws = Draws(padded, np.full(padded.shape, math.nan), None, np.array(cut, dtype=np.bool_))
    columns = describe(prompt, draws)
    columns["sample"] = np.arange(len(rows))  # a prompt may be asked twice in a step
    value = np.array([math.nan if r is None else r for r in reward])
    return rollouts(columns, text, value, group_size=group_size, keep_text=True)


def _text(completion: Any) -> str:
    """What the model wrote: text, or the messages of a conversation."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def _number(logs: Mapping[str, Any], name: str) -> float:
    value = logs.get(name)
    return math.nan if value is None else float(value)
