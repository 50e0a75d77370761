"""Runs in phases: schedules, curricula and budgets."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.simulate import Options, Phase, simulate_bernoulli, simulate_phases
from grpolab.theory import prob_zero_std

STARTS = [0.02, 0.3, 0.9]


def phase(steps: int = 20, size: int = 4, rate: float = 0.2, **more) -> Phase:
    return Phase(num_steps=steps, group_size=size, learning_rate=rate, **more)


def test_phases_without_a_change_are_one_run_in_law(scale: float) -> None:
    number = max(200, int(20_000 * scale))
    run = simulate_phases(0.2, [phase(), phase()], seed=0, num_chains=number)
    whole = simulate_bernoulli(
        0.2, group_size=4, learning_rate=0.2, num_steps=40, seed=1, num_chains=number
    )
    assert run.step.tolist() == [0, 20, 40]
    np.testing.assert_allclose(run.mean_p, whole.mean_p[[0, 20, 40]], atol=0.7 / number**0.5)
    assert run.frac_zero_std[0] == pytest.approx(
        whole.frac_zero_std[:20].mean(), abs=1.4 / number**0.5
    )


def test_prompts_that_rest_stay_and_cost_nothing() -> None:
    middle = phase(trains=lambda p: (p > 0.1) & (p < 0.8))
    run = simulate_phases(STARTS, [middle], seed=0)
    assert run.p[[0, 2]] == pytest.approx([0.02, 0.9])
    assert run.p[1] > 0.3
    assert run.rollouts[-1] == pytest.approx(20 * 4 / 3)
    none = simulate_phases(STARTS, [phase(trains=lambda p: p > 2)], seed=0)
    assert none.rollouts[-1] == 0
    assert np.isnan(none.frac_zero_std[0])


def test_a_budget_ends_the_run_in_the_middle_of_a_phase() -> None:
    run = simulate_phases(
        STARTS, [phase(10, 4), phase(10, 16), phase(10, 4)], seed=0, rollouts_per_prompt=100
    )
    assert run.rollouts.tolist() == [0, 40, 88, 100]
    assert run.step.tolist() == [0, 10, 13, 16]


def test_still_prompts_show_the_formula_and_options_go_through(scale: float) -> None:
    number = max(400, int(20_000 * scale))
    run = simulate_phases(
        [0.2] * number, [phase(5, 8, 0.0, options=Options(optimiser="adam", max_tries=2))], seed=0
    )
    d = float(prob_zero_std(0.2, 8))
    assert run.frac_zero_std[0] == pytest.approx(d * (1 + d) / (1 + d), abs=1.4 / number**0.5)
    assert run.rollouts[-1] == pytest.approx(40 * (1 + d), rel=1.4 / number**0.5)


def test_replayed_groups_cost_nothing_and_leave_shares_numbers() -> None:
    run = simulate_phases([0.5], [phase(60, 4, 0.0, options=Options(replay=0.9))], seed=0)
    assert 4 <= run.rollouts[-1] < 60 * 4 / 2
    assert 0 <= run.frac_zero_std[0] <= 1


@pytest.mark.parametrize(
    ("phases", "more", "words"),
    [
        ([], {}, "phases must be"),
        (3, {}, "phases must be"),
        ([1, 2], {}, "phases must be"),
        ([phase()], {"num_chains": 0.5}, "num_chains must"),
        ([phase()], {"num_chains": [1, 2, 3]}, "num_chains must"),
        ([phase()], {"rollouts_per_prompt": -1}, "rollouts_per_prompt must"),
        ([phase(trains=lambda p: p)], {}, "trains must be 3 booleans"),
        ([phase(size=0)], {}, "group_size must"),
    ],
)
def test_bad_input(phases, more, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        simulate_phases(STARTS, phases, seed=0, **more)
