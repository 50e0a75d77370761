"""Against mpmath in the corners where doubles cancel: rare modes, a million counts, tiny rates."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from grpolab import theory

RATES = [1e-300, 1e-17, 1e-9, 1e-3, 0.3, 0.5, 0.9, 1 - 1e-9, 1 - 1e-16, 1.0]


def close(value: object, wanted: mp.mpf, rel: float) -> None:
    assert float(np.asarray(value)) == pytest.approx(float(wanted), rel=rel, abs=1e-306)


@pytest.mark.parametrize("p", RATES)
def test_rare_modes(p: float) -> None:
    """The closed forms are differences of near-equal powers; what is computed is not."""
    for part in (1e-300, 1e-12, 0.1, 0.5, 1 - 1e-9, 1.0):
        mode = p * part
        for g in (1, 2, 3, 8, 100, 10**6):
            with mp.workdps(1300 if g < 1000 else 700):
                whole, one = mp.mpf(p), mp.mpf(mode)
                missed = (1 - one) ** g - (1 - whole) ** g - (whole - one) ** g if g > 1 else 0
                mixed = 1 - whole**g - (1 - whole) ** g if g > 1 else mp.mpf(0)
                close(theory.prob_mode_missed(p, mode, g), missed, 1e-11)
                close(theory.prob_mode_seen(p, mode, g), mixed - missed, 1e-11)


def test_no_share_of_a_signal_that_is_not_there() -> None:
    assert np.isnan(theory.mode_share_of_signal(1.0, 0.1, 8))
    assert theory.most_missed_group_size(0.3, 5e-324) > 1000


@pytest.mark.parametrize(
    ("n", "c", "k"),
    [
        (10**9, 5000, 5000), (10**9, 10**6, 10**6), (10**9, 5, 10**9 - 10), (10**9, 10**9 - 5, 3),
        (10**9, 1, 10**9 - 1), (10**9, 20, 10**9 - 30), (10**9, 5 * 10**8, 5 * 10**8 - 10**4),
        (10**6, 4 * 10**5, 6 * 10**5), (20_000, 5000, 14_999), (20_000, 10_000, 4097),
        (10**15, 10**7, 10**7), (2**53, 10**8, 10**7),
    ],
)  # fmt: skip
def test_pass_at_k_of_many_samples(n: int, c: int, k: int) -> None:
    """Through log-gamma the error was 1e-16 n log n: a tenth of a permille at n = 1e9."""
    with mp.workdps(60):
        wrong = mp.binomial(n - c, k) / mp.binomial(n, k) if n < 10**7 else _ratio(n, c, k)
        close(theory.pass_at_k(n, c, k), 1 - wrong, 2e-12)
        close(theory.thin_all_wrong(n, c, k), wrong, 1e-10)


def _ratio(n: int, c: int, k: int) -> mp.mpf:
    one, two = mp.loggamma(mp.mpf(n - c) + 1), mp.loggamma(mp.mpf(n) + 1)
    rest, all_ = mp.loggamma(mp.mpf(n - c - k) + 1), mp.loggamma(mp.mpf(n - k) + 1)
    return mp.exp(one - rest - two + all_)


@pytest.mark.parametrize("p", RATES)
def test_tables_of_mixed_groups_and_signal_to_noise(p: float) -> None:
    table = theory.mixed_table(p, 64)
    for g in (2, 3, 8, 64):
        with mp.workdps(700):
            x = mp.mpf(p)
            close(table[g], 1 - x**g - (1 - x) ** g, 1e-13)
            ratio = g * x * (1 - x) / ((1 - 2 * x) ** 2 + 2 * x * (1 - x) / (g - 1))
        if p < 1:
            close(theory.step_noise(theory.RLOO, p, group_size=g).snr, ratio, 1e-11)


def test_entropy_of_a_rho_near_the_smallest_double() -> None:
    with mp.workdps(400):
        for rho in (5e-324, 1e-305, 1e-299, 1e-3):
            close(theory.entropy_from_rho(rho), mp.digamma(1 / mp.mpf(rho)) + mp.euler, 1e-14)


def test_a_hard_prompt_outranks_a_harder_one() -> None:
    """Differences of powers were 0 for both, and all rollouts went to the first."""
    table = theory.mixed_table([1e-18, 1e-17], 8)
    assert theory.allocate(table, 4).tolist() == [0, 4]


def test_a_weak_pull_is_seen_where_the_grid_is_wide() -> None:
    """At decay 1e-7 rest points lie within 20 logits, on a grid that once spanned 1e7."""
    found = theory.decay_equilibria(theory.GRPO, group_size=8, weight_decay=1e-7, p_prior=1e-8)
    z = np.linspace(-40, 40, 800_001)
    p = 1 / (1 + np.exp(-z))
    net = theory.expected_drift(theory.GRPO, p, group_size=8) - 1e-7 * (z - np.log(1e-8))
    roots = p[:-1][np.sign(net[:-1]) != np.sign(net[1:])]
    np.testing.assert_allclose(found.p, roots, rtol=1e-3)
