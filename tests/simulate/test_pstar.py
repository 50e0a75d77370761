"""p* derived from simulated groups and from simulated training, against theory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from grpolab import theory
from grpolab.simulate import derive_critical_p, derive_critical_p_from_waiting

GROUPS = 20_000
compiled_only = pytest.mark.usefixtures("skip_plain_python")


@pytest.fixture
def skip_plain_python(scale: float) -> None:
    if scale < 1:
        pytest.skip("too many groups for plain Python")


@compiled_only
@pytest.mark.parametrize("size", [3, 8, 64])
@pytest.mark.parametrize("event", ["identical", "all-wrong"])
def test_independent_rewards(size: int, event: Any) -> None:
    found = derive_critical_p(size, event=event, num_groups=GROUPS, seed=7, level=0.999)
    assert found.low < theory.critical_p(size, event=event) < found.high
    assert found.low < found.estimate < found.high


@compiled_only
@pytest.mark.parametrize("model", theory.MODELS)
def test_correlated_rewards(model: Any) -> None:
    found = derive_critical_p(8, rho=0.2, model=model, num_groups=GROUPS, seed=8, level=0.999)
    assert found.low < theory.critical_p(8, rho=0.2, model=model) < found.high
    # and not the threshold of independent rewards
    assert found.low > theory.critical_p(8)


@compiled_only
def test_other_shares() -> None:
    found = derive_critical_p(8, frac=0.2, num_groups=GROUPS, seed=9, level=0.999)
    assert found.low < theory.critical_p(8, frac=0.2) < found.high


@compiled_only
def test_pairs_only_touch() -> None:
    found = derive_critical_p(2, num_groups=GROUPS, seed=1)
    assert found.low < 0.5 <= found.high
    assert found.low > 0.4


@compiled_only
def test_no_safe_zone() -> None:
    found = derive_critical_p(8, rho=0.7, num_groups=GROUPS, seed=1)
    assert math.isnan(theory.critical_p(8, rho=0.7))
    assert math.isnan(found.estimate)
    assert math.isnan(found.low)


@compiled_only
@pytest.mark.parametrize("size", [3, 8, 16])
def test_waiting(size: int) -> None:
    found = derive_critical_p_from_waiting(size, num_chains=GROUPS, seed=2, level=0.999)
    assert found.low < theory.critical_p(size) < found.high


@compiled_only
def test_interval_covers_as_often_as_it_says() -> None:
    target = float(theory.critical_p(8))
    covered = 0
    for seed in range(150):
        found = derive_critical_p(8, num_groups=300, seed=seed, level=0.8)
        covered += found.low < target < found.high
    # 80% of 150 is 120, standard deviation 4.9; exact tests of counts may only cover more
    assert 105 <= covered <= 145


@compiled_only
def test_interval_shrinks_like_the_root_of_the_groups() -> None:
    small, large = (derive_critical_p(8, num_groups=n, seed=3) for n in (2_000, 128_000))
    ratio = (small.high - small.low) / (large.high - large.low)
    assert ratio == pytest.approx(8, rel=0.2)


@pytest.mark.parametrize(
    ("kw", "words"),
    [
        ({"model": "gaussian"}, "model must be one of"),
        ({"event": "all-right"}, "event must be"),
        ({"frac": 1.0}, "frac must lie"),
        ({"num_groups": 10}, "num_groups and num_chains must be"),
        ({"level": 1.0}, "level must lie"),
        ({"rho": 2.0}, "rho must"),
    ],
)
def test_bad_input(kw: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        derive_critical_p(8, seed=0, **({"num_groups": 200} | kw))
