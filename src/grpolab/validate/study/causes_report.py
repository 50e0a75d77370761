"""The report's sections on controls, rescue attempts and forces, and the sentences on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures import page

Row = Mapping[str, Any]


def sections(results: Mapping[str, Any]) -> list[str]:
    """Sections for what a study has: arms beyond the plain one, forces."""
    out = []
    arms = results.get("arms", [])
    for question, title in (
        ("control", "Causal controls: the same weights, another entropy, support or selection"),
        ("rescue", "Rescue attempts on the deepest start"),
    ):
        if any(row["question"] == question for row in arms):
            out.append(page.section(title, *_arms(arms, question)))
    if results.get("forces"):
        out.append(_forces(results["forces"]))
    return out


_COLUMNS = (
    "family", "depth", "arm", "what", "T", "entropy", "zero-std first 10 steps", "pass@1 start",
    "pass@1 end", "against plain", "pass@10 start", "pass@10 end", "against plain",
    "1st class end", "2nd class end", "RL prompts",
)  # fmt: skip


def _arms(arms: Sequence[Row], question: str) -> list[str]:
    places = {(r["family"], r["depth"]) for r in arms if r["question"] == question}
    shown = [
        r for r in arms
        if r["question"] in ("plain", question) and (r["family"], r["depth"]) in places
    ]  # fmt: skip
    shown.sort(key=lambda r: (r["family"], r["depth"], r["question"] != "plain"))
    lines = [
        [r["family"], r["depth"], r["arm"], r["summary"], r["temperature"], r["start_entropy"],
         r["start_zero_std"], r["start_pass_at_1"], r["final_pass_at_1"],
         gap(r, "pass_at_1"), r["start_pass_at_10"], r["final_pass_at_10"], gap(r, "pass_at_10"),
         r.get("final_first_class"), r.get("final_second_class"), r["train_pass_at_1"]]
        for r in shown
    ]  # fmt: skip
    note = (
        "Means over seeds. Against plain: paired difference in the end, 95 % over held-out prompts"
        " and seeds. T: temperature inside sampling, loss and evaluation."
    )
    return [page.table(_COLUMNS, lines, caption=note)]


def gap(row: Row, name: str) -> str:
    """The paired difference from the plain run, for a table cell."""
    pair = row.get(f"against_plain_{name}")
    if pair is None:
        return ""
    return f"{pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"


def _forces(forces: Sequence[Row]) -> str:
    def cell(row: Row, kind: str) -> str:
        found = row[kind]
        if found is None:
            return "–"
        return f"{found['change']:+.4f} ± {1.96 * found['stderr']:.4f}"

    lines = [
        [r["family"], r["depth"], r["force"], r["frac_zero_std"], r["mean_grad_norm"],
         cell(r, "never"), cell(r, "always"), cell(r, "others")]
        for r in forces
    ]  # fmt: skip
    table = page.table(
        ["family", "depth", "what acts", "zero-std groups", "gradient norm",
         "p on prompts never solved", "p on prompts always solved", "p on the others"],
        lines,
        caption="Change of p over the short run, on fresh samples, with 95 % intervals over"
        " prompts. Interference: trained on the other prompts only; silent: trained on the prompts"
        " without signal only.",
    )  # fmt: skip
    return page.section("Which force moves p where there is no signal?", table)


def findings(results: Mapping[str, Any]) -> list[str]:
    """Sentences on the controls, the rescue attempts and the forces, computed from the tables."""
    out = []
    arms = results.get("arms", [])
    for family in dict.fromkeys(r["family"] for r in arms):
        mine = {(r["arm"], r["depth"]): r for r in arms if r["family"] == family}
        out += _entropy(family, mine) + _signal(family, mine)
        out += _rescue(family, mine)
    if results.get("forces"):
        out.append(_moving(results["forces"]))
    return out


def _entropy(family: str, rows: Mapping[tuple[str, int], Row]) -> list[str]:
    """What setting the entropy by temperature did, against what depth does."""
    depths = sorted({d for a, d in rows if a == "plain"})
    if not depths or ("cooled", depths[0]) not in rows or ("warmed", depths[-1]) not in rows:
        return []
    shallow, deep = depths[0], depths[-1]
    ends = {
        "shallow": rows["plain", shallow], "deep": rows["plain", deep],
        "cooled": rows["cooled", shallow], "warmed": rows["warmed", deep],
    }  # fmt: skip
    parts = []
    for name, label in (("pass_at_1", "pass@1"), ("pass_at_10", "pass@10")):
        value = {k: r[f"final_{name}"] for k, r in ends.items()}
        parts.append(
            f"final {label}: depth {shallow} {value['shallow']:.3f}, cooled"
            f" {value['cooled']:.3f}; depth {deep} {value['deep']:.3f}, warmed"
            f" {value['warmed']:.3f}"
        )
    verdict = _cause(ends)
    return [
        f"**Entropy as a cause, {family}: {verdict}.** The shallow weights at the deep entropy and"
        f" the other way round, step size matched; {'; '.join(parts)}. Zero-std share in the first"
        f" steps: {ends['shallow']['start_zero_std']:.2f} as it is,"
        f" {ends['cooled']['start_zero_std']:.2f} cooled; {ends['deep']['start_zero_std']:.2f}"
        f" deep, {ends['warmed']['start_zero_std']:.2f} warmed."
    ]


def _cause(ends: Mapping[str, Row]) -> str:
    """Share of the depth gap in final pass@1 on RL prompts that the temperature reproduces."""
    gap = ends["shallow"]["train_pass_at_1"] - ends["deep"]["train_pass_at_1"]
    if abs(gap) < 0.02:
        return "no gap between the depths to explain"
    cooled = (ends["shallow"]["train_pass_at_1"] - ends["cooled"]["train_pass_at_1"]) / gap
    warmed = (ends["warmed"]["train_pass_at_1"] - ends["deep"]["train_pass_at_1"]) / gap
    ahead = "the shallow start" if gap > 0 else "the deep start"
    share = (
        f"the temperature reproduces {100 * cooled:.0f} % (cooled) and {100 * warmed:.0f} %"
        f" (warmed) of the lead of {ahead} in pass@1 on RL prompts ({abs(gap):.3f})"
    )
    if max(cooled, warmed) < 0.25:
        return f"refuted, {share}"
    if min(cooled, warmed) > 0.75:
        return f"{'confirmed' if max(cooled, warmed) < 1.5 else 'more than enough'}, {share}"
    return f"in part, {share}"


def _rescue(family: str, rows: Mapping[tuple[str, int], Row]) -> list[str]:
    tried = [r for r in rows.values() if r["question"] == "rescue"]
    if not tried:
        return []
    better = [r for r in tried if r["against_plain_pass_at_1"]["low"] > 0]
    worse = [r for r in tried if r["against_plain_pass_at_1"]["high"] < 0]
    shallow = rows["plain", min(d for a, d in rows if a == "plain")]

    def named(which: Sequence[Row]) -> str:
        order = sorted(which, key=lambda r: -r["against_plain_pass_at_1"]["difference"])
        return ", ".join(f"{r['summary']} {gap(r, 'pass_at_1')}" for r in order) or "none"

    tenth = max(tried, key=lambda r: r["final_pass_at_10"])
    return [
        f"**Rescue attempts, {family}:** {len(better)} of {len(tried)} end higher in pass@1 than"
        f" the plain run of the same depth (95 % interval above 0): {named(better)}. Lower:"
        f" {named(worse)}. The best of them in pass@10 ({tenth['summary']}) ends at"
        f" {tenth['final_pass_at_10']:.3f}; depth {shallow['depth']} without any at"
        f" {shallow['final_pass_at_10']:.3f}."
    ]


def _moving(forces: Sequence[Row]) -> str:
    """What each force does, from the deepest start, to prompts that give no signal."""
    deepest = max(r["depth"] for r in forces)
    rows = {r["force"]: r for r in forces if r["depth"] == deepest}

    def told(name: str) -> str:
        never, always = (_change(rows[name][kind]) for kind in ("never", "always"))
        return f"{never} on prompts never solved before, {always} on prompts always solved"

    first, *others = [name for name in rows if name.startswith("interference")]
    more = "; ".join(f"with {name.partition(', ')[2]} {told(name)}" for name in others)
    text = (
        f"**What moves p where there is no signal (depth {deepest}).** Training on the other"
        f" prompts alone moves p by {told(first)} (95 %): interference both helps and harms. The"
        f" same {more}."
    )
    if "silent" not in rows:
        return text
    share = 100 * rows["silent"]["frac_zero_std"]
    return (
        f"{text} Training on the silent prompts alone, {share:.0f} % of whose groups have no"
        f" spread, moves it by {told('silent')}: a rare hit is enough to start learning."
    )


def _change(cell: Mapping[str, float] | None) -> str:
    return "–" if cell is None else f"{cell['change']:+.3f} ± {1.96 * cell['stderr']:.3f}"


def _signal(family: str, rows: Mapping[tuple[str, int], Row]) -> list[str]:
    """What a restored signal, equal support and equal mean p do."""
    depths = sorted({d for a, d in rows if a == "plain"})
    shallow, deep = depths[0], depths[-1]
    needed = {("dynamic", deep), ("dynamic-matched", deep), ("equal-support", shallow),
              ("equal-p", shallow)}  # fmt: skip
    if not needed <= set(rows):
        return []
    cost = rows["dynamic", deep]["rollouts"] / rows["plain", deep]["rollouts"]

    def ends(name: str, depth: int) -> str:
        return f"{rows[name, depth]['final_pass_at_1']:.3f} ({gap(rows[name, depth], 'pass_at_1')})"

    restored, matched = ends("dynamic", deep), ends("dynamic-matched", deep)
    support, level = ends("equal-support", shallow), ends("equal-p", shallow)
    return [
        f"**Signal and support, {family}.** Dynamic sampling takes depth {deep} to a final pass@1"
        f" of {restored} at {cost:.1f} times the rollouts; averaged over all groups drawn, so that"
        f" the step is no larger, {matched}. Depth {shallow} on only the prompts that depth {deep}"
        f" ever solved ends at {support}; on prompts with the mean p of depth {deep} at {level}. In"
        " brackets: against the plain run of that depth."
    ]
