"""The best allocation of rollouts, against the best of all allocations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from grpolab.theory import allocate, gain_of_one_more, mixed_table


def best_of_all(table: np.ndarray, budget: int) -> np.ndarray:
    """The most that every budget up to ``budget`` can get."""
    best = np.zeros(budget + 1)
    for row in table:
        best = np.max(
            [
                np.concatenate([np.full(n, -np.inf), best[: budget + 1 - n] + row[n]])
                for n in range(min(len(row), budget + 1))
            ],
            axis=0,
        )
        best = np.maximum.accumulate(best)
    return best


def value(table: np.ndarray, number: np.ndarray) -> float:
    return float(table[np.arange(len(table)), number].sum())


def test_no_allocation_is_better(each: Callable[..., None]) -> None:
    each(check_allocation, ((seed,) for seed in range(300)))


def check_allocation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prompts, most = int(rng.integers(1, 7)), int(rng.integers(3, 10))
    if seed % 3 == 0:  # ties, and prompts that are never or always solved
        p = rng.choice([0.0, 0.1, 0.5, 0.5, 0.9, 1.0], (prompts, 1))
    else:  # a posterior: means over several rates
        p = rng.beta(0.4, 0.6, (prompts, 4))
    table = mixed_table(p, most).mean(axis=1)
    for budget, best in enumerate(best_of_all(table, prompts * most + 2)):
        number = allocate(table, budget)
        assert number.sum() <= budget
        assert number.max() <= most
        assert abs(value(table, number) - best) <= 1e-12


@pytest.mark.parametrize("least", [2, 3])
def test_least_for_every_prompt(least: int) -> None:
    table = mixed_table([0.5, 0.1, 0.0, 0.9], 9)
    for budget in range(4 * least, 36):
        number = allocate(table, budget, least=least)
        assert number.min() >= least
        held = np.where(np.arange(10) < least, -1e9, table)
        assert abs(value(table, number) - best_of_all(held, budget)[-1]) <= 1e-12


def test_the_gain_is_the_difference_and_never_rises() -> None:
    p = np.linspace(0, 1, 101)
    table = mixed_table(p, 40)
    gain = np.stack([gain_of_one_more(p, n) for n in range(1, 40)], axis=-1)
    np.testing.assert_allclose(np.diff(table[:, 1:], axis=1), gain, atol=1e-15)
    assert np.all(np.diff(gain, axis=1) <= 1e-16)


def test_equal_prompts_get_equal_rollouts_and_hopeless_ones_none() -> None:
    table = mixed_table([0.3, 0.3, 0.0, 1.0], 12)
    assert allocate(table, 16).tolist()[:2] == [8, 8]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"value": [0.0, 0.0], "budget": 3}, "value must have shape"),
        ({"value": mixed_table([0.5], 4), "budget": -1}, "budget must be"),
        ({"value": mixed_table([0.5], 4), "budget": 2.5}, "budget must be"),
        ({"value": mixed_table([0.5], 4), "budget": 4, "least": 1}, "least must be 0, or 2"),
        ({"value": mixed_table([0.5, 0.5], 4), "budget": 3, "least": 2}, "budget must be >= 4"),
    ],
)
def test_bad_input(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        allocate(**arguments)
