"""One seed, many independent streams of random numbers, each named by its purpose."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int, bits: int = 63) -> int:
    """A seed for one purpose: the leading ``bits`` bits, at most 64, of BLAKE2b of (seed, purpose).

    Everything random in grpolab takes a seed from its caller and derives the stream of each of its
    parts by this function, so that no two parts of a run, and no two experiments at one seed, share
    random numbers. The purpose is a path of words and whole numbers.

    >>> derive_seed(0, "rollouts") == derive_seed(0, "rollouts")
    True
    >>> len({derive_seed(0, "rollouts"), derive_seed(0, "prompts"), derive_seed(1, "rollouts")})
    3
    >>> derive_seed(0, "rollouts")
    8474032338665205118
    """
    text = "\0".join([str(seed), *(f"{type(part).__name__}:{part}" for part in purpose)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - bits)
