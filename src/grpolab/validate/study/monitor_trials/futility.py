"""The forecast of a run's outcome: chosen on old runs, judged on new ones.

``python -m grpolab.validate.study.monitor_trials.futility choose docs/results`` fits the rule on
the committed old runs, says how it does on designs that are left out, and prints what is frozen in
`grpolab.validate.monitor.futility`.

``python -m grpolab.validate.study.monitor_trials.futility judge FOLDER [--out FILE]`` replays the
frozen rule and the rules of `RULES` on all finished runs of a folder: records of studies, or run
folders of ``grpolab train`` with evaluations.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import number, percent, percent_interval
from grpolab.store import read_json, read_parquet, write_json
from grpolab.streams import generator
from grpolab.theory.groups import FloatArray
from grpolab.validate.estimate.bootstrap import wilson_interval
from grpolab.validate.monitor.futility import (
    BLOCKS,
    COLUMNS,
    FIRST,
    FROZEN,
    MARGIN,
    Chance,
    Rule,
    features,
    fit,
    forecast,
)
from grpolab.validate.study.monitor_trials.finished import finished_runs
from grpolab.validate.study.monitor_trials.rules import NEED_ENTROPY, RULES

RIDGE = 0.1
LOOKS = range(FIRST, 2 * BLOCKS // 5 + 1)
"""Ends of blocks at which a run is looked at: a tenth to two fifths of its steps."""
STUDIES = ("full", "causes", "controls", "data")
COURSES = "monitor-courses.parquet"
"""Sums by block of old runs of the monitor's trial; their outcomes are in ``monitor.json``."""
_RESAMPLES = 2000
_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_AT = (0.1, 0.2, 0.3, 0.4)


class Old(NamedTuple):
    """A run by its blocks, and whether it gained more than `MARGIN`."""

    name: str
    design: str
    course: list[list[float]]
    gained: bool


def old_runs(results: Path) -> list[Old]:
    """The runs that the rule was chosen on, from the committed results."""
    last = LOOKS[-1]
    found = [
        Old(run.name, run.design, run.course(until=last), run.gain > MARGIN)
        for study in STUDIES
        for run in finished_runs(results / study)
    ]
    gains = {
        (row["name"], row["depth"], row["seed"]): row["gain"]
        for row in read_json(results / "monitor.json")["runs"]
    }
    columns, _ = read_parquet(results / COURSES, ["name", "depth", "seed", "block", *COLUMNS])
    courses: dict[tuple[str, int, int], list[list[float]]] = {}
    named = zip(columns["name"], columns["depth"], columns["seed"], strict=True)
    for i, (name, depth, seed) in enumerate(named):
        row = [float(columns[c][i]) for c in ("block", *COLUMNS)]
        courses.setdefault((str(name), int(depth), int(seed)), []).append(row)
    for key, course in courses.items():
        found.append(
            Old("/".join(map(str, key)), f"monitor: {key[0]}", course, gains[key] > MARGIN)
        )
    return found


def digest(runs: Sequence[Old]) -> str:
    """SHA-256 of courses and outcomes, to six digits."""
    plain = [[r.name, [[float(f"{v:.6g}") for v in row] for row in r.course], r.gained]
             for r in sorted(runs)]  # fmt: skip
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def choose(runs: Sequence[Old]) -> Rule:
    """The rule that these runs give, every other look of each run."""
    x, gained, designs, names = [], [], [], []
    for run in runs:
        for block in LOOKS[::2]:
            found = features(_until(run.course, block))
            if not isinstance(found, str):
                x.append(found.x)
                gained.append(float(run.gained))
                designs.append(run.design)
                names.append(run.name)
    return fit(np.array(x), np.array(gained), designs, names, ridge=RIDGE)


def left_out(runs: Sequence[Old]) -> dict[str, list[Chance | None]]:
    """Forecasts of every run at all `LOOKS`, by the rule of the runs of other designs."""
    found: dict[str, list[Chance | None]] = {}
    for design in sorted({run.design for run in runs}):
        rule = choose([run for run in runs if run.design != design])
        found |= {r.name: chances(r.course, rule) for r in runs if r.design == design}
    return found


def _until(course: Sequence[Sequence[float]], block: int) -> list[Sequence[float]]:
    return [row for row in course if row[0] < block]


def chances(course: Sequence[Sequence[float]], rule: Rule) -> list[Chance | None]:
    """The forecasts of a run at all `LOOKS`; None where there is none."""
    looks = (forecast(_until(course, block), block / BLOCKS, rule) for block in LOOKS)
    return [None if isinstance(found, str) else found for found in looks]


def judge(
    chances: Mapping[str, Sequence[Chance | None]],
    gained: Mapping[str, bool],
    designs: Mapping[str, str],
    stops: Mapping[str, Mapping[str, float | None]],
) -> dict[str, Any]:
    """What forecasts and rules are worth on finished runs.

    ``chances`` by run at all `LOOKS`; ``stops[rule][run]`` is the share of the steps after which a
    rule stops, None where it does not. A run is doomed unless it ``gained``. Shares come with
    Wilson intervals, the Brier score with an interval over designs.
    """
    first = {
        run: next((c.done for c in found if c is not None and c.futile), None)
        for run, found in chances.items()
    }
    doomed = [run for run in gained if not gained[run]]
    good = [run for run in gained if gained[run]]
    rules = {}
    for rule, at in {"futility": first, **stops}.items():
        caught = [share for run in doomed if (share := at[run]) is not None and _early(share)]
        rules[rule] = {
            "caught": _share([_early(at[run]) for run in doomed]),
            "flagged_good": _share([_early(at[run]) for run in good]),
            "median_share_of_steps": median(caught) if caught else None,
        }
    return {
        "margin": MARGIN, "runs": len(gained), "doomed": len(doomed),
        "designs": len(set(designs.values())), "rules": rules,
        "brier": {f"{at:g}": _brier(chances, gained, designs, at) for at in _AT},
        "reliability": _reliability(chances, gained),
    }  # fmt: skip


def _early(at: float | None) -> bool:
    return at is not None and at <= LOOKS[-1] / BLOCKS


def _share(hits: Sequence[bool]) -> dict[str, Any]:
    """Number, share and 95% interval (Wilson)."""
    if not hits:
        return {"number": 0, "of": 0, "share": None, "low": None, "high": None}
    number, of = sum(hits), len(hits)
    low, high = wilson_interval(number, of)
    return {"number": number, "of": of, "share": number / of, "low": low, "high": high}


def _brier(
    chances: Mapping[str, Sequence[Chance | None]],
    gained: Mapping[str, bool],
    designs: Mapping[str, str],
    at: float,
) -> dict[str, Any]:
    """Mean of (forecast - outcome)^2 at a share of the steps, beside that of the mean outcome."""
    look = LOOKS.index(round(at * BLOCKS))
    known = {run: c for run, found in chances.items() if (c := found[look]) is not None}
    if not known:
        return {"runs": 0}
    y = np.array([float(gained[run]) for run in known])
    error = (np.array([c.chance for c in known.values()]) - y) ** 2
    _, cluster = np.unique([designs[run] for run in known], return_inverse=True)
    sums, sizes = np.bincount(cluster, weights=error), np.bincount(cluster)
    rng = generator(0, "futility-brier")
    drawn = rng.integers(len(sums), size=(_RESAMPLES, len(sums)))
    means: FloatArray = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist() if len(sums) > 1 else (None, None)
    return {
        "runs": len(known), "score": float(error.mean()), "low": low, "high": high,
        "of_the_mean": float(np.var(y)),
    }  # fmt: skip


def _reliability(
    chances: Mapping[str, Sequence[Chance | None]], gained: Mapping[str, bool]
) -> list[dict[str, Any]]:
    """Forecasts in bins at the last look, beside how often the runs gained."""
    pairs = [
        (c.chance, gained[run]) for run, found in chances.items() if (c := found[-1]) is not None
    ]
    rows = []
    for low, high in itertools.pairwise(_BINS):
        inside = [(p, y) for p, y in pairs if low <= p < high or (p == high == 1.0)]
        mean = float(np.mean([p for p, _ in inside])) if inside else None
        share = _share([y for _, y in inside])
        rows.append({"from": low, "to": high, "forecast": mean, "gained": share})
    return rows


def judge_folder(folder: Path) -> dict[str, Any]:
    """The frozen rule and all others on the finished runs of a folder.

    Rules that look at the entropy are left out where a run has none.
    """
    runs = finished_runs(folder)
    stops: dict[str, dict[str, float | None]] = {}
    blind = any(view.metrics.entropy is None for run in runs for view in run.views)
    for name, rule in RULES.items():
        if blind and name in NEED_ENTROPY:
            continue
        stops[name] = {}
        for run in runs:
            at = rule(run.views)
            stops[name][run.name] = None if at is None else at / len(run.views)
    return judge(
        {run.name: chances(run.course(), FROZEN) for run in runs},
        {run.name: run.gain > MARGIN for run in runs},
        {run.name: run.design for run in runs},
        stops,
    )


def rule_table(found: Mapping[str, Any]) -> Table:
    """Doomed runs caught in time and good ones flagged, by rule."""
    return Table(
        (
            Column("judged by", words=True), Column("doomed, caught by 40%", words=True),
            Column("good, flagged", words=True), "median share of steps",
        ),
        [
            [name, _counted(r["caught"]), _counted(r["flagged_good"]),
             number(r["median_share_of_steps"])]
            for name, r in found["rules"].items()
        ],
    )  # fmt: skip


def brier_table(found: Mapping[str, Any]) -> Table:
    """Brier scores after shares of the steps, with intervals over designs."""
    keys = ("runs", "score", "low", "high", "of_the_mean")
    return Table(
        ("after", "runs", "Brier score", "low", "high", "of the mean"),
        [
            [f"{float(at):.0%}", *(number(b.get(k)) for k in keys)]
            for at, b in found["brier"].items()
        ],
    )


def reliability_table(found: Mapping[str, Any]) -> Table:
    """Forecasts after two fifths of the steps, beside how often the runs gained."""
    return Table(
        (Column("forecast", words=True), "mean forecast", Column("gained", words=True)),
        [
            [f"{r['from']:g} to {r['to']:g}", number(r["forecast"]), _counted(r["gained"])]
            for r in found["reliability"]
        ],
    )


def headline(found: Mapping[str, Any]) -> str:
    """How many runs were judged."""
    designs = f"{found['designs']} design{'s' * (found['designs'] != 1)}"
    return (
        f"{found['runs']} runs of {designs}, {found['doomed']} doomed: held-out"
        f" gain not above {found['margin']:g}"
    )


def summary(found: Mapping[str, Any], *, num_designs: int) -> str:
    """What the rule is worth on the runs of a trial of so many designs; no verdict on a part."""
    caught, flagged = (found["rules"]["futility"][k] for k in ("caught", "flagged_good"))
    done = found["designs"]
    lead = f"**On the runs of the trial, {done} of {num_designs} designs so far: no verdict.**"
    goal = "The goal is 80% of the doomed runs at 5% of the good ones."
    if done == num_designs:
        lead = f"**On the runs of the trial, all {num_designs} designs.**"
        reached = bool(caught["of"]) and caught["share"] >= 0.8 and flagged["share"] <= 0.05
        goal += " It is reached." if reached else " It is not reached."
    return (
        f"{lead} {headline(found)}. Of the doomed runs the frozen rule catches, by 40% of the"
        f" steps: {_counted(caught)}. Of the good ones it flags: {_counted(flagged)}. {goal}"
        " Intervals of shares are over runs, as if those of one design were independent; those of"
        " the Brier score are over designs. The trial keeps no entropy of steps, so rules that need"
        " it are not here."
    )


def tables(found: Mapping[str, Any]) -> str:
    """The result of `judge` as text."""
    made = (rule_table(found), brier_table(found), reliability_table(found))
    return "\n\n".join([headline(found), *(t.markdown() for t in made)])


def _counted(part: Mapping[str, Any]) -> str:
    if not part["of"]:
        return "no such run"
    interval = percent_interval(part["low"], part["high"])
    return f"{part['number']} of {part['of']} ({percent(part['share'])}; {interval})"


def _choose(folder: Path) -> dict[str, Any]:
    runs = old_runs(folder)
    rule = choose(runs)
    found = judge(
        left_out(runs),
        {run.name: run.gained for run in runs},
        {run.name: run.design for run in runs},
        {},
    )
    return {"digest": digest(runs), **rule._asdict(), **found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables, and write all numbers where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("choose", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    made: Callable[[Path], dict[str, Any]] = _choose if options.what == "choose" else judge_folder
    found = made(options.folder)
    if options.out is not None:
        write_json(options.out, found)
    sys.stdout.write(tables(found) + "\n")
    if options.what == "choose":
        sys.stdout.write(f"digest {found['digest']}\n{found['coefficients']}\n")


if __name__ == "__main__":
    main()
