"""The registered checks of theory against simulation, in two sizes; the full one calibrates, too.

Each check simulates its mechanism and compares the result with the formula and with a plausible
wrong formula. It passes only if the first is kept and the second rejected. Counts are tested by the
exact binomial test, means by z-tests whose standard error follows from theory; the level holds for
the whole family (Bonferroni), and seeds are fixed, so an outcome never changes by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grpolab.validate.verify import (
    calibration_best,
    calibration_cover,
    calibration_sampler,
    checks_budget,
    checks_dynamics,
    checks_groups,
    checks_laws,
    checks_loop,
    checks_policies,
    grid,
    grid_icc,
    grid_short,
)
from grpolab.validate.verify.calibration import CALIBRATION
from grpolab.validate.verify.registry import REGISTRY, CheckOutcome, Entry, Size

__all__ = ["FULL", "SMALL", "CheckOutcome", "entries", "run_suite"]
_MODULES = (
    checks_groups, checks_dynamics, checks_policies, checks_budget, checks_laws,
    checks_loop, calibration_sampler, calibration_best, calibration_cover, grid, grid_icc,
    grid_short,
)  # fmt: skip
"""Importing them fills the registries."""

SMALL = Size(groups=40_000, chains=4_096, seed=20260101)
FULL = Size(groups=20_000_000, chains=1 << 20, seed=20260102)
LEVEL = 1e-3
_ALL = REGISTRY | CALIBRATION


def entries(names: Sequence[str] = (), *, full: bool = True) -> list[Entry]:
    """The registered checks, all or by name; ValueError for an unknown name.

    The calibration of estimators and tests, which takes minutes, is left out unless ``full`` or
    asked for by name.

    >>> [entry.claim for entry in entries(["all-wrong"])]
    ['P(K = 0) = (1-p)^g']
    """
    return (_ALL if names or full else REGISTRY).entries(names)


def run_suite(
    names: Sequence[str] = (),
    *,
    size: Size = SMALL,
    level: float = LEVEL,
    full: bool | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[CheckOutcome]:
    """Run the checks; ``level`` is the chance that any right formula is rejected.

    ``full`` includes the calibration; by default at the size FULL.

    >>> outcome = run_suite(["zero-std"])[0]
    >>> outcome.passed, len(outcome.checks), len(outcome.failed)
    (True, 20, 0)
    """
    everything = size == FULL if full is None else full
    registry = _ALL if names or everything else REGISTRY
    return registry.run(names, size=size, level=level, progress=progress)
