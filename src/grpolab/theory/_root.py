"""Bracketed roots of many scalar equations at once (Chandrupatla 1997)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grpolab.theory.groups import FloatArray

Function = Callable[[FloatArray], FloatArray]


def find_root(function: Function, low: FloatArray, high: FloatArray) -> FloatArray:
    """Roots to full precision, elementwise; nan where the ends have one sign.

    ``function`` maps an array of the broadcast shape of low and high to one of the same shape. An
    end at which it is exactly zero is a root.
    """
    a, b = (np.array(x) for x in np.broadcast_arrays(high, low))
    a, b = a.astype(np.float64), b.astype(np.float64)
    fa, fb = function(a), function(b)
    lost = ~(np.sign(fa) * np.sign(fb) <= 0)
    c, fc = a.copy(), fa.copy()
    t = np.full(a.shape, 0.5)
    for _ in range(200):
        x = a + t * (b - a)
        fx = function(x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        width = np.abs(b - a)
        tolerance = 2e-16 * np.abs(best) + 1e-320
        if np.all(lost | (fa == 0) | (fb == 0) | (width <= 2 * tolerance)):
            break
        t = _step(a, b, c, fa, fb, fc, np.clip(tolerance / np.maximum(width, 1e-320), 0, 0.5))
    root = np.where(np.abs(fa) <= np.abs(fb), a, b)
    return np.where(lost, np.nan, root)


def _step(
    a: FloatArray,
    b: FloatArray,
    c: FloatArray,
    fa: FloatArray,
    fb: FloatArray,
    fc: FloatArray,
    least: FloatArray,
) -> FloatArray:
    """Inverse quadratic interpolation where it is safe, else bisection."""
    with np.errstate(all="ignore"):
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        safe = (phi * phi < xi) & ((1 - phi) ** 2 < 1 - xi)
        t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    t = np.where(safe & np.isfinite(t), t, 0.5)
    return np.clip(t, least, 1 - least)


def find_minimum(function: Function, low: FloatArray, high: FloatArray) -> FloatArray:
    """Place of the least value of a function that falls and then rises (golden section)."""
    ratio = (np.sqrt(5.0) - 1) / 2
    a, b = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    x, y = b - ratio * (b - a), a + ratio * (b - a)
    fx, fy = function(x), function(y)
    for _ in range(80):
        left = fx < fy
        a, b = np.where(left, a, x), np.where(left, y, b)
        x, y = b - ratio * (b - a), a + ratio * (b - a)
        fx, fy = function(x), function(y)
    return (a + b) / 2
