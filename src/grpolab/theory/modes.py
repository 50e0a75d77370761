"""Rare right answers: what a group shows of them, and which group size hides them best.

A prompt is solved with chance p; one way of solving it, a mode, has chance tau <= p. A mixed group
that does not hold the mode raises the others, so the mode's share falls: the loss of pass@k that
focal weights are meant to stop (F-GRPO, arXiv 2602.06717).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import complement_log
from grpolab.theory.groups import FloatArray
from grpolab.theory.zero_std import prob_all_wrong, prob_mixed


def _pair(p: npt.ArrayLike, mode: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    whole, part = _check.probability("p", p), _check.probability("mode", mode)
    chance, share = np.broadcast_arrays(whole, part)
    if not np.all(share <= chance):
        raise ValueError("mode must be at most p: it is one way of being right")
    return chance, share


def prob_mode_missed(
    p: npt.ArrayLike, mode: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``(1 - tau)^g - (1 - p)^g - (p - tau)^g``: a mixed group without the mode of chance tau.

    No member is of the mode, and neither all are wrong nor all right. 0 <= mode <= p <= 1 and
    group_size >= 1 broadcast; ValueError outside. Derived here; the event is that of arXiv
    2602.06717.

    >>> prob_mode_missed(0.5, 0.25, 2).round(12).item()
    0.25
    """
    chance, share = _pair(p, mode)
    g = _check.whole("group_size", group_size)
    # none is of the mode, and of two kinds of members are left both are there
    left = np.where(share < 1.0, 1.0 - share, 1.0)
    rarer = np.minimum(chance - share, 1.0 - chance)
    mixed = prob_mixed(np.clip(rarer / left, 0.0, 0.5), g)
    return _check.result(prob_all_wrong(share, g) * mixed)


def prob_mode_seen(p: npt.ArrayLike, mode: npt.ArrayLike, group_size: npt.ArrayLike) -> FloatArray:
    """``P(mixed) - P(mixed, mode missed)``: a group that has a signal and holds the mode.

    Arguments as `prob_mode_missed`. Derived here.

    >>> prob_mode_seen(0.5, 0.25, 2).round(12).item()
    0.25
    """
    chance, share = _pair(p, mode)
    g = _check.whole("group_size", group_size)
    with np.errstate(divide="ignore", invalid="ignore"):
        slow, fast = complement_log(share), np.log(chance)
        # E(tau) E(q) - (1-tau)^g p^g E(tau q/((1-tau) p)), E(x) = 1 - (1-x)^g: nothing cancels
        odds = share / chance * ((1.0 - chance) / (1.0 - share))
        both = complement_log(np.clip(odds, 0.0, 1.0))
        held = np.expm1(g * slow) * np.expm1(g * fast)
        seen = held + np.exp(g * (slow + fast)) * np.expm1(g * both)
    inner = (share > 0.0) & (chance < 1.0) & (g > 1)
    return _check.result(np.where(inner, np.maximum(seen, 0.0), 0.0))


def most_missed_group_size(p: npt.ArrayLike, mode: npt.ArrayLike) -> FloatArray:
    """The group size at which a mixed group misses the mode most often.

    Next to ``log(log(1-p)/log(1-tau))/(log(1-tau) - log(1-p))``, where (1-tau)^g - (1-p)^g is
    greatest: about log(p/tau)/p for small p (with p - tau for 1 - p on easy prompts). Smaller
    groups have less signal and harm the mode less; larger ones see it. Ties go to the smaller
    size. 0 < mode < p < 1; ValueError outside. Derived here.

    >>> most_missed_group_size(0.2, 0.01).item()
    15.0
    """
    chance, share = _pair(p, mode)
    _check.within("p", chance, 0.0, 1.0, ends="none")
    _check.within("mode", share, 0.0, 1.0, ends="none")
    if not np.all(share < chance):
        raise ValueError("mode must be less than p: else every right answer is of the mode")
    slow = complement_log(share)
    fast = np.maximum(complement_log(chance), np.log(chance - share))  # which of the two lasts
    start = (np.log(-fast) - np.log(-slow)) / (slow - fast)
    # the other one shifts it by a few sizes only
    sizes = np.maximum(np.floor(start)[..., None] + np.arange(-12, 13), 2.0)
    missed = prob_mode_missed(chance[..., None], share[..., None], sizes)
    best = np.argmax(missed >= missed.max(axis=-1, keepdims=True) * (1 - 1e-12), axis=-1)
    return _check.result(np.take_along_axis(sizes, np.asarray(best)[..., None], axis=-1)[..., 0])


def mode_share_of_signal(
    p: npt.ArrayLike, mode: npt.ArrayLike, group_size: npt.ArrayLike
) -> FloatArray:
    """``P(mode held | mixed)``: how often a group that moves the policy speaks for the mode.

    About tau g (1 - p^(g-1))/P(mixed) for a rare mode. Arguments as `prob_mode_missed`; nan where
    no group is mixed. Derived here.

    >>> mode_share_of_signal(0.5, 0.25, 2).round(12).item()
    0.5
    """
    mixed = prob_mixed(p, group_size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _check.result(prob_mode_seen(p, mode, group_size) / mixed)
