"""Experiments as points of a sweep: plain parameters in, plain results out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpolab.simulate import EXPERIMENTS, point_seed, run_sweep
from grpolab.store import jsonable

SMALL: dict[str, dict[str, Any]] = {
    "pstar": {"group_size": 8, "num_groups": 1000},
    "trajectory": {"num_steps": 10, "num_chains": 100},
    "escape": {"p0": 0.4, "num_chains": 100},
    "trap": {"load": 0.1, "num_steps": 100, "num_chains": 100},
    "ladder": {"num_prompts": 6, "depths": [0, 5], "num_steps": 3, "num_repeats": 2},
}


def test_every_experiment_has_a_case() -> None:
    assert set(SMALL) == set(EXPERIMENTS)


@pytest.mark.parametrize("name", SMALL)
def test_point(name: str, scale: float) -> None:
    if scale < 1:
        pytest.skip("too many groups for plain Python")
    (found,) = run_sweep(EXPERIMENTS[name], [SMALL[name]], seed=3)
    json.dumps(found, allow_nan=False)
    direct = EXPERIMENTS[name](**SMALL[name], seed=point_seed(3, SMALL[name]))
    for key, value in jsonable(direct).items():
        assert found[key] == value


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match="rule must be one of"):
        EXPERIMENTS["trajectory"](rule="ppo", seed=0)
