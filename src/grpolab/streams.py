"""Streams of random numbers: one seed gives every purpose a stream of its own.

Two experiments with the same seed must not share draws: their errors would be correlated, and
agreement between them would prove less than it seems. Every function that draws therefore names its
purpose, and the seed of its generator is a hash of the user's seed and that name.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(seed: int, *purpose: object, bits: int = 63) -> int:
    """Seed in [0, 2**bits) of one purpose, the same in every process and on every machine.

    The leading ``bits`` bits, at most 64, of BLAKE2b over the seed and the words of the purpose,
    each with its type. Raises ValueError unless the seed is an integer in [0, 2**64).

    >>> stream_seed(0, "rollouts"), stream_seed(0, "prompts", 1, bits=32)
    (8474032338665205118, 2975759326)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be an integer in [0, 2**64), got {seed!r}")
    words = [str(int(seed)), *(f"{type(word).__name__}:{word}" for word in purpose)]
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - bits)


def generator(rng: np.random.Generator | int, *purpose: object) -> np.random.Generator:
    """NumPy generator of one purpose; a generator that the caller owns is used as it is.

    >>> round(float(generator(0, "prompts").random()), 6)
    0.366703
    """
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(stream_seed(rng, *purpose))
