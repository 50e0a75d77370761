"""The state machine: what counts, what does not, what is said."""

import json
import math

import pytest

from grpolab.validate.monitor import (
    GroupTally,
    MonitorConfig,
    MonitorState,
    SignalMonitor,
    StepMetrics,
    StepView,
    tally,
)
from grpolab.validate.monitor.monitor import Alarm
from grpolab.validate.monitor.words import describe, explain, paper_rule

NONE, ALL, SOME = GroupTally(16, 0, 16), GroupTally(16, 0, 0), GroupTally(16, 8, 4)
DOWN = GroupTally(0, 0, 0, 16)


def feed(monitor, groups, *, start=1, **metrics):
    """The alarms that were raised or ended, but for the early warning of the same evidence."""
    return [a for a in feed_all(monitor, groups, start=start, **metrics) if a.name != "low-signal"]


def feed_all(monitor, groups, *, start=1, **metrics):
    alarms = []
    for step, part in enumerate(groups, start):
        alarms += monitor.observe(StepView(step, part, StepMetrics(**metrics)))
    return alarms


def test_verdicts_and_reasons():
    for groups, reason in ((NONE, "all wrong"), (ALL, "all right"), (GroupTally(16, 0, 8), "both"),
                           (GroupTally(16, 0), "unknown")):  # fmt: skip
        monitor = SignalMonitor()
        alarms = feed(monitor, [groups] * 40)
        assert (monitor.verdict, monitor.reason) == ("no-signal", reason)
        assert [a.name for a in alarms] == ["no-signal"]
        assert alarms[0].step == monitor.state.first_rejection == 38
    assert SignalMonitor().verdict == "undecided"
    healthy = SignalMonitor()
    assert feed(healthy, [SOME] * 5) == []
    assert (healthy.verdict, healthy.evidence < 1) == ("healthy", True)


def test_patience_counts_from_the_first_groups():
    monitor = SignalMonitor(MonitorConfig(patience=60))
    assert feed(monitor, [DOWN] * 10 + [NONE] * 59) == []
    assert monitor.evidence > 100
    assert feed(monitor, [NONE], start=70) == [Alarm("no-signal", 70)]


@pytest.mark.parametrize("size", [256, 2048, 100_000])
def test_one_dead_step_never_stops_a_healthy_run(size):
    """The evidence of a single step of many groups is overwhelming, and says nothing of the run."""
    dead, alive = GroupTally(size, 0, size), GroupTally(size, size / 4, size / 2)
    monitor = SignalMonitor()
    feed(monitor, [alive] * 50)
    assert feed(monitor, [dead], start=51) == [Alarm("reward-jump", 51)]
    assert monitor.evidence > 100 or size < 1000
    feed(monitor, [alive] * 50, start=52)
    lost = feed(monitor, [dead] * 20, start=102)
    assert [a for a in lost if a.name == "no-signal"] == [Alarm("no-signal", 121)]


def test_easy_and_informative_blocks_raise_no_alarm():
    monitor = SignalMonitor()
    blocks = ([GroupTally(64, 0, 0)] * 10 + [GroupTally(64, 16, 24)] * 10) * 50
    assert [a for a in feed(monitor, blocks) if a.name == "no-signal"] == []


def test_the_limit_can_be_groups_per_step():
    """Half a percent of 2048 groups are ten informative groups a step: enough where 4 are."""
    few = GroupTally(2048, 8, 2000)
    by_share = SignalMonitor()
    assert [a.name for a in feed(by_share, [few] * 40)] == ["no-signal"]
    assert "8 a step" in describe(by_share)
    by_number = SignalMonitor(MonitorConfig(min_groups=4))
    assert feed(by_number, [few] * 40) == []
    one = SignalMonitor(MonitorConfig(min_groups=4))
    assert [a.name for a in feed(one, [GroupTally(2048, 1, 2047)] * 40)] == ["no-signal"]
    assert "Fewer than 4 groups a step are informative" in describe(one)
    small = SignalMonitor(MonitorConfig(min_groups=4))  # more than there are
    assert feed(small, [GroupTally(2, 2, 0)] * 40) == []


@pytest.mark.parametrize("right", [False, True])
def test_a_verdict_that_vanishes_overnight_is_the_graders(right):
    usual = GroupTally(32, 16, 8, 0, 256, 128)
    after = GroupTally(32, 0, 0 if right else 32, 0, 256, 256 if right else 0)
    monitor = SignalMonitor()
    alarms = feed(monitor, [usual] * 8 + [after] * 2)
    assert alarms == [Alarm("reward-jump", 9)]
    said = explain(alarms[0], monitor)
    assert f"from step 9 on every rollout is {'right' if right else 'wrong'}" in said
    assert "grader first" in said
    assert feed(monitor, [usual], start=11) == [Alarm("reward-jump", 11, over=True)]


def test_what_is_no_jump():
    for runs in (
        [NONE] * 30,  # never otherwise
        [GroupTally(1, 1, 0)] * 8 + [GroupTally(1, 0, 1)],  # five of five groups prove little
        [GroupTally(4, 2, 1)] * 8 + [GroupTally(4, 0, 4)] * 2,  # by chance: .25 ** 8
        [GroupTally(64, 64 - 4 * i, 4 * i) for i in range(17)] + [GroupTally(64, 0, 64)] * 5,
        [GroupTally(64, 20)] * 8 + [GroupTally(64, 0)] * 5,  # all wrong and all right not told
    ):
        assert [a for a in feed(SignalMonitor(), runs) if a.name == "reward-jump"] == []


def test_words_follow_the_share():
    monitor = SignalMonitor()
    feed(monitor, [GroupTally(64, 4, 58, 0, 512, 5)] * 20)
    assert monitor.verdict == "weak"
    said = describe(monitor)
    assert said.startswith(
        "weak: 40 of 640 groups (6%, 95% interval 5% to 8%) held different rewards"
    )
    assert "91% were all wrong, 3% all right; an informative group takes 128 rollouts" in said
    assert monitor.as_dict()["recent"]["pass_rate"] == pytest.approx(5 / 512)


def test_the_verdict_says_that_nothing_is_learned():
    monitor = SignalMonitor()
    feed(monitor, [SOME] * 5, grad_norm=math.nan)
    assert monitor.verdict == "not-finite"
    assert "nothing is learned" in describe(monitor)


def test_an_outage_waits_and_is_reported():
    monitor = SignalMonitor(MonitorConfig(blind_after=5))
    feed(monitor, [SOME] * 10)
    before = monitor.evidence
    alarms = feed(monitor, [DOWN] * 30, start=11)
    assert alarms == [Alarm("blind", 15)]
    assert (monitor.evidence, monitor.verdict) == (before, "blind")
    assert monitor.state.num_unseen == 30 * 16
    assert feed(monitor, [SOME], start=41) == [Alarm("blind", 41, over=True)]
    assert monitor.verdict == "healthy"


def test_groups_with_one_verdict_do_not_count():
    counted = tally([0, 1, 0, 1, 2], [0, 1, 1, 2, 2])
    assert counted == GroupTally(2, 1, 0, 3, 4, 3)


def test_repeated_steps_and_rows_without_groups_are_no_evidence():
    monitor = SignalMonitor()
    feed(monitor, [NONE] * 10)
    state = json.dumps(monitor.state.as_dict())
    feed(monitor, [NONE] * 10)  # the same steps again
    for step in (10, 11):
        monitor.observe(StepView(step))  # a row of an evaluation
    assert json.dumps(monitor.state.as_dict()) == state


@pytest.mark.parametrize("cut", [3, 12, 50])
def test_state_survives_a_restart(cut):
    groups = [SOME] * 10 + [NONE] * 80
    whole = SignalMonitor()
    alarms = feed(whole, groups, entropy=0.3, frac_truncated=0.5)
    first = SignalMonitor()
    before = feed(first, groups[:cut], entropy=0.3, frac_truncated=0.5)
    saved = json.loads(json.dumps({**first.state.as_dict(), "from a later version": 1}))
    second = SignalMonitor(state=MonitorState.from_dict(saved))
    after = feed(second, groups[cut:], start=cut + 1, entropy=0.3, frac_truncated=0.5)
    assert before + after == alarms
    assert second.as_dict() == whole.as_dict()


def test_signal_that_comes_back_ends_the_alarm():
    monitor = SignalMonitor()
    feed(monitor, [NONE] * 500)
    alarms = feed(monitor, [SOME] * 10, start=501)
    assert [(a.name, a.over) for a in alarms] == [("no-signal", True)]
    assert monitor.as_dict()["first_rejection"] == 38


def entropy_run(values):
    monitor = SignalMonitor()
    alarms = []
    for step, value in enumerate(values, 1):
        alarms += monitor.observe(StepView(step, SOME, StepMetrics(entropy=value)))
    return monitor, alarms


def test_entropy_collapse_and_explosion():
    _, alarms = entropy_run([0.4] * 10 + [0.03] * 10)
    assert alarms == [Alarm("entropy-collapse", 20)]
    _, alarms = entropy_run([0.4] * 10 + [1.5] * 10)
    assert alarms == [Alarm("entropy-explosion", 20)]
    for quiet in ([0.4] * 10 + [0.11] * 30,  # sharper, not collapsed
                  [0.02] * 40,  # low from the start
                  [1.0] * 10 + [0.2] * 30,  # far below the start, yet not low
                  [2.0] * 10 + [2.5] * 30,  # high from the start
                  [0.1] * 10 + [0.4] * 30):  # fourfold, but small  # fmt: skip
        assert entropy_run(quiet)[1] == []


def test_entropy_alarm_does_not_flicker():
    _, alarms = entropy_run([0.4] * 10 + [0.045] * 10 + [0.055] * 10 + [0.045] * 10)
    assert alarms == [Alarm("entropy-collapse", 20)]
    _, alarms = entropy_run([0.4] * 10 + [0.045] * 10 + [0.2] * 10)
    assert [a.over for a in alarms] == [False, True]


def test_truncation_and_numbers_that_are_not_finite():
    monitor = SignalMonitor()
    assert feed(monitor, [SOME] * 12, frac_truncated=0.4) == [Alarm("truncation", 10)]
    monitor = SignalMonitor()
    assert feed(monitor, [SOME] * 2, loss=0.0, grad_norm=math.nan) == []
    assert feed(monitor, [SOME], start=3, grad_norm=math.inf) == [Alarm("not-finite", 3)]
    assert feed(monitor, [SOME], start=4) == []  # nothing logged: nothing known
    assert feed(monitor, [SOME], start=5, grad_norm=1.0)[0].over


def test_paper_rule():
    monitor, _ = entropy_run([0.9] * 9 + [0.4] + [0.3] * 139 + [0.1, 0.05])
    assert monitor.paper_drop == pytest.approx(0.75)
    assert "relative drop +0.75" in paper_rule(monitor)
    assert monitor.as_dict()["paper_rule"]["flags"] is True
    monitor, _ = entropy_run([0.4] * 149)
    assert math.isnan(monitor.paper_drop)
    assert "needs the entropy" in paper_rule(monitor)
    late = SignalMonitor()
    feed(late, [SOME] * 20, start=200, entropy=0.1)
    assert math.isnan(late.paper_drop)


def test_a_run_that_will_be_called_is_warned_of():
    monitor = SignalMonitor()
    alarms = feed_all(monitor, [NONE] * 40)
    assert [a.name for a in alarms] == ["low-signal", "no-signal"]
    early, late = alarms
    assert early.step < 0.7 * late.step
    warned = SignalMonitor()
    (alarm,) = feed_all(warned, [NONE] * early.step)
    assert "if it goes on, the verdict will be no signal" in explain(alarm, warned)
    assert warned.verdict == "undecided"
    assert feed_all(SignalMonitor(), [SOME] * 60) == []
    assert feed_all(SignalMonitor(), [GroupTally(5000, 0, 5000)] * 4) == []  # too early to speak


def test_words():
    monitor = SignalMonitor()
    assert describe(monitor) == "undecided: no group with verdicts was seen yet"
    alarms = feed(monitor, [NONE] * 38)
    said = explain(alarms[0], monitor)
    assert said.startswith("step 38: no signal: 0 of 160 groups (0%, 95% interval 0% to 2%)")
    assert "all wrong" in said
    assert "wrong for at most 0.01 of the runs" in said
    monitor = SignalMonitor()
    (alarm,) = feed(monitor, [DOWN] * 20)
    assert "is the grader down? The test waits" in explain(alarm, monitor)
    for values, words in (([0.4] * 10 + [0.03] * 10, "entropy collapse: 0.03 nats"),
                          ([0.4] * 10 + [1.5] * 10, "entropy explosion: 1.5 nats")):  # fmt: skip
        monitor, (alarm,) = entropy_run(values)
        assert words in explain(alarm, monitor)
        assert "is over" in explain(alarm._replace(over=True), monitor)


@pytest.mark.parametrize(
    "options",
    [{"min_signal": 0}, {"alpha": 1.5}, {"patience": 0}, {"explosion_ratio": 1.0}, {"window": 0}],
)
def test_bad_options(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"{name} must .*got {value}"):
        MonitorConfig(**options)
