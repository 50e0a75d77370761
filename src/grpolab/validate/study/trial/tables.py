"""Tables of the trial: what was fixed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median
from typing import Any

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import DASH, number, significant
from grpolab.validate.study.trial.protocol import Protocol


def designs(protocol: Protocol) -> Table:
    """Every design, in the order in which they are run."""
    return Table(
        [
            Column("design", words=True), "task", "data", Column("first class", significant),
            Column("noise", significant), "hidden x layers", "SFT", "depths", "steps",
            Column("lr", significant), "groups",
        ],
        [
            (
                d.name, d.task, d.data, d.first_share, d.noise, f"{d.hidden} x {d.layers}", d.sft,
                " ".join(map(str, d.depths)), d.steps, d.lr,
                f"{d.prompts_per_step} x {d.group_size}",
            )
            for d in protocol.designs
        ],
    )  # fmt: skip


def predictors(protocol: Protocol) -> Table:
    """Every predictor with its formula, and which of two values it prefers."""
    return Table(
        [Column("predictor", words=True), Column("formula", words=True), "known", "chosen"],
        [
            (name, row["formula"], row["kind"], "highest" if row["direction"] > 0 else "lowest")
            for name, row in protocol.words["predictors"].items()
        ],
    )


def claims(protocol: Protocol) -> Table:
    """Every claim, and what confirms or refutes it."""
    return Table(
        ["claim", Column("statement", words=True), Column("confirmed if", words=True),
         Column("refuted if", words=True)],
        [
            (row["id"], row["statement"] + (f" (bar: {row['bar']})" if "bar" in row else ""),
             row["confirmed_if"], row["refuted_if"])
            for row in protocol.words["claims"]
        ],
    )  # fmt: skip


def outcomes(protocol: Protocol) -> Table:
    """Every outcome and measure of a choice, with its formula."""
    rows = {**protocol.words["outcomes"], **protocol.words["measures"]}
    return Table(
        [Column("outcome or measure", words=True), Column("formula", words=True)], rows.items()
    )


Result = Mapping[str, Any]
"""``result.json``: `Analysis.as_dict`, where an estimate is [value, low, high]."""


def finished(result: Result) -> bool:
    """Whether all designs are in: before that there are numbers and no verdict."""
    return len(result["done"]) == int(result["num_designs"])


def state(result: Result) -> str:
    """How far the trial is, in one sentence."""
    done, size = len(result["done"]), result["num_designs"]
    if finished(result):
        return f"All {size} designs are finished."
    return (
        f"**Designs finished: {done} of {size}. No claim is decided yet**, and numbers on a part"
        " of the designs are no result."
    )


def summary(result: Result) -> str:
    """The result in a paragraph and a table; interim numbers and no verdict until all are in."""
    table = _costs(result).markdown()
    if not finished(result):
        done, size = len(result["done"]), result["num_designs"]
        return (
            f"**Result so far: {done} of {size} designs; interim numbers, no verdict.** The"
            " protocol runs all designs whatever they show: nothing is stopped, changed or chosen"
            " on the numbers below. Mean regret of choosing the start by each number, in the order"
            f" of the protocol, with 95% intervals over designs (none for one design):\n\n{table}"
        )
    said = "\n".join(
        f"- {v['claim']}, {v['statement']}: **{v['verdict']}**"
        f" ({_estimate((v['value'], v['low'], v['high']))})"
        for v in result["verdicts"]
    )
    return (
        f"**Result: all {result['num_designs']} designs are finished.** Claims, with the number"
        f" that decides each and its 95% interval over designs:\n\n{said}\n\nMean regret of"
        f" choosing the start by each number, the least first:\n\n{table}"
    )


def _costs(result: Result) -> Table:
    """Regret of every predictor in both main outcomes."""
    first, second = "final pass@1", "final pass@10"
    other = {s["predictor"]: s for s in result["standings"] if s["outcome"] == second}
    return Table(
        [
            Column("choose by", words=True), "designs", Column(first, _estimate),
            Column("against pass@1", _estimate), Column(second, _estimate),
        ],
        [
            (
                s["predictor"], s["num_designs"], s["regret"], s["against"],
                other[s["predictor"]]["regret"],
            )
            for s in _ordered(result, first)
        ],
    )  # fmt: skip


def of_papers(result: Result) -> str:
    """What the trial says of the claims of the source papers, after a sentence on how far it is."""
    doom = next(v for v in result["verdicts"] if v["claim"] == "I")
    verdict = f"**{doom['verdict']}**: " if finished(result) else ""
    rows = [("2606.18487", doom["statement"], verdict + doom["note"])]
    for paper, statement, name in (
        ("2606.18487", "the start of the best pass@1 ends lower", "pass@1"),
        ("2606.18487", "the start of the highest entropy ends higher", "entropy"),
        ("2510.01624", "loss on held-out examples predicts the outcome", "nll"),
        ("2510.01624", "pass@k at large k predicts the outcome", "pass@64"),
    ):
        found = [
            f"{s['outcome'].removeprefix('final ')} {_estimate(s['regret'])}"
            for s in result["standings"]
            if s["predictor"] == name and s["outcome"] in ("final pass@1", "final pass@10")
        ]
        rows.append((paper, statement, f"regret of choosing by {name}: {'; '.join(found)}"))
    table = Table(["paper", Column("claim", words=True), Column("in the trial", words=True)], rows)
    return f"{state(result)}\n\n{table.markdown()}"


def _ordered(result: Result, outcome: str) -> list[Mapping[str, Any]]:
    """Predictors for one outcome: the least regret first, or, on a part, as in the protocol."""
    rows = [s for s in result["standings"] if s["outcome"] == outcome]
    return sorted(rows, key=lambda s: s["regret"][0]) if finished(result) else rows


def verdicts(result: Result) -> Table:
    """Every claim with its number and its verdict."""
    return Table(
        [
            "claim", Column("statement", words=True), Column("verdict", words=True), "designs",
            Column("value", _estimate), Column("adjusted p", number), Column("regrets", number),
            Column("bar", _met), Column("note", words=True),
        ],
        [
            (
                v["claim"], v["statement"], v["verdict"], v["num_designs"],
                (v["value"], v["low"], v["high"]), v["p_value"], v["ratio"],
                v["meets_bar"] if finished(result) else None, v["note"],
            )
            for v in result["verdicts"]
        ],
        "Value: a difference of mean regrets (A to G), a slope per doubling of the steps (H), the"
        " share that lifts (I), a difference of such shares (J), a coverage (K), with its 95%"
        " interval over designs. Regrets: the quotient of the two regrets.",
    )  # fmt: skip


def standings(result: Result, outcome: str) -> Table:
    """What every predictor is worth for one outcome, the least regret first once all are in."""
    return Table(
        [
            Column("choose by", words=True), "designs", Column("regret", _estimate),
            Column("against pass@1", _estimate), Column("worst", words=True),
            Column("Spearman", _estimate), Column("R2", _estimate), Column("within", _estimate),
            Column("coverage", _estimate), Column("interval score", _estimate),
        ],
        [
            (
                s["predictor"], s["num_designs"], s["regret"], s["against"],
                f"{number(s['worst'])} ({s['worst_design']})", s["spearman"], s["r2"],
                s["r2_within"], s["coverage"], s["score"],
            )
            for s in _ordered(result, outcome)
        ],
        "Means over designs with 95% intervals over designs. Within: R2 inside ladders. Coverage"
        " and interval score: of 95% intervals of the outcome, out of design.",
    )  # fmt: skip


def budget(result: Result) -> Table:
    """The best k by the number of steps, over designs, beside the law's."""
    rows = result["budget"]
    steps = sorted({row["steps"] for row in rows})
    lines = []
    for s in steps:
        mine = [row for row in rows if row["steps"] == s]
        best = sorted(row["best"] for row in mine)
        lines.append(
            (
                s, len(mine), mine[0]["law"], float(median(best)), best[0], best[-1],
                fmean(row["correlation"] for row in mine), fmean(row["by_law"] for row in mine),
            )
        )  # fmt: skip
    return Table(
        ["steps", "designs", "k by the law", "median of the best k", "least", "greatest",
         "Spearman at the best k", "at the law's k"],
        lines,
    )  # fmt: skip


def low_starts(result: Result) -> Table:
    """Every start with a mean p below p*(8), and what RL made of it."""
    return Table(
        [
            Column("design", words=True), "SFT seed", "depth", "first class", "mean p", "entropy",
            "signal", Column("gains", _gains), "final pass@1", Column("what", words=True),
        ],
        [
            (
                r["design"], r["sft"], r["depth"], r["first_share"], r["mean_p"], r["entropy"],
                r["signal"], r["gains"], r["final"],
                "lifts" if r["lifts"] else "stalls" if r["stalls"] else "between",
            )
            for r in result["low"]
        ],
    )  # fmt: skip


def _estimate(value: Any) -> str:
    """``0.012 [0.004, 0.020]``, the value alone without an interval, a dash without a value."""
    if value is None or value[0] is None:
        return DASH
    if value[1] is None or value[2] is None:
        return number(value[0])
    return f"{number(value[0])} [{number(value[1])}, {number(value[2])}]"


def _met(value: Any) -> str:
    return DASH if value is None else "met" if value else "missed"


def _gains(values: Any) -> str:
    return ", ".join(f"{v:+.3f}" for v in values)
