"""Philox4x32-10 against the vectors published with Random123 (tests/kat_vectors)."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.simulate._philox import key_from_seed, philox, philox_blocks, unit

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


def words(values: tuple[int, ...]) -> list[np.uint64]:
    return [np.uint64(v) for v in values]


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], block: tuple[int, ...]
) -> None:
    out = np.empty((1, 4), np.uint64)
    philox_blocks(np.array([counter], np.uint64), *words(key), out)
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
    philox_blocks(counters, np.uint64(3), np.uint64(5), out)
    flipped = [int(w).bit_count() for w in (out[1:] ^ out[0]).ravel()]
    assert abs(np.mean(flipped) - 16) < 5 * np.sqrt(8 / len(flipped))


def test_unit_ends() -> None:
    assert unit(np.uint64(0), np.uint64(0)) == 0.0
    assert unit(np.uint64(ONES), np.uint64(ONES)) == 1 - 2.0**-53


def test_key_keeps_all_bits_of_the_seed() -> None:
    key = key_from_seed(2**64 - 2)
    assert (int(key.low), int(key.high)) == (ONES - 1, ONES)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, None])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer in"):
        key_from_seed(seed)  # type: ignore[arg-type]
