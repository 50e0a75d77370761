"""What logged numbers say of the groups, trainer by trainer, and that it is never too much."""

import json
import math

import numpy as np
import pytest

from grpolab.validate.monitor import MonitorConfig, MonitorState, SignalMonitor
from grpolab.validate.monitor.evidence import (
    Reading,
    groups_of,
    logged_groups,
    std_bounds,
    wrong_of,
)
from grpolab.validate.monitor.files import step_of
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.scalars import constant_rewards, training_row
from grpolab.validate.monitor.words import describe
from grpolab.validate.readers.format import ReadOptions


def seen(row, **options):
    found = groups_of(
        training_row(row), Reading(known=options.get("known")), steps=options.get("steps", 1)
    )
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
        ({"batch/judge/fractions/too_hard": 1.0, "batch/judge/fractions/too_easy": 0.0,
          "batch/judge/fractions/effective": 0.0, "batch/solver/fractions/too_hard": 0.25,
          "batch/solver/fractions/too_easy": 0.25, "batch/solver/fractions/effective": 0.5}, 16,
         ("counts", 32, 8, 20)),
        ({"rollout/zero_std/all_zero_percentage": 0.25, "rollout/zero_std/all_one_percentage": 0.5},
         8, ("counts", 8, 2, 2)),
        ({"train/agg/all/solved_none": 6, "train/agg/all/solved_some": 1,
          "train/agg/all/solved_all": 1}, None, ("counts", 8, 1, 6)),
        ({"train/frac_reward_zero_std": 0.75, "train/reward_std": 0.1}, 8, ("share", 8, 2, None)),
        ({"rollout_reward/group_zero_std_frac": 1.0}, 8, ("share", 8, 0, None)),
        ({"rollout_reward/group_zero_std_frac/mean": 0.5}, 8, ("share", 8, 4, None)),
        ({"dynamic_filtering_pass_rate": 25.0, "group_reward_std": 0.4}, 8, ("share", 8, 2, None)),
        ({"rollout/zero_std/count_0.0": 3, "rollout/zero_std/count_1.0": 1}, 8,
         ("counts", 8, 4, 3)),  # slime
        ({"rollout/zero_std/count_-1.0": 3, "rollout/zero_std/count_1": 5}, 8,
         ("counts", 8, 0, 3)),
        ({"rollout/zero_std/count_0.2": 3, "rollout/zero_std/count_1.0": 1}, 8,
         ("counts", 8, 4, None)),  # 0.2 for the format is neither wrong nor right
        ({"rollout/zero_std/count_0.0": 3}, 2, None),
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
        ({"critic/advantages/max": math.nan, "critic/advantages/min": math.nan,
          "critic/score/max": 1.0, "critic/score/min": 0.0}, 8, ("batch", 0, 0, None)),
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
    found = groups_of(training_row({"frac_reward_zero_std": 0.0, "reward": None}), Reading(8))
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
        groups = groups_of({"reward_std": std}, Reading(64, size)).groups
        assert groups.num_groups - groups.num_informative <= dead
        assert (groups.num_informative == 0) == (dead == 64)


def test_bounds_of_a_mean_of_stds():
    """Every mixture of groups of 0 and 1 lies between them, and they are reached."""
    rng = np.random.default_rng(0)
    for size in (2, 3, 4, 7, 8, 16):
        stds = np.array([np.std([1] * k + [0] * (size - k), ddof=1) for k in range(size + 1)])
        for weights in rng.dirichlet(np.full(size + 1, 0.3), size=200):
            low, high = std_bounds(float(weights @ stds), size)
            assert low - 1e-12 <= 1 - weights[0] - weights[-1] <= high + 1e-12
            assert std_bounds(float(weights @ stds), None)[0] <= low
        assert std_bounds(stds[size // 2], size)[0] == pytest.approx(1)
        assert std_bounds(stds[1] / 2, size)[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "row",
    [
        {"reward_std": 0.7, "reward": 0.4},  # above the largest std of 0 and 1
        {"reward_std": 0.5, "reward": 0.05},  # too much for this mean
        {"reward_std": 0.3, "reward": 1.6},
        {"reward_std": 0.3, "reward": -0.2},
        {"reward_std": 0.3, "reward": 0.5, "rewards/a/mean": 0.2, "rewards/b/mean": 0.3},
    ],
)
def test_rewards_that_are_not_0_and_1_have_no_bounds(row):
    reading = Reading(8, 8, lowest=min(0.0, row["reward"]))
    groups = groups_of(training_row(row), reading).groups
    assert (groups.num_informative, groups.num_low, groups.num_high) == (8, 0, 8)


def test_the_most_that_can_be_is_not_told_as_a_count(tmp_path):
    rows = [{"step": t, "loss": 0.1, "reward": 0.4, "reward_std": 0.35} for t in range(1, 61)]
    folder = log(tmp_path / "run", rows)
    source = find_source(folder, groups_per_step=8)
    for size, words in ((8, "at least 65% and at most 99% of 80"), (None, "at least 49% and at")):
        found = Follower(source, options=ReadOptions(group_size=size)).look()
        said = describe(found.monitor)
        assert found.monitor.verdict == "healthy"
        assert words in said
        assert "and at most 100% otherwise" in said
        assert any("--group-size" in note for note in found.notes) == (size is None)
    recent = found.monitor.as_dict()["recent"]
    assert recent["informative_is"] == "at most"
    assert recent["if_rewards_are_0_or_1"]["at_least"] == pytest.approx(0.35 / 0.5**0.5 * 80)
    assert not any("dynamic sampling" in note for note in found.notes)
    few = [row | {"reward_std": 0.02} for row in rows]
    found = look(log(tmp_path / "few", few))
    assert found.monitor.verdict == "undecided"  # 3 % or 100 %: who knows
    path = tmp_path / "verl.jsonl"
    data = {"actor/grad_norm": 1.0, "critic/score/max": 1.0, "critic/score/min": 0.0}
    path.write_text("".join(json.dumps({"step": t, "data": data}) + "\n" for t in range(60)))
    monitor = look(path, known=None).monitor
    assert monitor.verdict == "undecided"
    assert "at most 100% of 160 groups" in describe(monitor)


def test_a_state_of_an_earlier_version_is_taken_up():
    state = MonitorState.from_dict({"recent": [[1, 8, 2, None, None, None]]})
    assert SignalMonitor(state=state).recent.bounds is None


def test_what_is_wrong_follows_the_scale(tmp_path):
    """A batch of equal rewards: 0 among rewards of -1 and +1 is not wrong, 0.1 is not right."""
    assert [wrong_of(v) for v in (0.0, -1.0, 1.0, 2.0)] == [1, 1, 0, 0]
    one = {"frac_reward_zero_std": 1.0, "rewards/f/std": 0.0}
    rows = {
        t: one | {"reward": r, "rewards/f/mean": r} for t, r in enumerate((0.0, -1.0, 1.0, 0.1))
    }
    wrong = [g.num_all_wrong for g in logged_groups(rows, known=8, notes={}).values()]
    assert np.array_equal(wrong, [math.nan, 8, 0, math.nan], equal_nan=True)
    del rows[1]
    wrong = [g.num_all_wrong for g in logged_groups(rows, known=8, notes={}).values()]
    assert np.array_equal(wrong, [8, 0, math.nan], equal_nan=True)


def test_slime_does_not_log_a_count_of_zero():
    """A step without a group of one reward has no key, and counts as informative all the same."""
    rows = {t: {"raw_reward": 0.5} for t in range(9)} | {9: {"raw_reward": 0.4}}
    rows[9]["zero_std/count_0.0"] = 4.0
    found = logged_groups(rows, known=8, notes={})
    assert [g.num_informative for g in found.values()] == [8] * 9 + [4]
    notes = {}
    assert logged_groups(rows, known=None, notes=notes) == {}
    assert any("zero_std/count_0.0 is a number of groups" in note for note in notes)
    miles = {"zero_std/all_zero_percentage": 0.5, "zero_std/all_one_percentage": 0.0}
    rows[9] |= miles  # half of 8
    rows[10] = {"raw_reward": 0.0, "zero_std/count_-1.0": 8.0} | dict.fromkeys(miles, 0.0)
    found = logged_groups(rows, known=None, notes={})
    assert (found[10].num_groups, found[10].num_informative) == (8, 0)


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


@pytest.mark.parametrize("step", [math.inf, -math.inf, math.nan, None, True, "4"])
def test_a_step_that_is_no_number_is_none(step):
    assert step_of({"step": step}) is None
    assert step_of({"step": 4.0}) == 4
