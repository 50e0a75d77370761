"""Do prompts with fewer verdicts have another success rate? Then what is missing is not chance.

A timeout of the grader, a filter or a crash takes verdicts away. Where it takes them from hard
prompts more often than from easy ones, any mean over the verdicts at hand is off.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray

_DRAWS = 20_000_000  # hypergeometric draws of one test at most
_DONORS = 20  # full prompts that are needed to stand for all


class Missingness(NamedTuple):
    """Prompts with fewer verdicts than the fullest ones: how many, and their success rates.

    ``full_size`` is the number of verdicts of a full prompt. ``p_value`` tests that both kinds have
    one law of p; small values say that verdicts are missing by success.
    """

    num_short: int
    num_full: int
    full_size: int
    rate_short: float
    rate_full: float
    p_value: float


def missingness(
    counts: GroupCounts, *, rng: np.random.Generator | int, num_draws: int = 999
) -> Missingness | None:
    """Compare prompts with fewer verdicts with the others; None where all have the same number.

    A prompt is full with at least the median number of verdicts (the next below where that is
    the least), short with fewer. If nothing but chance took verdicts away, a short prompt with n
    verdicts is like a random full prompt thinned to n. Redrawing all prompts in this way gives the
    law of the difference of mean rates, hence a two-sided Monte Carlo p-value. Derived here. Fewer
    than 20 full prompts do not show how prompts differ; then the rates of all prompts are permuted.

    >>> few = GroupCounts([0, 0, 0, 0, *[4, 6, 8, 2] * 20], [2] * 4 + [8] * 80)
    >>> found = missingness(few, rng=0)
    >>> found.num_short, found.rate_short, found.rate_full, found.p_value < 0.05
    (4, 0.0, 0.625, True)
    """
    totals = counts.by_prompt()
    c, n = totals.num_correct, totals.num_samples
    if int(n.min()) == int(n.max()):
        return None
    middle = int(np.sort(n)[len(n) // 2])
    size = middle if middle > n.min() else int(n[n > middle].min())
    full = n >= size
    observed = _gap(c[None] / n, full)[0]
    generator = streams.generator(rng, "missing")
    draws = min(num_draws, max(_DRAWS // len(n), 99))
    redrawn = _redrawn if full.sum() >= _DONORS else _permuted
    drawn = np.concatenate(
        [redrawn(c, n, full, rng=generator, size=rows) for rows in _batches(draws, len(n))]
    )
    extreme = int(np.sum(np.abs(drawn) >= abs(observed) - 1e-12))
    return Missingness(
        num_short=int((~full).sum()),
        num_full=int(full.sum()),
        full_size=size,
        rate_short=float((c / n)[~full].mean()),
        rate_full=float((c / n)[full].mean()),
        p_value=(1 + extreme) / (draws + 1),
    )


def _batches(draws: int, prompts: int) -> list[int]:
    """Rows per batch, so that a batch holds at most a few million numbers."""
    most = max(1, 4_000_000 // prompts)
    return [most] * (draws // most) + [draws % most] * (draws % most > 0)


def _redrawn(
    c: IntArray, n: IntArray, full: npt.NDArray[np.bool_], *, rng: np.random.Generator, size: int
) -> FloatArray:
    """Differences [B] of mean rates when every prompt is a thinned full one."""
    donors = np.flatnonzero(full)
    donors = donors[np.argsort(-n[donors], kind="stable")]
    many = np.searchsorted(-n[donors], -n, side="right")  # donors with at least n_i verdicts
    pick = donors[(rng.random((size, len(n))) * many).astype(np.int64)]
    kept = rng.hypergeometric(c[pick], n[pick] - c[pick], np.broadcast_to(n, pick.shape))
    return _gap(kept / n, full)


def _permuted(
    c: IntArray, n: IntArray, full: npt.NDArray[np.bool_], *, rng: np.random.Generator, size: int
) -> FloatArray:
    """Differences [B] of mean rates when the rates are dealt out anew."""
    return _gap(rng.permuted(np.tile(c / n, (size, 1)), axis=1), full)


def _gap(rate: FloatArray, full: npt.NDArray[np.bool_]) -> FloatArray:
    return np.asarray(rate[:, ~full].mean(axis=1) - rate[:, full].mean(axis=1))
