"""What the callback makes of TRL's log rows; no trainer is run and nothing heavy imported."""

from types import SimpleNamespace

import pytest

from grpolab.validate.monitor.trl import STATE_KEY, SignalCallback


def arguments(folder, **changes):
    values = {
        "generation_batch_size": 32, "num_generations": 4, "gradient_accumulation_steps": 1,
        "steps_per_generation": 1, "num_iterations": 1, "scale_rewards": "group",
        "multi_objective_aggregation": "sum_then_normalize", "output_dir": str(folder),
    }  # fmt: skip
    return SimpleNamespace(**{**values, **changes})


def log(callback, args, rows):
    """Send rows (step, logs); the state and control afterwards."""
    state = SimpleNamespace(
        global_step=0, stateful_callbacks={}, is_world_process_zero=True, log_history=[]
    )
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    callback.on_train_begin(args, state, control)
    for step, row in rows:
        state.global_step = step
        callback.on_log(args, state, control, logs=row)
    return state, control


def dead(step, **more):
    return step, {
        "frac_reward_zero_std": 1.0,
        "reward": 0.0,
        "reward_std": 0.0,
        "loss": 0.0,
        "rewards/f/mean": more.get("reward", 0.0),
        "rewards/f/std": 0.0,
        **more,
    }


def test_stop_saves_and_writes_the_verdict(tmp_path):
    callback = SignalCallback("stop")
    state, control = log(callback, arguments(tmp_path), [dead(t) for t in range(1, 100)])
    assert control.should_save
    assert control.should_training_stop
    assert (tmp_path / "monitor.json").is_file()
    assert state.stateful_callbacks[STATE_KEY] == callback.monitor.state.as_dict()
    callback = SignalCallback("warn")
    assert not log(callback, arguments(tmp_path), [dead(t) for t in range(1, 100)])[1].should_save


def test_rows_that_are_no_evidence(tmp_path):
    callback = SignalCallback()
    rows = [(1, {"loss": 0.1, "reward": 0.5}),  # no fresh generation: the key is absent
            (2, {"eval_frac_reward_zero_std": 1.0, "eval_reward": 0.0}),
            (3, {"train_runtime": 1.0, "train_loss": 0.0})]  # fmt: skip
    log(callback, arguments(tmp_path), rows)
    assert callback.monitor.state.num_groups == 0
    assert callback.monitor.state.test_steps == 0


def test_an_outage_logs_a_share_of_zero_and_no_reward(tmp_path):
    callback = SignalCallback()
    rows = [(t, {"frac_reward_zero_std": 0.0, "reward": None}) for t in range(1, 40)]
    log(callback, arguments(tmp_path), rows)
    assert callback.monitor.verdict == "blind"
    assert callback.monitor.state.num_groups == 0


@pytest.mark.parametrize(
    ("changes", "every", "groups"),
    [
        ({}, 1, 8),
        ({}, 10, 80),  # ten steps in one row
        ({"num_iterations": 2}, 4, 16),  # two draws in four steps
        ({"steps_per_generation": 4, "gradient_accumulation_steps": 2}, 6, 24),
        ({"steps_per_generation": 8}, 4, 8),  # at least the draw that was logged
    ],
)
def test_groups_behind_a_row(tmp_path, changes, every, groups):
    callback = SignalCallback()
    row = {"frac_reward_zero_std": 0.25, "reward": 0.5}
    log(callback, arguments(tmp_path, **changes), [(every, row)])
    assert callback.monitor.state.num_groups == groups
    assert callback.monitor.state.num_informative == 0.75 * groups


@pytest.mark.parametrize(
    "changes",
    [{"scale_rewards": "batch"}, {"multi_objective_aggregation": "normalize_then_sum"}],
)
def test_a_flag_of_the_batch_never_overstates(tmp_path, changes):
    callback = SignalCallback()
    rows = [(t, {"frac_reward_zero_std": float(t % 2), "reward": 0.5}) for t in range(1, 5)]
    log(callback, arguments(tmp_path, **changes), rows)
    assert callback.monitor.state.num_informative == 16  # all groups where the flag is 0
    assert "flag of the whole batch" in callback.notes[0]
    callback = SignalCallback()  # a mean of flags over several steps is no share either
    log(callback, arguments(tmp_path, **changes), [(1, {"frac_reward_zero_std": 0.9, "reward": 0})])
    assert callback.monitor.state.num_informative == 8


def test_several_reward_functions_are_named(tmp_path):
    callback = SignalCallback("stop")
    rows = [dead(t, **{"rewards/a/mean": 0.0, "rewards/b/mean": 0.0}) for t in range(1, 100)]
    _, control = log(callback, arguments(tmp_path), rows)
    assert control.should_training_stop  # a sum without spread has no signal
    assert "several reward functions" in callback.notes[0]
    assert callback.monitor.reason == "unknown"


def test_reason_where_the_whole_batch_has_one_reward(tmp_path):
    for reward, reason in ((0.0, "all wrong"), (1.0, "all right"), (0.5, "unknown")):
        callback = SignalCallback()
        log(callback, arguments(tmp_path), [dead(t, reward=reward) for t in range(1, 30)])
        assert callback.monitor.reason == reason


def test_other_alarms_stop_only_when_asked(tmp_path):
    rows = [(t, {"loss": float("nan"), "reward": 0.5, "frac_reward_zero_std": 0.5})
            for t in range(1, 6)]  # fmt: skip
    assert not log(SignalCallback("stop"), arguments(tmp_path), rows)[1].should_training_stop
    picky = SignalCallback("stop", stop_on=("no-signal", "not-finite"))
    assert log(picky, arguments(tmp_path), rows)[1].should_training_stop


def test_bad_arguments():
    with pytest.raises(ValueError, match="action must be 'warn' or 'stop', got 'halt'"):
        SignalCallback("halt")
    with pytest.raises(ValueError, match=r"stop_on may hold .* got 'entropy'"):
        SignalCallback("stop", stop_on=("entropy",))
    with pytest.raises(ValueError, match="min_signal"):
        SignalCallback(min_signal=2)


def test_a_watched_function_that_is_not_used_does_not_blind_the_callback(tmp_path):
    callback = SignalCallback("stop")
    callback.watch(lambda completions, **_: [0.0] * len(completions))
    _, control = log(callback, arguments(tmp_path), [dead(t) for t in range(1, 100)])
    assert control.should_training_stop
    assert sum("does not call what watch(" in note for note in callback.notes) == 1


def test_rows_of_the_log_get_what_was_counted(tmp_path, capsys):
    callback = SignalCallback()
    rows = [dead(1), dead(2, frac_reward_zero_std=0.75, reward=0.5), (3, {"loss": 0.1})]
    log(callback, arguments(tmp_path), rows)
    assert rows[0][1]["grpolab/informative_share"] == 0
    assert rows[0][1]["grpolab/all_wrong"] == 1
    assert rows[1][1]["grpolab/informative_share"] == 0.25
    assert "grpolab/all_wrong" not in rows[1][1]  # the log does not tell it from all right
    assert rows[1][1]["grpolab/evidence"] > 0
    assert not [key for key in rows[2][1] if key.startswith("grpolab/")]
    assert "watching 8 groups a step; a run without any signal is called" in capsys.readouterr().err


def test_rewards_of_minus_1_and_1_are_not_all_wrong_at_a_mean_of_0(tmp_path):
    callback = SignalCallback()
    more = {"rewards/f/mean": 0.0, "rewards/f/std": 1.0}  # groups of -1 beside groups of +1
    log(callback, arguments(tmp_path), [dead(t, **more) for t in range(1, 30)])
    assert callback.monitor.reason == "unknown"


def test_a_trl_that_logs_only_the_mean_of_stds(tmp_path):
    for std, verdict in ((0.0, "no-signal"), (0.4, "healthy")):
        callback = SignalCallback()
        rows = [(t, {"reward": 0.5 if std else 0.0, "reward_std": std}) for t in range(1, 100)]
        log(callback, arguments(tmp_path), rows)
        assert callback.monitor.verdict == verdict
        assert "mean of the groups' std" in callback.notes[0]
    added = {key: value for key, value in rows[0][1].items() if key.startswith("grpolab/")}
    assert added["grpolab/informative_at_most"] == 1
    assert added["grpolab/informative_at_least"] == pytest.approx(0.4 / 3**-0.5)
    assert "grpolab/informative_share" not in added
