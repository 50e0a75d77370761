"""Check: one number that theory predicts, beside the number that was observed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from scipy import stats

from grpolab.errors import named
from grpolab.streams import stream_seed
from grpolab.theory.dependence import MODELS, family
from grpolab.theory.model import Model


@dataclass(frozen=True, slots=True)
class Check:
    """An observed statistic, its prediction and how surprising the difference is.

    ``stderr`` is derived, not guessed: it is the standard error of ``observed - predicted``.
    ``reference`` names the equation or source of the prediction.
    """

    name: str
    observed: float
    predicted: float
    stderr: float
    z: float
    p_value: float
    reference: str

    @classmethod
    def from_z(
        cls, name: str, *, observed: float, predicted: float, stderr: float, reference: str
    ) -> Check:
        """Two-sided z-test; a zero standard error demands equality to 1e-12.

        >>> check = Check.from_z("x", observed=1.0, predicted=0.0, stderr=0.5, reference="")
        >>> round(check.p_value, 4)
        0.0455
        """
        if not stderr >= 0:
            raise ValueError(f"stderr must be >= 0, got {stderr}")
        diff = observed - predicted
        if stderr > 0:
            z = diff / stderr
        else:
            z = 0.0 if math.isclose(observed, predicted, rel_tol=1e-12, abs_tol=1e-12) else math.inf
        p_value = float(2 * stats.norm.sf(abs(z)))
        return cls(name, observed, predicted, stderr, z, p_value, reference)

    @classmethod
    def from_count(
        cls, name: str, *, successes: int, trials: int, predicted: float, reference: str
    ) -> Check:
        """Exact two-sided binomial test of a share.

        >>> check = Check.from_count("x", successes=8, trials=10, predicted=0.5, reference="")
        >>> round(check.p_value, 6)
        0.109375
        """
        if not 0.0 <= predicted <= 1.0:
            raise ValueError(f"predicted must lie in [0, 1], got {predicted}")
        if not 0 <= successes <= trials or trials < 1:
            raise ValueError(f"successes must lie in 0..trials, got {successes} of {trials}")
        observed = successes / trials
        stderr = math.sqrt(predicted * (1 - predicted) / trials)
        p_value = float(stats.binomtest(successes, trials, predicted).pvalue)
        z = (observed - predicted) / stderr if stderr > 0 else (0.0 if p_value == 1 else math.inf)
        return cls(name, observed, predicted, stderr, z, p_value, reference)

    def passed(self, level: float = 1e-3) -> bool:
        """True unless the two-sided p-value falls below the level."""
        return self.p_value >= level

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


_ROUNDING = 1e-12


class Size(NamedTuple):
    """How much a check may draw, and from which seed; the registry fills in whose turn it is."""

    groups: int  # groups per cell of a check
    chains: int  # training runs per cell of a check
    seed: int
    check: str = ""  # name of the check that draws
    own: tuple[str, ...] = ()  # models of the user's own, FILE.py:NAME

    @property
    def models(self) -> dict[str, type[Model]]:
        """Families that are checked: those of the library, and the user's own."""
        return dict(MODELS) | {place: family(named("model", place, MODELS)) for place in self.own}

    def cell_seed(self, *cell: object) -> int:
        """A seed of its own for every cell of every check, the same in every process."""
        return stream_seed(self.seed, "verify", self.check, *cell)


class Evidence(NamedTuple):
    """Checks of the right formula, and of a wrong one on the same data."""

    checks: list[Check]
    controls: list[Check]


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered check."""

    name: str
    claim: str
    wrong: str
    run: Callable[[Size], Evidence]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What an entry found. ``level`` is that of a single test after Bonferroni."""

    name: str
    claim: str
    wrong: str
    checks: list[Check]
    controls: list[Check]
    level: float
    seconds: float

    @property
    def failed(self) -> list[Check]:
        """Checks of the right formula that the data reject."""
        return [check for check in self.checks if not check.passed(self.level)]

    @property
    def rejected(self) -> list[Check]:
        """Checks of the wrong formula that the data reject, as they should."""
        return [check for check in self.controls if not check.passed(self.level)]

    @property
    def passed(self) -> bool:
        """True if the right formula stands and the wrong one falls."""
        return not self.failed and bool(self.rejected)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "claim": self.claim,
            "wrong": self.wrong,
            "passed": self.passed,
            "level": self.level,
            "seconds": self.seconds,
            "num_failed": len(self.failed),
            "num_controls_rejected": len(self.rejected),
            "checks": [check.as_dict() for check in self.checks],
            "controls": [check.as_dict() for check in self.controls],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> CheckOutcome:
        """Read what `as_dict` wrote, as JSON or not; JSON has null for what is not finite."""

        def read(check: Mapping[str, Any]) -> Check:
            values: dict[str, Any] = {k: math.inf if v is None else v for k, v in check.items()}
            return Check(**values)

        checks, controls = ([read(c) for c in plain[part]] for part in ("checks", "controls"))
        return cls(
            plain["name"], plain["claim"], plain["wrong"], checks, controls, plain["level"],
            plain["seconds"],
        )  # fmt: skip


def at_level(outcomes: Sequence[CheckOutcome], *, level: float) -> list[CheckOutcome]:
    """The same outcomes, with ``level`` for all of their checks together (Bonferroni)."""
    each = level / max(1, sum(len(outcome.checks) for outcome in outcomes))
    return [replace(outcome, level=each) for outcome in outcomes]


class Registry:
    """Entries by unique name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def register(
        self, name: str, *, claim: str, wrong: str
    ) -> Callable[[Callable[[Size], Evidence]], Callable[[Size], Evidence]]:
        """Decorator that adds a check. Raises ValueError if the name is taken."""

        def add(run: Callable[[Size], Evidence]) -> Callable[[Size], Evidence]:
            if name in self._entries:
                raise ValueError(f"name must be unique, {name} is registered already")
            self._entries[name] = Entry(name, claim, wrong, run)
            return run

        return add

    def __or__(self, other: Registry) -> Registry:
        """Both, one after the other. Raises ValueError if they share a name."""
        both = Registry()
        for entry in (*self._entries.values(), *other._entries.values()):
            both.register(entry.name, claim=entry.claim, wrong=entry.wrong)(entry.run)
        return both

    def entries(self, names: Sequence[str] = ()) -> list[Entry]:
        """All entries, or those of the given names. Raises ValueError for an unknown name."""
        unknown = sorted(set(names) - set(self._entries))
        if unknown:
            raise ValueError(f"name must be one of {list(self._entries)}, got {unknown[0]}")
        return [e for e in self._entries.values() if not names or e.name in names]

    def run(
        self,
        names: Sequence[str] = (),
        *,
        size: Size,
        level: float,
        progress: Callable[[str], None] = lambda name: None,
    ) -> list[CheckOutcome]:
        """Run entries; ``level`` holds for the whole family of tests of the right formulas."""
        found = []
        for entry in self.entries(names):
            progress(entry.name)
            start = time.perf_counter()
            checks, controls = entry.run(size._replace(check=entry.name))
            seconds = time.perf_counter() - start
            about = (entry.name, entry.claim, entry.wrong)
            found.append(CheckOutcome(*about, checks, controls, level, seconds))
        return at_level(found, level=level)


def add_both(
    evidence: Evidence,
    name: str,
    observed: float,
    right: float,
    wrong: float,
    error: float,
    reference: str = "derived here",
) -> None:
    """Add z-tests of one observation against the right and the wrong prediction."""
    error = math.hypot(error, _ROUNDING)  # a law without spread is still simulated in doubles
    for predicted, into in ((right, evidence.checks), (wrong, evidence.controls)):
        into.append(
            Check.from_z(
                name, observed=observed, predicted=predicted, stderr=error, reference=reference
            )
        )


def add_counts(
    evidence: Evidence, name: str, successes: int, trials: int, right: float, wrong: float
) -> None:
    """Add exact binomial tests of one count against the right and the wrong chance."""
    for predicted, into in ((right, evidence.checks), (wrong, evidence.controls)):
        into.append(
            Check.from_count(
                name, successes=successes, trials=trials, predicted=predicted,
                reference="derived here",
            )
        )  # fmt: skip


REGISTRY = Registry()
"""The checks of `grpolab verify`; filled by the modules checks_*.py."""
