"""Rare right answers: what a group shows of them, by enumeration and in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from grpolab.theory import (
    mode_share_of_signal,
    most_missed_group_size,
    prob_mixed,
    prob_mode_missed,
    prob_mode_seen,
)

PAIRS = [(Fraction(1, 2), Fraction(1, 4)), (Fraction(1, 10), Fraction(1, 1000)),
         (Fraction(9, 10), Fraction(1, 50)), (Fraction(1, 3), Fraction(1, 3))]  # fmt: skip


def exact(p, tau, g):
    """P(mixed, missed) and P(mixed, seen), summed over (members of the mode, other right ones)."""
    missed = seen = Fraction(0)
    for a in range(g + 1):
        for b in range(g + 1 - a):
            ways = math.comb(g, a) * math.comb(g - a, b)
            chance = ways * tau**a * (p - tau) ** b * (1 - p) ** (g - a - b)
            if 0 < a + b < g:
                missed += chance * (a == 0)
                seen += chance * (a > 0)
    return missed, seen


@pytest.mark.parametrize(("p", "tau"), PAIRS)
@pytest.mark.parametrize("g", [1, 2, 3, 8, 16])
def test_exact_fractions(p, tau, g):
    missed, seen = exact(p, tau, g)
    assert prob_mode_missed(float(p), float(tau), g) == pytest.approx(float(missed), rel=1e-12)
    assert prob_mode_seen(float(p), float(tau), g) == pytest.approx(float(seen), rel=1e-12)
    if missed + seen:
        share = mode_share_of_signal(float(p), float(tau), g)
        assert share == pytest.approx(float(seen / (missed + seen)), rel=1e-12)


@pytest.mark.parametrize("tau", [1e-6, 1e-12, 1e-18])
def test_the_rarest_modes(tau):
    # to first order g tau (1 - p^(g-1)) of the groups hold the mode and have a signal
    assert prob_mode_seen(0.3, tau, 8) == pytest.approx(8 * tau * (1 - 0.3**7), rel=1e-5)
    both = prob_mode_seen(0.3, tau, 8) + prob_mode_missed(0.3, tau, 8)
    assert both == pytest.approx(float(prob_mixed(0.3, 8)), rel=1e-12)
    # hard prompts: g (p - tau) of the groups move, without the mode
    assert prob_mode_missed(1e-9, 1e-10, 8) == pytest.approx(8 * 9e-10, rel=1e-6)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.5, 0.9])
def test_worst_group_size_is_the_worst(p, share):
    worst = float(most_missed_group_size(p, p * share))
    sizes = np.arange(2, max(200, int(4 * worst)))
    missed = prob_mode_missed(p, p * share, sizes)
    best = missed.max()
    assert prob_mode_missed(p, p * share, worst) >= best * (1 - 1e-12)
    assert worst == sizes[np.argmax(missed >= best * (1 - 1e-12))]


def test_edges():
    assert prob_mode_missed(0.0, 0.0, 8) == 0.0
    assert prob_mode_missed(1.0, 0.5, 8) == 0.0
    assert prob_mode_missed(0.4, 0.0, 8) == pytest.approx(float(prob_mixed(0.4, 8)))
    assert prob_mode_missed(1.0, 1.0, 8) == 0.0
    assert np.isnan(mode_share_of_signal(0.0, 0.0, 8))
    with pytest.raises(ValueError, match="mode must be at most p"):
        prob_mode_missed(0.1, 0.2, 8)
    with pytest.raises(ValueError, match="mode must be less than p"):
        most_missed_group_size(0.2, 0.2)
