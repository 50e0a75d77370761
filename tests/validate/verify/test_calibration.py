import numpy as np
import pytest

from grpolab.validate.verify import grid, suite
from grpolab.validate.verify.calibration import (
    CALIBRATION,
    _pooled_interval,
    at_least,
    at_most,
    bias_below,
    repeats,
)
from grpolab.validate.verify.laws import SampledLaw, beta, unsolvable
from grpolab.validate.verify.registry import Size

GRID = [e.name for e in CALIBRATION.entries() if e.run.__module__ == grid.__name__]
QUICK = Size(groups=40_000, chains=1, seed=20260101)


def test_one_sided_checks_reject_on_one_side_only():
    assert at_least("x", successes=99, trials=100, floor=0.9).passed()
    assert not at_least("x", successes=70, trials=100, floor=0.9).passed()
    assert at_most("x", successes=1, trials=100, ceiling=0.07).passed()
    assert not at_most("x", successes=30, trials=100, ceiling=0.07).passed()
    values = np.random.default_rng(0).normal(0.1, 1.0, 4000)
    assert bias_below("x", values, truth=0.0, bound=0.1).passed()
    assert not bias_below("x", values, truth=0.0, bound=0.0).passed()


def test_laws_have_the_correlation_they_say():
    assert beta(0.5, 1.5).rho == pytest.approx(1 / 3, abs=1e-4)
    assert unsolvable(0.25, beta(2.0, 2.0)).rates.mean() == pytest.approx(0.375, abs=1e-3)
    assert SampledLaw("x", np.array([0.0, 1.0])).rho == 1.0


def test_the_pooled_interval_is_the_textbook_one():
    from grpolab.theory.groups import GroupCounts

    low, high = _pooled_interval(GroupCounts([5, 5], 10))
    half = 1.959964 * 0.05**0.5 / 2
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half))


def test_repeats_stay_in_bounds():
    assert repeats(QUICK) == 100
    assert repeats(QUICK._replace(groups=20_000_000)) == 1000


def test_every_entry_has_a_control_and_power_stands():
    names = [e.name for e in CALIBRATION.entries()]
    assert set(names) <= {e.name for e in suite.entries()}
    assert names[:7] == [
        "coverage",
        "test-size",
        "test-power",
        "bias",
        "filter",
        "beta-binomial",
        "extrapolation",
    ]
    (outcome,) = CALIBRATION.run(["test-power"], size=QUICK, level=1e-3)
    assert outcome.passed
    assert outcome.controls


ELSEWHERE = {"test-power", *GRID}
"""Run above, and by test_grid.py."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [e.name for e in CALIBRATION.entries() if e.name not in ELSEWHERE])
def test_calibration_stands(name):
    (outcome,) = CALIBRATION.run([name], size=QUICK, level=1e-3)
    assert outcome.failed == []
    assert outcome.rejected
