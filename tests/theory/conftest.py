"""Exact oracles for theory: enumeration of all outcomes in fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("grpolab", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("grpolab")


class Exact:
    """Expectations over groups of iid Bernoulli rewards, by two independent enumerations."""

    @staticmethod
    def over_outcomes(
        value: Callable[[tuple[int, ...]], Fraction | float], p: Fraction, size: int
    ) -> Fraction | float:
        """E[value(R_1..R_g)] over all 2^g reward vectors."""
        total: Fraction | float = Fraction(0)
        for rewards in itertools.product((0, 1), repeat=size):
            chance = Fraction(1)
            for r in rewards:
                chance *= p if r else 1 - p
            total += chance * value(rewards)
        return total

    @staticmethod
    def over_counts(
        value: Callable[[int], Fraction | float], p: Fraction, size: int
    ) -> Fraction | float:
        """E[value(K)] over all K = 0..g."""
        return sum(
            math.comb(size, k) * p**k * (1 - p) ** (size - k) * value(k) for k in range(size + 1)
        )

    @staticmethod
    def variance(rewards: Sequence[int], ddof: int = 0) -> Fraction:
        """Sample variance of a reward vector, from its definition."""
        mean = Fraction(sum(rewards), len(rewards))
        return sum(((r - mean) ** 2 for r in rewards), Fraction(0)) / (len(rewards) - ddof)


@pytest.fixture(scope="session")
def exact() -> type[Exact]:
    return Exact


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)
