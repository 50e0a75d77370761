"""All small Python expressions of x with one branch, and which of them a few values determine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHOWN = (1, 2, 3, 4, 5)
HIDDEN = (0, 6, 7, 10, 13)
INPUTS = (*SHOWN, *HIDDEN)
LARGEST_CONSTANT = 10
LARGEST_VALUE = 99
MAX_OPERATORS = 2
PRODUCTS = ("*", "//", "%")

Values = tuple[int, ...]


class Function(NamedTuple):
    """A function: its values at `INPUTS`, and the programs that compute it, in no order."""

    values: Values
    programs: tuple[str, ...]


@cache
def functions() -> tuple[Function, ...]:
    """Functions that are the shortest explanation of their values at `SHOWN`.

    A program is ``a if x<k else b`` or ``b if x>k else a`` of two different terms with at most two
    operators together, and its values at `SHOWN` lie in 0..99. Of the functions with the same
    values there, the one with the shortest program (in words) is taken, none if two are equal.
    """
    by_values: defaultdict[Values, list[str]] = defaultdict(list)
    terms = _terms()
    fewest = {values: min(map(_operators, texts)) for values, texts in terms.items()}
    for left, right in product(terms, repeat=2):
        if left == right or fewest[left] + fewest[right] > MAX_OPERATORS:
            continue
        pairs = [
            (a, b)
            for a, b in product(terms[left], terms[right])
            if _operators(a) + _operators(b) <= MAX_OPERATORS
        ]
        for k in SHOWN[1:]:
            values = tuple(a if x < k else b for x, a, b in zip(INPUTS, left, right, strict=True))
            if 0 <= min(values[: len(SHOWN)]) <= max(values[: len(SHOWN)]) <= LARGEST_VALUE:
                by_values[values] += [f"{a} if x<{k} else {b}" for a, b in pairs]
                by_values[values] += [f"{b} if x>{k - 1} else {a}" for a, b in pairs]
    return _shortest_explanations(by_values)


def _shortest_explanations(by_values: dict[Values, list[str]]) -> tuple[Function, ...]:
    rivals: defaultdict[Values, list[Function]] = defaultdict(list)
    for values, programs in by_values.items():
        rivals[values[: len(SHOWN)]].append(Function(values, tuple(programs)))
    found = []
    for shown in sorted(rivals):
        lengths = [min(map(_words, function.programs)) for function in rivals[shown]]
        if lengths.count(min(lengths)) == 1:
            found.append(rivals[shown][lengths.index(min(lengths))])
    return tuple(found)


def canonical_first(programs: Iterable[str]) -> tuple[str, ...]:
    """Distinct programs: fewest words, fewest products, fewest minus signs, ``<`` before ``>``.

    Equals keep their order, which is x before constants.
    """

    def rank(program: str) -> tuple[int, int, int, int]:
        products = sum(word in PRODUCTS for word in program.split())
        return _words(program), products, program.count("-"), program.count(">")

    return tuple(dict.fromkeys(sorted(programs, key=rank)))


def _words(text: str) -> int:
    return text.count(" ") + 1


def _operators(term: str) -> int:
    return _words(term) // 2


def _terms() -> dict[Values, list[str]]:
    """Terms of at most two operators by their values at `INPUTS`."""
    x = np.array(INPUTS)
    found: defaultdict[Values, list[str]] = defaultdict(list)

    def add(text: str, values: npt.NDArray[np.int64]) -> None:
        found[tuple(values.tolist())].append(text)

    add("x", x)
    add("0", 0 * x)
    add("x + x", x + x)
    add("x + x + x", 3 * x)
    constants = range(1, LARGEST_CONSTANT + 1)
    multiples = [("x * x", x * x)]
    for c in constants:
        add(f"{c}", 0 * x + c)
        sums = [(f"x + {c}", x + c), (f"x - {c}", x - c), (f"{c} - x", c - x)]
        sums += [(f"{c} + x", x + c), (f"x + x + {c}", 2 * x + c)]
        for b in range(1, c // 2 + 1):  # a constant in two parts: a longer way to say the same
            a = c - b
            sums += [(f"x + {a} + {b}", x + c), (f"x - {a} - {b}", x - c)]
            sums += [(f"{a} + {b} - x", c - x)]
        for text, values in sums:
            add(text, values)
        if c > 1:
            multiples += [(f"x * {c}", x * c), (f"{c} * x", x * c)]
            multiples += [(f"x // {c}", x // c), (f"x % {c}", x % c)]
    for text, values in multiples:
        add(text, values)
        for c in constants:
            add(f"{text} + {c}", values + c)
            add(f"{text} - {c}", values - c)
    return found
