"""When a returned value equals the expected one: stricter than ``==`` where that is too kind."""

from __future__ import annotations

import math
from typing import Any


def same_value(got: Any, expected: Any, *, tolerance: float = 0.0) -> bool:
    """Whether ``got`` is ``expected``: bool is no number, NaN equals NaN, tuples equal lists.

    ``tolerance`` is absolute and relative and counts only where a finite float is expected. Both
    values are plain data; lists stand for tuples because expected values often come from JSON.

    >>> same_value([1, 2.0], (1, 2)), same_value(1, True), same_value(0.1 + 0.2, 0.3)
    (True, False, False)
    >>> same_value(0.1 + 0.2, 0.3, tolerance=1e-9)
    True
    """
    if type(got) is bool or type(expected) is bool:
        return type(got) is type(expected) and got == expected
    if isinstance(got, int | float) and isinstance(expected, int | float):
        return _same_number(got, expected, tolerance)
    if isinstance(expected, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(expected)
            and all(
                same_value(g, e, tolerance=tolerance) for g, e in zip(got, expected, strict=True)
            )
        )
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and {_key(k) for k in got} == {_key(k) for k in expected}
            and all(same_value(got[k], v, tolerance=tolerance) for k, v in expected.items())
        )
    if isinstance(expected, set | frozenset):
        return isinstance(got, set | frozenset) and set(map(_key, got)) == set(map(_key, expected))
    return type(got) is type(expected) and bool(got == expected)


def _same_number(got: float, expected: float, tolerance: float) -> bool:
    if got == expected:
        return True
    if type(expected) is not float:
        return False
    if math.isnan(expected):
        return type(got) is float and math.isnan(got)
    try:
        near = math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
    except OverflowError:  # an int too large for a float is near no float
        return False
    return math.isfinite(expected) and tolerance > 0 and near


def _key(value: Any) -> Any:
    """A hashable stand-in under which True and 1 differ."""
    if isinstance(value, tuple | frozenset):
        return type(value), tuple(map(_key, value)) if isinstance(value, tuple) else frozenset(
            map(_key, value)
        )
    return (bool, value) if type(value) is bool else value
