"""The sequential test: exactly valid, never alarmed too often, quick when signal is gone."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from grpolab.validate.monitor import GroupTally, MonitorConfig, SignalMonitor, SignalTest, StepView
from grpolab.validate.monitor.sequential import BETS, CAP, start_weight, step_factor

S, ALPHA = 0.05, 0.05


def exact_evidence(history, *, groups, floor):
    """E_t in fractions, from its definition: one term per start and bet, no recursion."""
    spent = [Fraction(start_weight(j)) for j in range(1, len(history) + 1)]
    total = Fraction(0)
    for bet in BETS:
        q = Fraction(bet) * floor
        for j, weight in enumerate(spent):
            factors = [
                (q / floor) ** k * ((1 - q) / (1 - floor)) ** (groups - k) for k in history[j:]
            ]
            total += weight * math.prod(factors, start=Fraction(1)) / len(BETS)
    return total + 1 - sum(spent)


def mean_next(history, *, p, groups, floor):
    return sum(
        math.comb(groups, k) * p**k * (1 - p) ** (groups - k)
        * exact_evidence((*history, k), groups=groups, floor=floor)
        for k in range(groups + 1)
    )  # fmt: skip


@pytest.mark.parametrize("p", [Fraction(1, 5), Fraction(1, 3), Fraction(1)])
def test_supermartingale_exactly(p):
    groups, floor = 2, Fraction(1, 5)
    for length in range(4):
        for history in itertools.product(range(groups + 1), repeat=length):
            now = exact_evidence(history, groups=groups, floor=floor)
            later = mean_next(history, p=p, groups=groups, floor=floor)
            assert later == now if p == floor else later < now


def test_not_a_supermartingale_below_the_floor():
    floor = Fraction(1, 5)
    assert mean_next((), p=Fraction(1, 10), groups=2, floor=floor) > exact_evidence(
        (), groups=2, floor=floor
    )


@pytest.mark.parametrize("floor", [0.01, 0.2, 0.5])
def test_recursion_is_the_definition(floor):
    rng = np.random.default_rng(0)
    history = rng.binomial(3, floor, size=12).tolist()
    test = SignalTest(min_signal=floor)
    seen = [test.observe(k, 3) for k in history]
    for t in (1, 5, 12):
        exact = exact_evidence(tuple(history[:t]), groups=3, floor=Fraction(floor))
        assert seen[t - 1] == pytest.approx(float(exact), rel=1e-12)


def test_sampling_without_replacement_is_covered():
    # 3 of 10 prompts give informative groups; 4 prompts are drawn: the mean factor is below 1
    mean = sum(
        math.comb(3, k) * math.comb(7, 4 - k) / math.comb(10, 4)
        * step_factor(k, 4, bet=0.1, min_signal=0.3)
        for k in range(4)
    )  # fmt: skip
    assert mean < 1 - 1e-3


def test_fewer_groups_at_the_same_share_stay_valid():
    # a log that shows the share but hides that it is of 10 groups
    mean = sum(
        binom.pmf(k, 10, S) * step_factor(k / 10, 1, bet=0.5 * S, min_signal=S) for k in range(11)
    )
    assert mean < 1


def runs(chance, *, groups, steps, runs, seed=0):
    """Steps at which simulated runs are stopped (0: never); chance(t, past share) of each group."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(runs):
        test, share, stop = SignalTest(min_signal=S, alpha=ALPHA), 0.0, 0
        for t in range(1, steps + 1):
            k = rng.binomial(groups, chance(t, share, test.evidence))
            share = k / groups
            test.observe(k, groups)
            if test.rejects:
                stop = t
                break
        out.append(stop)
    return np.array(out)


def too_many(stops, level):
    return binomtest(int((stops > 0).sum()), len(stops), level, alternative="greater").pvalue < 1e-3


HEALTHY = {
    "at the floor": lambda t, share, e: S,
    "above": lambda t, share, e: 2 * S,
    "sinking to the floor": lambda t, share, e: max(S, 0.5 - 0.01 * t),
    "up and down": lambda t, share, e: S if t % 40 < 30 else 0.9,
    "against the evidence": lambda t, share, e: S if e > 0.5 else 0.3,
    "after the past": lambda t, share, e: S if share == 0 else 0.5,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_false_stops_are_rare(name):
    stops = runs(HEALTHY[name], groups=8, steps=300, runs=200)
    assert not too_many(stops, ALPHA)
    if name == "above":
        assert not stops.any()


def naive_stop(rng, *, groups, steps):
    """A binomial test of all groups so far, looked at after every step."""
    seen = np.cumsum(rng.binomial(groups, S, size=steps))
    sizes = groups * np.arange(1, steps + 1)
    return bool((binom.cdf(seen, sizes, S) < ALPHA).any())


def test_a_repeated_binomial_test_stops_too_often():
    rng = np.random.default_rng(1)
    stops = np.array([naive_stop(rng, groups=8, steps=300) for _ in range(400)])
    assert too_many(stops, ALPHA)
    assert stops.mean() > 3 * ALPHA


@pytest.mark.parametrize(
    ("chance", "healthy_for", "at_most"),
    [(0.0, 0, 13), (0.0, 200, 30), (S / 10, 0, 25), (S / 4, 0, 45), (S / 2, 0, 110)],
)
def test_delay(chance, healthy_for, at_most):
    stops = runs(
        lambda t, share, e: 0.4 if t <= healthy_for else chance,
        groups=8, steps=healthy_for + 400, runs=30,
    )  # fmt: skip
    assert (stops > healthy_for).all()
    assert np.median(stops - healthy_for) <= at_most


@pytest.mark.parametrize(
    ("groups", "healthy_for", "steps"),
    [(16, 0, 38), (16, 500, 86), (64, 0, 10), (64, 500, 24), (256, 0, 3)],
)
def test_delays_that_the_documentation_states(groups, healthy_for, steps):
    test = SignalTest()
    for _ in range(healthy_for):
        test.observe(0.4 * groups, groups)
    count = 0
    while not test.rejects:
        test.observe(0, groups)
        count += 1
    assert count == steps


def test_wealth_is_capped_so_that_signal_is_noticed_again():
    test = SignalTest(min_signal=0.5)
    for _ in range(5000):
        test.observe(0, 100)
    assert test.rejects
    assert test.wealth == [CAP] * len(BETS)
    steps = 0
    while test.rejects:
        test.observe(20, 20)
        steps += 1
    assert steps <= 2


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"min_signal must lie in \(0, 1\), got 0"):
        SignalTest(min_signal=0)
    with pytest.raises(ValueError, match=r"alpha must lie in \(0, 1\), got 1"):
        SignalTest(alpha=1)
    for k, n in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"got {k} of {n}"):
            SignalTest().observe(k, n)


@pytest.mark.parametrize("groups", [4, 64, 1024])
def test_the_pooled_condition_can_only_lower_false_stops(groups):
    """At the floor: each run that the monitor stops is one that the test alone would stop."""
    rng = np.random.default_rng(groups)
    stops = np.zeros(2)
    for _ in range(100):
        monitor = SignalMonitor(MonitorConfig(min_signal=S, alpha=ALPHA))
        test, alone, both = SignalTest(min_signal=S, alpha=ALPHA), False, False
        for step, k in enumerate(rng.binomial(groups, S, size=150), start=1):
            test.observe(k, groups)
            monitor.observe(StepView(step, GroupTally(groups, k)))
            alone |= test.rejects
            both |= monitor.verdict == "no-signal"
            assert alone or not both
        stops += alone, both
    assert stops[1] <= stops[0]
    assert binomtest(int(stops[1]), 100, ALPHA, alternative="greater").pvalue > 1e-3
