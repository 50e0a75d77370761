import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.theory import (
    MODELS,
    critical_p,
    critical_p_upper,
    critical_rho,
    expected_groups_until_mixed,
    group_size_for,
    prob_zero_std,
)
from grpolab.theory.dependence import FiniteMixture, stack_atoms

SIZES = [2, 3, 4, 5, 6, 8, 16, 32, 64]
ALL_WRONG = [
    0.292893,
    0.206299,
    0.159104,
    0.129449,
    0.109101,
    0.082996,
    0.042397,
    0.021428,
    0.010772,
]
IDENTICAL = [0.5, 0.211325, 0.159375, 0.129462, 0.109102, 0.082996, 0.042397, 0.021428, 0.010772]


def test_table_at_rho_zero():
    assert critical_p(SIZES, event="all-wrong").round(6).tolist() == ALL_WRONG
    assert critical_p(SIZES).round(6).tolist() == IDENTICAL


def test_closed_forms():
    for g in (2, 8, 1000, 10**6):
        for frac in (0.1, 0.5, 0.999):
            exact = -math.expm1(math.log(frac) / g)
            assert critical_p(g, event="all-wrong", frac=frac) == pytest.approx(exact, rel=1e-11)
    assert critical_p(3) == pytest.approx((1 - 1 / math.sqrt(3)) / 2, rel=1e-14)
    # g = 2 touches one half at p = 1/2 and stays above it elsewhere: no sign change to find
    assert critical_p(2) == critical_p_upper(2) == 0.5
    assert np.isnan(critical_p(2, frac=0.49))
    assert critical_p(2, frac=0.51) < 0.5


def test_events_differ_up_to_groups_of_five():
    gap = critical_p([2, 3, 4, 5]) - critical_p([2, 3, 4, 5], event="all-wrong")
    np.testing.assert_allclose(gap, [2.1e-1, 5e-3, 2.7e-4, 1.3e-5], rtol=0.03)


TABLE = {  # g: (identical, all-wrong) at rho = .05, .1, .2, .3, .5, and rho_c
    4: ([0.1723, 0.1865, 0.2210, 0.2706, None], [0.1711, 0.1833, 0.2086, 0.2355, 0.2965], 0.447),
    8: ([0.0972, 0.1111, 0.1397, 0.1724, 0.2839], [0.0972, 0.1111, 0.1391, 0.1687, 0.2369], 0.595),
    16: ([0.0573, 0.0711, 0.0984, 0.1275, 0.2089], [0.0573, 0.0711, 0.0983, 0.1270, 0.1951], 0.674),
    32: ([0.0359, 0.0487, 0.0737, 0.1002, 0.1696], [0.0359, 0.0487, 0.0737, 0.1002, 0.1649], 0.725),
    64: ([0.0242, 0.0357, 0.0580, 0.0821, 0.1441], [0.0242, 0.0357, 0.0580, 0.0820, 0.1424], 0.760),
}


@pytest.mark.parametrize("size", TABLE)
def test_table_with_correlation(size):
    identical, all_wrong, top = TABLE[size]
    rho = [0.05, 0.1, 0.2, 0.3, 0.5]
    got = critical_p(size, rho=rho)
    assert [None if np.isnan(x) else round(float(x), 4) for x in got] == identical
    assert critical_p(size, rho=rho, event="all-wrong").round(4).tolist() == all_wrong
    assert round(float(critical_rho(size)), 3) == top


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("event", ["identical", "all-wrong"])
@settings(max_examples=5)
@given(size=st.integers(3, 300), rho=st.floats(0, 0.45), frac=st.floats(0.3, 0.9))
def test_it_is_a_root(model, event, size, rho, frac):
    p = float(critical_p(size, rho=rho, model=model, event=event, frac=frac))
    if math.isnan(p):
        # then no mean on a fine grid has fewer such groups
        law = MODELS[model](mean=np.linspace(0, 1, 201), rho=rho)
        assert event == "identical"
        assert law.prob_zero_std(size).min() >= frac - 1e-6
        return
    law = MODELS[model](mean=p, rho=rho)
    at = law.prob_all_wrong(size) if event == "all-wrong" else law.prob_zero_std(size)
    assert at == pytest.approx(frac, abs=1e-9)


def test_lower_and_upper():
    lower = critical_p([4, 8, 16], rho=0.1)
    np.testing.assert_allclose(critical_p_upper([4, 8, 16], rho=0.1), 1 - lower, rtol=1e-12)
    # the shock model is not symmetric: its safe zone reaches closer to 1 than to 0
    low = float(critical_p(8, rho=0.2, model="shock"))
    high = float(critical_p_upper(8, rho=0.2, model="shock"))
    assert 1 - high < low
    for p in (low, high):
        assert MODELS["shock"](mean=p, rho=0.2).prob_zero_std(8) == pytest.approx(0.5, abs=1e-10)


@pytest.mark.parametrize("size", [3, 8, 32])
def test_rho_c_of_the_copy_model(size):
    exact = (0.5 - 2.0 ** (1 - size)) / (1 - 2.0 ** (1 - size))
    assert critical_rho(size, model="copy") == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_no_threshold_above_rho_c(model):
    top = float(critical_rho(8, model=model))
    assert np.isfinite(critical_p(8, rho=top - 1e-3, model=model))
    assert np.isnan(critical_p(8, rho=top + 1e-3, model=model))


def test_rho_c_of_small_groups():
    assert critical_rho(2) == 0.0  # touches at rho = 0 already
    assert np.isnan(critical_rho(1))
    assert np.isnan(critical_rho(4, frac=0.1))  # d_4(1/2) = 1/8 > .1


def test_scaling_with_the_group():
    # like 1/g when rewards are independent, like 1/log g when they are not
    free = critical_p([100, 10_000])
    assert free[0] / free[1] == pytest.approx(100, rel=0.01)
    tied = critical_p([100, 10_000], rho=0.2)
    assert tied[0] / tied[1] < 3


def test_threshold_is_two_groups_per_informative_one():
    p = critical_p([3, 8, 64])
    np.testing.assert_allclose(expected_groups_until_mixed(p, [3, 8, 64]), 2.0, rtol=1e-12)


@settings(max_examples=20)
@given(st.floats(0.01, 0.99), st.floats(1e-4, 1 - 1e-4), st.floats(0, 0.5))
def test_group_size_for(share, mean, rho):
    size = float(group_size_for(share, mean=mean, rho=rho))
    if math.isnan(size):
        assert MODELS["beta-binomial"](mean=mean, rho=rho).prob_zero_std(10**6) > 1 - share
        return
    law = MODELS["beta-binomial"](mean=mean, rho=rho)
    assert law.prob_zero_std(size) <= 1 - share + 1e-12
    assert law.prob_zero_std(size - 1) > 1 - share - 1e-12


def test_group_size_for_inverts_the_threshold():
    for g in (3, 8, 64):
        p = float(critical_p(g)) * (1 + 1e-9)
        assert group_size_for(0.5, mean=p) == g
    assert np.isnan(group_size_for(0.5, mean=0.3, rho=0.6, model="copy"))
    assert prob_zero_std(1e-3, group_size_for(0.9, mean=1e-3)) <= 0.1


def test_ten_thousand_pairs_in_a_second():
    rng = np.random.default_rng(1)
    size, rho = rng.integers(2, 1025, 10_000), rng.random(10_000)
    for _ in range(3):  # CPU seconds, one of three: a busy machine is no slow formula
        start = time.process_time()
        p = critical_p(size, rho=rho)
        if (took := time.process_time() - start) < 1.0:
            break
    assert took < 1.0
    assert np.isfinite(p).sum() > 5000


class MirroredShock(MODELS["shock"]):
    """The shock model with right and wrong exchanged."""

    def __init__(self, *, mean, rho):
        super().__init__(mean=1 - np.asarray(mean, dtype=float), rho=rho)

    def prob_all_wrong(self, group_size):
        return super().prob_all_right(group_size)

    def prob_all_right(self, group_size):
        return super().prob_all_wrong(group_size)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.63])
def test_a_model_of_ones_own_needs_no_symmetry(rho):
    mirrored = critical_p(8, rho=rho, model=MirroredShock)
    assert mirrored == pytest.approx(1 - critical_p_upper(8, rho=rho, model="shock"), abs=1e-9)
    assert critical_rho(8, model=MirroredShock) == pytest.approx(critical_rho(8, model="shock"))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_symmetric_is_what_it_says(name):
    family = MODELS[name]
    mean = np.linspace(0.01, 0.49, 25)
    left = family(mean=mean, rho=0.3).prob_zero_std(8)
    right = family(mean=1 - mean, rho=0.3).prob_zero_std(8)
    assert np.allclose(left, right, rtol=1e-9) == family.symmetric


def test_the_command_line_offers_every_model() -> None:
    from typer.testing import CliRunner

    from grpolab.cli import app

    said = CliRunner().invoke(app, ["pstar", "-g", "8", "--model", "none"]).output
    assert all(f"'{name}'" in said for name in MODELS)


def test_atoms_that_are_no_law_are_refused():
    class Outside(FiniteMixture):
        def atoms(self):
            return stack_atoms((1 + 0 * self.mean, self.mean - 0.2, 1.2 - self.mean))

    assert Outside(mean=0.3, rho=0.0).prob_all_wrong(2) == pytest.approx(0.81)
    with pytest.raises(ValueError, match="no law of p"):
        Outside(mean=0.1, rho=0.0).pmf(4)
