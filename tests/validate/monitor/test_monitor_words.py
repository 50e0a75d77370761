"""What a monitored run is said to be agrees between its sentence, its JSON and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grpolab.figures.words import percent, percent_interval, text
from grpolab.validate.monitor.follow import Followed
from grpolab.validate.monitor.monitor import SignalMonitor
from grpolab.validate.monitor.page import write_run
from grpolab.validate.monitor.state import MonitorConfig, StepView, tally, tally_range
from grpolab.validate.monitor.words import describe, floor, standing


def generated(case: int) -> SignalMonitor:
    """A run of 3, 30 or 60 steps: alive, dying, dead, solved, waking, of one group, or down."""
    rng, steps = np.random.default_rng(case), (60, 3, 30)[case % 3]
    config = MonitorConfig(patience=40) if case % 4 == 3 else MonitorConfig()
    config = MonitorConfig(min_signal=0.1, patience=40) if case == 2 else config
    config = replace(config, min_groups=2.0) if case % 5 == 4 else config
    monitor, groups = SignalMonitor(config), 1 if case == 6 else 16
    for step in range(steps):
        late = step > steps // 2
        rate = [0.4, 0.4 * (not late), 0.0, 1.0, 0.4 * late, 0.004, 0.4][case % 7]
        size = 8 if step % 2 else 16
        correct = rng.binomial(size, rate, groups)
        counts = tally(correct, 0 if case == 8 and late else size)
        monitor.observe(StepView(step, tally_range(16, low=0.3) if case == 9 else counts))
    return monitor


@pytest.fixture(scope="module", params=range(16))
def monitor(request: pytest.FixtureRequest) -> SignalMonitor:
    return generated(request.param)


def test_the_sentence_has_the_counts_and_the_interval_of_json(monitor: SignalMonitor) -> None:
    said, record = describe(monitor), monitor.as_dict()
    recent = record["recent"]
    assert said.startswith(record["verdict"].replace("-", " "))
    if record["verdict"] == "blind" or not recent["groups"]:
        return
    if recent["informative_is"] == "at most":
        assert recent["interval_of_share"] is None
        assert "at least" in said
        return
    share, ends = recent["informative"] / recent["groups"], recent["interval_of_share"]
    assert ends[0] <= share <= ends[1]
    assert ends[0] < ends[1]
    counted = f"{recent['informative']:.0f} of {recent['groups']:.0f} groups"
    assert f"{counted} ({percent(share)}, 95% interval {percent_interval(*ends)})" in said
    if cost := re.search(r"an informative group takes ([\d.,]+) rollouts", said):
        shown = float(cost.group(1).replace(",", ""))
        assert shown == pytest.approx(recent["rollouts_per_informative"], rel=0.01)


def test_evidence_beyond_its_threshold_is_a_verdict_or_says_what_it_waits_for(
    monitor: SignalMonitor,
) -> None:
    record, said = monitor.as_dict(), describe(monitor)
    passed = record["evidence"] >= record["threshold"]
    if record["verdict"] == "no-signal":
        assert passed
        assert f"Fewer than {floor(monitor)} are informative" in said
    elif record["verdict"] not in ("blind", "not-finite"):
        assert passed == (", passed; " in said)
        assert not monitor.waits or f"waits for {monitor.waits} more step" in said


def test_the_page_says_what_the_terminal_says(monitor: SignalMonitor, tmp_path: Path) -> None:
    write_run(tmp_path / "run.html", Followed("log", monitor, [], [], []), name="run")
    page = (tmp_path / "run.html").read_text()
    assert text(describe(monitor)).partition(":")[2] in page
    assert f"at least {floor(monitor)} are informative" in page
    for line in standing(monitor):
        assert text(line)[1:] in page
    assert all(name in monitor.as_dict()["alarms"] for name in monitor.state.raised)


def test_some_of_the_runs_are_of_each_kind() -> None:
    found = [generated(case) for case in range(16)]
    assert {m.verdict for m in found} >= {"healthy", "undecided", "no-signal"}
    assert any(standing(m) for m in found)
    assert any(m.waits for m in found)
