"""Check: both tests against direct computations, their level, and their edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from grpolab.store import jsonable
from grpolab.validate.verify.registry import Check


def z_check(observed: float, stderr: float, predicted: float = 0.5) -> Check:
    return Check.from_z(
        "x", observed=observed, predicted=predicted, stderr=stderr, reference="here"
    )


def count_check(successes: int, trials: int, predicted: float) -> Check:
    return Check.from_count(
        "x", successes=successes, trials=trials, predicted=predicted, reference="here"
    )


@pytest.mark.parametrize("z", [-4.0, -1.96, 0.0, 0.5, 3.0])
def test_z_is_two_sided(z: float) -> None:
    check = z_check(0.5 + 0.01 * z, 0.01)
    assert check.z == pytest.approx(z, abs=1e-9)
    assert check.p_value == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-9)


def test_without_a_standard_error_only_equality_passes() -> None:
    assert z_check(0.5 + 1e-14, 0.0).p_value == 1.0
    assert z_check(0.5, 0.0).passed()
    assert z_check(0.5 + 1e-9, 0.0).p_value == 0.0
    assert not z_check(0.5 + 1e-9, 0.0).passed()


@pytest.mark.parametrize("trials", [1, 5, 12])
@pytest.mark.parametrize("predicted", [0.1, 0.5, 0.77])
def test_count_is_the_exact_binomial_test(trials: int, predicted: float) -> None:
    pmf = stats.binom.pmf(np.arange(trials + 1), trials, predicted)
    for successes in range(trials + 1):
        check = count_check(successes, trials, predicted)
        at_most_as_likely = pmf[pmf <= pmf[successes] * (1 + 1e-7)].sum()
        assert check.p_value == pytest.approx(at_most_as_likely, rel=1e-9)
        assert check.observed == successes / trials
        assert check.z * check.stderr == pytest.approx(check.observed - predicted)
        assert check.stderr == pytest.approx(math.sqrt(predicted * (1 - predicted) / trials))


@pytest.mark.parametrize(("predicted", "certain"), [(0.0, 0), (1.0, 10)])
def test_a_certain_event_that_fails_is_rejected(predicted: float, certain: int) -> None:
    good, bad = count_check(certain, 10, predicted), count_check(5, 10, predicted)
    assert (good.z, good.p_value, good.passed()) == (0.0, 1.0, True)
    assert (math.isinf(bad.z), bad.p_value, bad.passed()) == (True, 0.0, False)


def test_level_holds_and_a_wrong_prediction_is_caught() -> None:
    rng = np.random.default_rng(0)
    hits = rng.binomial(400, 0.3, size=600).tolist()
    right = [count_check(k, 400, 0.3).passed(0.05) for k in hits]
    wrong = [count_check(k, 400, 0.4).passed(0.05) for k in hits]
    rejected = 1 - np.mean(right)
    assert 0.02 < rejected < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean(wrong) < 0.05


@pytest.mark.parametrize("predicted", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_0_and_1(predicted: float) -> None:
    with pytest.raises(ValueError, match="predicted must lie in"):
        count_check(1, 2, predicted)


def test_passed_compares_with_the_level() -> None:
    check = count_check(8, 10, 0.5)  # p = 0.109375
    assert check.passed()
    assert check.passed(0.109375)
    assert not check.passed(0.11)


def test_as_dict_is_json() -> None:
    check = z_check(0.6, 0.05)
    assert json.loads(json.dumps(jsonable(check.as_dict())))["predicted"] == 0.5
    assert Check(**check.as_dict()) == check


@pytest.mark.parametrize("stderr", [-0.1, float("nan")])
def test_a_standard_error_is_not_negative(stderr: float) -> None:
    with pytest.raises(ValueError, match="stderr must be >= 0"):
        z_check(0.5, stderr)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_successes_lie_within_the_trials(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=r"successes must lie in 0\.\.trials"):
        count_check(successes, trials, 0.5)


def test_nan_never_passes() -> None:
    assert not z_check(float("nan"), 0.1).passed()
    assert not z_check(float("nan"), 0.0).passed()
