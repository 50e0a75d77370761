"""GroupCounts, the one table: what simulations and readers return and estimators take.

Given the prompt, binary rewards enter every group-relative advantage only through
(num_correct, group_size), so one row per *group* is a sufficient record. Rows are groups and not
prompts because repeated groups of one prompt are what makes dependence identifiable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from grpolab.frames import Frame

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


EQUAL = 1e-6
"""Rewards are equal when they differ by at most this share of the largest of them.

Eight steps of float32 at 1: what a sum of constant rewards may differ by, and far below what any
reward function means by a difference.
"""


def equal_rewards(rewards: npt.ArrayLike, *, scale: npt.ArrayLike | None = None) -> BoolArray:
    """Whether the rewards of a group, along the last axis, are equal but for rounding.

    ``max R - min R <= EQUAL * scale``, where the scale is the largest ``abs(R)`` of the group, or
    what the caller knows rewards to be made of: a sum that cancels is as exact as its parts. A
    missing reward (NaN) is left out; a group without two rewards has none that differ.

    >>> import numpy as np
    >>> dust = np.float32(0.1) + np.float32([0.6, 0.6, 0.6]) + np.float32([0, 6e-8, 0])
    >>> equal_rewards([[0, 0, 1], [0.1, 0.1, 0.1], dust]).tolist()
    [False, True, True]
    >>> bool(equal_rewards([1e-9, 0.0], scale=1.0))
    True
    """
    table = np.asarray(rewards, dtype=np.float64)
    seen = ~np.isnan(table)
    high = np.max(table, axis=-1, where=seen, initial=-np.inf)
    low = np.min(table, axis=-1, where=seen, initial=np.inf)
    size = np.maximum(np.abs(high), np.abs(low)) if scale is None else np.abs(scale)
    few = seen.sum(axis=-1) < 2
    with np.errstate(invalid="ignore"):
        return np.asarray(few | (high - low <= EQUAL * size))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a table comes from: enough to redo it, small enough to print.

    ``filtered`` is True when the dump was taken after dynamic sampling, so that zero-std groups
    are missing and every share computed from it is conditional on a mixed group. ``verdict`` names
    the column, metric or scorer that said what is correct.
    """

    source: str = ""
    verdict: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    filtered: bool = False
    num_missing: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "source": self.source,
            "verdict": self.verdict,
            "sampling": dict(self.sampling),
            "seed": self.seed,
            "versions": dict(self.versions),
            "filtered": self.filtered,
            "num_missing": self.num_missing,
        }


class PromptTotals:
    """Successes and samples of every prompt, all its groups pooled."""

    __slots__ = ("num_correct", "num_samples", "prompt_id")

    def __init__(self, prompt_id: IntArray, num_correct: IntArray, num_samples: IntArray) -> None:
        self.prompt_id = prompt_id  # [P]
        self.num_correct = num_correct  # [P]
        self.num_samples = num_samples  # [P]

    @property
    def rate(self) -> FloatArray:
        """Share of correct samples per prompt, shape [P]."""
        return self.num_correct / self.num_samples


def _int_column(name: str, values: npt.ArrayLike, length: int | None) -> IntArray:
    raw = np.asarray(values)
    if raw.ndim == 0 and length is not None:
        raw = np.broadcast_to(raw, (length,))
    if raw.ndim != 1 or (length is not None and raw.shape != (length,)):
        raise ValueError(f"{name} must have shape [{length}], got {list(raw.shape)}")
    with np.errstate(invalid="ignore"):  # NaN becomes some number, which then differs
        column = raw.astype(np.int64)
    if not np.array_equal(column, raw):
        raise ValueError(f"{name} must hold whole numbers")
    column.setflags(write=False)
    return column


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupCounts(Frame):
    """Successes per group of rollouts; ragged group sizes allowed.

    Parameters
    ----------
    num_correct : array_like
        Successes of each group, shape [M], each in 0..group_size.
    group_size : array_like
        Rollouts with a verdict, shape [M] or one number, each >= 1; a missing verdict is not an
        observation.
    prompt_id : array_like, optional
        Integers [M] that say which groups share a prompt; by default each has its own.
    step : array_like
        Training step of each group, shape [M] or one number; 0 if there is none.
    prompt_names : mapping, optional
        Names of prompts by their id.
    provenance : Provenance, optional
        Where the counts come from.

    Raises
    ------
    ValueError
        Shapes that do not broadcast, numbers that are not whole, a count outside 0..group_size.

    Examples
    --------
    >>> counts = GroupCounts([0, 2, 4], 4, prompt_id=[0, 0, 1])
    >>> float(counts.frac_zero_std), float(counts.mean_reward)
    (0.6666666666666666, 0.5)
    """

    num_correct: IntArray  # [M]
    group_size: IntArray  # [M]
    prompt_id: IntArray  # [M]
    step: IntArray  # [M]
    prompt_names: Mapping[int, str]
    provenance: Provenance

    def __init__(
        self,
        num_correct: npt.ArrayLike,
        group_size: npt.ArrayLike,
        *,
        prompt_id: npt.ArrayLike | None = None,
        step: npt.ArrayLike = 0,
        prompt_names: Mapping[int, str] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        correct = _int_column("num_correct", num_correct, None)
        length = len(correct)
        size = _int_column("group_size", group_size, length)
        ids = np.arange(length) if prompt_id is None else prompt_id
        if np.any(size < 1):
            raise ValueError(f"group_size must be >= 1, got {size.min()}")
        bad = np.flatnonzero((correct < 0) | (correct > size))
        if bad.size:
            row = int(bad[0])
            raise ValueError(
                f"num_correct must lie in 0..group_size, got {correct[row]} of {size[row]}"
                f" in group {row}"
            )
        put = object.__setattr__
        put(self, "num_correct", correct)
        put(self, "group_size", size)
        put(self, "prompt_id", _int_column("prompt_id", ids, length))
        put(self, "step", _int_column("step", step, length))
        put(self, "prompt_names", dict(prompt_names or {}))
        put(self, "provenance", provenance or Provenance())

    @property
    def columns(self) -> Mapping[str, Any]:
        """Prompt, step, successes and rollouts of every group."""
        names = self.prompt_names
        ids = self.prompt_id
        prompt = [names.get(i, str(i)) for i in ids.tolist()] if names else ids
        return {
            "prompt": prompt, "step": self.step,
            "num_correct": self.num_correct, "group_size": self.group_size,
        }  # fmt: skip

    @property
    def headline(self) -> str:
        """Number and size of the groups, their mean and the share with equal rewards.

        >>> GroupCounts([0, 2, 4], 4, prompt_id=[0, 0, 1])
        <GroupCounts: 3 groups of 4, 2 prompts, mean reward 0.5, 67% of the groups zero-std>
        """
        if not len(self):
            return "no groups"
        low, high = int(self.group_size.min()), int(self.group_size.max())
        return (
            f"{len(self)} groups of {low if low == high else f'{low} to {high}'},"
            f" {len(np.unique(self.prompt_id))} prompts, mean reward {self.mean_reward:.3g},"
            f" {self.frac_zero_std:.0%} of the groups zero-std"
        )

    @classmethod
    def from_rewards(
        cls,
        rewards: npt.ArrayLike,
        *,
        prompt_id: npt.ArrayLike | None = None,
        step: npt.ArrayLike = 0,
        provenance: Provenance | None = None,
    ) -> GroupCounts:
        """Count 0/1 rewards [M, g]; NaN is a missing verdict, rows of NaN alone are left out.

        >>> GroupCounts.from_rewards([[1, 0, float("nan")], [1, 1, 1]]).group_size.tolist()
        [2, 3]
        """
        matrix = np.asarray(rewards, dtype=np.float64)
        if matrix.ndim != 2:
            raise ValueError(f"rewards must have shape [M, g], got {list(matrix.shape)}")
        seen = ~np.isnan(matrix)
        if not np.all(np.isin(matrix[seen], (0.0, 1.0))):
            raise ValueError("rewards must be 0, 1 or NaN")
        size = seen.sum(axis=1)
        keep = size > 0
        rows = len(matrix)
        ids = np.broadcast_to(np.arange(rows) if prompt_id is None else prompt_id, (rows,))
        info = provenance or Provenance()
        missing = int((~seen).sum())
        return cls(
            np.nansum(matrix, axis=1)[keep],
            size[keep],
            prompt_id=ids[keep],
            step=np.broadcast_to(step, (rows,))[keep],
            provenance=Provenance(**{**info.as_dict(), "num_missing": info.num_missing + missing}),
        )

    def __len__(self) -> int:
        return len(self.num_correct)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupCounts):
            return NotImplemented
        columns = ("num_correct", "group_size", "prompt_id", "step")
        same = all(np.array_equal(getattr(self, c), getattr(other, c)) for c in columns)
        return same and self.provenance.as_dict() == other.provenance.as_dict()

    __hash__ = None  # type: ignore[assignment]

    def select(self, mask: npt.ArrayLike) -> GroupCounts:
        """Keep the groups that a boolean mask or an index array of shape [M] names."""
        rows = np.asarray(mask)
        return GroupCounts(
            self.num_correct[rows],
            self.group_size[rows],
            prompt_id=self.prompt_id[rows],
            step=self.step[rows],
            prompt_names=self.prompt_names,
            provenance=self.provenance,
        )

    @staticmethod
    def concat(tables: Sequence[GroupCounts]) -> GroupCounts:
        """Stack tables; provenance and names are those of the first."""
        if not tables:
            raise ValueError("tables must hold at least one GroupCounts")
        return GroupCounts(
            np.concatenate([t.num_correct for t in tables]),
            np.concatenate([t.group_size for t in tables]),
            prompt_id=np.concatenate([t.prompt_id for t in tables]),
            step=np.concatenate([t.step for t in tables]),
            prompt_names=tables[0].prompt_names,
            provenance=tables[0].provenance,
        )

    def by_prompt(self) -> PromptTotals:
        """Pool the groups of each prompt.

        >>> GroupCounts([1, 3, 2], 4, prompt_id=[7, 7, 9]).by_prompt().rate.tolist()
        [0.5, 0.5]
        """
        ids, row = np.unique(self.prompt_id, return_inverse=True)
        correct = np.bincount(row, weights=self.num_correct, minlength=len(ids)).astype(np.int64)
        size = np.bincount(row, weights=self.group_size, minlength=len(ids)).astype(np.int64)
        return PromptTotals(ids, correct, size)

    @property
    def mean_reward(self) -> float:
        """Share of correct rollouts, every rollout weighing the same."""
        return float(self.num_correct.sum() / self.group_size.sum())

    @property
    def all_wrong(self) -> npt.NDArray[np.bool_]:
        """Groups without a correct rollout, shape [M]."""
        return np.equal(self.num_correct, 0)

    @property
    def all_right(self) -> npt.NDArray[np.bool_]:
        """Groups without a wrong rollout, shape [M]."""
        return np.equal(self.num_correct, self.group_size)

    @property
    def frac_all_wrong(self) -> float:
        """Share of groups without a correct rollout."""
        return float(self.all_wrong.mean())

    @property
    def frac_all_right(self) -> float:
        """Share of groups without a wrong rollout."""
        return float(self.all_right.mean())

    @property
    def frac_zero_std(self) -> float:
        """Share of groups whose rewards are all equal."""
        return float((self.all_wrong | self.all_right).mean())

    def variance(self, *, ddof: int = 0) -> FloatArray:
        """Within-group reward variance K(g-K)/(g(g-ddof)), shape [M]; NaN where g <= ddof.

        >>> GroupCounts([2], 8).variance().tolist()
        [0.1875]
        """
        size = self.group_size.astype(np.float64)
        free = np.where(size > ddof, size - ddof, np.nan)
        spread: FloatArray = self.num_correct * (size - self.num_correct) / (size * free)
        return spread


class Exchangeable(Protocol):
    """What every model of a group says; ``mean`` and ``rho`` are arrays that broadcast."""

    @property
    def mean(self) -> FloatArray:
        """Mean reward."""
        ...

    @property
    def rho(self) -> FloatArray:
        """Correlation of two rewards of one group."""
        ...

    def prob_all_wrong(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0)."""
        ...

    def prob_all_right(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = g)."""
        ...

    def prob_zero_std(self, group_size: npt.ArrayLike) -> FloatArray:
        """P(K = 0 or K = g)."""
        ...

    def pmf(self, group_size: int) -> FloatArray:
        """P(K = k), shape [..., g + 1]."""
        ...


class Mechanism(NamedTuple):
    """How groups of a model come about, which is how `grpolab.simulate.draw_groups` draws them.

    ``law`` of the success chance over prompts: "fixed" at ``mean``, "beta" with correlation
    ``spread``, "probit" with latent correlation ``spread``, or the model's "own". ``kind``,
    ``strength`` and ``parts`` (branches, size of a pool): what correlates rewards inside a group.
    """

    mean: float
    law: Literal["fixed", "beta", "probit", "own"] = "fixed"
    spread: float = 0.0
    kind: str = "independent"
    strength: float = 0.0
    parts: int = 1
