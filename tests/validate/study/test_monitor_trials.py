"""The rules that are compared, how they are judged, and the committed table."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from grpolab.validate.monitor import GroupTally, StepMetrics, StepView
from grpolab.validate.study.monitor_trials.evaluate import rule_value, summarise
from grpolab.validate.study.monitor_trials.rules import (
    RULES,
    empty_batches,
    monitor_rule,
    paper_rule,
)
from grpolab.validate.study.monitor_trials.runs import (
    GradedTask,
    Scenario,
    TrialRun,
    scenarios,
    views_of,
)
from grpolab.validate.tasks import NoVerdict, Task
from grpolab.validate.training.log import GRPORun, StepLog, StepRecord

ROOT = Path(__file__).parents[3]
NONE, SOME, DOWN = GroupTally(16, 0, 16), GroupTally(16, 4, 8), GroupTally(0, 0, 0, 16)


def views(*parts, entropy=0.4):
    groups = [group for part, times in parts for group in [part] * times]
    return [StepView(i, group, StepMetrics(entropy=entropy)) for i, group in enumerate(groups)]


def test_rules():
    dead, outage = views((SOME, 30), (NONE, 100)), views((SOME, 30), (DOWN, 40), (SOME, 30))
    assert empty_batches(10, outage_counts=True)(dead) == 40
    assert empty_batches(10, outage_counts=True)(outage) == 40
    assert empty_batches(10, outage_counts=False)(outage) is None
    assert 30 < monitor_rule("no-signal", min_signal=0.05)(dead) < 60
    assert monitor_rule("no-signal")(outage) is None
    assert monitor_rule("blind")(outage) == 50
    one = GroupTally(16, 1, 15)
    assert empty_batches(10, outage_counts=False)(views((NONE, 9), (one, 1), (NONE, 9))) is None


def test_paper_rule_stops_at_its_step():
    fall = [StepView(i, SOME, StepMetrics(entropy=0.8 if i < 100 else 0.3)) for i in range(200)]
    assert paper_rule(fall) == 151
    assert paper_rule(fall[:140]) is None
    assert paper_rule(views((SOME, 200))) is None


def test_values_of_a_rule():
    value = rule_value([50, None, 100, None], [True, True, False, False], steps=200)
    assert value == {"doomed": 2, "caught": 1, "median_step": 50, "good": 2, "false_stops": 1,
                     "saved": 0.375, "lost": 0.25}  # fmt: skip
    assert rule_value([None], [False], steps=10)["saved"] is None


def test_doomed_is_read_off_the_outcome():
    kind = Scenario("plain", 8)
    assert TrialRun(kind, 0, gain=0.02, gain_low=-0.01).doomed
    assert not TrialRun(kind, 0, gain=0.02, gain_low=0.01).doomed


def test_the_grader_of_a_scenario():
    class Toy(Task):
        name = "toy"

        def prompts(self, split):
            return ()

        def verify(self, prompt, completion):
            return completion == "yes"

    kind = Scenario("x", 8, grader="accepts", outage=(3, 5))
    task = GradedTask(Toy(), kind)
    assert (task.name, task.verify(None, "no")) == ("toy", True)
    for step in (3, 4):
        task.step = step
        with pytest.raises(NoVerdict):
            task.verify(None, "yes")
    task = GradedTask(Toy(), Scenario("x", 8))
    assert (task.verify(None, "yes"), task.verify(None, "no")) == (True, False)
    assert not GradedTask(Toy(), Scenario("x", 8, grader="rejects")).verify(None, "yes")


def test_views_of_our_own_loop():
    log = StepLog(3, 0.5, 0.5, 0.3, 1.0, 0.0, 0.0, 0.0, 0.0, 0.1, 2)
    record = StepRecord(log, np.array([0, 2, 1]), np.array([4, 4, 1]), np.arange(3))
    (view,) = views_of(GRPORun([record]))
    assert view == StepView(3, GroupTally(2, 1, 1, 1, 8, 2), StepMetrics(0.3, 0.1, 0.0, 1.0))


def test_summary():
    names = {kind.name for kind in scenarios(steps=100)}
    runs = [
        TrialRun(Scenario(name, 8), 0, views((SOME, 30), (NONE, 120)), 0.3, -0.1, -0.2)
        for name in sorted(names)
    ]
    found = json.loads(json.dumps(summarise(runs, steps=150)))
    assert found["rules"]["monitor"]["caught"] == len(names)
    stops = found["runs"][0]["stops"]["monitor"]
    assert found["examples"]["plain"]["stop"] == stops - 1  # steps count from 0 here
    assert found["runs"][0]["frac_informative"] == [0.15, 0.0, 0.0]


@pytest.fixture(scope="module")
def committed():
    return json.loads((ROOT / "docs" / "results" / "monitor.json").read_text())


def test_committed_rules_follow_from_the_committed_runs(committed):
    doomed = [run["doomed"] for run in committed["runs"]]
    assert doomed == [run["gain_low"] <= 0 for run in committed["runs"]]
    steps = committed["setting"]["steps"]
    assert set(committed["rules"]) == set(RULES)
    for name, value in committed["rules"].items():
        stops = [run["stops"][name] for run in committed["runs"]]
        assert rule_value(stops, doomed, steps=steps) == value


def rows_of(text, start):
    """Cells of the markdown table that begins with a header cell."""
    table = text[text.index(f"| {start}") :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table]
    return {row[0]: row[1:] for row in cells}


def test_the_table_in_the_docs_is_the_committed_one(committed):
    text = (ROOT / "docs" / "monitor.md").read_text()
    rows = rows_of(text, "rule |")
    assert len(rows) >= 6
    for name, cells in rows.items():
        value = committed["rules"][name]
        step = "-" if value["median_step"] is None else f"{value['median_step']:.0f}"
        assert cells == [
            f"{value['caught']} of {value['doomed']}", step, f"{100 * value['saved']:.0f}%",
            f"{value['false_stops']} of {value['good']}",
        ]  # fmt: skip


def test_the_runs_in_the_docs_are_the_committed_ones(committed):
    text = (ROOT / "docs" / "monitor.md").read_text()
    rows = rows_of(text, "kind of run |")
    assert set(rows) == {run["name"] for run in committed["runs"]}
    for name, cells in rows.items():
        runs = [run for run in committed["runs"] if run["name"] == name]
        assert cells[:2] == [str(len(runs)), str(sum(run["doomed"] for run in runs))]
        rules = ("monitor", "entropy rule of the paper", "10 batches, outage counts")
        assert cells[2:] == [str(sum(run["stops"][r] is not None for run in runs)) for r in rules]


def test_numbers_in_the_docs_carry_their_sources(committed):
    text = (ROOT / "docs" / "monitor.md").read_text()
    setting = committed["setting"]
    assert f"{len(committed['runs'])} runs of {setting['steps']} steps" in text
    minutes = round(setting["cpu_seconds"] / 60)
    assert re.search(rf"{minutes} CPU\s+minutes", text)
