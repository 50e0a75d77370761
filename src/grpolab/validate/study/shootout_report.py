"""The report's sections on predictors, on the calibration of forecasts and on independence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures import page
from grpolab.validate.study.summary import label

Found = Mapping[str, Any]
_REFERENCES = ("deepest", "at random")


def sections(results: Found) -> list[str]:
    """Predictors within and over families, out of sample; calibration; independence."""
    out = []
    if "shootout" in results:
        out.append(_shootout(results["shootout"]))
    if "calibration" in results:
        out.append(_calibration(results["calibration"]))
    if "independence" in results:
        out.append(_independence(results["independence"]))
    return out


def _shootout(found: Found) -> str:
    note = page.paragraph(
        "Depth itself is the baseline: on one ladder every quantity that is monotone in depth"
        " correlates with every other, so no correlation identifies a cause. Directions were fixed"
        " beforehand; depth chooses the shallowest.",
        note=True,
    )
    parts = [note]
    for outcome, rows in found.get("standings", {}).items():
        if outcome in ("final_pass_at_1", "final_pass_at_10"):
            parts.append(_standings(outcome, rows))
    if "standings" in found:
        columns, lines = regret_by_outcome(found["standings"])
        caption = "Regret of choosing the start by each number, for every outcome."
        parts.append(page.table(columns, lines, caption=caption))
    parts.append(_truth(found["truth"]))
    for leave_out, per_outcome in found.get("transfer", {}).items():
        parts.append(_transfer(leave_out, per_outcome))
    for family, outcomes in found["families"].items():
        parts.append(page.details(f"Family {family}", _family(outcomes)))
    return page.section("Which number before RL picks the start?", *parts)


def regret_by_outcome(
    standings: Mapping[str, Sequence[Found]],
) -> tuple[list[str], list[list[Any]]]:
    """Columns and lines of a table: regret of every predictor under every outcome."""
    (first, *_), outcomes = standings.values(), list(standings)
    cost = {o: {r["predictor"]: r["regret"] for r in standings[o]} for o in outcomes}
    lines = [
        [label(row["predictor"]), *(cost[o].get(row["predictor"]) for o in outcomes)]
        for row in first
    ]
    return ["choose by", *map(label, outcomes)], lines


def _standings(outcome: str, rows: Sequence[Found]) -> str:
    return page.table(
        ["choose by", "regret", "worst", "fails in", "rho", "worst rho", "adjusted p",
         "beats depth", "beats pass@g", "inversions called", "silent where none",
         "same order as depth"],
        [
            [label(r["predictor"]), r["regret"], r["worst"], r["fails_in"], r["rho"],
             r["worst_rho"], r["adjusted_p"], _score(r, "depth"), _score(r, "pass_at_g"),
             r["sensitivity"], r["specificity"], r["same_as_depth"]]
            for r in rows
        ],
        caption=f"Outcome {label(outcome)}, all families alike. Regret: what the choice costs"
        " against the best start, mean over families and seeds. rho: mean Spearman correlation over"
        " families, positive where the direction fixed beforehand is right; p-value of the joint"
        " permutation of checkpoints, corrected for all predictors. Beats: families won, drawn,"
        " lost in regret.",
    )  # fmt: skip


def _score(row: Found, baseline: str) -> str:
    return " / ".join(map(str, row["beats"][baseline]))


def _truth(rows: Sequence[Found]) -> str:
    shown = [r for r in rows if r["outcome"] in ("final_pass_at_1", "final_pass_at_10")]
    return page.table(
        ["family", "outcome", "pass@1 picks", "ends best", "lead of a shallower start",
         "inversion", "in seeds"],
        [[r["family"], label(r["outcome"]), r["picked"], r["best"], r["lead"],
          "yes" if r["inverted"] else "no", r["in_seeds"]] for r in shown],
        caption="Is there an inversion: does a start shallower than the pick of pass@1 end better"
        " by more than .02, and no worse than any deeper one?",
    )  # fmt: skip


def _transfer(leave_out: str, per_outcome: Found) -> str:
    tables = []
    for outcome, found in per_outcome.items():
        tables.append(
            page.table(
                ["predictor", "R2", "rho", "regret", "inversions called", "silent where none"],
                [
                    [label(r["predictor"]), r["r2"], r["spearman"], r["regret"],
                     r["sensitivity"], r["specificity"]]
                    for r in found["predictors"]
                ],
                caption=f"Outcome {label(outcome)}, one {leave_out} left out at a time: a line (or"
                " a ridge for combinations) through centred values, fitted on the others. R2 below"
                " 0 is worse than calling all starts equal.",
            )
        )  # fmt: skip
    return page.details(f"Out of sample: leave one {leave_out} out", *tables)


def _family(outcomes: Found) -> str:
    tables = []
    for outcome, found in outcomes.items():
        ranks = {r["predictor"]: r for r in found["rank"]}
        lines = []
        for r in found["regret"]:
            rank = ranks.get(r["predictor"])
            picks = ", ".join(map(str, r["picks"]))
            rho = "" if rank is None else f"{rank['spearman']:+.2f} (p {rank['p_value']:.2f})"
            tau = "" if rank is None else f"{rank['kendall']:+.2f}"
            lines.append([label(r["predictor"]), picks, r["regret"], r["worst"], rho, tau])
        tables.append(
            page.table(
                ["choose by", "picks in each seed", "regret", "worst seed", "Spearman", "Kendall"],
                lines, caption=f"Outcome {label(outcome)}; exact permutation p over depths.",
            )
        )  # fmt: skip
    return "".join(tables)


def _calibration(rows: Sequence[Found]) -> str:
    table = page.table(
        ["quantity", "forecast", "steps", "coverage of 95 % intervals", "low", "high",
         "measured below", "above", "mean miss"],
        [
            [label(r["quantity"]), r["method"], f"{r['first']} to {r['last'] - 1}", r["coverage"],
             r["low"], r["high"], r["frac_below"], r["frac_above"], r["mean_abs_error"]]
            for r in rows
        ],
        caption="Intervals made once, before RL, from rollouts on training prompts, for the 32 (or"
        " however many) groups of each step. Later steps are missed because the policy moves.",
    )  # fmt: skip
    return page.section("Are the forecasts of the early steps calibrated?", table)


def _independence(found: Found) -> str:
    table = page.table(
        ["checkpoint", "mean p", "T1 rho", "s.e.", "p", "T2 ICC", "low", "high", "T3 zero-std",
         "at mean p", "beta-binomial", "band", "p* iid", "p* at ICC", "band"],
        [
            [r["label"], r["mean"], r["rho"], r["stderr"], r["p_value"], r["icc"], r["icc_low"],
             r["icc_high"], r["zero_std"], r["zero_std_iid"], r["zero_std_beta"],
             f"{r['zero_std_low']:.2f} to {r['zero_std_high']:.2f}", r["critical_p_iid"],
             r["critical_p"], _band(r)]
            for r in found["rows"]
        ],
        caption="T1: correlation given the prompt (exact permutation test). T2: spread between"
        " prompts. T3: what the spread does to zero-std groups and to p*; bands hold for every"
        " exchangeable law with this mean and ICC. A dash: half of the groups have zero std at"
        " every mean.",
    )  # fmt: skip
    return page.section(
        "Are the rewards of a group independent?",
        page.paragraph(found["verdict"]["text"]),
        page.details("Every checkpoint", table),
    )


def _band(row: Found) -> str:
    low, high = row["critical_p_low"], row["critical_p_high"]
    ends = ["–" if v is None or v != v else f"{v:.3f}" for v in (low, high)]
    return " to ".join(ends)


def findings(results: Found) -> list[str]:
    """Who picks the start best, where it fails, and whether it beats depth and pass@g."""
    standings = results.get("shootout", {}).get("standings")
    if not standings:
        return []
    out = [_winner(outcome, standings[outcome]) for outcome in
           ("final_pass_at_1", "final_pass_at_10") if outcome in standings]  # fmt: skip
    return [*out, _covered(results["calibration"])]


def _winner(outcome: str, rows: Sequence[Found]) -> str:
    real = [r for r in rows if r["predictor"] not in _REFERENCES]
    by = {r["predictor"]: r for r in rows}
    best = real[0]
    others = ", ".join(
        f"{label(name)} {by[name]['regret']:.3f}"
        for name in ("pass_at_1", "pass_at_g", "token_entropy", "depth", "held_out_nll",
                     "pass_at_64", "signal", "at random")
        if name in by and name != best["predictor"]
    )  # fmt: skip
    wins = best["beats"]
    return (
        f"**Choosing the start, {label(outcome)}: {label(best['predictor'])} costs least**"
        f" ({best['regret']:.3f} on average, {best['worst']:.3f} in its worst family,"
        f" {best['fails_in']}); against depth itself it wins, draws, loses"
        f" {_triple(wins['depth'])} families, against pass@g {_triple(wins['pass_at_g'])}. Others:"
        f" {others}. It calls {_share(best['sensitivity'])} of the inversions and keeps silent on"
        f" {_share(best['specificity'])} of the ladders without one; token entropy"
        f" {_share(by['token_entropy']['sensitivity'])} and"
        f" {_share(by['token_entropy']['specificity'])}."
    )


def _triple(values: Sequence[int]) -> str:
    return "/".join(map(str, values))


def _share(value: float | None) -> str:
    return "none" if value is None or value != value else f"{100 * value:.0f} %"


def _covered(rows: Sequence[Found]) -> str:
    mine = {(r["method"], r["first"]): r for r in rows if r["quantity"] == "zero_std"}
    firsts = sorted({first for _, first in mine})
    first, last = firsts[0], firsts[-1]

    def told(method: str, start: int) -> str:
        row = mine[method, start]
        return f"{100 * row['coverage']:.0f} % in steps {row['first']} to {row['last'] - 1}"

    return (
        "**Calibration.** 95 % intervals made before RL cover the zero-std share of a step:"
        f" thinning {told('thinning', first)} and {told('thinning', last)}, beta-binomial"
        f" {told('beta-binomial', first)} and {told('beta-binomial', last)}; the formula at the"
        f" mean p {told('mean-p', first)}."
    )
