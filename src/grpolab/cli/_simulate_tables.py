"""Tables of `grpolab simulate`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from grpolab.cli._output import print_table, say
from grpolab.figures import words
from grpolab.figures.tables import Column, Table

Results = list[dict[str, Any]]


def pstar(results: Results) -> None:
    """p* from groups and from waits, beside the theory."""
    rows = [
        (
            r["point"]["group_size"],
            r["point"]["rho"],
            r["point"]["model"],
            r["theory"],
            r["estimate"],
            _interval(r),
            r["waiting"] and r["waiting"]["estimate"],
            "" if _covers(r) else "outside",
        )
        for r in results
    ]
    columns = ("g", "rho", "model", "theory", "simulated", "95%", "from waiting", "")
    _print(
        "Mean at which half the groups carry no signal", columns, rows,
        "At p* a run waits two steps for its first update; nothing else happens there.",
    )  # fmt: skip


def paths(results: Results, steps: int) -> None:
    """Mean p and zero-std share along the runs."""
    rows = []
    for r in results:
        middle = len(r["step"]) // 2
        rows.append((r["point"]["rule"], r["point"]["p0"], r["frac_zero_std"][0],
                     r["mean_p"][middle], r["mean_p"][-1], r["mean_field"][-1],
                     r["frac_zero_std"][-2]))  # fmt: skip
    columns = ("rule", "p0", "zero std at 0", f"p at {steps // 2}", f"p at {steps}",
               "mean field", "zero std at end")  # fmt: skip
    _print("Training runs, means over chains", columns, rows)


def escapes(results: Results) -> None:
    """Steps to p = 1/2: simulated, exact, mean field."""
    rows = [
        (r["point"]["rule"], r["p0"], r["mean"], r["stderr"], r["exact"], r["mean_field"])
        for r in results
    ]
    columns = ("rule", "p0", "steps to 1/2", "stderr", "exact", "mean field")
    _print("Escape times", columns, rows)


def traps(results: Results, slopes: dict[str, dict[str, float]]) -> None:
    """Points below which a push wins, and how they scale with the group size."""
    rows = [
        (t["point"]["rule"], t["point"]["group_size"], t["estimate"], _interval(t), t["theory"],
         t["p_star"])
        for t in results
    ]  # fmt: skip
    _print("Below p_c the push wins", ("rule", "g", "p_c", "95%", "small steps", "p*"), rows)
    for rule, slope in slopes.items():
        say(
            f"{rule}: p_c falls like (g-1)^{slope['estimate']:.2f}"
            f" (small steps {slope['theory']:.2f}), p* like (g-1)^{slope['p_star']:.2f}"
        )


def independence(results: Results) -> None:
    """Rejection rates of the tests."""
    names = ("kind", "num_prompts", "groups_per_prompt", "group_size")
    tests = ("pair_contrast", "duplicates", "pooled_tarone")
    rows = [
        (*(r["point"][n] for n in names), *(r[t] and f"{r[t]['rate']:.2f}" for t in tests))
        for r in results
    ]
    columns = ("kind", "prompts", "groups", "g", "pair contrast", "duplicates", "pooled")
    _print(
        "Share of tables rejected at the 5% level", columns, rows,
        "The pooled test answers another question: do prompts differ? They nearly always do.",
    )  # fmt: skip


def ladder(results: Results) -> None:
    """Ranks of the checkpoints before and after GRPO."""
    names = ("label_accuracy", "interference", "num_steps", "group_size")
    rows = [
        (
            *(r["point"][name] for name in names),
            f"{r['pass_at_1'][0]:.2f} {r['pass_at_1'][-1]:.2f}",
            f"{r['outcome'][0]:.2f} {max(r['outcome']):.2f} {r['outcome'][-1]:.2f}",
            f"{r['tau']:.2f}",
            f"{r['inversion']:.3f}",
            "inverted" if r["inverted"] else "",
        )
        for r in results
    ]
    columns = ("labels", "shared", "steps", "g", "before", "after", "tau", "lost", "")
    _print(
        "Does pass@1 rank the checkpoints as GRPO does?", columns, rows,
        "before: pass@1 of the first and the deepest checkpoint. after: pass@1 after GRPO from the"
        " first, the best and the deepest. tau: rank agreement over depths. lost: by taking the"
        " checkpoint with the best pass@1.",
    )  # fmt: skip


def sweep(experiment: str, names: list[str], results: Results) -> None:
    """Whatever numbers an experiment gives, by the parameters that were set."""
    numbers = [k for k, v in results[0].items() if isinstance(v, int | float) and k != "seed"]
    rows = [(*(r["point"][n] for n in names), *(r[n] for n in numbers)) for r in results]
    _print(f"{experiment}: {words.counted(len(results), 'point')}", (*names, *numbers), rows)


def slopes(traps: Results) -> dict[str, dict[str, float]]:
    """Slopes on log(g-1) of the trap, simulated and exact, and of p*, per rule."""
    from grpolab.simulate import log_slope

    found: dict[str, dict[str, float]] = {}
    for rule in dict.fromkeys(t["point"]["rule"] for t in traps):
        rows = [t for t in traps if t["point"]["rule"] == rule]
        sizes = [t["point"]["group_size"] for t in rows]
        found[rule] = {
            name: log_slope(sizes, [t[name] or math.nan for t in rows])
            for name in ("estimate", "theory", "p_star")
        }
    return found


def _print(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = ""
) -> None:
    heads = [Column(name, words.significant) for name in columns]
    print_table(Table(heads, rows, caption, title=title))


def _interval(result: dict[str, Any]) -> str:
    if result["low"] is None:
        return "none"
    return f"{words.significant(result['low'])} to {words.significant(result['high'])}"


def _covers(result: dict[str, Any]) -> bool:
    if result["low"] is None or result["theory"] is None:
        return result["low"] is None and result["theory"] is None
    return bool(result["low"] <= result["theory"] <= result["high"])
