"""Findings on causes: what controls, rescue attempts and forces say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grpolab.figures.words import percent
from grpolab.validate.study.cures import cure_findings
from grpolab.validate.study.result_tables import change, lead
from grpolab.validate.study.results import ArmRow, Finding, ForceRow, Results
from grpolab.validate.study.rows import MAIN_OUTCOMES, label

Places = Mapping[tuple[str, int], ArmRow]
"""Rows of one family by arm and depth."""


def causes(results: Results) -> list[Finding]:
    """Sentences on the controls, the rescue attempts and the forces, computed from the tables."""
    out = []
    for family in dict.fromkeys(row.family for row in results.arms):
        mine = {(r.arm, r.depth): r for r in results.arms if r.family == family}
        for name, text in (
            ("entropy", _entropy(family, mine)),
            ("signal", _signal(family, mine)),
        ):
            out += [Finding(f"{name} {family}", text)] if text else []
    out += cure_findings(results)
    if results.forces:
        out.append(Finding("forces", _moving(results.forces)))
    return out


def _ends(rows: Places) -> tuple[int, int]:
    """The shallowest and the deepest plain run."""
    depths = [depth for arm, depth in rows if arm == "plain"]
    return min(depths), max(depths)


def _entropy(family: str, rows: Places) -> str:
    """What setting the entropy by temperature did, against what depth does."""
    shallow, deep = _ends(rows)
    if ("cooled", shallow) not in rows or ("warmed", deep) not in rows:
        return ""
    ends = {
        "shallow": rows["plain", shallow], "deep": rows["plain", deep],
        "cooled": rows["cooled", shallow], "warmed": rows["warmed", deep],
    }  # fmt: skip
    parts = []
    for outcome in MAIN_OUTCOMES:
        value = {k: row.final[outcome.removeprefix("final_")] for k, row in ends.items()}
        parts.append(
            f"{label(outcome)}: depth {shallow} {value['shallow']:.3f}, cooled"
            f" {value['cooled']:.3f}; depth {deep} {value['deep']:.3f}, warmed"
            f" {value['warmed']:.3f}"
        )
    share = {k: row.start_zero_std for k, row in ends.items()}
    verdict = cause(*(ends[k].train_pass_at_1 for k in ("shallow", "deep", "cooled", "warmed")))
    return (
        f"**Entropy as a cause, {family}: {verdict}.** The shallow weights at the deep entropy and"
        f" the other way round, step size matched; {'; '.join(parts)}. Zero-std share in the first"
        f" steps: {share['shallow']:.2f} as it is, {share['cooled']:.2f} cooled;"
        f" {share['deep']:.2f} deep, {share['warmed']:.2f} warmed."
    )


def cause(shallow: float, deep: float, cooled: float, warmed: float) -> str:
    """Share of the depth gap in final pass@1 on RL prompts that the temperature reproduces.

    >>> cause(0.6, 0.4, 0.6, 0.4).partition(",")[0], cause(0.5, 0.5, 0.1, 0.9)
    ('refuted', 'no gap between the depths to explain')
    """
    gap = shallow - deep
    if abs(gap) < 0.02:
        return "no gap between the depths to explain"
    down, up = (shallow - cooled) / gap, (warmed - deep) / gap
    ahead = "the shallow start" if gap > 0 else "the deep start"
    share = (
        f"the temperature reproduces {100 * down:.0f}% (cooled) and {100 * up:.0f}%"
        f" (warmed) of the lead of {ahead} in pass@1 on RL prompts ({abs(gap):.3f})"
    )
    if max(down, up) < 0.25:
        return f"refuted, {share}"
    if min(down, up) > 0.75:
        return f"{'confirmed' if max(down, up) < 1.5 else 'more than enough'}, {share}"
    return f"in part, {share}"


def _signal(family: str, rows: Places) -> str:
    """What a restored signal, equal support and equal mean p do."""
    shallow, deep = _ends(rows)
    needed = {("dynamic", deep), ("dynamic-matched", deep), ("equal-support", shallow),
              ("equal-p", shallow)}  # fmt: skip
    if not needed <= set(rows):
        return ""
    cost = rows["dynamic", deep].rollouts / rows["plain", deep].rollouts

    def ends(name: str, depth: int) -> str:
        row = rows[name, depth]
        return f"{row.final['pass_at_1']:.3f} ({lead(row.against_plain['pass_at_1'])})"

    return (
        f"**Signal and support, {family}.** Dynamic sampling takes depth {deep} to a final pass@1"
        f" of {ends('dynamic', deep)} at {cost:.1f} times the rollouts; averaged over all groups"
        f" drawn, so that the step is no larger, {ends('dynamic-matched', deep)}. Depth {shallow}"
        f" on only the prompts that depth {deep} ever solved ends at"
        f" {ends('equal-support', shallow)}; on prompts with the mean p of depth {deep} at"
        f" {ends('equal-p', shallow)}. In brackets: against the plain run of that depth."
    )


def _moving(forces: Sequence[ForceRow]) -> str:
    """What each force does, from the deepest start, to prompts that give no signal."""
    deepest = max(row.depth for row in forces)
    rows = {row.force: row for row in forces if row.depth == deepest}

    def told(name: str) -> str:
        never, always = (change(rows[name].moved.get(k), digits=3) for k in ("never", "always"))
        return f"{never} on prompts never solved before, {always} on prompts always solved"

    first, *others = [name for name in rows if name.startswith("interference")]
    more = "; ".join(f"with {name.partition(', ')[2]} {told(name)}" for name in others)
    text = (
        f"**What moves p where there is no signal (depth {deepest}).** Training on the other"
        f" prompts alone moves p by {told(first)} (95%): interference both helps and harms. The"
        f" same {more}."
    )
    if "silent" not in rows:
        return text
    return (
        f"{text} Training on the silent prompts alone, {percent(rows['silent'].frac_zero_std)} of"
        f" whose groups have no spread, moves it by {told('silent')}: a rare hit is enough to start"
        " learning."
    )
