"""Conditions on an audit, for a job that is to fail on them: ``zero_std(8) > 0.8``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from grpolab.validate.audit.summary import Audit

Value = tuple[float, float, float]
"""Estimate and interval; NaN for ends that are not known."""
_SHARES = ("zero_std", "all_wrong", "all_right")
_FORM = re.compile(
    r"\s*(?P<name>\w+)\s*(\(\s*(?P<size>\d+)\s*\))?\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>[-+.\deE]+)\s*"
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
)


def _share(audit: Audit, size: int, *, name: str) -> Value | None:
    """A share of the groups of a planned size; of the two sides the interval is not printed."""
    plan = audit.plans.get(size)
    if plan is None:
        return None
    p = plan.prediction
    ends = (p.low, p.high) if name == "zero_std" else (math.nan, math.nan)
    return float(getattr(p, name)), *ends


def _pass_at(audit: Audit, size: int) -> Value | None:
    score = audit.pass_at_k.get(size)
    return None if score is None else (score.value, score.low, score.high)


def _icc(audit: Audit, size: int) -> Value | None:
    return None if audit.icc is None else (audit.icc.estimate, audit.icc.low, audit.icc.high)


QUANTITIES: Mapping[str, Callable[[Audit, int], Value | None]] = MappingProxyType(
    {
        **{name: partial(_share, name=name) for name in _SHARES},
        "pass_at": _pass_at,
        "icc": _icc,
    }
)
"""What a condition may be about; all but ``icc`` take a size."""
_SMALLEST = {"pass_at": 1, "icc": 0}


class Condition(NamedTuple):
    """A quantity of an audit, compared with a limit."""

    name: str
    size: int
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition; ValueError says what is wrong with it.

        >>> Condition.parse("zero_std(8) > 0.8")
        Condition(name='zero_std', size=8, sign='>', limit=0.8)
        """
        found = _FORM.fullmatch(text)
        if found is None or found["name"] not in QUANTITIES:
            known = ", ".join(name if name == "icc" else f"{name}(SIZE)" for name in QUANTITIES)
            raise ValueError(f"a condition is QUANTITY > LIMIT with one of {known}; got {text!r}")
        name, size = found["name"], int(found["size"] or 0)
        if (found["size"] is None) != (name == "icc") or size < _SMALLEST.get(name, 2):
            needs = f"a size of at least {_SMALLEST.get(name, 2)}" if name != "icc" else "no size"
            raise ValueError(f"{name} takes {needs}, got {text!r}")
        try:
            limit = float(found["limit"])
        except ValueError:
            raise ValueError(f"the limit must be a number, got {found['limit']!r}") from None
        return cls(name, size, found["sign"], limit)

    @property
    def group_size(self) -> int | None:
        """The group size that must be planned for it, if it is about groups."""
        return self.size if self.name in _SHARES else None

    def __str__(self) -> str:
        """As it was written, but for white space."""
        return f"{self._quantity} {self.sign} {self.limit:g}"

    @property
    def _quantity(self) -> str:
        return f"{self.name}({self.size})" if self.size else self.name

    def holds(self, audit: Audit) -> tuple[bool, str]:
        """Whether the estimate meets the condition, and a line that says so with its interval.

        ValueError where the audit cannot tell the quantity.
        """
        value = QUANTITIES[self.name](audit, self.size)
        if value is None or math.isnan(value[0]):
            raise ValueError(f"{audit.label}: cannot tell {self._quantity} from these samples")
        interval = "" if math.isnan(value[1]) else f" ({value[1]:.3f} to {value[2]:.3f})"
        met = _SIGNS[self.sign](value[0], self.limit)
        is_so = "is" if met else "is not"
        said = f"{audit.label}: {self._quantity} = {value[0]:.3f}{interval}, which {is_so}"
        return met, f"{said} {self.sign} {self.limit:g}"
