"""Training reward up, held-out score down: the size of the test, its power, and the alarm."""

import numpy as np
import pytest
from scipy.stats import binomtest

from grpolab.validate.monitor import SignalMonitor, StepMetrics, StepView
from grpolab.validate.monitor.divergence import ALPHA, KEPT, has_fallen


def first_alarm(scores, rewards):
    """The evaluation at which a run is flagged, 0: never."""
    rows = list(zip(scores, rewards, strict=True))
    return next(
        (n for n in range(1, len(rows) + 1) if has_fallen(rows[max(0, n - KEPT) : n], look=n)), 0
    )


@pytest.mark.parametrize("level", ["flat", "rising", "flat, few prompts"])
def test_false_alarms_are_rare(level):
    rng = np.random.default_rng(0)
    count, runs, size = 0, 120, 60
    for _ in range(runs):
        noise = rng.binomial(20 if "few" in level else 500, 0.5, size) / 500
        trend = 0.0005 * np.arange(size) if level == "rising" else 0.0
        count += first_alarm(noise + trend, np.arange(size)) > 0
    assert binomtest(count, runs, ALPHA, alternative="greater").pvalue > 1e-3


def test_a_fall_is_found_and_only_while_training_rises():
    rng = np.random.default_rng(1)
    scores = np.concatenate([np.full(14, 0.5), np.linspace(0.5, 0.3, 28)])
    scores += rng.normal(0, 0.02, len(scores))
    up = np.linspace(0.2, 0.9, len(scores))
    assert 14 < first_alarm(scores, up) <= 35
    assert first_alarm(scores, up[::-1]) == 0
    assert first_alarm(scores[::-1], up) == 0


def test_the_alarm_and_its_end():
    monitor = SignalMonitor()
    alarms = []
    scores = [0.5, 0.51] * 7 + [0.5 - 0.02 * i for i in range(14)] + [0.6] * 7
    for step, score in enumerate(scores):
        metrics = StepMetrics(reward=0.01 * step)
        alarms += monitor.observe(StepView(2 * step, None, metrics))
        alarms += monitor.observe(StepView(2 * step + 1, None, StepMetrics(held_out=score)))
    assert [(a.name, a.over) for a in alarms] == [("held-out-fall", False), ("held-out-fall", True)]
    assert alarms[0].step == 2 * 27 + 1
