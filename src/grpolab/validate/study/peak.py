"""The best of several evaluations without the winner's curse.

The largest of E noisy means is too large even if the policy never changes, and the more so the more
evaluations there are and the fewer samples each has. The cure is to choose the evaluation with one
part of the data and to score it with the rest.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.streams import generator
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.pass_at_k import pass_at_k

Over = Literal["prompts", "samples"]


class Peak(NamedTuple):
    """pass@k at the best evaluation: the plain maximum, and scored on data that did not choose it.

    ``step`` is the evaluation with the plain maximum; ``frac_chosen`` [E] how often each one was
    chosen by a part of the data; ``stderr`` that of ``corrected`` over prompts.
    """

    k: int
    naive: float
    corrected: float
    stderr: float
    step: int
    frac_chosen: FloatArray


def corrected_peak(
    num_correct: npt.ArrayLike,
    num_samples: npt.ArrayLike,
    *,
    k: int,
    rng: np.random.Generator | int,
    steps: npt.ArrayLike | None = None,
    over: Over = "prompts",
    num_splits: int = 20,
    num_folds: int = 10,
) -> Peak:
    """Peak of pass@k over evaluations, chosen and scored on different data; mean over splits.

    ``num_correct`` [E, P]: right answers of every prompt at every evaluation, out of
    ``num_samples`` (one number, [E, 1] or [E, P]); ``steps`` [E] names the evaluations (0..E-1).
    "prompts": in ``num_folds`` folds each prompt is scored at the evaluation that the other folds
    choose; needs n >= k. "samples": one half of each prompt's samples chooses, the other scores,
    and vice versa; needs n >= 2 k, and asks for the peak on these very prompts. Both estimate what
    the chosen evaluation is worth, which is at most the true peak. Derived here.

    >>> peak = corrected_peak([[1, 3, 0, 2], [4, 4, 4, 4]], 4, k=1, rng=0, num_folds=2)
    >>> peak.naive, peak.corrected, peak.step
    (1.0, 1.0, 1)
    """
    c, n = _counts(num_correct, num_samples)
    names = np.arange(len(c)) if steps is None else np.asarray(steps)
    if names.shape != (len(c),):
        raise ValueError(f"steps must have shape [{len(c)}], got {list(names.shape)}")
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    if num_splits < 1:
        raise ValueError(f"num_splits must be >= 1, got {num_splits}")
    rng = generator(rng, "peak")
    chosen = np.zeros(len(c))
    if over == "prompts":
        score = _over_prompts(c, n, k, rng, num_splits, num_folds, chosen)
    elif over == "samples":
        score = _over_samples(c, n, k, rng, num_splits, chosen)
    else:
        raise ValueError(f"over must be 'prompts' or 'samples', got {over!r}")
    means = _pass(n, c, k).mean(axis=1)
    return Peak(
        k=k,
        naive=float(means.max()),
        corrected=float(score.mean()),
        stderr=float(score.std(ddof=1) / np.sqrt(len(score))),
        step=int(names[int(np.argmax(means))]),
        frac_chosen=chosen / chosen.sum(),
    )


def _counts(num_correct: npt.ArrayLike, num_samples: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    c = np.asarray(num_correct, dtype=np.int64)
    if c.ndim != 2 or c.shape[0] < 1 or c.shape[1] < 2:
        raise ValueError(f"num_correct must have shape [E, P] with P >= 2, got {list(c.shape)}")
    n = np.broadcast_to(np.asarray(num_samples, dtype=np.int64), c.shape)
    return c, n


def _pass(n: IntArray, c: IntArray, k: int) -> FloatArray:
    """pass@k of every cell; ValueError where there are fewer than k samples."""
    if int(n.min()) < k:
        raise ValueError(f"k must not exceed the samples that are scored ({int(n.min())}), got {k}")
    return pass_at_k(n, c, k)


def _over_prompts(
    c: IntArray,
    n: IntArray,
    k: int,
    rng: np.random.Generator,
    num_splits: int,
    num_folds: int,
    chosen: FloatArray,
) -> FloatArray:
    """Score [P] of every prompt, mean over splits, and the choices counted in ``chosen`` [E]."""
    size = c.shape[1]
    if not 2 <= num_folds <= size:
        raise ValueError(f"num_folds must lie in 2..{size} (prompts), got {num_folds}")
    values = _pass(n, c, k)
    total = values.sum(axis=1, keepdims=True)
    score = np.zeros(size)
    for _ in range(num_splits):
        fold = rng.permutation(size) % num_folds
        member = fold[:, None] == np.arange(num_folds)
        best = np.argmax((total - values @ member) / (size - member.sum(axis=0)), axis=0)
        score += values[best[fold], np.arange(size)]
        chosen += np.bincount(best, minlength=len(c))
    return score / num_splits


def _over_samples(
    c: IntArray, n: IntArray, k: int, rng: np.random.Generator, num_splits: int, chosen: FloatArray
) -> FloatArray:
    """The same with halves of the samples of every prompt."""
    half = n // 2
    score = np.zeros(c.shape[1])
    for _ in range(num_splits):
        first = rng.hypergeometric(c, n - c, half)
        parts = _pass(half, first, k), _pass(n - half, c - first, k)
        for choose, judge in (parts, parts[::-1]):
            best = int(np.argmax(choose.mean(axis=1)))
            score += judge[best] / 2
            chosen[best] += 1
    return score / num_splits
