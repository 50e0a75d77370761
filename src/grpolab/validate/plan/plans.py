"""The same budget of rollouts, spent by different rules on the same posterior."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainc

from grpolab import streams
from grpolab.theory.allocation import allocate, mixed_table
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.forecast.posterior import Posterior

MOST = 128
"""Rollouts of one prompt at most, unless said otherwise."""
_VIP_LEAST = 3
_ADA_ROUND = 4
_ROUNDS = 256


class Row(NamedTuple):
    """What one rule does with the budget.

    ``rollouts`` [P] are those of every prompt, expected ones where the rule looks at the outcomes
    before it goes on. ``mixed`` is the expected number of prompts with a mixed group, ``low`` and
    ``high`` what a run will show.
    """

    rule: str
    rollouts: FloatArray
    mixed: float
    low: float
    high: float

    @property
    def spent(self) -> float:
        """Rollouts in all."""
        return float(self.rollouts.sum())

    @property
    def num_prompts(self) -> int:
        """Prompts that get any."""
        return int(np.sum(self.rollouts > 0))

    @property
    def least(self) -> float:
        """The fewest rollouts of a prompt that gets any."""
        used = self.rollouts[self.rollouts > 0]
        return float(used.min()) if len(used) else 0.0

    @property
    def most(self) -> float:
        """The most rollouts of a prompt."""
        return float(self.rollouts.max())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the rollouts of each prompt."""
        return {
            "rule": self.rule, "num_prompts": self.num_prompts, "rollouts": self.spent,
            "least": self.least, "most": self.most, "mixed_groups": self.mixed,
            "interval": [self.low, self.high],
        }  # fmt: skip


def make_rows(
    found: Posterior,
    budget: int,
    *,
    group_size: int,
    rng: int,
    most: int = MOST,
    level: float = 0.95,
) -> list[Row]:
    """One row per rule, the allocation with the most expected mixed groups first.

    "per prompt": `allocate` on E[1 - p^n - q^n]. "one size": the group size g and the budget / g
    prompts that together have the most mixed groups. "uniform": budget / P for every prompt; where
    that is less than 2, pairs for as many random prompts as it pays for. "dynamic sampling": groups
    of ``group_size``, drawn again for prompts whose group was not mixed, pass by pass. "Reinforce-
    Ada" (arXiv 2510.04996): rounds of 4 until a prompt has shown half a group of either reward, the
    ``balanced`` exit of its code; a prompt that has not by the end counts if it has shown both.
    "Knapsack" (arXiv 2509.25849): the largest E[(1 - p^n - q^n) p q^2], its approximate gain. "VIP"
    (arXiv 2602.01601): the least sum of E[p q]/(n - 1), the variance of RLOO, with n >= 3. The last
    two are the rules as their abstracts and summaries state them. All use the posterior of this
    package and not their own estimate of p.

    ValueError for a budget below 2, and group sizes outside of 2..most.

    >>> from grpolab.theory.groups import GroupCounts
    >>> from grpolab.validate.forecast.posterior import fit_posterior
    >>> found = fit_posterior(GroupCounts([0, 0, 0, 4, 2, 3] * 10, 4), rng=0)
    >>> best, *others = make_rows(found, 240, group_size=4, rng=0)
    >>> all(row.mixed <= best.mixed for row in others if row.rule in ("one size", "uniform", "VIP"))
    True
    """
    if budget < 2:
        raise ValueError(f"budget must be >= 2 rollouts, got {budget}")
    if not 2 <= group_size <= most:
        raise ValueError(f"group_size must lie in 2..{most}, got {group_size}")
    chance = mixed_table(found.support, most)  # [G, N + 1]
    mixed = found.expect(chance)  # [P, N + 1]
    prompts = found.num_prompts
    generator = streams.generator(rng, "plan", "order")
    fixed = {
        "per prompt": allocate(mixed, budget),
        "one size": _one_size(mixed, budget),
        "uniform": _uniform(prompts, budget, most, generator.permutation(prompts)),
    }
    p = found.support
    value = found.expect(chance * (p * (1.0 - p) ** 2)[:, None])
    fixed["Knapsack"] = allocate(value, budget)
    if budget >= _VIP_LEAST * prompts:
        n = np.maximum(np.arange(most + 1), _VIP_LEAST)
        error = found.expect(p * (1.0 - p))[:, None] / (n - 1.0)
        fixed["VIP"] = allocate(-error, budget, least=_VIP_LEAST)
    rows = [
        _fixed(name, found, number, chance, mixed, rng, level) for name, number in fixed.items()
    ]
    again = 1.0 - chance[:, group_size]
    rounds = np.arange(_ROUNDS + 1)
    passes = again[:, None] ** rounds
    wanting, silent = _unbalanced(p, group_size, rounds), _silent(p, _ADA_ROUND, rounds)
    for name, size, stay, none in (
        ("dynamic sampling", group_size, passes, passes),
        ("Reinforce-Ada", _ADA_ROUND, wanting, silent),
    ):
        rows.append(_in_rounds(name, found, size, stay, none, budget, rng, level))
    return rows


def _unbalanced(p: FloatArray, group_size: int, rounds: IntArray) -> FloatArray:
    """P(fewer than half a group right, or than the rest wrong) after rounds of 4, [G, R + 1]."""
    right, n = group_size // 2, (_ADA_ROUND * rounds).astype(np.float64)
    wrong = group_size - right
    enough = n >= group_size
    size = np.where(enough, n, group_size)
    some, most = (
        betainc(least, size - least + 1.0, p[:, None]) for least in (right, size - wrong + 1.0)
    )
    return np.where(enough, np.clip(1.0 - some + most, 0.0, 1.0), 1.0)


def _silent(p: FloatArray, size: int, rounds: IntArray) -> FloatArray:
    """P(no pair of different rewards) after each number of rounds, [G, R + 1]."""
    n = size * rounds
    return np.where(n > 0, p[:, None] ** n + (1.0 - p[:, None]) ** n, 1.0)


def _one_size(mixed: FloatArray, budget: int) -> IntArray:
    """Rollouts [P]: g for the budget / g prompts with the best chance at the best g."""
    ranked = np.cumsum(-np.sort(-mixed, axis=0), axis=0)  # [P, N + 1]
    sizes = np.arange(2, min(mixed.shape[1] - 1, budget) + 1)
    number = np.minimum(len(mixed), budget // sizes)
    best = int(np.argmax(ranked[number - 1, sizes]))
    g, kept = int(sizes[best]), int(number[best])
    found = np.zeros(len(mixed), np.int64)
    found[np.argsort(-mixed[:, g], kind="stable")[:kept]] = g
    return found


def _uniform(prompts: int, budget: int, most: int, order: IntArray) -> IntArray:
    """Equal rollouts [P]; what is left goes to the first of ``order``."""
    found = np.zeros(prompts, np.int64)
    if budget < 2 * prompts:
        found[order[: budget // 2]] = 2
        return found
    each, rest = divmod(budget, prompts)
    found[:] = each
    found[order[:rest]] += 1
    return np.minimum(found, most)


def _fixed(
    rule: str, found: Posterior, number: IntArray, chance: FloatArray, mixed: FloatArray, rng: int,
    level: float,
) -> Row:  # fmt: skip
    expected = float(mixed[np.arange(len(number)), number].sum())
    low, high = found.predict(number, chance, rng=rng, level=level)
    return Row(rule, number.astype(np.float64), expected, low, high)


def _in_rounds(
    rule: str, found: Posterior, size: int, stay: FloatArray, none: FloatArray, budget: int,
    rng: int, level: float,
) -> Row:  # fmt: skip
    """A rule that looks after every round and draws again for the prompts that want more.

    ``stay`` [G, R + 1] is the chance to want more after so many rounds, ``none`` that of no signal.
    The last round goes to as large a share of these prompts as the budget pays for.
    """
    left = found.expect(stay)  # [P, R + 1]
    cost = np.concatenate([[0.0], np.cumsum(size * left.sum(axis=0))])[: left.shape[1]]
    whole = min(int(np.searchsorted(cost, budget, side="right")) - 1, left.shape[1] - 1)
    part = 0.0
    if whole + 1 < left.shape[1]:
        part = (budget - cost[whole]) / (cost[whole + 1] - cost[whole])
    ahead = min(whole + 1, left.shape[1] - 1)
    after = (1.0 - part) * none[:, whole] + part * none[:, ahead]
    rollouts = size * (left[:, :whole].sum(axis=1) + part * left[:, whole])
    each = (1.0 - after)[:, None]
    expected = float(found.expect(each).sum())
    low, high = found.predict(np.zeros(len(left), np.int64), each, rng=rng, level=level)
    return Row(rule, rollouts, expected, low, high)
