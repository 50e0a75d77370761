"""What can be asked of the sandbox: a program, and one of three kinds of tests, or its output."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from grpolab.validate.sandbox.suite import Suite, read_suite


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTests:
    """Tests given as source: HumanEval's ``check``, asserts, pytest functions, unittest classes.

    ``context`` runs before them: imports and helpers that the problem gives. What neither defines
    is asked of the program, and so is what is imported from a module ``solution``; a builtin only
    where ``entry_point`` names it. With ``in_place`` arguments that the program changes are
    changed for the tests too, whatever the call returns; else only where it returns None.
    """

    tests: str
    entry_point: str = ""
    context: str = ""
    in_place: bool = False

    def __post_init__(self) -> None:
        for name, source in (("tests", self.tests), ("context", self.context)):
            try:
                compile(source, name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as err:
                raise ValueError(f"{name} is no Python: {err}") from err
        self.suite()

    def suite(self) -> Suite:
        """What the source of the tests says about them."""
        return read_suite(self.tests, self.context, self.entry_point)

    def names(self) -> list[str]:
        """Names that the tests ask of the program.

        >>> CodeTests(tests="assert f(len([1])) == 1").names()
        ['f']
        """
        return list(self.suite().names)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTests:
    """Tests given as (arguments, expected value) pairs for one function.

    Compared more strictly than by ``==``: bool is no number, NaN equals NaN; lists and tuples are
    one. ``tolerance`` counts where a float is expected. With ``in_place`` the first argument after
    the call stands for the value of a call that returned None.
    """

    cases: Sequence[tuple[Sequence[Any], Any]]
    entry_point: str
    tolerance: float = 1e-6
    in_place: bool = False

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("cases must not be empty: every program would pass")
        if not self.entry_point.isidentifier():
            raise ValueError(f"entry_point must be a name, got {self.entry_point!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTests:
    """Tests given as (standard input, expected standard output) pairs for a whole program.

    Trailing blanks and blank lines at the end do not count; with ``tolerance`` numbers may differ
    by that much, absolutely or relatively.
    """

    cases: Sequence[tuple[str, str]]
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError("cases must not be empty: every program would pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """No tests: a whole program that runs, and what it prints comes back as text.

    PASS then says that it ended well and no more; what the text is worth is for the caller to say.
    """

    stdin: str = ""


Tests = CodeTests | CaseTests | TextTests


@dataclass(frozen=True, slots=True)
class Job:
    """One program, as source, and its tests, or the wish for its output."""

    program: str
    tests: Tests | Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one run of a program; its tests run under the same ones.

    ``cpu_seconds`` is what counts: processor time does not depend on the machine's load. The
    clock on the wall only ends what sleeps, so ``wall_seconds`` should be several times as long.
    Processes have no number here: a program can start none. ``scratch_bytes`` bounds what it may
    write into its private folder for temporary files.

    >>> Limits(cpu_seconds=1.0).memory_bytes == 512 << 20
    True
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 30.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 16 << 20
    threads: int = 16
    scratch_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        for name, low in (
            ("cpu_seconds", 0.05), ("wall_seconds", 0.1), ("memory_bytes", 64 << 20),
            ("output_bytes", 1 << 10), ("threads", 1),
        ):  # fmt: skip
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} must be >= {low}, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Outcome(enum.StrEnum):
    """Verdict on one program; the last two are none, and no program can bring them about.

    SANDBOX_ERROR: the sandbox failed, or the program was killed from outside. UNSUPPORTED: the
    tests, by their own source, need what the sandbox cannot give, or judge no program.

    >>> Outcome.PASS.reward, Outcome.OOM.reward, Outcome.SANDBOX_ERROR.reward
    (1.0, 0.0, nan)
    """

    PASS = "pass"
    WRONG = "wrong"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    OOM = "oom"
    SANDBOX_ERROR = "sandbox_error"
    UNSUPPORTED = "unsupported"

    @property
    def reward(self) -> float:
        """1 for PASS, NaN for SANDBOX_ERROR and UNSUPPORTED, else 0."""
        return math.nan if self.verdict is None else float(self is Outcome.PASS)

    @property
    def verdict(self) -> bool | None:
        """The reward as True, False or, without one, None."""
        if self in (Outcome.SANDBOX_ERROR, Outcome.UNSUPPORTED):
            return None
        return self is Outcome.PASS


class Result(NamedTuple):
    """One run: its outcome, why, the level of isolation, what the program used, and how often.

    ``output`` is what it printed, where that was asked for and it ended well.
    """

    outcome: Outcome
    level: str
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    tries: int = 1
    output: str = ""
