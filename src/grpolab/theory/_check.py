"""Argument checks of the formulas: an array back, or a ValueError that says what is allowed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import FloatArray

_MOST_EXACT = 2.0**53
MOST_SUMMED = 10_000_000  # group size up to which formulas sum over the number correct


def numbers(name: str, value: npt.ArrayLike) -> FloatArray:
    """Float64 of what was given, never -0; the error names the argument."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} must hold no masked values: fill them or leave them out")
    try:
        raw = np.asarray(value)
        if raw.dtype.kind in "biuf" or (raw.dtype.kind == "O" and raw.size):
            return np.asarray(raw.astype(np.float64) + 0.0)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be a number or an array of numbers, got {value!r}")


def within(
    name: str,
    value: npt.ArrayLike,
    low: float,
    high: float,
    *,
    ends: Literal["both", "low", "high", "none"] = "both",
) -> FloatArray:
    """Float64 array of ``value`` when all of it lies in the interval; nan is outside of it."""
    array = numbers(name, value)
    above = array >= low if ends in ("both", "low") else array > low
    below = array <= high if ends in ("both", "high") else array < high
    good = above & below
    if not np.all(good):
        left = "[" if ends in ("both", "low") else "("
        right = "]" if ends in ("both", "high") else ")"
        raise ValueError(
            f"{name} must lie in {left}{low:g}, {high:g}{right}, got {_first(array, good)}"
        )
    return array


def probability(name: str, value: npt.ArrayLike) -> FloatArray:
    """Numbers in [0, 1]."""
    return within(name, value, 0.0, 1.0)


def positive(name: str, value: npt.ArrayLike) -> FloatArray:
    """Finite numbers > 0."""
    return within(name, value, 0.0, np.inf, ends="none")


def whole(name: str, value: npt.ArrayLike, *, least: int = 1) -> FloatArray:
    """Whole numbers >= ``least`` as float64, up to 2^53: beyond, n and n - 1 are one number."""
    array = numbers(name, value)
    good = (array >= least) & (array == np.floor(array)) & np.isfinite(array)
    if not np.all(good):
        raise ValueError(f"{name} must be a whole number >= {least}, got {_first(array, good)}")
    if np.any(array > _MOST_EXACT):
        raise ValueError(f"{name} must be at most 2^53, got {array.max():g}")
    return array


def summed(name: str, size: float) -> int:
    """The size of a group whose counts are summed one by one; ValueError where memory ends."""
    if size > MOST_SUMMED:
        raise ValueError(f"{name} must be at most {MOST_SUMMED} for a sum over K, got {size:g}")
    return int(size)


def one_whole(name: str, value: npt.ArrayLike, *, least: int = 1, most: int | None = None) -> int:
    """A single whole number >= ``least`` and, where one is given, <= ``most``."""
    if most is None:
        array = whole(name, value, least=least)
    else:
        array = within(name, value, least, most)
        if not np.all(array == np.floor(array)):
            raise ValueError(f"{name} must be a whole number in {least}..{most}, got {value!r}")
    if array.ndim:
        raise ValueError(f"{name} must be a single whole number, got shape {list(array.shape)}")
    return int(array)


def single(name: str, array: FloatArray) -> float:
    """The number that a checked argument holds, where one number and no array is meant."""
    if array.ndim:
        raise ValueError(f"{name} must be a single number, got shape {list(array.shape)}")
    return float(array)


def mask(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Booleans of this shape, or of its last axis alone; numbers are no mask."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be booleans in rows of one length, got {value!r}") from None
    if array.dtype != np.bool_ or array.shape not in (shape, shape[-1:]):
        allowed = f"{shape[-1]} booleans" + (f", or of shape {list(shape)}" if shape[1:] else "")
        what = "booleans" if array.dtype == np.bool_ else f"{array.dtype} values"
        raise ValueError(f"{name} must be {allowed}, got {what} of shape {list(array.shape)}")
    return array


def indices(name: str, value: npt.ArrayLike, size: int) -> npt.NDArray[np.int64]:
    """One index or more in 0..size-1, [g]."""
    raw = numbers(name, value)
    if raw.ndim != 1 or not raw.size or np.any((raw != np.floor(raw)) | (raw < 0) | (raw >= size)):
        raise ValueError(
            f"{name} must be indices in 0..{size - 1}, got {np.asarray(value).tolist()}"
        )
    return raw.astype(np.int64)


def distribution(name: str, value: npt.ArrayLike) -> FloatArray:
    """Probabilities that sum to 1 along the last axis."""
    array = probability(name, value)
    if not array.ndim or not array.shape[-1]:
        raise ValueError(f"{name} must hold one probability or more, got shape {list(array.shape)}")
    total = array.sum(axis=-1)
    good = np.isclose(total, 1.0, atol=1e-9)
    if not np.all(good):
        raise ValueError(f"{name} must sum to 1, got {_first(total, good)}")
    return array


def count_of(
    name: str, value: npt.ArrayLike, total_name: str, total: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Whole numbers in 0..total, broadcast against ``total``; returns (value, total)."""
    array, limit = np.broadcast_arrays(whole(name, value, least=0), total)
    good = array <= limit
    if not np.all(good):
        raise ValueError(
            f"{name} must lie in 0..{total_name}, got {_first(array, good)} of"
            f" {_first(limit, good)}"
        )
    return array, limit


def choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False and nothing else: numbers and words have meant something else by it."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def law(name: str, value: Any, *methods: str) -> None:
    """Raise ValueError for what is no law of groups: it has not all of the methods."""
    if isinstance(value, type) or not all(callable(getattr(value, m, None)) for m in methods):
        raise ValueError(
            f"{name} must be a law of groups, such as BetaBinomial(mean=0.3, rho=0.2),"
            f" got {value!r}"
        )


def _first(array: FloatArray, good: npt.NDArray[np.bool_]) -> str:
    """The first offending value, as it would be typed."""
    return f"{np.atleast_1d(array)[~np.atleast_1d(good)][0]:g}"


def result(value: Any) -> FloatArray:
    """What a formula returns: float64, and a plain scalar instead of an array without axes."""
    out: FloatArray = np.asarray(value, dtype=np.float64)[()]
    return out
