"""Countdown: reach a target from three numbers, each used once, with + - and * left to right."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import combinations_with_replacement, permutations, product

from grpolab.validate.study.tasks.problems import EnumeratedTask, Problem, SplitSizes

LARGEST_NUMBER = 15
LARGEST_TARGET = 99
OPERATORS = ("+", "-", "*")
CLASSES = ("add", "mul")

Numbers = tuple[int, ...]
Solution = tuple[Numbers, tuple[str, ...]]


def countdown(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> EnumeratedTask:
    """Prompts "12 7 3 -> 16", completions "12 + 7 - 3" (two operators, no precedence).

    Numbers 1..15 (repeats allowed), listed from the largest; targets 0..99; intermediate values
    are free. Class ``add`` has a solution without ``*`` (2480 problems), ``mul`` none (4611).
    The canonical solution has fewest ``*``, then fewest ``-``, then the largest numbers first.

    >>> task = countdown(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [6091, 512, 512, 2800, 1000]
    """
    words = [str(n) for n in range(LARGEST_TARGET + 1)]
    return EnumeratedTask(
        "countdown",
        _problems(),
        classes=CLASSES,
        vocabulary=[*words, *OPERATORS, "->"],
        noise=noise,
        seed=seed,
        sizes=sizes,
    )


@cache
def _problems() -> tuple[Problem, ...]:
    problems = []
    for numbers in combinations_with_replacement(range(LARGEST_NUMBER, 0, -1), 3):
        found: defaultdict[int, list[Solution]] = defaultdict(list)
        for order in sorted(set(permutations(numbers)), reverse=True):
            for operators in product(OPERATORS, repeat=2):
                value = _apply(operators[1], _apply(operators[0], order[0], order[1]), order[2])
                if 0 <= value <= LARGEST_TARGET:
                    found[value].append((order, operators))
        listed = " ".join(map(str, numbers))
        problems += [_problem(listed, target, found[target]) for target in sorted(found)]
    return tuple(problems)


def _apply(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case _:
            return left * right


def _problem(listed: str, target: int, solutions: list[Solution]) -> Problem:
    # the sort is stable: solutions come in with the largest numbers first
    ranked = sorted(solutions, key=lambda s: (s[1].count("*"), s[1].count("-")))
    return Problem(
        template=listed + " -> {}",
        target=target,
        label=CLASSES["*" in ranked[0][1]],
        solutions=tuple(f"{n[0]} {op[0]} {n[1]} {op[1]} {n[2]}" for n, op in ranked),
    )
