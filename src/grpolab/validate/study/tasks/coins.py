"""Coins: reach a sum with coins of three values, writing the running total after every coin."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import accumulate, combinations, product

from grpolab.validate.study.tasks.problems import EnumeratedTask, Problem, SplitSizes

COIN_VALUES = range(2, 14)
MAX_COINS = 5
CLASSES = ("large", "small")

Coins = tuple[int, ...]


def coins(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> EnumeratedTask:
    """Prompts "make 23 with 9 7 3", completions "+7 7 +7 14 +9 23 done" in any order of coins.

    Three different values out of 2..13, each usable any number of times, at most 5 coins in all;
    a sum that one coin makes is no problem. Class ``large`` can do without the smallest value,
    ``small`` cannot. The canonical solution uses the smallest value least often, then the fewest
    coins, then the largest coins first.

    >>> task = coins(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [6314, 512, 512, 2800, 1000]
    """
    numbers = [str(n) for n in range(COIN_VALUES[0], MAX_COINS * COIN_VALUES[-1] + 1)]
    return EnumeratedTask(
        "coins",
        _problems(),
        classes=CLASSES,
        vocabulary=[*numbers, *(f"+{value}" for value in COIN_VALUES), "make", "with", "done"],
        noise=noise,
        seed=seed,
        sizes=sizes,
    )


@cache
def _problems() -> tuple[Problem, ...]:
    problems = []
    for values in combinations(reversed(COIN_VALUES), 3):
        found: defaultdict[int, list[Coins]] = defaultdict(list)
        for count in range(2, MAX_COINS + 1):
            for chain in product(values, repeat=count):
                found[sum(chain)].append(chain)
        problems += [_problem(values, t, found[t]) for t in sorted(found) if t not in values]
    return tuple(problems)


def _problem(values: Coins, target: int, chains: list[Coins]) -> Problem:
    # the sort is stable: chains of one length come in with the largest coins first
    smallest = values[-1]
    ranked = sorted(chains, key=lambda chain: (chain.count(smallest), len(chain)))
    return Problem(
        template="make {} with " + " ".join(map(str, values)),
        target=target,
        label=CLASSES[smallest in ranked[0]],
        solutions=tuple(map(_write, ranked)),
    )


def _write(chain: Coins) -> str:
    steps = zip(chain, accumulate(chain), strict=True)
    return " ".join(f"+{coin} {total}" for coin, total in steps) + " done"
