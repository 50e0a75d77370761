"""What attempts to save a start are worth, and whether lost plasticity is what they mend.

Every arm is compared with the plain run of the same depth and seed, in pass@1, pass@10 and pass@64
after RL. p-values are corrected over all attempts of a family, from all depths (Holm 1979), for
each outcome by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import counted, number, p_value
from grpolab.validate.estimate.contrasts import holm
from grpolab.validate.study.result_tables import lead
from grpolab.validate.study.results import ArmRow, FamilySummary, Finding, Lead, Results

LEVEL = 0.05
OUTCOMES = ("pass_at_1", "pass_at_10", "pass_at_64")
RESTARTS = ("shrink-perturb", "reset-block")
"""Arms that would help a start that has lost its plasticity, and leave SFT as it was."""
PULLED = "sft-l2-start"
"""The remedy inside SFT: it makes another start, so that what it lifts is no proof."""
SWEPT: Mapping[str, tuple[str, ...]] = {
    "KL to the start, .01, .05, .5": ("kl-start-0.01", "kl-start-0.05", "kl-start-0.5"),
    "label smoothing in SFT, .05, .1, .2": ("smooth-05", "smooth-10", "smooth-20"),
    "pass@k as the objective, k = 4, 8": ("pass-at-4", "pass-at-8"),
}
"""Arms of one kind in the order of their strength."""
PLASTICITY = ("dormant", "effective_rank", "first_grad_norm", "greedy_gap")

Cell = tuple[str, int, str, str]
"""Family, depth, arm and outcome."""


def tried(rows: Sequence[ArmRow]) -> list[ArmRow]:
    """Attempts among the arms."""
    return [row for row in rows if row.question == "rescue"]


def adjusted(rows: Sequence[ArmRow]) -> dict[Cell, float]:
    """p-values of all attempts, corrected within each family and outcome."""
    found: dict[Cell, float] = {}
    for family in dict.fromkeys(row.family for row in rows):
        mine = [row for row in tried(rows) if row.family == family]
        for outcome in OUTCOMES:
            tested = [row for row in mine if outcome in row.p_values]
            values = holm([row.p_values[outcome] for row in tested])
            found |= {
                (family, row.depth, row.arm, outcome): value
                for row, value in zip(tested, values, strict=True)
            }
    return found


def cure_findings(results: Results) -> list[Finding]:
    """Sentences on attempts by family: which help, how strength matters, what plasticity says."""
    p_values = adjusted(results.arms)
    families = dict.fromkeys(row.family for row in tried(results.arms))
    found = (
        [Finding("everywhere", _everywhere(results.arms, p_values))] if len(families) > 1 else []
    )
    for family in families:
        mine = [row for row in results.arms if row.family == family]
        texts = {
            "rescue": _rescue(family, mine, p_values),
            "strength": _strength(family, mine),
            "plasticity": _plasticity(family, mine, p_values, results.families.get(family)),
        }
        found += [Finding(f"{name} {family}", text) for name, text in texts.items() if text]
    return found


def _adjusted(value: float | None) -> str:
    return "<0.0001" if value is not None and value < 1e-4 else p_value(value)


def _verdict(row: ArmRow, outcome: str, p_values: Mapping[Cell, float]) -> int:
    """1 or -1 for a difference beyond chance after correction, else 0."""
    p = p_values.get((row.family, row.depth, row.arm, outcome), 1.0)
    if p >= LEVEL:
        return 0
    return 1 if row.against_plain[outcome].difference > 0 else -1


def _everywhere(rows: Sequence[ArmRow], p_values: Mapping[Cell, float]) -> str:
    """Attempts with the same sign beyond chance in every family, and how many there are."""
    attempts = tried(rows)
    families = dict.fromkeys(row.family for row in attempts)
    cells: dict[tuple[str, str, int], list[int]] = {}
    for row in attempts:
        for outcome in OUTCOMES:
            place = (outcome, row.summary, row.depth)
            cells.setdefault(place, []).append(_verdict(row, outcome, p_values))

    def named(outcome: str, sign: int) -> str:
        same = [
            f"{what} (depth {depth})"
            for (of, what, depth), seen in cells.items()
            if of == outcome and seen == [sign] * len(families)
        ]
        return f"{_name(outcome)} {', '.join(same) or 'none'}"

    higher, lower = ("; ".join(named(o, sign) for o in OUTCOMES) for sign in (1, -1))
    return (
        f"**What ends beyond chance above or below the plain run in all {len(families)} families**"
        f" ({' and '.join(families)}), of {len(attempts) // len(families)} attempts."
        f" Higher: {higher}. Lower: {lower}."
    )


def _rescue(family: str, rows: Sequence[ArmRow], p_values: Mapping[Cell, float]) -> str:
    parts = []
    attempts = tried(rows)
    for depth in sorted({row.depth for row in attempts}):
        mine = [row for row in attempts if row.depth == depth]
        told = []
        for outcome in (o for o in OUTCOMES if all(o in row.p_values for row in mine)):
            ordered = sorted(mine, key=lambda row: -row.against_plain[outcome].difference)
            up, down = (
                [row for row in ordered if _verdict(row, outcome, p_values) == sign]
                for sign in (1, -1)
            )
            told.append(f"{_name(outcome)} higher {_named(up, outcome)}, lower"
                        f" {_named(down, outcome)}")  # fmt: skip
        if told:
            parts.append(f"From depth {depth} ({len(mine)} attempts): {'; '.join(told)}.")
    if not parts:
        return ""
    return (
        f"**Rescue attempts, {family}: what ends beyond chance above or below the plain run of the"
        f" same depth.** {' '.join(parts)} Beyond chance: p < {LEVEL:g} after Holm's correction"
        f" over the {len(attempts)} attempts, for each outcome; intervals are in the table."
    )


def _named(rows: Sequence[ArmRow], outcome: str) -> str:
    listed = ", ".join(
        f"{row.summary} {row.against_plain[outcome].difference:+.3f}" for row in rows
    )
    return f"{len(rows)} ({listed})" if rows else "none"


def _strength(family: str, rows: Sequence[ArmRow]) -> str:
    """Differences along each sweep, from the deepest start that has all of it."""
    parts = []
    for what, names in SWEPT.items():
        mine = [row for row in rows if row.arm in names]
        depths = [d for d in {row.depth for row in mine} if _has(mine, d, names)]
        if not depths:
            continue
        at = {row.arm: row for row in mine if row.depth == max(depths)}
        told = "; ".join(
            f"{_name(outcome)} {', '.join(lead(at[name].against_plain[outcome]) for name in names)}"
            for outcome in OUTCOMES
            if all(outcome in at[name].against_plain for name in names)
        )
        parts.append(f"{what}, from depth {max(depths)}: {told}.")
    if not parts:
        return ""
    return f"**Strengths, {family}, against the plain run.** {' '.join(parts)}"


def _has(rows: Sequence[ArmRow], depth: int, names: Sequence[str]) -> bool:
    return {row.arm for row in rows if row.depth == depth} >= set(names)


def _plasticity(
    family: str,
    rows: Sequence[ArmRow],
    p_values: Mapping[Cell, float],
    summary: FamilySummary | None,
) -> str:
    """Whether the deep start shows the signs, and whether it gains by what restores plasticity."""
    if summary is None or len(summary.by_depth) < 2:
        return ""
    first, last = summary.by_depth[0], summary.by_depth[-1]
    at = {row.arm: row for row in rows if row.depth == last.depth}
    deep = [at[name] for name in RESTARTS if name in at]
    if not deep:
        return ""
    signs = "; ".join(
        f"{name} {number(first.mean.get(key))} and {number(last.mean.get(key))}"
        for key, name in zip(PLASTICITY, _SIGNS, strict=True)
    )
    lifted = [row for row in deep if any(_verdict(row, o, p_values) == 1 for o in OUTCOMES)]
    head = (
        f"{len(lifted)} of {len(deep)} restarts before RL lift the deep start in some outcome"
        if lifted
        else f"not supported, none of {len(deep)} restarts before RL lifts the deep start"
    )
    gain = [number(rung.mean["final_pass_at_1"] - rung.mean["pass_at_1"]) for rung in (first, last)]
    told = "; ".join(_told(row) for row in deep)
    text = (
        f"**Lost plasticity as the cause, {family}: {head} beyond chance.** Before RL depths"
        f" {first.depth} and {last.depth} have {signs}; the plain runs gain {gain[0]} and"
        f" {gain[1]} in pass@1. From depth {last.depth}, against the plain run: {told}."
    )
    if PULLED not in at or "plain" not in at:
        return text
    pulled, plain = at[PULLED], at["plain"]
    return (
        f"{text} {_told(pulled)}; it makes another start, with pass@10"
        f" {number(pulled.start_pass_at_10)} in place of {number(plain.start_pass_at_10)} before RL"
        f" and {number(pulled.start_zero_std)} in place of {number(plain.start_zero_std)} zero-std"
        " groups in the first steps."
    )


def _told(row: ArmRow) -> str:
    return f"{row.summary}: {', '.join(_shown(row, outcome) for outcome in OUTCOMES)}"


_SIGNS = ("dormant units", "effective rank", "gradient norm of the first batch",
          "greedy - sampled pass@1")  # fmt: skip


def _shown(row: ArmRow, outcome: str) -> str:
    return f"{_name(outcome)} {lead(row.against_plain.get(outcome))}"


def _name(outcome: str) -> str:
    return outcome.replace("_at_", "@")


def state(results: Results, seeds: int) -> str:
    """How many seeds are in, where that is fewer than the study is to have; else empty."""
    done = len(results.config["seeds"])
    if done >= seeds:
        return ""
    noise = (
        " With one seed the noise between runs is not seen: it is taken to be that of the studies"
        " before, and the noise of SFT is left out."
    ) * (done == 1)
    return f"**Interim: {counted(done, 'seed')} of {seeds}.**{noise}\n\n"


def attempts(rows: Sequence[ArmRow]) -> Table:
    """Every attempt beside the plain run of its depth, with p-values after correction."""
    p_values = adjusted(rows)
    places = {(row.family, row.depth) for row in tried(rows)}
    shown = [r for r in rows if (r.family, r.depth) in places and r.question in ("plain", "rescue")]
    shown.sort(key=lambda r: (r.family, r.depth, r.question != "plain"))
    columns: list[Column | str] = ["family", "depth", Column("what", words=True), "zero-std"]
    for outcome in OUTCOMES:
        columns += [
            f"final {_name(outcome)}",
            Column("against plain", lead),
            Column("p", _adjusted),
        ]

    def cells(row: ArmRow, outcome: str) -> list[float | Lead | None]:
        place = (row.family, row.depth, row.arm, outcome)
        return [row.final.get(outcome), row.against_plain.get(outcome), p_values.get(place)]

    return Table(
        columns,
        [
            [r.family, r.depth, r.summary, r.zero_std, *(c for o in OUTCOMES for c in cells(r, o))]
            for r in shown
        ],
        "Means over seeds; zero-std: share over the whole run. Against plain: paired by held-out"
        " prompt and seed, 95% over both; p: after Holm's correction over the attempts of a family,"
        " for each outcome.",
    )


def signs(families: Mapping[str, FamilySummary]) -> Table:
    """Measures of plasticity before RL beside what the plain runs gain, means over seeds."""
    precise = partial(number, digits=4)
    return Table(
        ["family", "SFT steps", Column(_SIGNS[0], precise), *_SIGNS[1:], "pass@1 before RL",
         "gain in pass@1", "gain in pass@10"],
        [
            [name, rung.depth, *(rung.mean.get(key) for key in PLASTICITY), rung.mean["pass_at_1"],
             rung.mean.get("gain_pass_at_1"), rung.mean.get("gain_pass_at_10")]
            for name, family in families.items()
            for rung in family.by_depth
        ],
    )  # fmt: skip
