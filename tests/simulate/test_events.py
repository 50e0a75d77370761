"""Event-driven first passages: the same law as step by step, at a cost that p0 does not change."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from grpolab import theory
from grpolab.simulate import simulate_bernoulli, simulate_escape, simulate_first_passage
from grpolab.simulate._kernels_events import mixed_group


@pytest.mark.parametrize("rule", [theory.GRPO, theory.RLOO], ids=lambda r: r.name)
@pytest.mark.parametrize(("p0", "stop", "size"), [(0.05, 0.5, 8), (0.3, 0.8, 4), (0.1, 0.4, 2)])
def test_same_law_as_step_by_step(rule: theory.AdvantageRule, p0: float, stop: float, size: int,
                                  scale: float) -> None:  # fmt: skip
    number = max(50, int(4000 * scale))
    kw = {"group_size": size, "learning_rate": 0.7, "rule": rule, "num_chains": number}
    jumps = simulate_first_passage(p0, stop=stop, seed=1, **kw)  # type: ignore[arg-type]
    run = simulate_bernoulli(p0, num_steps=1500, seed=2, escape_p=stop, **kw)  # type: ignore[arg-type]
    assert np.all(run.escape_step > 0)
    assert stats.ks_2samp(jumps.step, run.escape_step).pvalue > 1e-4
    exact = theory.expected_hitting_time(
        rule, p0, stop=stop, group_size=size, learning_rate=0.7, bins=2000
    )
    error = float(jumps.step.std()) / np.sqrt(number)
    assert jumps.step.mean() == pytest.approx(exact, abs=5 * error + 2e-3 * exact)


@pytest.mark.parametrize("p0", [1e-4, 1e-9, 1e-14])
def test_hardest_prompts(p0: float, scale: float) -> None:
    number = max(50, int(20_000 * scale))
    found = simulate_first_passage(
        p0, stop=0.5, group_size=8, learning_rate=1.0, num_chains=number, seed=0
    )
    limit = float(theory.hitting_time_small_p(theory.GRPO, p0, group_size=8, learning_rate=1.0))
    error = float(found.step.std()) / np.sqrt(number)
    assert found.step.mean() == pytest.approx(limit, abs=5 * error + 30 * p0 * limit)
    assert np.all(found.step == np.floor(found.step))


@pytest.mark.usefixtures("compiled")
def test_no_slower_on_hard_prompts() -> None:
    kw = {"stop": 0.5, "group_size": 8, "learning_rate": 0.1, "num_chains": 4000, "threads": 1}

    def seconds(p0: float) -> float:
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            simulate_first_passage(p0, seed=0, **kw)  # type: ignore[arg-type]
            best = min(best, time.process_time() - start)
        return float(best)

    seconds(0.01)  # compile
    assert seconds(1e-9) < 20 * seconds(1e-2)  # updates grow like log(1/p0): 5 times as many


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("p", [1e-12, 0.02, 0.5])
def test_group_given_that_it_is_mixed(size: int, p: float) -> None:
    u = (np.arange(20_000) + 0.5) / 20_000
    seen = np.bincount([mixed_group(x, size, p / (1 - p)) for x in u], minlength=size + 1)
    law = theory.count_pmf(p, size)
    law[[0, -1]] = 0.0
    np.testing.assert_allclose(seen / 20_000, law / law.sum(), atol=2e-4)


def test_escape_of_the_hardest_prompts(scale: float) -> None:
    """`simulate_escape`, and with it the command line, jumps where steps would never end."""
    number = max(100, int(5000 * scale))
    found = simulate_escape(1e-9, group_size=8, learning_rate=0.5, num_chains=number, seed=0)
    assert abs(found.mean - found.exact) < 5 * found.stderr + 1e-3 * found.exact
    assert found.mean > 1e8
    assert found.exact > 1.05 * found.mean_field


def test_threads_and_limits(scale: float) -> None:
    number = max(600, int(9000 * scale))
    kw = {"stop": 0.5, "group_size": 8, "learning_rate": 0.5, "seed": 3}
    one = simulate_first_passage(1e-3, num_chains=number, threads=1, **kw)  # type: ignore[arg-type]
    two = simulate_first_passage(1e-3, num_chains=number, threads=2, **kw)  # type: ignore[arg-type]
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    cut = simulate_first_passage(1e-3, num_chains=number, max_steps=500, **kw)  # type: ignore[arg-type]
    assert np.array_equal(np.isinf(cut.step), one.step > 500)
    there = simulate_first_passage(0.6, num_chains=3, **kw)  # type: ignore[arg-type]
    assert there.step.tolist() == [0.0] * 3
    for rule in (theory.MAXRL, theory.SIGN):
        with pytest.raises(ValueError, match="rule must have advantages that sum to zero"):
            simulate_first_passage(0.1, num_chains=3, rule=rule, **kw)  # type: ignore[arg-type]
