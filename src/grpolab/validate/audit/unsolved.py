"""The prompts that were never or always solved, with what their counts still allow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.figures import words
from grpolab.figures.tables import Column, Table
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate import bootstrap
from grpolab.validate.forecast.posterior import Posterior, fit_posterior
from grpolab.validate.forecast.zero_std import ZeroStdPrediction

_NAMED = 60  # names in a row; the others are counted


def unsolved(counts: GroupCounts, group_size: int, *, rng: int = 0) -> Table | None:
    """Prompts without a success: one row for each number of samples, with the posterior of p.

    Prompts with the same counts have one posterior, so they share a row. None where every prompt
    was solved, and where the counts say nothing of single prompts (`fit_posterior`).

    >>> table = unsolved(GroupCounts([0, 0, 4, 2, 3, 1] * 10, 4), 8)
    >>> [row[:2] for row in table.rows]
    [(4, 20)]
    """
    totals = counts.by_prompt()
    never = totals.num_correct == 0
    if not never.any():
        return None
    try:
        found = fit_posterior(counts, rng=rng)
    except ValueError:  # one prompt alone, one sample each, or a filtered table
        return None
    mixed = 1.0 - np.asarray(prob_zero_std(found.support, group_size))
    share = found.expect(mixed)
    rows = []
    for size in np.unique(totals.num_samples[never]):
        same = np.flatnonzero(never & (totals.num_samples == size))
        weight = found.laws[:, found.cell[same[0]]].mean(axis=0)  # with the error of the law itself
        low, high = _quantiles(found.support, weight, (0.025, 0.975))
        ids = totals.prompt_id[same].tolist()
        names = [str(counts.prompt_names.get(i, i)) for i in ids[:_NAMED]]
        more = f", and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
        rows.append(
            [
                int(size), len(ids), found.mean[same[0]], words.interval(low, high), share[same[0]],
                ", ".join(names) + more,
            ]
        )  # fmt: skip
    columns: list[Column | str] = [
        "samples", Column("prompts", words.count), "posterior p", "95%",
        Column(f"mixed at g={group_size}", words.percent), Column("which prompts", words=True),
    ]  # fmt: skip
    caption = (
        "A prompt without a success in n samples may still have a success rate above 0."
        " `posterior p`: mean of its rate, given its own counts and the law of p over all prompts;"
        f" 95%: where the rate lies. `mixed`: chance that a group of {group_size} on it holds both"
        " rewards."
    )
    return Table(columns, rows, caption, title="Prompts never solved")


def one_sided_mixed(
    found: Posterior,
    share: ZeroStdPrediction,
    same: npt.NDArray[np.bool_],
    num_samples: IntArray,
) -> tuple[float, float, float]:
    """Expected share of mixed groups of the prompts ``same`` [P], and its 95% interval.

    The interval is that over the laws that the prompts may come from, which only prompts with two
    samples or more tell apart. Where ``same`` are all prompts it is that of ``share``, which is
    then about the same groups.
    """
    if same.all():
        return 1.0 - share.zero_std, 1.0 - share.high, 1.0 - share.low
    mixed = 1.0 - np.asarray(prob_zero_std(found.support, share.group_size))
    value = float(found.expect(mixed)[same].mean())
    cell, size = np.unique(found.cell[same], return_counts=True)
    drawn = (found.laws[:, cell] @ mixed) @ size / size.sum()
    low, high = bootstrap.share_interval(
        drawn, value=value, level=0.95, num_clusters=int(np.sum(num_samples > 1))
    )
    return value, low, high


def _quantiles(
    support: FloatArray, weight: FloatArray, levels: tuple[float, float]
) -> tuple[float, float]:
    """Quantiles of a discrete law on an ascending support."""
    order = np.argsort(support)
    reached = np.cumsum(weight[order]) / weight.sum()
    low, high = (
        float(support[order][min(int(np.searchsorted(reached, at)), len(order) - 1)])
        for at in levels
    )
    return low, high
