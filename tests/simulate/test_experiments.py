"""Experiments as points of a sweep: plain parameters in, plain results out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from grpolab.simulate import EXPERIMENTS, point_seed, run_sweep, simulate_escape
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


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", SMALL)
def test_point(name: str) -> None:
    (found,) = run_sweep(EXPERIMENTS[name], [SMALL[name]], seed=3)
    json.dumps(found, allow_nan=False)
    direct = EXPERIMENTS[name](**SMALL[name], seed=point_seed(3, SMALL[name]))
    for key, value in jsonable(direct).items():
        assert found[key] == value


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match="rule must be one of"):
        EXPERIMENTS["trajectory"](rule="ppo", seed=0)


def test_trajectories_take_stale_groups_and_graders_that_err(scale: float) -> None:
    """What `sweep trajectory --set staleness=...` shows, beside a mean field of its own."""
    number = max(100, int(400 * scale))
    at = {"num_steps": 40, "num_chains": number, "p0": 0.3, "seed": 1}
    play = EXPERIMENTS["trajectory"]
    plain = play(**at)
    for more, lower in (
        ({"staleness": 10}, True),  # the clip stops what has gone far already
        ({"staleness": 10, "importance": False}, False),
        ({"true_positive": 0.7, "false_positive": 0.1}, True),
    ):
        run = play(**at, **more)
        gap = run["mean_p"] - run["mean_field"]
        assert np.all(np.abs(gap) < 0.03 + 4 * run["stderr_p"]), more
        if lower:
            assert run["mean_field"][-1] < plain["mean_field"][-1] - 0.02
    assert np.isnan(play(**at, replay=0.5)["mean_field"][-1])
    assert np.isnan(play(**at, staleness=3, true_positive=0.9)["mean_field"][-1])


@pytest.mark.parametrize("bad", [0, -1, 2.5, "many", [10, 20], None])
def test_escapes_ask_for_a_whole_number_of_chains(bad: Any) -> None:
    with pytest.raises(ValueError, match="num_chains must"):
        simulate_escape(0.3, group_size=4, learning_rate=1.0, num_chains=bad, seed=0)
