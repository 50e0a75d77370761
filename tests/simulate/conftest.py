"""Sizes: the same tests run with compiled kernels and, much smaller, as plain Python."""

from __future__ import annotations

import pytest
from numba import config


@pytest.fixture(scope="session")
def scale() -> float:
    """Factor for sample sizes: 1 compiled, a little when NUMBA_DISABLE_JIT is set."""
    return 0.005 if config.DISABLE_JIT else 1.0


@pytest.fixture(scope="session")
def compiled(scale: float) -> None:
    """Skip what takes too many steps for plain Python, or what the compiler cannot change."""
    if scale < 1:
        pytest.skip("for compiled kernels only")
