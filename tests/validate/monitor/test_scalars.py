"""What logged numbers say of the groups, trainer by trainer, and that it is never too much."""

import json
import math

import numpy as np
import pytest

from grpolab.validate.monitor import MonitorConfig
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.scalars import (
    constant_rewards,
    groups_of,
    logged_groups,
    training_row,
)


def seen(row, **options):
    found = groups_of(training_row(row), known=options.get("known"), steps=options.get("steps", 1))
    if found is None:
        return None
    groups = found.groups
    return found.strength, groups.num_groups, groups.num_informative, groups.num_all_wrong


@pytest.mark.parametrize(
    ("row", "known", "expected"),
    [
        ({"env/all/by_group/frac_mixed": 0.4, "env/all/by_group/frac_all_good": 0.2,
          "env/all/by_group/frac_all_bad": 0.4}, 10, ("counts", 10, 4, 4)),
        ({"batch/solver/fractions/too_hard": 0.5, "batch/solver/fractions/too_easy": 0.25,
          "batch/solver/fractions/effective": 0.25}, 16, ("counts", 16, 4, 8)),
        ({"rollout/zero_std/all_zero_percentage": 0.25, "rollout/zero_std/all_one_percentage": 0.5},
         8, ("counts", 8, 2, 2)),
        ({"train/agg/all/solved_none": 6, "train/agg/all/solved_some": 1,
          "train/agg/all/solved_all": 1}, None, ("counts", 8, 1, 6)),
        ({"train/frac_reward_zero_std": 0.75, "train/reward_std": 0.1}, 8, ("share", 8, 2, None)),
        ({"rollout_reward/group_zero_std_frac": 1.0}, 8, ("share", 8, 0, None)),
        ({"reward/num_zero_variance_filtered": 6.0}, 8, ("share", 8, 2, None)),
        ({"reward_std": 0.0, "reward": 0.0}, 8, ("mean std", 8, 0, None)),
        ({"reward_std": 0.0, "reward": -1.0, "rewards/f/mean": -1.0, "rewards/f/std": 0.0}, 8,
         ("mean std", 8, 0, 8)),
        ({"reward_std": 0.0, "reward": 0.0, "rewards/f/mean": 0.0, "rewards/f/std": 1.0}, 8,
         ("mean std", 8, 0, None)),  # groups of -1 and groups of +1
        ({"reward_std": 0.35, "reward": 0.4}, 8, ("mean std", 8, 8, None)),
        ({"group_reward_std": 0.0}, 8, ("mean std", 8, 0, None)),
        ({"critic/score/max": -1.0, "critic/score/min": -1.0}, 8, ("batch", 8, 0, 8)),
        ({"critic/score/max": 1.0, "critic/score/min": 1.0}, 8, ("batch", 8, 0, 0)),
        ({"critic/score/max": 1.0, "critic/score/min": 0.0}, 8, ("batch", 8, 8, None)),
        ({"critic/advantages/max": 0.0, "critic/advantages/min": 0.0,
          "critic/score/max": 1.0, "critic/score/min": 0.0}, 8, ("batch", 8, 0, 0)),
        ({"eval/frac_reward_zero_std": 1.0, "eval_reward_std": 0.0}, 8, None),
        ({"loss": 0.0, "reward": 0.5}, 8, None),
        ({"frac_reward_zero_std": "1.0"}, 8, None),
    ],
)  # fmt: skip
def test_every_trainers_keys(row, known, expected):
    found = seen(row, known=known)
    if expected is None:
        assert found is None
        return
    strength, groups, informative, wrong = expected
    assert found[:3] == (strength, groups, pytest.approx(informative))
    assert math.isnan(found[3]) if wrong is None else found[3] == pytest.approx(wrong)


def test_a_step_without_rewards_is_not_seen():
    """TRL logs a share of 0 and a NaN reward where no rollout had a verdict."""
    found = groups_of(training_row({"frac_reward_zero_std": 0.0, "reward": None}), known=8)
    assert (found.groups.num_groups, found.groups.num_unseen) == (0, 8)


def test_rows_that_average_several_steps_count_for_all_of_them():
    rows = {step: {"frac_reward_zero_std": 1.0} for step in range(5, 105, 5)}
    notes = {}
    found = logged_groups(rows, known=8, notes=notes)
    assert {g.num_groups for g in found.values()} == {40}
    assert {g.num_groups for g in logged_groups(rows, known=None, notes=notes).values()} == {1}
    assert any("--groups-per-step" in note for note in notes)
    holes = dict.fromkeys((5, 10, 15, 40, 45), rows[5])  # 20 to 35 are missing
    assert {g.num_groups for g in logged_groups(holes, known=8, notes={}).values()} == {40}


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_a_mean_of_stds_never_overstates_the_groups_without_signal(size):
    rng = np.random.default_rng(size)
    for p in (0.0, 0.02, 0.3, 0.9, 1.0):
        rewards = rng.random((64, size)) < p
        std = rewards.std(axis=1, ddof=1).mean()
        dead = int((rewards.min(axis=1) == rewards.max(axis=1)).sum())
        groups = groups_of({"reward_std": std}, known=64).groups
        assert groups.num_groups - groups.num_informative <= dead
        assert (groups.num_informative == 0) == (dead == 64)


def log(folder, rows):
    path = folder / "checkpoint-9" / "trainer_state.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"log_history": rows}))
    return folder


def look(folder, known=8, **config):
    source = find_source(folder, groups_per_step=known)
    return Follower(source, MonitorConfig(**config)).look()


def test_a_log_of_an_older_trl(tmp_path):
    rows = [{"step": t, "loss": 0.0, "reward": 0.0, "reward_std": 0.0} for t in range(5, 305, 5)]
    found = look(log(tmp_path / "dead", rows))
    assert found.monitor.verdict == "no-signal"
    assert any("frac_reward_zero_std from 0.19" in note for note in found.notes)
    alive = [row | {"reward_std": 0.3, "reward": 0.4} for row in rows]
    assert look(log(tmp_path / "alive", alive)).monitor.verdict == "healthy"


def test_a_log_of_verl_without_dumps(tmp_path):
    data = {"actor/grad_norm": 0.0, "critic/score/max": -1.0, "critic/score/min": -1.0,
            "critic/advantages/max": 0.0, "critic/advantages/min": 0.0}  # fmt: skip
    lines = [json.dumps({"step": t, "data": data}) for t in range(60)]
    (tmp_path / "run.jsonl").write_text("\n".join(lines) + "\n")
    found = look(tmp_path, known=None)
    assert (found.monitor.verdict, found.monitor.reason) == ("no-signal", "all wrong")
    assert any("16 groups a step are assumed" in note for note in found.notes)
    few = find_source(tmp_path, groups_per_step=1)
    assert Follower(few).look().monitor.verdict == "undecided"


def test_a_reward_that_is_constant_beside_one_that_varies(tmp_path):
    rows = [{"step": t, "loss": 0.1, "frac_reward_zero_std": 0.2, "rewards/correct/mean": 0.0,
             "rewards/correct/std": 0.0, "rewards/format/mean": 0.6, "rewards/format/std": 0.5}
            for t in range(1, 31)]  # fmt: skip
    found = look(log(tmp_path / "run", rows))
    note = next(n for n in found.notes if "reward function" in n)
    assert "correct gave every rollout 0 in the last 10 rows" in note
    moving = [r | {"rewards/correct/mean": 0.1, "rewards/correct/std": 0.3} for r in rows]
    assert constant_rewards(map(training_row, moving), window=10) == {}
    both = [r | {"rewards/format/std": 0.0} for r in rows]  # nothing varies: no-signal says it
    assert constant_rewards(map(training_row, both), window=10) == {}
    assert constant_rewards(map(training_row, rows[:9]), window=10) == {}
