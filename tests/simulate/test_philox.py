"""Philox4x32-10 against the vectors published with Random123 (tests/kat_vectors)."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from grpolab.simulate._philox import philox, stream_key, unit
from grpolab.streams import stream_seed

ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@njit
def _blocks(counters, k0, k1, out):  # type: ignore[no-untyped-def]
    """Blocks of many counters, compiled: counters and out are uint64 arrays [M, 4]."""
    for i in range(len(counters)):
        c = counters[i]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = philox(c[0], c[1], c[2], c[3], k0, k1)


def words(values: tuple[int, ...]) -> list[np.uint64]:
    return [np.uint64(v) for v in values]


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], block: tuple[int, ...]
) -> None:
    out = np.empty((1, 4), np.uint64)
    _blocks(np.array([counter], np.uint64), *words(key), out)
    assert tuple(out[0].tolist()) == block


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_plain_python_twin(
    counter: tuple[int, ...], key: tuple[int, ...], block: tuple[int, ...]
) -> None:
    twin = getattr(philox, "py_func", philox)
    assert tuple(int(w) for w in twin(*words(counter), *words(key))) == block


def test_one_bit_of_the_counter_changes_half_the_bits() -> None:
    counters = np.zeros((33, 4), np.uint64)
    counters[1:, 1] = np.uint64(1) << np.arange(32, dtype=np.uint64)
    out = np.empty((33, 4), np.uint64)
    _blocks(counters, np.uint64(3), np.uint64(5), out)
    flipped = [int(w).bit_count() for w in (out[1:] ^ out[0]).ravel()]
    assert abs(np.mean(flipped) - 16) < 5 * np.sqrt(8 / len(flipped))


def test_unit_ends() -> None:
    assert unit(np.uint64(0), np.uint64(0)) == 0.0
    assert unit(np.uint64(ONES), np.uint64(ONES)) == 1 - 2.0**-53


def test_key_is_all_of_a_hash() -> None:
    bits = stream_seed(5, "groups")
    key = stream_key(5, "groups")
    assert (int(key.low), int(key.high)) == (bits % 2**32, bits >> 32)


def test_key_depends_on_every_bit_of_the_seed_and_on_the_purpose() -> None:
    keys = {stream_key(seed, "groups") for seed in (0, *(1 << b for b in range(64)))}
    keys |= {stream_key(0, "chains")}
    assert len(keys) == 66


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, None])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer in"):
        stream_key(seed, "groups")  # type: ignore[arg-type]
