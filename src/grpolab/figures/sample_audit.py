"""What sixteen verdicts per problem say about groups that were never drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from grpolab.figures.style import BLUE, GREEN, GREY, RED, name_line, size_ticks
from grpolab.theory import prob_zero_std, thin_zero_std


def data(rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Problems by number correct [n + 1], and the zero-std share per group size [G].

    ``rows``: one per completion, with ``problem`` and ``correct`` (0 or 1); as many completions for
    every problem. Thinning draws g of a problem's n verdicts, exactly.
    """
    drawn, right = Counter[str](), Counter[str]()
    for row in rows:
        drawn[row["problem"]] += 1
        right[row["problem"]] += int(row["correct"])
    (n,) = set(drawn.values())
    k = np.array([right[problem] for problem in drawn])
    sizes = np.arange(2, n + 1)
    return {
        "num_samples": n,
        "problems": np.bincount(k, minlength=n + 1),
        "group_size": sizes,
        "thinned": [float(np.mean(thin_zero_std(n, k, int(g)))) for g in sizes],
        "mean_p": prob_zero_std(k.mean() / n, sizes),
    }


def draw(axes: Sequence[Any], found: Mapping[str, Any]) -> None:
    """Draw the spectrum of the problems above, the forecast below."""
    n, counts = found["num_samples"], found["problems"]
    colours = [GREY if k in (0, n) else BLUE for k in range(n + 1)]
    axes[0].bar(range(n + 1), counts, color=colours, width=0.8)
    axes[0].set_xticks(range(0, n + 1, max(1, n // 4)))
    axes[0].set_xlabel(f"correct answers among {n}")
    axes[0].set_ylabel("problems")
    axes[0].grid(visible=False, axis="x")
    sizes = found["group_size"]
    axes[1].plot(sizes, found["thinned"], "o-", color=GREEN, markersize=4)
    axes[1].plot(sizes, found["mean_p"], "--", color=RED)
    for name, colour, text in (
        ("thinned", GREEN, "from the verdicts"),
        ("mean_p", RED, "from the mean success rate"),
    ):
        at = (sizes[2], found[name][2])
        name_line(axes[1], text, at=at, colour=colour, shift=(4, 9))
    size_ticks(axes[1], [2, 4, 8, 16])
    axes[1].set_ylim(0, 1.02)
    axes[1].set_ylabel("share of zero-std groups")
