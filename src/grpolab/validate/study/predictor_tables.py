"""Tables on predictors, the calibration of forecasts, independence, and starts by SFT data."""

from __future__ import annotations

from collections.abc import Sequence

from grpolab.figures.tables import Table
from grpolab.figures.words import interval
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.independence import IndependenceRow
from grpolab.validate.study.results import Calibration, Shootout, Starts, Transferred
from grpolab.validate.study.rows import MAIN_OUTCOMES, OUTCOMES, label
from grpolab.validate.study.shootout import Standing, Truth

START = (
    "pass_at_1", "pass_at_10", "pass_at_256", "token_entropy", "held_out_nll", "signal",
    "final_pass_at_1", "final_pass_at_10", "final_pass_at_64",
)  # fmt: skip


def standings(rows: Sequence[Standing]) -> Table:
    """Predictors by what choosing with them costs, over all families."""
    return Table(
        ["choose by", "regret", "in its worst family", "rho", "adjusted p", "against depth",
         "against pass@g", "inversions predicted", "right where none", "same order as depth"],
        [
            [label(r.predictor), r.regret, f"{r.worst:.3f} ({r.fails_in})", r.rho, r.adjusted_p,
             *("/".join(map(str, r.beats[b])) for b in ("depth", "pass_at_g")),
             r.sensitivity, r.specificity, r.same_as_depth]
            for r in rows
        ],
        f"Outcome {label(rows[0].outcome)}. Regret: what the choice costs against the best start,"
        " mean over families and seeds. rho: mean Spearman correlation over families, positive"
        " where the direction fixed beforehand is right; p-value of the joint permutation of"
        " checkpoints, corrected for all predictors. Against: families won, drawn, lost in regret.",
    )  # fmt: skip


def regret_by_outcome(found: Shootout) -> Table:
    """Regret of every predictor under every outcome."""
    (first, *_), outcomes = found.standings.values(), list(found.standings)
    cost = {o: {r.predictor: r.regret for r in found.standings[o]} for o in outcomes}
    return Table(
        ["choose by", *map(label, outcomes)],
        [
            [label(row.predictor), *(cost[o].get(row.predictor) for o in outcomes)]
            for row in first
        ],
        "Regret of choosing the start by each number, for every outcome.",
    )  # fmt: skip


def truth(rows: Sequence[Truth]) -> Table:
    """Whether a family has an inversion."""
    return Table(
        ["family", "outcome", "pass@1 picks", "ends best", "lead of a shallower start",
         "inversion", "in seeds"],
        [
            [r.family, label(r.outcome), r.picked, r.best, r.lead, "yes" if r.inverted else "no",
             r.in_seeds]
            for r in rows
            if r.outcome in MAIN_OUTCOMES
        ],
        "Is there an inversion: does a start shallower than the pick of pass@1 end better by more"
        " than .02, and no worse than any deeper one?",
    )  # fmt: skip


def transfer(found: Transferred, leave_out: str, outcome: str, *, rows: int | None = None) -> Table:
    """Predictors out of sample, the least regret first; ``rows`` of them."""
    return Table(
        ["predictor", "R2", "rho", "regret", "inversions predicted", "right where none"],
        [
            [label(r.predictor), r.r2, r.spearman, r.regret, r.sensitivity, r.specificity]
            for r in found.predictors[:rows]
        ],
        f"Outcome {label(outcome)}, one {leave_out} left out at a time: a line (or a ridge for"
        " combinations) through centred values, fitted on the others. R2 below 0 is worse than"
        " calling all starts equal.",
    )


def family_regrets(found: Shootout, family: str) -> list[Table]:
    """What choosing by each predictor costs in one family, a table per outcome."""
    tables = []
    for outcome, one in found.families[family].items():
        rank = {r.predictor: r for r in one.rank}
        lines = []
        for r in one.regret:
            mine = rank.get(r.predictor)
            rho = "" if mine is None else f"{mine.spearman:+.2f} (p {mine.p_value:.2f})"
            tau = "" if mine is None else f"{mine.kendall:+.2f}"
            picks = ", ".join(map(str, r.picks))
            lines.append([label(r.predictor), picks, r.regret, r.worst, rho, tau])
        tables.append(
            Table(
                ["choose by", "picks in each seed", "regret", "worst seed", "Spearman", "Kendall"],
                lines,
                f"Outcome {label(outcome)}; exact permutation p over depths.",
            )
        )
    return tables


def coverage(found: Sequence[Calibration]) -> Table:
    """Coverage of 95% intervals made before RL, by step."""
    return Table(
        ["quantity", "forecast", "steps", "coverage", "measured below", "above", "mean miss"],
        [
            [label(c.quantity), c.method, f"{w.first} to {w.last - 1}", w.coverage, w.frac_below,
             w.frac_above, w.mean_abs_error]
            for c in found
            for w in c.windows
        ],
        "95% intervals made once, before RL, from rollouts on training prompts, for the groups of"
        " one step. Later steps are missed because the policy moves.",
    )  # fmt: skip


def independence(rows: Sequence[IndependenceRow]) -> Table:
    """T1, T2 and T3 of every checkpoint."""
    return Table(
        ["checkpoint", "mean p", "T1 rho", "s.e.", "p", "T2 ICC", "low", "high", "T3 zero-std",
         "at mean p", "beta-binomial", "band", "p* iid", "p* at ICC", "low", "high"],
        [
            [r.label, r.mean, r.rho, r.stderr, r.p_value, r.icc, r.icc_low, r.icc_high,
             r.zero_std, r.zero_std_iid, r.zero_std_beta,
             interval(r.zero_std_low, r.zero_std_high, digits=2), r.critical_p_iid, r.critical_p,
             r.critical_p_low, r.critical_p_high]
            for r in rows
        ],
        "T1: correlation given the prompt (exact permutation test). T2: spread between prompts. T3:"
        " what the spread does to zero-std groups and to p*; bands hold for every exchangeable law"
        " with this mean and ICC. A dash: half of the groups have zero std at every mean.",
    )  # fmt: skip


def starts(found: Starts) -> Table:
    """Starts that differ in their SFT data."""
    return Table(
        ["start", "what", *map(label, START)],
        [
            [r.start, REGIMES[r.start].summary, *(r.mean.get(name) for name in START)]
            for r in found.by_start
        ],
        "Same number of SFT steps for all. Means over seeds; negative log-likelihoods in nats per"
        " canonical answer.",
    )


def start_regrets(found: Starts) -> Table:
    """What choosing among those starts costs."""
    outcomes = [o for o in OUTCOMES if all(o in r.regret for r in found.regret)]
    return Table(
        ["choose by", "picks", *map(label, outcomes)],
        [[label(r.predictor), r.picks, *(r.regret[o] for o in outcomes)] for r in found.regret],
        "What choosing the start by each predictor costs against the best one.",
    )
