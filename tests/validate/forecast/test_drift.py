import numpy as np
import pytest
from scipy import special

from grpolab.theory import GRPO, escape_time, prob_zero_std
from grpolab.validate.estimate.mixture import Mixture
from grpolab.validate.forecast.drift import drift_forecast, elapsed, fit_rate


def law(support, weight=None):
    support = np.asarray(support, float)
    weight = np.full(len(support), 1 / len(support)) if weight is None else np.asarray(weight)
    return Mixture(support, weight, 0.0, 0.0)


@pytest.mark.parametrize("motion", ["drift", "shift"])
def test_nothing_has_moved_at_the_start(motion):
    moved = drift_forecast(law([0.0, 0.3, 1.0]), [0.0], group_size=8, motion=motion)
    assert moved.zero_std[0] == pytest.approx((2 + float(prob_zero_std(0.3, 8))) / 3)
    assert moved.mean[0] == pytest.approx(1.3 / 3)
    assert moved.variance[0] == pytest.approx(0.3 * 0.7 * 7 / 8 / 3)


def test_drift_is_the_mean_field_of_the_theory():
    time = float(escape_time(GRPO, 0.05, 0.6, group_size=8, learning_rate=1.0))
    moved = drift_forecast(law([0.05]), [time], group_size=8)
    assert moved.mean[0] == pytest.approx(0.6, abs=1e-4)
    back = drift_forecast(law([0.6]), [-time], group_size=8)
    assert back.mean[0] == pytest.approx(0.05, abs=1e-4)


def test_amounts_may_come_in_any_order():
    amounts = np.array([3.0, -1.0, 0.0, 1.0, -2.0])
    moved = drift_forecast(law([0.2, 0.7]), amounts, group_size=8)
    order = np.argsort(amounts)
    assert np.all(np.diff(moved.mean[order]) > 0)
    alone = [drift_forecast(law([0.2, 0.7]), [a], group_size=8).mean[0] for a in amounts]
    assert moved.mean == pytest.approx(alone, abs=1e-6)


def test_unsolved_prompts_stay_and_a_shift_moves_logits_alike():
    moved = drift_forecast(law([0.0, 0.5]), [2.0, 50.0], group_size=8, motion="shift")
    assert moved.mean == pytest.approx([special.expit(2.0) / 2, 0.5])
    moved = drift_forecast(law([0.0, 0.5]), [50.0], group_size=8)
    assert moved.mean[0] == pytest.approx(0.5, abs=0.01)
    assert moved.zero_std[0] > 0.9


@pytest.mark.parametrize("motion", ["drift", "shift"])
@pytest.mark.parametrize("rate", [0.07, -0.03])
def test_the_rate_is_found_again_behind_a_warm_up(motion, rate):
    schedule = np.minimum(1.0, (np.arange(60) + 1) / 30)
    start = law([0.0, 0.1, 0.4, 0.9])
    clock = elapsed(60, schedule=schedule)
    seen = drift_forecast(start, rate * clock, group_size=8, motion=motion).mean
    noisy = seen + np.random.default_rng(0).normal(0, 0.002, 60)
    found = fit_rate(start, noisy, group_size=8, schedule=schedule, motion=motion)
    assert found == pytest.approx(rate, abs=0.002)


def test_elapsed_starts_before_the_first_step():
    assert elapsed(3, schedule=[0.5, 1.0, 1.0]).tolist() == [0.0, 0.5, 1.5]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: drift_forecast(law([0.5]), [61.0], group_size=8), "amounts must lie within"),
        (lambda: drift_forecast(law([0.5]), [np.nan], group_size=8), "amounts must lie within"),
        (lambda: drift_forecast(law([0.5]), [], group_size=8), "amounts must have shape"),
        (lambda: drift_forecast(law([0.5]), [1.0], group_size=8, motion="jump"), "motion must be"),
        (lambda: elapsed(0), "num_steps must be >= 1"),
        (lambda: elapsed(2, schedule=[1.0]), "schedule must have shape"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
