"""Compiled loop of chains that jump from one mixed group to the next; exact in law.

The cache of machine code looks at this file alone: after a change in a module whose functions are
inlined here, remove ``__pycache__`` once.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from grpolab.simulate._kernels import GROUP, LEAST, MOST, two_uniforms

_ZERO = np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def mixed_group(w, size, small):
    """K given 0 < K < size by inversion of w; small: odds of the rarer reward, counted by K."""
    q = 1.0 / (1.0 + small)
    term = size * small * math.exp(size * math.log(q))  # P(K = 1)
    total = -math.expm1(size * math.log(q)) - (1.0 - q) ** size
    left = w * total
    k = 1
    while k < size - 1 and left >= term:
        left -= term
        term *= (size - k) / (k + 1.0) * small
        k += 1
    return k


@njit(cache=True, nogil=True, error_model="numpy")
def event_chains(odds, first, k0, k1, factor, threshold, longest, times, events):
    """Run each chain until its odds reach the threshold; times and events [C] are written.

    A group without a signal moves nothing, so the wait for the next mixed one is geometric with
    the chance of a mixed group at the odds of now; then K is drawn given that it is mixed. times
    is inf where ``longest`` steps did not do.
    """
    size = len(factor) - 1
    for i in range(len(odds)):
        x, now, event = odds[i], 0.0, np.int64(0)
        chain = first + np.uint64(i)
        while x < threshold and now < longest:
            small = min(x, 1.0 / x)
            rest = size * math.log1p(small)  # -log of the chance that all are of the common kind
            mixed = -math.expm1(-rest) - (small / (1.0 + small)) ** size
            u, w = two_uniforms(np.uint64(event), _ZERO, chain, GROUP, k0, k1)
            now += math.floor(math.log1p(-u) / math.log1p(-mixed)) + 1.0 if mixed < 1.0 else 1.0
            if now > longest:
                break
            k = mixed_group(w, size, small)
            k = k if x <= 1.0 else size - k
            x = min(max(x * factor[k], LEAST), MOST)
            event += 1
        odds[i] = x
        times[i] = now if x >= threshold else np.inf
        events[i] = event
