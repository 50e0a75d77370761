"""Files of every trainer, whole, half-written, rewound, filtered."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_files as make
from run_files import DOWN, NONE, SOME, WRITERS, age

from grpolab.errors import UserError
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.state import MonitorConfig
from grpolab.validate.readers import ReadOptions

DATA = Path(__file__).parents[1] / "readers" / "data"


def follow(folder, *, groups_per_step=None, **options):
    source = find_source(folder, groups_per_step=groups_per_step)
    return Follower(source, MonitorConfig(patience=5, min_signal=0.2), ReadOptions(**options))


def rest(folder):
    """Let every file be old enough to be whole."""
    for path in folder.rglob("*.jsonl"):
        age(path, 100)
    return folder


@pytest.mark.parametrize("trainer", WRITERS)
def test_every_trainer(tmp_path, trainer):
    steps = dict.fromkeys(range(1, 6), SOME) | dict.fromkeys(range(6, 9), DOWN)
    steps |= dict.fromkeys(range(9, 40), NONE)
    WRITERS[trainer](tmp_path, steps)
    found = follow(rest(tmp_path)).look()
    state = found.monitor.state
    assert found.trainer == trainer
    assert (state.num_groups, state.num_informative) == (4 * 36, 2 * 5)
    assert state.num_unseen > 0
    assert (found.monitor.verdict, found.monitor.reason) == ("no-signal", "all wrong")
    assert 9 < state.first_rejection < 25
    assert [m.num_groups for m in found.history[5:8]] == [0, 0, 0]


@pytest.mark.parametrize("trainer", WRITERS)
def test_a_second_look_sees_what_is_new(tmp_path, trainer):
    WRITERS[trainer](tmp_path, dict.fromkeys(range(1, 4), SOME))
    follower = follow(rest(tmp_path))
    assert follower.look().monitor.state.num_groups == 12
    assert follower.look().monitor.state.num_groups == 12
    WRITERS[trainer](tmp_path, dict.fromkeys(range(1, 6), SOME))
    rest(tmp_path)
    assert follower.look().monitor.state.num_groups == 20


def test_real_trl_run():
    found = follow(DATA / "trl", score="correct").look()
    # steps 2 and 4 were generated before, 4 and 6 evaluated: only 1, 3 and 5 are fresh
    assert [m.step for m in found.history if m.num_groups] == [1, 3, 5]
    assert found.history[0].entropy == pytest.approx(2.6, abs=0.2)


def test_trl_without_completions(tmp_path):
    rows = [{"step": t, "frac_reward_zero_std": 1.0, "reward": 0.0, "grad_norm": 0.0}
            for t in range(1, 15)]  # fmt: skip
    rows.insert(3, {"step": 3, "eval_frac_reward_zero_std": 0.0, "eval_reward": 1.0})
    rows += [{"step": t, "frac_reward_zero_std": 0.0, "reward": None, "grad_norm": 0.0}
             for t in range(15, 20)]  # fmt: skip
    make.trl_state(tmp_path, rows)
    found = follow(tmp_path, groups_per_step=16).look()
    assert found.monitor.state.num_groups == 14 * 16
    assert found.monitor.state.blind_steps == 5
    assert found.monitor.verdict == "no-signal"
    weak = follow(tmp_path).look()
    assert weak.monitor.state.num_groups == 14
    assert any("--groups-per-step" in note for note in weak.notes)


def test_half_written_files_are_left_for_later(tmp_path):
    make.trl(tmp_path, {1: SOME, 2: SOME})
    last = tmp_path / "completions" / "completions_00002.parquet"
    whole = last.read_bytes()
    follower = follow(tmp_path)
    for part in (whole[:-20], b""):
        last.write_bytes(part)
        found = follower.look()
        assert found.monitor.state.num_groups == 4
        assert found.notes == []
    last.write_bytes(whole)
    assert follower.look().monitor.state.num_groups == 8


def test_half_written_lines_are_left_for_later(tmp_path):
    make.grpolab(tmp_path, {1: SOME, 2: SOME})
    path = tmp_path / "steps.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-30])
    follower = follow(tmp_path)
    assert follower.look().monitor.state.num_groups == 4
    # the run was killed there and resumed: a broken line stays in the middle
    path.write_text(whole[:-30] + "\n" + json.dumps(make.grpolab_row(2, NONE)) + "\n")
    found = follower.look()
    assert found.monitor.state.num_groups == 8
    assert any("broken line" in note for note in found.notes)


@pytest.mark.parametrize("trainer", ["verl", "prime-rl"])
def test_the_newest_file_must_be_at_rest(tmp_path, trainer):
    WRITERS[trainer](tmp_path, {1: SOME, 2: SOME})
    assert follow(tmp_path).look().monitor.state.num_groups == 4
    assert follow(rest(tmp_path)).look().monitor.state.num_groups == 8


def test_a_cut_off_dump_is_left_out_whole(tmp_path):
    make.verl(tmp_path, {1: SOME, 2: SOME, 3: SOME})
    path = tmp_path / "rollouts" / "2.jsonl"
    path.write_text(path.read_text()[:-10])
    assert follow(rest(tmp_path)).look().monitor.state.num_groups == 8


def test_null_in_our_own_log_is_nan(tmp_path):
    make.grpolab(tmp_path, {})
    rows = [{**make.grpolab_row(t, SOME), "grad_norm": None} for t in range(3)]
    make.lines(tmp_path / "steps.jsonl", rows)
    assert follow(tmp_path).look().monitor.state.raised == {"not-finite": 2}


def test_a_resumed_run_is_judged_by_its_last_branch(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(1, 30), NONE))
    with (tmp_path / "steps.jsonl").open("a") as out:
        for t in range(10, 20):
            out.write(json.dumps(make.grpolab_row(t, SOME)) + "\n")
    found = follow(tmp_path).look()
    assert [m.step for m in found.history] == list(range(1, 20))
    assert found.monitor.state.num_informative == 20


@pytest.mark.parametrize("trainer", ["trl", "verl"])
def test_files_of_an_abandoned_branch(tmp_path, trainer):
    WRITERS[trainer](tmp_path, dict.fromkeys(range(1, 30), NONE))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            age(path, 3600)
    WRITERS[trainer](tmp_path, dict.fromkeys(range(10, 15), SOME))
    found = follow(rest(tmp_path)).look()
    assert [m.step for m in found.history] == list(range(1, 15))
    assert "15 to 29" in found.notes[0]


def test_verl_layouts_and_metrics(tmp_path):
    make.verl(tmp_path, {1: SOME, 2: SOME}, uid=False)
    make.lines(tmp_path / "val" / "1.jsonl", make.verl_rows(1, NONE))
    data = {"actor/entropy": 0.3, "actor/grad_norm": 1.0, "response_length/clip_ratio": 0.5}
    rows = [{"step": t, "data": data} for t in range(12)]
    make.lines(tmp_path / "project" / "experiment.jsonl", rows)
    found = follow(rest(tmp_path)).look()
    assert found.monitor.state.num_groups == 8
    assert found.monitor.state.raised == {"truncation": 9}
    (tmp_path / "rollouts").rename(tmp_path / "gone.val")
    blind = follow(tmp_path).look()
    assert blind.monitor.state.num_groups == 0
    assert "rollout_data_dir" in blind.notes[0]


def test_verl_scores_of_plus_and_minus_one(tmp_path):
    flip = {0: -1.0, 1: 1.0}
    make.verl(tmp_path, {1: [[flip[v] for v in g] for g in SOME], 2: [[-1.0] * 4] * 4})
    state = follow(rest(tmp_path)).look().monitor.state
    assert (state.num_groups, state.num_informative) == (8, 2)


def test_two_folders_of_rollouts_are_refused(tmp_path):
    make.verl(tmp_path / "a", {1: SOME})
    make.verl(tmp_path / "b", {1: SOME})
    with pytest.raises(UserError, match="rollouts in several folders"):
        find_source(tmp_path)


def test_a_file_that_changes_is_read_again(tmp_path):
    make.verl(tmp_path, {1: SOME[:2], 2: SOME})
    follower = follow(rest(tmp_path))
    assert follower.look().monitor.state.num_groups == 6
    path = tmp_path / "rollouts" / "1.jsonl"
    make.lines(path, make.verl_rows(1, SOME))
    age(path, 100)
    assert follower.look().monitor.state.num_groups == 8


def test_steps_of_an_evaluation_that_is_known_later(tmp_path):
    make.trl(tmp_path, dict.fromkeys(range(1, 5), SOME))
    follower = follow(tmp_path)
    assert follower.look().monitor.state.num_groups == 16
    make.trl_state(tmp_path, [{"step": 2, "eval_reward": 0.5}, {"step": 4, "loss": 0.0}])
    assert follower.look().monitor.state.num_groups == 12


def test_prime_rl_metrics_without_traces(tmp_path):
    rows = [{"step": t, "time": 1.0, "train/agg/all/solved_none": 0.75,
             "train/agg/all/solved_all": 0.25, "train/agg/effective/solved_none": 0.0,
             "train/agg/effective/solved_all": 0.0} for t in range(1, 40)]  # fmt: skip
    make.lines(tmp_path / "metrics.jsonl", rows)
    found = follow(tmp_path).look()
    assert found.monitor.state.num_groups == 39
    assert (found.monitor.verdict, found.monitor.reason) == ("no-signal", "both")
    pruned = [{key: row[key] for key in row if "/all/" not in key} for row in rows]
    make.lines(tmp_path / "metrics.jsonl", pruned)
    assert follow(tmp_path).look().monitor.state.num_groups == 0


def test_filtered_rollouts_are_refused_or_noted(tmp_path):
    make.prime(tmp_path / "prime", {1: SOME[:1]}, subset="effective")
    with pytest.raises(UserError, match="only 'effective' traces"):
        follow(tmp_path / "prime").look()
    rows = [{"step": 1, "sample_idx": i, "prompt_idx": 0, "reward": 1.0} for i in range(4)]
    make.lines(tmp_path / "oi" / "run_rollouts_000000.jsonl", rows)
    with pytest.raises(UserError, match="after its zero-std filter"):
        find_source(tmp_path / "oi")
    make.grpolab(tmp_path / "ours", dict.fromkeys(range(12), SOME[:1] * 20))
    assert any("dynamic sampling" in note for note in follow(tmp_path / "ours").look().notes)


def test_what_the_user_must_choose_is_said_at_once(tmp_path):
    with pytest.raises(UserError, match=r"which reward column.*--score"):
        follow(DATA / "trl").look()
    make.verl(tmp_path, {t: [[0.1, 0.7]] for t in range(3)})
    with pytest.raises(UserError, match="--threshold"):
        follow(rest(tmp_path)).look()
    state = follow(tmp_path, threshold=0.5).look().monitor.state
    assert (state.num_groups, state.num_informative) == (3, 3)


def test_unknown_and_empty_folders(tmp_path):
    assert find_source(tmp_path) is None
    with pytest.raises(UserError, match="no such folder"):
        find_source(tmp_path / "none")
    make.lines(tmp_path / "log.jsonl", [{"a": 1}])
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UserError, match=r"no run of a known trainer; looked for run.json"):
        find_source(tmp_path)
