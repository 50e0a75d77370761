"""Plain-language findings, every number and every verdict computed from the results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from grpolab.figures.words import number, percent
from grpolab.validate.study.causes import causes
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.result_tables import lead
from grpolab.validate.study.results import (
    Best,
    Calibration,
    FamilySummary,
    Finding,
    Independence,
    Results,
    Starts,
    Tuning,
)
from grpolab.validate.study.rows import FORECASTS, MAIN_OUTCOMES, METRICS, Row, label
from grpolab.validate.study.shootout import Standing, Truth

_LEVEL = 0.05
_FEW = 2  # families that get a sentence each
_REFERENCES = ("deepest", "at random")  # what no one would call a predictor
_OTHERS = ("pass_at_1", "pass_at_g", "token_entropy", "depth", "held_out_nll", "pass_at_64",
           "signal", "at random")  # fmt: skip


def findings(config: StudyConfig, results: Results) -> tuple[Finding, ...]:
    """Sentences for the head of the report, the most consequential first."""
    if results.tuning is not None:
        return (Finding("tuning", _tuning(results.tuning)),)
    rows, families = results.rows, results.families
    out = [
        Finding("zero-std", _zero_std(rows, config)),
        Finding("variance", _variance(rows)),
        Finding("early", _early(rows)),
    ]
    if results.shootout and results.shootout.standings:
        by = results.shootout.standings
        out += [Finding(f"choice {o}", _winner(o, by[o])) for o in MAIN_OUTCOMES if o in by]
        out.append(Finding("calibration", _covered(results.calibration)))
    out += causes(results)
    for task, found in results.starts.items():
        out += _starts(task, found)
    if len(families) > _FEW and results.shootout:
        out.append(Finding("inversions", _inversions(families, results.shootout.truth)))
    else:
        out += [Finding(f"ladder {n}", ladder_text(n, family)) for n, family in families.items()]
    if results.independence:
        out.append(Finding("independence", _independence(results.independence)))
    if results.thresholds:
        out.append(Finding("thresholds", _thresholds(results, config)))
    return tuple(out)


def _zero_std(rows: Sequence[Row], config: StudyConfig) -> str:
    seen = np.array([row.before.measured.observed.zero_std for row in rows])
    guess = {
        name: np.array([row.before.measured.predicted[name].zero_std for row in rows])
        for name in FORECASTS
    }
    miss = {name: np.abs(values - seen) for name, values in guess.items()}
    at = int(np.argmax(miss["mean-p"]))
    mean = {name: float(values.mean()) for name, values in miss.items()}
    verdict = "fails" if mean["mean-p"] > 0.05 else "holds"
    return (
        f"**The formula at the mean success rate {verdict} for groups without a signal.** Over"
        f" {len(rows)} checkpoints it misses their share by {mean['mean-p']:.3f} on average (worst:"
        f" {rows[at].family}, depth {rows[at].depth}: it says"
        f" {percent(float(guess['mean-p'][at]))}, and {percent(float(seen[at]))} of the groups of"
        f" {config.grpo.group_size} have identical rewards). A beta-binomial with the spread of p"
        f" between prompts misses it by {mean['beta-binomial']:.3f}; thinning a few earlier"
        f" rollouts per prompt misses it by {mean['thinning']:.3f}."
    )


def _variance(rows: Sequence[Row]) -> str:
    seen = np.array([row.before.measured.observed.variance for row in rows])
    guess = np.array([row.before.measured.predicted["mean-p"].variance for row in rows])
    fixed = np.array([row.before.measured.variance_by_icc for row in rows])
    if not seen.any():
        return "No group on any checkpoint held both rewards: there is nothing to learn from."
    ratio = guess[seen > 0] / seen[seen > 0]
    return (
        "**The variance formula needs the factor 1 - ICC.** `p(1-p)(g-1)/g` at the mean p is"
        f" {ratio.min():.1f} to {ratio.max():.1f} times the within-group variance; multiplied by"
        " 1 - ICC the formula is right to"
        f" {float(np.abs(fixed - seen).max()):.4f} on every checkpoint, on independent draws."
    )


def _early(rows: Sequence[Row]) -> str:
    def miss(window: int, name: str) -> float:
        gaps = [row.early.windows[window].zero_std for row in rows]
        return float(np.mean([abs(gap.error[name]) for gap in gaps]))

    *_, late, whole = rows[0].early.windows
    return (
        f"**The first {whole.last} GRPO steps.** The formula misses the zero-std share by"
        f" {miss(-1, 'mean-p'):.3f} even when it is given each step's own mean reward. Thinned"
        f" rollouts from before RL miss it by {miss(0, 'thinning'):.3f} in the first 10 steps and"
        f" by {miss(-2, 'thinning'):.3f} in steps {late.first} to {late.last}, as the policy"
        " moves on."
    )


def _winner(outcome: str, rows: Sequence[Standing]) -> str:
    """Which predictor picks the start best, where it fails, and what it beats."""
    by = {row.predictor: row for row in rows}
    best = next(row for row in rows if row.predictor not in _REFERENCES)
    shown = (name for name in _OTHERS if name in by and name != best.predictor)
    others = ", ".join(f"{label(name)} {by[name].regret:.3f}" for name in shown)
    entropy = by["token_entropy"]
    return (
        f"**Choosing the start, {label(outcome)}: {label(best.predictor)} costs least**"
        f" ({best.regret:.3f} on average, {best.worst:.3f} in its worst family, {best.fails_in})."
        f' It beats "always take the shallowest" in {_score(best, "depth")}, and pass@g in'
        f" {_score(best, 'pass_at_g')}. Others: {others}. {_inversions_found(best, entropy)}"
    )


def _inversions_found(best: Standing, entropy: Standing) -> str:
    """How well two predictors tell ladders with a rank inversion from the others."""
    found, clean = percent(best.sensitivity), percent(best.specificity)
    if math.isnan(best.sensitivity):
        return (
            "No ladder has a rank inversion to detect; it gives no false alarm on"
            f" {clean} of the ladders (token entropy: {percent(entropy.specificity)})."
        )
    if math.isnan(best.specificity):
        return (
            f"It detects {found} of the rank inversions (token entropy:"
            f" {percent(entropy.sensitivity)}); every ladder has one."
        )
    return (
        f"It detects {found} of the rank inversions and gives no false alarm on {clean} of the"
        f" ladders without one (token entropy: {percent(entropy.sensitivity)} and"
        f" {percent(entropy.specificity)})."
    )


def _score(row: Standing, baseline: str) -> str:
    """Families won, with ties and losses where there are any.

    >>> from types import SimpleNamespace
    >>> _score(SimpleNamespace(beats={"depth": (4, 2, 0)}), "depth")
    '4 of 6 families (2 ties)'
    """
    won, drawn, lost = row.beats[baseline]
    more = [f"{n} {word if n > 1 else word.removesuffix('s')}"
            for n, word in ((drawn, "ties"), (lost, "lost")) if n]  # fmt: skip
    return f"{won} of {won + drawn + lost} families" + (f" ({', '.join(more)})" if more else "")


def _covered(found: Sequence[Calibration]) -> str:
    by = {c.method: c.windows for c in found if c.quantity == "zero_std"}

    def told(method: str, window: int) -> str:
        cell = by[method][window]
        return f"{percent(cell.coverage)} in steps {cell.first} to {cell.last - 1}"

    return (
        "**Calibration.** 95% intervals made before RL cover the zero-std share of a step:"
        f" thinning {told('thinning', 0)} and {told('thinning', -1)}, beta-binomial"
        f" {told('beta-binomial', 0)} and {told('beta-binomial', -1)}; the formula at the"
        f" mean p {told('mean-p', 0)}."
    )


def _starts(task: str, found: Starts) -> list[Finding]:
    """Each data-level claim of arXiv 2510.01624, and what happened here."""
    out = []
    for claim in found.claims:
        one, two = REGIMES[claim.better].summary, REGIMES[claim.worse].summary
        after = claim.pass_at_1_after
        verdict = (
            "Confirmed" if after.low > 0 else "Reversed" if after.high < 0 else
            "Not distinguishable"
        )  # fmt: skip
        text = (
            f"**{verdict} on {task}: {one} end better after RL than {two}** (data-level claim of"
            f" arXiv 2510.01624). Difference in pass@1 before RL {lead(claim.pass_at_1_before)},"
            f" pass@1 after RL {lead(after)}, pass@10 before RL {lead(claim.pass_at_10_before)},"
            f" pass@10 after RL {lead(claim.pass_at_10_after)} (95% over prompts and seeds)."
        )
        out.append(Finding(f"claim {task} {claim.better} {claim.worse}", text))
    cost = {r.predictor: r.regret["final_pass_at_1"] for r in found.regret}
    best = ", ".join(f"{label(k)} {v:.3f}" for k, v in sorted(cost.items(), key=lambda x: x[1]))
    text = f"Choosing among these starts costs, in final pass@1: {best}."
    return [*out, Finding(f"starts {task}", text)]


def ladder_text(name: str, family: FamilySummary) -> str:
    """What pass@1 before RL picks in a family, what ends best, and what of its lead RL made."""
    found = family.inversion
    head = (
        f"**Family {name}** ({REGIMES[family.regime].summary}): pass@1 before RL picks depth"
        f" {found.picked}. "
    )
    pairs = (("pass@1", found.pass_at_1), ("pass@10", found.pass_at_10))
    return head + " ".join(_verdict(found.picked, best, called) for called, best in pairs)


def _verdict(picked: int, found: Best, called: str) -> str:
    before, after = found.before, found.after
    if before is None or after is None:
        return f"That depth also ends best in {called}: no inversion."
    said = (
        f"In {called} depth {found.best} ends best; its lead over depth {picked} is"
        f" {lead(before)} before RL and {lead(after)} after it (95% over prompts): "
    )
    if after.low <= 0:
        return said + "no inversion that these prompts can tell from chance."
    if before.high < 0:
        return said + "a rank inversion."
    if before.low > 0:
        there = before.difference / after.difference
        if there >= 1:
            return said + "the whole lead was there before RL, which did not widen it."
        return said + f"{percent(there)} of the final lead was there before RL."
    return said + "not distinguishable before RL, ahead after it."


def _inversions(families: Mapping[str, FamilySummary], truth: Sequence[Truth]) -> str:
    """How often pass@1 before RL picks too deep, and what of the lead was there before RL."""
    parts = []
    found = [family.inversion for family in families.values()]
    for outcome, ends in zip(
        MAIN_OUTCOMES, ([i.pass_at_1 for i in found], [i.pass_at_10 for i in found]), strict=True
    ):
        mine = [row for row in truth if row.outcome == outcome]
        yes = [row.family for row in mine if row.inverted]
        seeds = float(np.mean([row.in_seeds for row in mine]))
        leads = [(end.before, end.after) for end in ends if end.before and end.after]
        real = [(before, after) for before, after in leads if after.low > 0]
        made = [before for before, after in real if before.difference < after.difference]
        parts.append(
            f"in {label(outcome)} in {len(yes)} of {len(mine)} families"
            f" ({', '.join(yes) or 'none'}; {percent(seeds)} of the ladders of single seeds),"
            f" where another start than its pick leads in {len(real)} families beyond chance, in"
            f" {len(made)} by more than before RL"
        )
    return (
        "**How often does pass@1 pick too deep a start?** A shallower one ends better by more than"
        f" .02: {'; '.join(parts)}."
    )


def _independence(found: Independence) -> str:
    icc = [row.icc for row in found.rows]
    verdict = found.verdict
    head = "is not rejected" if verdict.least_adjusted_p >= _LEVEL else "is rejected"
    return (
        f"**Independence of the rewards of a group, given the prompt, {head}** on"
        f" {verdict.num_tests} checkpoints (exact permutation tests, smallest p"
        f" {verdict.least_p:.3f}, {verdict.least_adjusted_p:.2f} after Holm's correction;"
        f" mean correlation {verdict.mean_rho:+.4f} with standard error"
        f" {number(verdict.mean_rho_stderr, digits=4)}). Between prompts the rewards are far from"
        f" independent: ICC {min(icc):.2f} to {max(icc):.2f}."
    )


def _thresholds(results: Results, config: StudyConfig) -> str:
    assert results.thresholds is not None
    g, cells = config.grpo.group_size, results.thresholds.rows
    mine = {r.rho: r for r in cells if r.event == "identical" and r.group_size == g}
    plain, spread = mine[0.0], mine[max(mine)]
    inside = sum(r.low <= r.predicted <= r.high for r in cells)
    lowest = min(row.before.measured.pass_rates["pass_at_1"] for row in results.rows)
    most = max(METRICS["zero_std"].read(row) or 0.0 for row in results.rows)
    text = (
        f"**p*({g}) = {plain.predicted:.4f}** is derived; simulation that does not use the"
        f" formula finds {plain.low:.4f} to {plain.high:.4f}. At ICC {max(mine):g} it is"
        f" {spread.predicted:.3f} ({inside} of {len(cells)} simulated 99% intervals hold the"
        f" derived value). The lowest mean of a checkpoint here is {lowest:.2f}, and up to"
        f" {percent(most)} of the groups are without a signal"
    )
    if lowest > plain.predicted:
        return (
            text + ": p* is a property of a prompt, and being far above it on average is no"
            " sign of a signal."
        )
    return text + "."


def _tuning(found: Tuning) -> str:
    parts = [f"{rate.lr:g}: {rate.mean_final_pass_at_1:.3f}" for rate in found.table]
    return (
        "Mean final pass@1 over all depths by learning rate: " + ", ".join(parts) + f". The rate"
        f" with the best mean is {found.chosen:g}."
    )
