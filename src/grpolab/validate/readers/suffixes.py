"""Ids with the number of the sample at their end: ``q0_0`` and ``q0_1`` are samples of ``q0``."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.columns import Codes
from grpolab.validate.readers.format import ChoiceNeeded, ReadOptions
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.source import Remarks
from grpolab.validate.readers.words import SAMPLE, SEED

_WORDS = "|".join(
    sorted({w.partition("_")[0] for w in (*SAMPLE, *SEED)} | {"s", "r", "k", "n"}, key=len)[::-1]
)
_SUFFIX = re.compile(
    rf"(.*?[^\W_][)\]}}\"']?)(?:[\W_]+({_WORDS})?[\W_]*|(?<=[\W\d_])({_WORDS}))(\d+)[)\]}}]?",
    re.IGNORECASE | re.DOTALL,
)
_FILLED = 0.7  # share of the pairs of a stem and a number that must be there
_CHANCE = 1e-3  # of rates of the stems that differ as much as these
COLUMN = "suffix"
"""How the column of the numbers is called."""


class Suffixed(NamedTuple):
    """Ids taken apart: stem [V] and number [V] of every value, and whether a word names samples."""

    stem: list[str]
    number: list[int]
    named: bool


def taken_apart(values: Sequence[Hashable]) -> Suffixed | None:
    """Stems and numbers of ids; None where an id has no number at its end.

    >>> taken_apart(["q0_0", "q0_1"])
    Suffixed(stem=['q0', 'q0'], number=[0, 1], named=False)
    >>> taken_apart(["gsm8k/7 (run 2)"]), taken_apart(["q7"])
    (Suffixed(stem=['gsm8k/7'], number=[2], named=True), None)
    """
    found = [_SUFFIX.fullmatch(v) if isinstance(v, str) else None for v in values]
    kept = [m for m in found if m is not None]
    if not kept or len(kept) < len(found):
        return None
    words = [m[2] or m[3] for m in kept]
    return Suffixed([m[1] for m in kept], [int(m[4][:18]) for m in kept], all(words))


def without_suffix(
    piece: Piece, problem: str, options: ReadOptions, remarks: Remarks, where: str
) -> Piece:
    """Samples by the stem of their ids, as the user says; ChoiceNeeded where ids look like that."""
    values = piece.problem.values
    if options.id_suffix == "problem":
        return piece
    if options.id_suffix is None and (
        len(values) < len(piece.problem.code) or piece.group is not None or piece.step is not None
    ):
        return piece
    found = taken_apart(values)
    if options.id_suffix == "sample":
        if found is None:
            odd = next(v for v in values if taken_apart([v]) is None)
            raise UserError(
                f"{where}: {problem} {odd!r:.40} does not end in the number of a sample"
            )
        stems = list(dict.fromkeys(found.stem))
        place = {stem: i for i, stem in enumerate(stems)}
        code = np.array([place[s] for s in found.stem], dtype=np.int64)[piece.problem.code]
        piece.problem = Codes(code, list(stems))
        remarks.add_of(where, f"the number at the end of {problem} was taken for that of a sample")
        return piece
    if found is not None and _looks_sampled(found, piece.score[np.argsort(piece.problem.code)]):
        first = found.stem[0]
        others = [str(v) for v, stem in zip(values, found.stem, strict=True) if stem == first][:2]
        raise ChoiceNeeded(
            where,
            f"every {problem} stands once, and they end in numbers: are {' and '.join(others)}"
            f" samples of {first!r}, or problems of their own?",
            option="id_suffix",
            value="sample, or --id-suffix problem",
            choices=("sample", "problem"),
        )
    return piece


def _looks_sampled(found: Suffixed, score: FloatArray) -> bool:
    """Whether the numbers run from 0 or 1 below most stems, as those of samples do."""
    stems, stem = np.unique(found.stem, return_inverse=True)
    numbers, number = np.unique(found.number, return_inverse=True)
    count, most = len(stems), len(numbers)
    if count < 2 or most < 2 or numbers[0] > 1 or numbers[-1] - numbers[0] + 1 != most:
        return False
    pairs = len(np.unique(stem * most + number))
    if pairs < len(stem) or pairs < _FILLED * count * most:
        return False
    numbered = all(s[-1:].isdigit() or s[-2:-1].isdigit() for s in found.stem)
    return found.named or count >= most or (numbered and _alike(stem, score))


def _alike(stem: IntArray, score: FloatArray) -> bool:
    """Whether verdicts of one stem are more alike than chance makes them."""
    seen = ~np.isnan(score)
    right = (score[seen] > 0).astype(np.float64)
    mean = right.mean() if len(right) else 0.0
    if not 0 < mean < 1:
        return False
    size = np.bincount(stem[seen])
    rate = np.bincount(stem[seen], weights=right) / np.maximum(size, 1)
    spread = float(np.sum(size * (rate - mean) ** 2) / (mean * (1 - mean)))
    return float(chdtrc(np.count_nonzero(size) - 1, spread)) < _CHANCE
