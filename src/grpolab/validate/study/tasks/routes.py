"""Routes: walk from one cell of a small grid to another by a shortest way around a blocked cell."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product

from grpolab.validate.study.tasks.problems import EnumeratedTask, Problem, SplitSizes

SIZE = 5
COLUMNS = "abcde"
CLASSES = ("open", "blocked")

Cell = tuple[int, int]


def routes(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> EnumeratedTask:
    """Prompts "from b2 to d4 without c3", completions "right right up up": any shortest way.

    A grid of 5 x 5; start and goal differ in column and in row. Class ``open``: the blocked cell
    is on no shortest way; ``blocked``: it is on some, which are then wrong. The canonical solution
    goes sideways as early as it can.

    >>> task = routes(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [8200, 512, 512, 2800, 1000]
    """
    cells = [_name(cell) for cell in product(range(SIZE), range(SIZE))]
    return EnumeratedTask(
        "routes",
        _problems(),
        classes=CLASSES,
        vocabulary=["from", "to", "without", "up", "down", "left", "right", *cells],
        noise=noise,
        seed=seed,
        sizes=sizes,
    )


@cache
def _problems() -> tuple[Problem, ...]:
    cells = list(product(range(SIZE), range(SIZE)))
    return tuple(
        _problem(start, goal, blocked)
        for start, goal in product(cells, cells)
        if start[0] != goal[0] and start[1] != goal[1]
        for blocked in cells
        if blocked not in (start, goal)
    )


def _problem(start: Cell, goal: Cell, blocked: Cell) -> Problem:
    across, along = goal[0] - start[0], goal[1] - start[1]
    length = abs(across) + abs(along)
    ways = []
    for sideways in combinations(range(length), abs(across)):  # the earliest places come first
        column, row = start
        passed, words = [], []
        for place in range(length):
            if place in sideways:
                column += 1 if across > 0 else -1
                words.append("right" if across > 0 else "left")
            else:
                row += 1 if along > 0 else -1
                words.append("up" if along > 0 else "down")
            passed.append((column, row))
        ways.append((passed, " ".join(words)))
    free = tuple(text for passed, text in ways if blocked not in passed)
    return Problem(
        template=f"from {_name(start)} to {_name(goal)} without {{}}",
        target=_name(blocked),
        label=CLASSES[len(free) < len(ways)],
        solutions=free,
    )


def _name(cell: Cell) -> str:
    return f"{COLUMNS[cell[0]]}{cell[1] + 1}"
