"""Means compared over prompts, many at once: who has more, who is equal, how many prompts decide.

K inputs make K(K-1)/2 pairs, and 5% of false claims per pair are far more than 5% of false claims
per table. p-values here are corrected for all comparisons of a table (Holm), "equal" is a claim
with a test of its own (two one-sided tests against a stated margin), and what is neither gets the
number of prompts that would settle it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate import bootstrap

EQUAL_WITHIN = 0.02
"""Differences of a mean signal or share below this margin are called equal."""
_SETTLED = 0.8  # chance with which the recommended number settles a comparison
_FEW = 30  # degrees of freedom
_GROWTH = np.geomspace(1.0, 1e5, 1200)  # factors by which the data are enlarged


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order (Holm 1979, Scandinavian Journal of Statistics 6).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(scaled, 1.0)
    return [float(v) for v in adjusted]


class Gap(NamedTuple):
    """One difference of two means before any correction.

    ``free`` degrees of freedom belong to ``stderr``. ``p_value`` tests a difference of 0, and
    ``p_equal`` one of at least the margin. ``least`` is the half-width that an interval has at
    least, from what prompts like none of those seen could change. No difference is above ``span``.
    """

    difference: float
    stderr: float
    free: float
    p_value: float
    p_equal: float
    least: float
    num_prompts: int
    span: float


def paired_gap(values: FloatArray, *, span: float = 1.0, margin: float = EQUAL_WITHIN) -> Gap:
    """Mean of per-prompt differences [P] in [-span, span]: t-test, and two one-sided t-tests.

    No p-value is below what P prompts can show: m differences that are not 0 all have one sign with
    chance 2^(1-m) where both are equal, and P prompts miss a kind of prompt that makes up the share
    margin / span with chance (1 - margin / span)^P. NaN with fewer than two prompts.

    >>> found = paired_gap(np.array([0.1, 0.3, 0.2, 0.2]))
    >>> round(found.difference, 6), round(found.p_value, 6)
    (0.2, 0.125)
    """
    size = len(values)
    stderr = bootstrap.mean_stderr(values)
    differ = int(np.sum(np.abs(values) > 1e-12))
    return _gap(
        float(values.mean()), stderr, size - 1, floor=2.0 ** (1 - max(differ, 1)), span=span,
        margin=margin, num_prompts=size,
    )  # fmt: skip


def unpaired_gap(
    first: FloatArray, second: FloatArray, *, span: float = 1.0, margin: float = EQUAL_WITHIN
) -> Gap:
    """Difference of the means of two independent sets of prompts [P1], [P2], each within ``span``.

    t-tests on min(P1, P2) - 1 degrees of freedom; the least p-value is that of the most extreme of
    the C(P1 + P2, P1) ways to share out the prompts.

    >>> round(unpaired_gap(np.zeros(4), np.ones(4)).p_value, 4)
    0.0286
    """
    stderr = math.hypot(bootstrap.mean_stderr(first), bootstrap.mean_stderr(second))
    a, b = len(first), len(second)
    ways = special.gammaln(a + b + 1) - special.gammaln(a + 1) - special.gammaln(b + 1)
    return _gap(
        float(first.mean() - second.mean()), stderr, min(a, b) - 1,
        floor=min(1.0, 2.0 * math.exp(-ways)), span=span, margin=margin, num_prompts=min(a, b),
    )  # fmt: skip


def _gap(
    difference: float,
    stderr: float,
    free: float,
    *,
    floor: float,
    span: float,
    margin: float,
    num_prompts: int,
) -> Gap:
    if free < 1:
        return Gap(difference, math.nan, free, 1.0, 1.0, 2 * span, num_prompts, span)
    if margin <= 0:
        raise ValueError(f"margin must be > 0, got {margin}")
    if stderr <= 1e-12:
        p_value, p_equal = float(abs(difference) < 1e-12), float(abs(difference) >= margin)
    else:
        p_value = float(2 * special.stdtr(free, -abs(difference) / stderr))
        p_equal = float(special.stdtr(free, (abs(difference) - margin) / stderr))
    unseen = _unseen(margin / span, num_prompts)
    # with one value everywhere the spread says nothing: as wide as what P prompts can miss
    least = span * bootstrap.missed_share(num_prompts) if stderr <= 1e-12 else 0.0
    return Gap(difference, stderr, free, max(p_value, floor), max(p_equal, unseen), least,
               num_prompts, span)  # fmt: skip


def _unseen(share: float, num_prompts: FloatArray | float) -> Any:
    """Chance that so many prompts miss a kind that makes up this share of all."""
    return max(1.0 - share, 0.0) ** num_prompts


class Contrast(NamedTuple):
    """One difference among all of a table.

    ``low`` to ``high`` hold for all comparisons at once (Bonferroni) and say what the tests say: 0
    is inside unless one has more, and all is within the margin only where both are equal.
    ``p_value`` and ``p_equal`` are Holm-adjusted. ``decided``: one has more. ``equal``: the
    difference is below the margin.
    ``prompts_needed`` is the number of prompts (not of further ones) that settles it either way
    with chance 0.8; NaN where it is settled.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_equal: float
    decided: bool
    equal: bool
    prompts_needed: float


def contrasts(
    gaps: Sequence[Gap], *, level: float = 0.95, margin: float = EQUAL_WITHIN
) -> list[Contrast]:
    """All comparisons of a table together: at most ``1 - level`` chance of any false claim.

    The chance holds for the claims "has more" over all gaps, and again for the claims "equal".

    >>> gaps = [paired_gap(np.linspace(-0.1, 0.3, 40)), paired_gap(np.linspace(-0.1, 0.1, 400))]
    >>> [(one.decided, one.equal) for one in contrasts(gaps)]
    [(True, False), (False, True)]
    """
    bootstrap.check_level(level)
    alpha, several = 1.0 - level, max(len(gaps), 1)
    more = holm([gap.p_value for gap in gaps])
    alike = holm([gap.p_equal for gap in gaps])
    found = []
    for gap, p_value, p_equal in zip(gaps, more, alike, strict=True):
        decided, equal = p_value < alpha, p_equal < alpha
        low, high = _ends(gap, decided, equal, level=1.0 - alpha / several, margin=margin)
        needed = math.nan
        if not decided and not equal:
            needed = _prompts_needed(gap, margin=margin, tail=alpha / several)
        found.append(
            Contrast(gap.difference, low, high, p_value, p_equal, decided, equal, needed)
        )  # fmt: skip
    return found


def _ends(
    gap: Gap, decided: bool, equal: bool, *, level: float, margin: float
) -> tuple[float, float]:
    """A t interval that says what the tests say, where these rest on more than the spread.

    Where few prompts can show no smaller p-value, its standard error is the one that gives that
    p-value. Holm's test excludes 0 for more comparisons than Bonferroni's level, and two one-sided
    tests show equality where a two-sided interval is wider than the margin: such an end is cut
    (Hsu, Hwang, Liu and Ruberg 1994, Biometrika 81).
    """
    size = abs(gap.difference)
    half = max(bootstrap.half_width(gap.stderr, free=gap.free, level=level), gap.least)
    if not decided:
        reached = bootstrap.t_quantile(1.0 - gap.p_value, gap.free) if gap.p_value < 1 else 0.0
        shown = size / reached if reached > 0 else math.inf if size > 0 else 0.0
        half = max(half, bootstrap.half_width(shown, free=gap.free, level=level))
    if not equal:
        half = max(half, margin - size)
    low, high = max(gap.difference - half, -gap.span), min(gap.difference + half, gap.span)
    if decided:
        low, high = (max(low, 0.0), high) if gap.difference > 0 else (low, min(high, 0.0))
    return (max(low, -margin), min(high, margin)) if equal else (low, high)


def _prompts_needed(gap: Gap, *, margin: float, tail: float) -> float:
    """Prompts, those present included, at which the comparison is settled with chance 0.8.

    With P prompts now and N in the end the final mean is normal around the present one with
    variance ``stderr^2 (N - P) / N`` (flat prior), and its standard error is stderr sqrt(P / N).
    """
    if gap.free < 1:
        return math.nan
    stderr = gap.stderr if gap.stderr > 1e-12 else gap.least / 2
    ahead = stderr * np.sqrt(1.0 - 1.0 / _GROWTH)
    later = stderr / np.sqrt(_GROWTH)
    prompts = gap.num_prompts * _GROWTH
    factor = first_settled(gap, ahead, later, prompts=prompts, margin=margin, tail=tail)
    return gap.num_prompts * factor


def first_settled(
    gap: Gap,
    ahead: FloatArray,
    later: FloatArray,
    *,
    prompts: FloatArray,
    margin: float,
    tail: float,
) -> float:
    """The first factor of growth at which a comparison is settled with chance 0.8, or inf.

    ``ahead`` [N] is the standard deviation of the later estimate around the present difference,
    ``later`` [N] its standard error then and ``prompts`` [N] the number of prompts; ``tail`` is the
    level of the two-sided test of 0. The limits are those of the tests of a `Gap`: t on N - 1, and
    no p-value below what so many prompts can show.
    """
    free, difference = np.maximum(prompts - 1.0, 1.0), gap.difference
    more = _t_quantiles(free, tail / 2) * later
    more = np.where(2.0 ** (1.0 - prompts) < tail, more, np.inf)
    inside = margin - _t_quantiles(free, tail) * later
    inside = np.where(_unseen(margin / gap.span, prompts) < tail, inside, -np.inf)
    spread = np.maximum(ahead, 1e-12)

    def below(limit: FloatArray) -> FloatArray:
        """P(|later estimate| < limit)."""
        high = special.ndtr((limit - difference) / spread)
        return np.where(limit > 0, high - special.ndtr((-limit - difference) / spread), 0.0)

    settled = 1.0 - below(more) + below(np.minimum(inside, more))
    enough = np.flatnonzero(settled >= _SETTLED)
    return float(_GROWTH[enough[0]]) if len(enough) else math.inf


def _t_quantiles(free: FloatArray, tail: float) -> FloatArray:
    """Upper quantiles of t; from 30 degrees of freedom on by the expansion in 1/free.

    >>> exact = special.stdtrit(np.array([5.0, 40.0]), 0.999)
    >>> bool(np.allclose(_t_quantiles(np.array([5.0, 40.0]), 0.001), exact, rtol=1e-4))
    True
    """
    z = float(special.ndtri(1.0 - tail))
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    found = z + (first + (second + third / free) / free) / free
    few = free < _FEW
    found[few] = special.stdtrit(free[few], 1.0 - tail)
    return np.asarray(found)


def growth_factors() -> FloatArray:
    """The factors by which `first_settled` enlarges the data."""
    return _GROWTH
