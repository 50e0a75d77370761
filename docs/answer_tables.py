"""The questions of the source papers, each with the short answer of the committed results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import estimate, number, percent, percent_interval
from grpolab.store import read_json
from grpolab.validate.study.config import preset
from grpolab.validate.study.trial.measures import over_designs
from grpolab.validate.study.trial.protocol import protocol

RESULTS = Path(__file__).parent / "results"
PAGE = "predictors.md"
TRIED, EXPLORED = "fixed before the trial", "explored afterwards"


@cache
def _read(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(RESULTS / name)
    return found


def _claim(name: str) -> Mapping[str, Any]:
    return next(v for v in _read("trial/result.json")["verdicts"] if v["claim"] == name)


def _verdict(name: str, *, capital: bool = False) -> str:
    found = _claim(name)
    value = estimate((found["value"], found["low"], found["high"]))
    return f"{'C' if capital else 'c'}laim {name} is **{found['verdict']}**: {value}"


def _regret(predictor: str, outcome: str) -> str:
    found = next(
        s
        for s in _read("trial/result.json")["standings"]
        if s["predictor"] == predictor and s["outcome"] == outcome
    )
    return estimate(tuple(found["regret"]))


def _for_one() -> str:
    return (
        f"The best by pass@1 before RL: regret {_regret('pass@1', 'final pass@1')}. By a run of 50"
        f" steps from each start: {_regret('probe-50', 'final pass@1')};"
        f" {_verdict('F')} against pass@1; {_ratio('F')}"
    )


def _ratio(name: str) -> str:
    """Whether the quotient of two regrets meets its bar, and the difference the margin."""
    found, fixed = _claim(name), protocol().words
    bar = next(c["bar_ratio"] for c in fixed["claims"] if c["id"] == name)
    margin = fixed["margin"]["mean_regret"]
    size = "as large as" if found["value"] <= -margin else "smaller than"
    return (
        f"the ratio of the two regrets is {number(found['ratio'], digits=2)} (bar: at most"
        f" {bar:g}, {'met' if found['meets_bar'] else 'missed'}), and the gain is {size} the margin"
        f" of {margin:g} that counts as a difference"
    )


def _for_ten() -> str:
    return (
        f"The best by pass@8 before RL: regret {_regret('pass@8', 'final pass@10')}, or by the"
        f" transport: {_regret('transport@10', 'final pass@10')}; by pass@1 it is"
        f" {_regret('pass@1', 'final pass@10')}. {_verdict('D', capital=True)} for the transport"
        f" against pass@1; {_verdict('E')} for pass@8 against a run of 50 steps, which adds nothing"
    )


def _two() -> str:
    return (
        f"Not shown, and no gain of the margin is left: {_verdict('A')} for pass@2,"
        f" {_verdict('B')} for a k that grows with the budget"
        if {_claim(c)["verdict"] for c in "AB"} == {"refuted"}
        else f"{_verdict('A')} for pass@2, {_verdict('B')} for a k that grows with the budget"
    )


def _doom() -> str:
    found = _claim("I")
    return (
        f"No: claim I is **{found['verdict']}**, {found['note']}. Nor does a measured signal tell"
        f" those that lift: claim J is **{_claim('J')['verdict']}**"
        if {found["verdict"], _claim("J")["verdict"]} == {"refuted"}
        else f"claim I is **{found['verdict']}**: {found['note']}; claim J is"
        f" **{_claim('J')['verdict']}**"
    )


def _reach() -> str:
    said = []
    for outcome in (1, 10, 64):
        mine = [r for r in _read("explored.json")["reach"] if r["outcome"] == outcome]
        paid = [r["k"] for r in mine if r["against_half"] and r["against_half"][2] < 0]
        said.append(f"final pass@{outcome}: {f'up to k = {max(paid)}' if paid else 'no k above 1'}")
    return f"Doublings of k that pay beyond chance: {'; '.join(said)}"


def _exceed() -> str:
    rows = _read("explored.json")["exceed_designs"]
    runs, falls, rises = (sum(r[key] for r in rows) for key in ("runs", "falls", "rises"))
    mean = over_designs(np.array([r["pass@64"] for r in rows]))
    return (
        f"{'Mostly' if rises > runs / 2 else 'Often'}: pass@64 ends higher beyond chance in {rises}"
        f" of {runs} runs and lower in {falls};"
        f" mean change {estimate(mean)}. It falls where it was high before RL"
    )


def _composition() -> str:
    rows = _read("explored.json")["composition"]
    mine = [r for r in rows if r["loss"] == rows[0]["loss"]]
    least = min(mine, key=lambda r: r["agree"][0])
    return (
        f"Much: with {least['set']} in the set the order of the starts agrees with that of the even"
        f" mix by Spearman {estimate(tuple(least['agree']))}"
    )


def _policy() -> str:
    last = _read("explored.json")["policy"][-1]
    first = _read("explored.json")["policy"][0]
    low, high = last["against"][1:]
    sure = "a gain" if high < 0 else "a loss" if low > 0 else "no gain beyond chance"
    return (
        f"{sure.capitalize()} over choosing once by pass@1: {estimate(tuple(last['against']))} in"
        f" regret, for {number(last['cost'][0] - first['cost'][0], digits=2)} of a run more"
    )


def _plastic() -> str:
    rows = _read("explored.json")["plasticity"]
    signs = ("dormant", "rank", "grad-norm", "greedy - sampled")
    taken = [r for r in rows if r["measure"] in signs and r["change"][1] > 0]
    dormant = next(r for r in rows if r["measure"] == "dormant")
    return (
        f"Not by these measures: {len(taken) or 'none'} of {len(signs)} accounts for what depth"
        f" costs, and deep starts have no more dormant units (Spearman with depth"
        f" {estimate(tuple(dormant['with_depth']))})"
        if not taken
        else f"In part: {', '.join(dict.fromkeys(r['measure'] for r in taken))}"
    )


def _mechanism() -> str:
    rows = _read("explored.json")["mechanisms"]
    best = min(rows, key=lambda r: r["error_1"][0] + r["error_10"][0])
    own = next(r for r in rows if r["mechanism"] == "own signal")
    return (
        f"The same shift in logits for every prompt, or a shared push rescaled as by Adam (least"
        f" error: {best['mechanism']}, {number(best['error_1'][0])} in pass@1); a push in"
        f" proportion to the prompt's own signal does not ({number(own['error_1'][0])})"
    )


def _futile() -> str:
    found = _read("trial/futility.json")["rules"]["futility"]
    caught, flagged = found["caught"], found["flagged_good"]

    def told(part: Mapping[str, Any]) -> str:
        ends = percent_interval(part["low"], part["high"])
        return f"{percent(part['share'])} ({ends}) of {part['of']}"

    return (
        f"Seldom: by 40% of the steps the forecast catches {told(caught)} doomed runs and flags"
        f" {told(flagged)} good ones; the goal was 80% at 5%"
    )


def _level() -> str:
    rows = _read("explored.json")["levels"]
    found = next(r for r in rows if (r["rule"], r["k"]) == ("pass@2", 1))
    return (
        f"Only roughly: 95% intervals for a task that was left out hold"
        f" {percent(found['coverage'][0])} of the ends and reach"
        f" {number(found['half_width'][0], digits=2)} to each side; {_verdict('K')}"
    )


def _pretrained() -> str:
    rows = _read("explored.json")["pretrained"]

    def named(verdict: str) -> str:
        return ", ".join(dict.fromkeys(r["claim"] for r in rows if r["verdict"] == verdict))

    seen = dict.fromkeys(r["verdict"] for r in rows)
    return "No design of the trial has one. On the four ladders of SmolLM2-135M: " + "; ".join(
        f"*{verdict}*: {named(verdict)}" for verdict in seen
    )


def _saved() -> str:
    """From the study of causes: what lifts the deepest start in each outcome."""
    found = next(f for f in _read("causes.json")["findings"] if f["name"].startswith("rescue"))
    told = found["text"].partition("From depth ")[2].partition(" Beyond chance:")[0].rstrip(".")
    return f"From depth {told}; beyond chance, corrected for all attempts{_cured()}"


def _cured() -> str:
    """The same of the study of cures, once it has been run: what holds in every family."""
    path = RESULTS / "cures.json"
    if not path.is_file():
        return ""
    found = read_json(path)
    text = next((f["text"] for f in found["findings"] if f["name"] == "everywhere"), "")
    said = text.replace("**", "").partition(" Lower:")[0].rstrip(".")
    part = len(found["config"]["seeds"]) < len(preset("cures").seeds)
    kind = " (interim)" if part else ""
    return f". In the [study of cures](#cures-grpolab-study---preset-cures){kind}: {said}"


TRIAL = "#the-trial-grpolab-study---preset-trial"
WATCH = "monitor.md#is-the-run-worth-going-on"

QUESTIONS: tuple[tuple[str, Callable[[], str], str, str], ...] = (
    ("Which start for the final pass@1?", _for_one, TRIED, TRIAL),
    ("Which start for the final pass@10?", _for_ten, TRIED, TRIAL),
    ("Is pass@2 better than pass@1 for the final pass@1?", _two, TRIED, TRIAL),
    ("Do a mean p below p\\*(8) and a low entropy doom a start?", _doom, TRIED, TRIAL),
    ("How high will RL end?", _level, "claim K before the trial, the levels afterwards",
     "#how-high-does-rl-end"),
    ("Can a doomed run be told early?", _futile, TRIED, WATCH),
    ("Does it hold for a pretrained model?", _pretrained, EXPLORED, "#a-pretrained-model"),
    ("Up to which k does pass@k pay as a predictor?", _reach, EXPLORED,
     "#passk-before-rl-for-k-from-1-to-256"),
    ("Does RL exceed its start?", _exceed, EXPLORED, "#does-rl-exceed-its-start"),
    ("How far does held-out loss depend on what the set is made of?", _composition, EXPLORED,
     "#held-out-loss-by-what-the-held-out-set-is-made-of"),
    ("Triage, probe, start, switch: what is the whole policy worth?", _policy, EXPLORED,
     "#triage-start-watch-and-switch-as-one-policy"),
    ("Does lost plasticity explain what deep starts lose?", _plastic, EXPLORED, "#lost-plasticity"),
    ("Which mechanism moves the success rates?", _mechanism, EXPLORED,
     "#which-mechanism-moves-the-success-rates"),
    ("Can a deep start be saved?", _saved, "a study, looked at while it was made",
     "#causes-and-cures-grpolab-study---preset-causes"),
)  # fmt: skip
"""A question, its answer, how it was found, and where it is shown."""


def answers() -> str:
    """All questions."""
    return Table(
        [Column("question", words=True), Column("answer", words=True), "how it was found"],
        [[f"[{q}]({place})", answer(), how] for q, answer, how, place in QUESTIONS],
    ).markdown()


TABLES: Mapping[str, Callable[[], str]] = {"answers": answers}
