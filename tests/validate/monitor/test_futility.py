"""The forecast of a run's outcome: what it needs, what it says, where it is shown."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import run_files as make

from grpolab.cli import app
from grpolab.validate.monitor import GroupTally, MonitorConfig, SignalMonitor, StepMetrics, StepView
from grpolab.validate.monitor.futility import (
    BLOCKS,
    COLUMNS,
    FROZEN,
    TRIAL,
    Chance,
    features,
    fit,
    forecast,
)
from grpolab.validate.monitor.state import MonitorState, tally_range
from grpolab.validate.monitor.trl import SignalCallback
from grpolab.validate.monitor.words import outlook

RESULTS = Path(__file__).parents[3] / "docs" / "results"
STEPS = 80


def views(rate, *, steps=STEPS, first=1, size=8, **metrics):
    """Steps of 16 groups; ``rate`` is a function of the share of the run that is over."""
    for t in range(steps):
        p = rate(t / STEPS)
        mixed = round(16 * (1 - p**size - (1 - p) ** size))
        groups = GroupTally(16, mixed, (16 - mixed) * (1 - p), 0, 16 * size, 16 * size * p)
        yield StepView(t + first, groups, StepMetrics(**metrics))


def watch(run, **config):
    monitor = SignalMonitor(MonitorConfig(**{"steps": STEPS, **config}))
    for view in run:
        monitor.observe(view)
    return monitor


def test_dead_runs_are_futile_and_rising_ones_are_not():
    dead = watch(views(lambda f: 0.0, steps=32))
    alive = watch(views(lambda f: 0.2 + 0.5 * f, steps=32))
    assert dead.outlook.futile
    assert dead.outlook.low <= dead.outlook.chance <= dead.outlook.high < alive.outlook.low
    assert alive.outlook.gain == pytest.approx(0.5 * 0.375, abs=0.05)
    assert "futile" in dead.state.raised
    assert "futile" not in alive.state.raised
    assert outlook(dead).startswith("futile: the chance that the training score ends more than")
    assert dead.as_dict()["futility"]["futile"] is True
    json.dumps(dead.as_dict())


def test_a_chance_is_said_beside_what_became_of_others_like_it_in_the_trial():
    committed = json.loads((RESULTS / "trial" / "futility.json").read_text(encoding="utf-8"))
    seen = [
        (r["from"], r["to"], r["gained"]["number"], r["gained"]["of"])
        for r in committed["reliability"]
    ]
    assert tuple(seen) == TRIAL
    alive = watch(views(lambda f: 0.2 + 0.5 * f, steps=32))
    *_, gained, runs = alive.outlook.trial
    assert f"came true in {gained} of {runs} runs (" in outlook(alive)
    assert alive.as_dict()["futility"]["trial"]["runs"] == runs
    rows = [Chance(c, c, c, 0.4, 0.0, "training").trial for c in (0.0, 0.1, 0.3, 0.89, 0.9, 1.0)]
    assert rows == [TRIAL[i] for i in (0, 1, 2, 4, 5, 5)]


def test_nothing_is_said_unasked_or_too_early():
    monitor = watch(views(lambda f: 0.0), steps=0)
    assert monitor.as_dict()["futility"] is None
    assert "not known" in outlook(monitor)
    assert "asked from 10%" in watch(views(lambda f: 0.0, steps=7)).outlook
    assert isinstance(watch(views(lambda f: 0.0, steps=8)).outlook, Chance)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (views(lambda f: 0.3, steps=40, first=30), "the start of the run was not seen"),
        ([StepView(t, tally_range(16)) for t in range(40)], "start of the run"),
        ([StepView(t, tally_range(16), StepMetrics(reward=0.5)) for t in range(40)], "not counted"),
        ([StepView(t, GroupTally(16, 8), StepMetrics(reward=-0.5)) for t in range(40)], "0 to 1"),
        ([StepView(t, GroupTally(16, 8)) for t in range(40)], "no rewards"),
    ],
)
def test_what_is_not_known_is_no_forecast(steps, why):
    assert why in watch(steps).outlook


def test_held_out_scores_go_before_rewards_of_training():
    rising = list(views(lambda f: 0.2 + 0.5 * f, steps=32))
    scores = {0: 0.3, 16: 0.31, 28: 0.29}
    tested = [v._replace(metrics=StepMetrics(held_out=scores.get(i))) for i, v in enumerate(rising)]
    found = watch(tested).outlook
    assert (found.score, found.gain) == ("held-out", pytest.approx(-0.01))
    assert watch(rising).outlook.score == "training"


def test_a_course_survives_a_restart_and_an_outage():
    steps = list(views(lambda f: 0.2 + 0.3 * f, steps=40))
    whole = watch(steps)
    half = watch(steps[:17])
    state = MonitorState.from_dict(json.loads(json.dumps(half.state.as_dict())))
    again = SignalMonitor(half.config, state=state)
    for view in steps[17:]:
        again.observe(view)
    assert again.outlook == whole.outlook
    down = [v._replace(groups=GroupTally(0, 0, 0, 16)) if 12 <= i < 30 else v
            for i, v in enumerate(steps)]  # fmt: skip
    assert not watch(down).outlook.futile


def test_steps_count_from_0_or_from_1():
    zero, one = (watch(views(lambda f: 0.4, steps=20, first=first)).outlook for first in (0, 1))
    assert zero == one


def test_the_fit_finds_what_made_the_data():
    rng = np.random.default_rng(0)
    truth = np.array([0.5, 1.0, -1.0])
    x = np.column_stack([np.ones(4000), rng.normal(size=(4000, 2))])
    y = (rng.random(4000) < 1 / (1 + np.exp(-x @ truth))).astype(float)
    names = [str(i) for i in range(4000)]
    rule = fit(x, y, [str(i % 400) for i in range(4000)], names, ridge=0.1)
    error = np.sqrt(np.diag(rule.covariance))
    assert np.abs((rule.coefficients - truth) / error).max() < 3.5
    assert error.max() < 0.06
    twice = fit(np.repeat(x, 2, axis=0), np.repeat(y, 2), np.repeat(names, 2), np.repeat(names, 2),
                ridge=0.1)  # fmt: skip
    assert twice.coefficients == pytest.approx(rule.coefficients)  # looks are not runs


def test_a_forecast_is_the_formula():
    course = [[float(b), 640.0, 64.0 * (1 + b / 10), 80.0, 20.0, 0.0, 0.0] for b in range(12)]
    assert len(course[0]) == 1 + len(COLUMNS)
    x = features(course).x
    assert x[0] == 1
    assert x[2] == pytest.approx(math.log(0.253))
    assert x[1] == pytest.approx(10 * 0.1 * (0.95 - 0.05))
    middle = float(x @ np.array(FROZEN.coefficients))
    assert forecast(course, 0.3).chance == pytest.approx(1 / (1 + math.exp(-middle)))
    assert len(FROZEN.covariance) == len(x)
    assert BLOCKS == 40


def test_the_command_says_it_and_never_stops(tmp_path):
    make.grpolab(tmp_path, dict.fromkeys(range(19), [[0] * 4] * 4))

    def call(*words):
        return CliRunner().invoke(app, ["monitor", str(tmp_path), "--once", *words])

    assert "give --steps" in str(call("--futility").exception)
    done = call("--futility", "--steps", "60", "--html", str(tmp_path / "out.html"))
    assert done.exit_code == 0
    assert "the chance that the training score ends more than 0.03 above its start" in done.stdout
    assert "chance that the training score" in (tmp_path / "out.html").read_text()
    assert (
        json.loads(call("--futility", "--steps", "60", "--json").stdout)["futility"]["chance"] < 1
    )
    assert "chance" not in call("--steps", "60").stdout


def test_the_callback_warns_and_stops_only_when_asked(tmp_path):
    args = SimpleNamespace(
        generation_batch_size=32, num_generations=4, gradient_accumulation_steps=1,
        steps_per_generation=1, num_iterations=1, scale_rewards="group", output_dir=str(tmp_path),
    )  # fmt: skip
    for stop_on, stopped in ((("no-signal",), False), (("futile",), True)):
        callback = SignalCallback("stop", stop_on=stop_on, futility=True, patience=100)
        state = SimpleNamespace(global_step=0, stateful_callbacks={}, is_world_process_zero=True,
                                log_history=[], max_steps=100)  # fmt: skip
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        callback.on_train_begin(args, state, control)
        for step in range(1, 31):
            state.global_step = step
            row = {"frac_reward_zero_std": 1.0, "reward": 0.0, "reward_std": 0.0}
            callback.on_log(args, state, control, logs=row)
        assert control.should_training_stop is stopped
        found = json.loads((tmp_path / "monitor.json").read_text())
        assert found["futility"]["futile"] is True
