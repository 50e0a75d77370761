"""Philox4x32-10, a counter-based random number generator, compiled.

A counter and a key give four random words; there is no state to carry. The key is a hash of the
seed and of the purpose of the caller, so that two functions never share draws; the counter names
the draw (index, step, chain, purpose within the function). A result depends on nothing but these:
not on the number of threads, not on how chains are split into chunks, not on whether a run was
interrupted.

Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from grpolab.streams import stream_seed

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_DROP = np.uint64(11)
_UNIT = 2.0**-53


class Key(NamedTuple):
    """The two 32-bit words of a Philox key, held in 64 bits."""

    low: np.uint64
    high: np.uint64


def stream_key(seed: int, purpose: str) -> Key:
    """Key of one purpose: the 64 bits of `grpolab.streams.stream_seed`.

    Raises ValueError unless 0 <= seed < 2**64.

    >>> stream_key(7, "groups")
    Key(low=np.uint64(2804507330), high=np.uint64(1628823125))
    """
    bits = stream_seed(seed, purpose, bits=64)
    return Key(np.uint64(bits & 0xFFFFFFFF), np.uint64(bits >> 32))


# Every 32-bit word lives in the low half of a uint64, whatever the high half holds: the product of
# a masked word is one 32 x 32 -> 64 bit vector multiplication, which reads low halves and so needs
# no instruction for the mask.
@njit(cache=True, nogil=True, inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four words [0, 2**32) of the block that counter and key name, as uint64."""
    for _ in range(10):
        product0 = _M0 * (c0 & _MASK)
        product1 = _M1 * (c2 & _MASK)
        c0 = (product1 >> _HALF) ^ c1 ^ k0
        c1 = product1
        c2 = (product0 >> _HALF) ^ c3 ^ k1
        c3 = product0
        k0 += _W0
        k1 += _W1
    return c0 & _MASK, c1 & _MASK, c2 & _MASK, c3 & _MASK


@njit(cache=True, nogil=True, inline="always")
def unit(high, low):
    """Two words to a double in [0, 1) with 53 random bits."""
    return np.float64(((high << _HALF) | low) >> _DROP) * _UNIT
