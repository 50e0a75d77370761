"""The callback in real GRPOTrainer runs: healthy, dead, outage, resume, two processes."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")
sys.path.insert(0, str(Path(__file__).parent))
from trl_runs import reject, trainer

from grpolab.validate.monitor import GroupSignalMonitor
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.monitor.logs import read_log
from grpolab.validate.monitor.trl import STATE_KEY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
QUICK = {"patience": 5, "min_signal": 0.1}


def verdict(folder):
    return json.loads((folder / "monitor.json").read_text())


def some_right(completions, **_):
    return [float("1" in c or "3" in c or "5" in c) for c in completions]


@pytest.mark.parametrize("watched", [True, False])
def test_a_run_without_signal_is_stopped_and_saved(tmp_path, watched):
    monitor = GroupSignalMonitor("stop", **QUICK)
    rewards = monitor.watch(reject) if watched else reject
    made = trainer(tmp_path, rewards, callbacks=[monitor], steps=60)
    made.train()
    stopped = made.state.global_step
    assert 5 <= stopped < 25
    found = verdict(tmp_path)
    assert (found["verdict"], found["reason"], found["stopped"]) == ("no-signal", "all wrong", True)
    assert found["evidence"] >= found["threshold"]
    assert found["total"]["groups"] == 4 * stopped
    assert found["watched"] == ("reject" if watched else None)
    assert (tmp_path / f"checkpoint-{stopped}" / "trainer_state.json").is_file()


def test_warn_lets_the_run_go_on(tmp_path, caplog):
    monitor = GroupSignalMonitor(**QUICK)
    made = trainer(tmp_path, reject, callbacks=[monitor], steps=25)
    with caplog.at_level("WARNING", logger="grpolab.monitor"):
        made.train()
    assert made.state.global_step == 25
    said = [r.message for r in caplog.records if r.name == "grpolab.monitor"]
    assert sum(": no signal:" in line for line in said) == 1
    assert verdict(tmp_path)["stopped"] is False


def test_a_run_with_signal_goes_on_and_counts_what_trl_counts(tmp_path):
    monitor = GroupSignalMonitor("stop", **QUICK)
    made = trainer(
        tmp_path, monitor.watch(some_right), callbacks=[monitor], evaluate=True,
        eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=16,
    )  # fmt: skip
    made.train()
    assert made.state.global_step == 30
    assert verdict(tmp_path)["verdict"] == "healthy"
    shares = [
        row["frac_reward_zero_std"]
        for row in made.state.log_history
        if "frac_reward_zero_std" in row
    ]
    assert len(shares) == 30
    state = monitor.monitor.state
    assert state.num_groups == 4 * 30  # evaluations are not counted
    assert state.num_informative == pytest.approx(sum(4 * (1 - s) for s in shares))


def test_an_outage_is_no_evidence(tmp_path):
    steps = []

    def sometimes(completions, trainer_state, **_):
        steps.append(trainer_state.global_step)
        down = 5 <= trainer_state.global_step < 35
        return [None if down else r for r in some_right(completions)]

    for watched in (True, False):
        monitor = GroupSignalMonitor("stop", blind_after=10, **QUICK)
        rewards = monitor.watch(sometimes) if watched else sometimes
        made = trainer(tmp_path, rewards, callbacks=[monitor], steps=45)
        made.train()
        assert made.state.global_step == 45
        state = monitor.monitor.state
        assert (state.num_groups, state.num_unseen) == (4 * 15, 4 * 30)
        assert state.first_rejection == -1
        assert verdict(tmp_path)["verdict"] == "healthy"


@pytest.mark.parametrize("restores", [False, True])
def test_resume_goes_on_from_the_checkpoint(tmp_path, restores):
    whole = GroupSignalMonitor("warn", patience=5, min_signal=0.02)
    saving = {"save_strategy": "steps", "save_steps": 10,
               "restore_callback_states_from_checkpoint": restores}  # fmt: skip
    trainer(tmp_path, whole.watch(reject), callbacks=[whole], steps=14, **saving).train()
    again = GroupSignalMonitor("warn", patience=5, min_signal=0.02)
    made = trainer(tmp_path, again.watch(reject), callbacks=[again], steps=14, **saving)
    made.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))
    before, after = whole.monitor.state.as_dict(), again.monitor.state.as_dict()
    for state in (before, after):  # the completions of the last steps are drawn anew
        del state["recent_entropy"], state["recent_truncated"]
    assert after == before
    assert again.monitor.state.num_groups == 4 * 14


def test_resume_of_a_run_that_was_not_monitored(tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 10}
    trainer(tmp_path, reject, callbacks=[], steps=10, **saving).train()
    monitor = GroupSignalMonitor("stop", **QUICK)
    made = trainer(tmp_path, monitor.watch(reject), callbacks=[monitor], steps=20, **saving)
    made.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))
    assert monitor.monitor.state.num_groups == 4 * (made.state.global_step - 10)
    assert "no state of the monitor" in verdict(tmp_path)["notes"][0]


def test_a_stopped_run_that_is_resumed_is_tested_anew(tmp_path):
    first = GroupSignalMonitor("stop", **QUICK)
    made = trainer(tmp_path, first.watch(reject), callbacks=[first], steps=60)
    made.train()
    stopped = made.state.global_step
    again = GroupSignalMonitor("stop", **QUICK)
    made = trainer(tmp_path, again.watch(reject), callbacks=[again], steps=60)
    made.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{stopped}"))
    assert made.state.global_step == 2 * stopped


def test_several_log_rows_and_several_updates_per_draw(tmp_path):
    monitor = GroupSignalMonitor("warn", **QUICK)
    made = trainer(
        tmp_path, some_right, callbacks=[monitor], steps=24, logging_steps=4, num_iterations=2
    )
    made.train()
    rows = [r for r in made.state.log_history if "frac_reward_zero_std" in r]
    assert monitor.monitor.state.num_groups == 4 * 2 * len(rows)  # a draw every second step


def test_two_processes_count_groups_that_are_cut(tmp_path):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    script = Path(__file__).parent / "trl_runs.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2",
               "--standalone", str(script), str(tmp_path)]  # fmt: skip
    subprocess.run(command, check=True, env=env, capture_output=True, timeout=120)
    steps, groups = (tmp_path / "rank0.txt").read_text().split()
    assert (tmp_path / "rank1.txt").read_text() == f"{steps} {groups}"
    assert int(steps) < 30
    assert float(groups) == 3 * int(steps)
    assert verdict(tmp_path)["stopped"] is True
    assert math.isclose(verdict(tmp_path)["recent"]["informative"], 0)


def test_state_is_kept_where_checkpoints_keep_it(tmp_path):
    monitor = GroupSignalMonitor("stop", **QUICK)
    made = trainer(tmp_path, reject, callbacks=[monitor], steps=60)
    made.train()
    saved = json.loads(
        (tmp_path / f"checkpoint-{made.state.global_step}" / "trainer_state.json").read_text()
    )
    assert saved["stateful_callbacks"][STATE_KEY] == monitor.monitor.state.as_dict()


def test_reporters_are_given_what_the_callback_counts(tmp_path):
    """Reporters come before the callbacks of a user, and still see the numbers."""
    from transformers import TrainerCallback

    seen = []

    class Reporter(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.append(dict(logs))

    monitor = GroupSignalMonitor(**QUICK)
    made = trainer(tmp_path, monitor.watch(some_right), callbacks=[Reporter(), monitor], steps=4)
    made.train()
    rows = [row for row in seen if "frac_reward_zero_std" in row]
    assert len(rows) == 4
    for row in rows:
        assert row["grpolab/informative_share"] == 1 - row["frac_reward_zero_std"]
        assert 1 <= row["grpolab/distinct_completions"] <= 4
    logged = [row for row in made.state.log_history if "grpolab/evidence" in row]
    assert [row["grpolab/evidence"] for row in logged] == [r["grpolab/evidence"] for r in rows]


@pytest.mark.parametrize("kind", ["tensorboard", "trackio"])
def test_dashboards_show_what_the_callback_counts(tmp_path, monkeypatch, kind):
    """The files that the tool wrote, read back: by the tool's own reader, and by the monitor."""
    pytest.importorskip(kind)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    if kind == "trackio":
        monkeypatch.setattr("trackio.utils.TRACKIO_DIR", tmp_path / "trackio")
        monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path / "trackio")
    monitor = GroupSignalMonitor(**QUICK)
    made = trainer(tmp_path / "run", monitor.watch(some_right), callbacks=[monitor], steps=4,
                   report_to=kind)  # fmt: skip
    made.train()
    pattern = "**/events.out.tfevents*" if kind == "tensorboard" else "**/*.db"
    (path,) = tmp_path.glob(pattern)
    rows = read_log(path, {})
    logged = {row["step"]: row for row in made.state.log_history if "grpolab/evidence" in row}
    seen = {step: row for step, row in rows.items() if "grpolab/evidence" in row}
    assert list(seen) == list(logged) == [1, 2, 3, 4]
    for step, row in seen.items():
        for name in ("informative_share", "all_wrong", "all_right", "evidence",
                     "distinct_completions"):  # fmt: skip
            assert row[f"grpolab/{name}"] == pytest.approx(
                logged[step][f"grpolab/{name}"], rel=1e-6
            )
    found = Follower(find_source(path, groups_per_step=4)).look()
    assert found.monitor.state.num_groups == 16
