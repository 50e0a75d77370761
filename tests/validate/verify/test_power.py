"""The power study: sizes near the level, power where there is dependence, null where unknowable."""

from __future__ import annotations

from typing import Any

import pytest

from grpolab.validate.verify.power import independence_experiment

SMALL: dict[str, Any] = {"num_prompts": 60, "num_tables": 40, "num_permutations": 99, "seed": 1}


def test_size_under_independence() -> None:
    found = independence_experiment(**SMALL, strength=0.3)  # no dependence to be strong
    assert found["duplicates"]["low"] < 0.05 < found["duplicates"]["high"]
    assert found["pair_contrast"]["low"] < 0.05 < found["pair_contrast"]["high"]
    # the pooled test rejects although every rollout is independent given its prompt
    assert found["pooled_tarone"]["rate"] == 1.0


@pytest.mark.parametrize(("kind", "strength"), [("copy", 0.3), ("common-source", 0.6)])
def test_power(kind: str, strength: float) -> None:
    found = independence_experiment(**SMALL, kind=kind, strength=strength)
    assert found["pair_contrast"]["rate"] > 0.9


def test_copies_show_in_the_duplicates_with_one_group() -> None:
    found = independence_experiment(**SMALL, groups_per_prompt=1, kind="copy", strength=0.3)
    assert found["pair_contrast"] is None
    assert found["duplicates"]["rate"] > 0.9


def test_power_grows_with_the_prompts() -> None:
    kw = SMALL | {"kind": "copy", "strength": 0.05}
    few, many = (independence_experiment(**(kw | {"num_prompts": n})) for n in (20, 300))
    assert many["pair_contrast"]["rate"] > few["pair_contrast"]["rate"]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="num_tables must"):
        independence_experiment(num_tables=0, seed=0)
    with pytest.raises(ValueError, match="within must be one of"):
        independence_experiment(kind="telepathy", seed=0)
