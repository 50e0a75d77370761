"""The rules for the outcome of RL in a triage: scores, ties, and how often equals get a winner."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grpolab.theory import GroupCounts
from grpolab.validate.forecast.outcome import forecast_outcome
from grpolab.validate.triage.outcome import outcome_rules


def drawn(rng, chance, n=16):
    return GroupCounts(rng.binomial(n, chance), n)


def test_scores_are_those_of_the_rules():
    rng = np.random.default_rng(0)
    counts = {name: drawn(rng, rng.beta(0.5, 0.5, 50)) for name in "ab"}
    found = {rule.name: rule for rule in outcome_rules(counts, steps=250)}
    many = ["transport pass@10", "pass@8 for pass@10"]
    assert list(found) == ["pass@1", "pass@2", "pass@2.000 (250 steps)", *many]
    rules = ((many[0], "transport", 10), (many[1], "pass@8", 10))
    for name, rule, k in (("pass@2", "pass@2", 1), *rules):
        wanted = tuple(forecast_outcome(c, steps=250, rule=rule, k=k) for c in counts.values())
        assert found[name].scores == wanted
    assert found["pass@2"].scores[0].value == found["pass@2.000 (250 steps)"].scores[0].value


def test_two_rules_can_have_two_leaders():
    sure = GroupCounts([16] * 40 + [0] * 60, 16)  # higher mean
    open_ = GroupCounts([5] * 100, 16)  # more to find in two tries
    found = {r.name: r.verdict for r in outcome_rules({"s": sure, "o": open_}, steps=100)}
    assert found["pass@2"] == "o"
    assert found["pass@1"] == "cannot tell"


def test_rules_that_need_more_samples_are_left_out():
    names = [r.name for r in outcome_rules({"a": GroupCounts([1, 0, 2], 2)}, steps=450)]
    assert names == ["pass@1", "pass@2", "transport pass@10"]
    with pytest.raises(ValueError, match="steps"):
        outcome_rules({"a": GroupCounts([1, 0], 4)}, steps=0)


@pytest.mark.parametrize("equal", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_equal_checkpoints_seldom_have_a_winner(equal):
    rng, winners = np.random.default_rng(equal), 0
    for _ in range(40):
        p = rng.beta(0.5, 0.5, 60)
        counts = {str(i): drawn(rng, p) for i in range(equal)}
        winners += any(not rule.tied for rule in outcome_rules(counts, steps=100)[:1])
    assert stats.binomtest(winners, 40, 0.05, alternative="greater").pvalue > 1e-3
