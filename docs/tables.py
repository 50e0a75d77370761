"""Write the tables of committed results into the pages: ``python docs/tables.py``.

A table stands between two comments, ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Numbers
come from ``docs/results`` and nowhere else, lists of formats and trainers from their records in the
code, as do the values of ``--format``; a test compares what is committed with what is made here.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import answer_tables
import architecture_tables
import format_tables

from grpolab.figures import calibration as grid_figure
from grpolab.figures.tables import Table
from grpolab.store import read_json
from grpolab.validate.study import cures, predictor_tables, real_models, result_tables
from grpolab.validate.study.config import preset
from grpolab.validate.study.explore import (
    composition,
    exceed,
    forecasts,
    mechanisms,
    plastic,
    policy,
    pretrained,
    reach,
)
from grpolab.validate.study.monitor_trials import futility as judged
from grpolab.validate.study.results import FamilySummary, Results, Shootout, Starts
from grpolab.validate.study.trial import tables as trial_tables
from grpolab.validate.study.trial.protocol import protocol

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.S)
_SIZES = (4, 8, 16, 64)  # group sizes of the table of thresholds


def main() -> None:
    """Rewrite every page that holds a table, and the values of ``--format``."""
    for page in [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"]:
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")


def filled(text: str) -> str:
    """The page with its tables made anew; KeyError for a table that nobody makes."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{TABLES[m[2]]()}\n\n{m[3]}", text)


@cache
def study(name: str) -> Results:
    """The committed results of a preset."""
    return Results.read(DOCS / "results" / f"{name}.json")


CURES = "cures"


def of_cures(make: Callable[[Results], str]) -> Callable[[], str]:
    """A block on the study of cures, or that it has not been run."""

    def block() -> str:
        if not (DOCS / "results" / f"{CURES}.json").is_file():
            return "This study has not been run yet."
        return make(study(CURES))

    return block


def _families() -> Mapping[str, FamilySummary]:
    return study("full").families


def _pretrained() -> Mapping[str, FamilySummary]:
    """The families of both studies on a pretrained model."""
    return {**study("real").families, **study("spelling").families}


def _shootout() -> Shootout:
    found = study("full").shootout
    assert found is not None
    return found


def _starts() -> Starts:
    return study("data").starts["coins"]


def findings(name: str, kinds: tuple[str, ...] = ("",)) -> str:
    """What the report of a study says first, as a list; ``kinds`` are beginnings of names."""
    found = (f for f in study(name).findings if f.name.startswith(kinds))
    texts = (finding.text.replace("p*", r"p\*") for finding in found)
    return "\n".join(f"- {text}" for text in texts)


@cache
def trial() -> Mapping[str, Any]:
    """What the finished designs of the trial say."""
    found: Mapping[str, Any] = read_json(DOCS / "results" / "trial" / "result.json")
    return found


@cache
def futility() -> Mapping[str, Any]:
    """What the forecast of a run's outcome is worth on the runs of the trial."""
    found: Mapping[str, Any] = read_json(DOCS / "results" / "trial" / "futility.json")
    return found


@cache
def explored() -> Mapping[str, Any]:
    """What is explored on committed counts."""
    found: Mapping[str, Any] = read_json(DOCS / "results" / "explored.json")
    return found


def explored_on() -> str:
    """The designs that are explored, and that this is what it is."""
    names = explored()["designs"]
    return textwrap.fill(
        f"**Exploratory, on {len(names)} designs**: {', '.join(names)}.", 98,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def thresholds() -> Table:
    """Derived and simulated p*."""
    found = study("full").thresholds
    assert found is not None
    return result_tables.thresholds(found, _SIZES)


def transfer(leave_out: str) -> Table:
    """Out of sample: the ten with the least regret in final pass@1."""
    found = _shootout().transfer[leave_out]["final_pass_at_1"]
    return predictor_tables.transfer(found, leave_out, "final_pass_at_1", rows=10)


def _verify(kind: str) -> Iterable[Mapping[str, Any]]:
    """Outcomes of `grpolab verify --full`: of formulas, or the calibration of estimators."""
    for outcome in read_json(DOCS / "results" / "verify.json")["results"]:
        calibrates = outcome["checks"][0]["reference"] == "calibration"
        if calibrates == (kind == "calibration"):
            yield outcome


def _kept(outcome: Mapping[str, Any]) -> str:
    total = len(outcome["checks"])
    return f"{total - outcome['num_failed']} of {total}"


def checks() -> Table:
    """What `grpolab verify --full` found, one row per claim."""
    return Table(
        ("check", "claim", "kept", "largest z", "wrong formula", "rejected"),
        (
            (
                f"`{r['name']}`",
                r["claim"],
                _kept(r),
                f"{max(abs(c['z']) for c in r['checks']):.2f}",
                r["wrong"],
                f"{r['num_controls_rejected']} of {len(r['controls'])}",
            )
            for r in _verify("formulas")
        ),
    )


def calibration() -> Table:
    """Measured coverage, size, power and bias, with the cell that is nearest to its limit."""
    rows = []
    for r in _verify("calibration"):
        worst = min(r["checks"], key=lambda check: check["p_value"])
        numbers = (worst["observed"], worst["predicted"])
        rows.append([f"`{r['name']}`", r["claim"], _kept(r), worst["name"], *numbers])
    return Table(("check", "claim", "kept", "hardest cell", "measured", "limit"), rows)


def _grid() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_json(DOCS / "results" / "verify-grid.json")
    return found


def grid() -> Table:
    """Coverage over laws of every interval in every design: all together, and the least."""
    rows = []
    for row in grid_figure.data(_grid()):
        law, least = row.least
        rows.append([row.kind, row.quantity, row.design, row.pooled, least, law])
    return Table(("interval", "of", "design", "all laws", "least", "law"), rows)


def grid_widths() -> Table:
    """Median widths over those of who knows more."""
    return Table(
        ("width over", "law and design", "median", "limit"),
        (
            (*c["name"].partition(" over ")[2].split(": ", 1), c["observed"], c["predicted"])
            for outcome in _grid()["results"]
            for c in outcome["checks"]
            if " over " in c["name"] and not re.search(" over (best|\\d+ new)", c["name"])
        ),
    )


def icc_widths() -> Table:
    """Width of the interval of the ICC over that of the best that covers: one row per design."""
    ratios: dict[str, dict[str, float]] = {}
    for outcome in _grid()["results"]:
        for check in outcome["checks"]:
            if found := re.fullmatch(r"ICC over best: (.+), (\d+ prompts, n=\d+)", check["name"]):
                ratios.setdefault(found[2], {})[found[1]] = check["observed"]
    rows = []
    for design, laws in ratios.items():
        widest = max(laws, key=lambda law: laws[law])
        rows.append([design, len(laws), median(laws.values()), laws[widest], widest])
    return Table(("design", "laws", "median", "largest", "law"), rows)


def measured_again() -> Table:
    """Coverage, on new data sets, of the cells that were low on the first."""
    checks = [check for outcome in _grid()["results"] for check in outcome["checks"]]
    first = {check["name"]: check["observed"] for check in checks}
    rows = []
    for name, again in first.items():
        if found := re.fullmatch(r"(.+) over \d+ new data sets: (.+), (\d+ prompts, .+)", name):
            of, law, design = found.groups()
            rows.append([of, law, design, first[f"{of}: {law}, {design}"], again])
    return Table(("interval of", "law", "design", "first data sets", "1000 new ones"), rows)


def first_groups() -> Table:
    """Coverage of what was predicted for the first groups of runs."""
    rows = read_json(DOCS / "results" / "first-groups.json")["rows"]
    heads = ("data", "samples", "groups", "cases", "coverage", "width")
    return Table(heads, ([row[head] for head in heads] for row in rows))


@cache
def real_rows() -> list[real_models.RealRow]:
    """Forecasts of real language models."""
    return real_models.read_rows(DOCS / "results" / real_models.RESULTS)


@cache
def real_sets() -> list[real_models.RealSet]:
    """Counts of real language models, and where they come from."""
    return real_models.read_sets(DOCS / "results" / real_models.COUNTS)


_MADE: Mapping[str, Callable[[], Table]] = {
    "calibration": calibration,
    "checks": checks,
    "controls": lambda: result_tables.arms(study("causes").arms, "control"),
    "controls-programs": lambda: result_tables.arms(study("controls").arms, "control"),
    "coverage": lambda: predictor_tables.coverage(study("full").calibration),
    "early": lambda: result_tables.early(_families()),
    "explored-classes": lambda: exceed.class_table(explored()["exceed_classes"]),
    "explored-composition": lambda: composition.table(explored()["composition"]),
    "explored-levels": lambda: forecasts.table(explored()["levels"]),
    "explored-mechanisms": lambda: mechanisms.table(explored()["mechanisms"]),
    "explored-plasticity": lambda: plastic.table(explored()["plasticity"]),
    "explored-policy": lambda: policy.table(explored()["policy"]),
    "explored-pretrained": lambda: pretrained.table(explored()["pretrained"]),
    "explored-profile": lambda: mechanisms.profile_table(explored()["profile"]),
    "explored-prompts": lambda: exceed.prompt_table(explored()["exceed_prompts"]),
    "explored-reach-1": lambda: reach.table(explored()["reach"], 1),
    "explored-reach-10": lambda: reach.table(explored()["reach"], 10),
    "explored-reach-64": lambda: reach.table(explored()["reach"], 64),
    "explored-runs": lambda: exceed.design_table(explored()["exceed_designs"]),
    "errors": lambda: result_tables.errors(_families()),
    "first-groups": first_groups,
    "grid": grid,
    "grid-widths": grid_widths,
    "measured-again": measured_again,
    "icc-widths": icc_widths,
    "futility-brier": lambda: judged.brier_table(futility()),
    "futility-reliability": lambda: judged.reliability_table(futility()),
    "futility-rules": lambda: judged.rule_table(futility()),
    "forces": lambda: result_tables.forces(study("causes").forces),
    "inversions": lambda: result_tables.inversions(_families()),
    "ladder": lambda: result_tables.ladders(_families()),
    "outcomes": lambda: predictor_tables.regret_by_outcome(_shootout()),
    "trial-budget": lambda: trial_tables.budget(trial()),
    "trial-claims": lambda: trial_tables.claims(protocol()),
    "trial-designs": lambda: trial_tables.designs(protocol()),
    "trial-low": lambda: trial_tables.low_starts(trial()),
    "trial-outcomes": lambda: trial_tables.outcomes(protocol()),
    "trial-predictors": lambda: trial_tables.predictors(protocol()),
    "pretrained-early": lambda: result_tables.early(_pretrained()),
    "pretrained-errors": lambda: result_tables.errors(_pretrained()),
    "pretrained-ladder": lambda: result_tables.ladders(_pretrained()),
    "trial-standings-1": lambda: trial_tables.standings(trial(), "final pass@1"),
    "trial-standings-10": lambda: trial_tables.standings(trial(), "final pass@10"),
    "trial-standings-64": lambda: trial_tables.standings(trial(), "final pass@64"),
    "trial-standings-peak": lambda: trial_tables.standings(trial(), "peak pass@1"),
    "trial-verdicts": lambda: trial_tables.verdicts(trial()),
    "real-models": lambda: real_models.table(real_rows(), real_sets()),
    "real-sources": lambda: real_models.sources(real_sets()),
    "real-summary": lambda: real_models.summary(real_rows()),
    "rescues": lambda: cures.attempts(study("causes").arms),
    "standings-1": lambda: predictor_tables.standings(_shootout().standings["final_pass_at_1"]),
    "standings-10": lambda: predictor_tables.standings(_shootout().standings["final_pass_at_10"]),
    "start-regrets": lambda: predictor_tables.start_regrets(_starts()),
    "starts": lambda: predictor_tables.starts(_starts()),
    "thresholds": thresholds,
    "transfer-family": lambda: transfer("family"),
    "transfer-task": lambda: transfer("task"),
    "truth": lambda: predictor_tables.truth(_shootout().truth),
}


def _markdown(make: Callable[[], Table]) -> Callable[[], str]:
    return lambda: make().markdown()


TABLES: Mapping[str, Callable[[], str]] = {
    **{name: _markdown(make) for name, make in _MADE.items()},
    "real-claim": lambda: textwrap.fill(real_models.claim(real_rows()), 98),
    "cures": of_cures(lambda found: cures.attempts(found.arms).markdown()),
    "cures-signs": of_cures(lambda found: cures.signs(found.families).markdown()),
    "findings-cures": of_cures(
        lambda found: (
            cures.state(found, len(preset(CURES).seeds))
            + findings(CURES, ("everywhere", "rescue", "strength", "plasticity"))
        )
    ),
    "findings-causes": lambda: findings("causes"),
    "findings-controls": lambda: findings("controls"),
    "findings-data": lambda: findings("data"),
    "findings-real": lambda: findings("real"),
    "findings-spelling": lambda: findings("spelling"),
    "findings-full": lambda: findings("full"),
    "explored-on": explored_on,
    "explored-composition-said": lambda: composition.said(explored()["composition"]),
    "explored-exceed-said": lambda: exceed.said(
        explored()["exceed_designs"], explored()["exceed_prompts"]
    ),
    "explored-mechanisms-said": lambda: mechanisms.said(explored()["mechanisms"]),
    "explored-plasticity-said": lambda: plastic.said(explored()["plasticity"]),
    "explored-pretrained-said": lambda: pretrained.said(explored()["pretrained"]),
    "explored-policy-said": lambda: policy.said(explored()["policy"]),
    "explored-reach-said": lambda: reach.said(explored()["reach"]),
    "futility-summary": lambda: judged.summary(futility(), num_designs=len(protocol().designs)),
    "trial-papers": lambda: trial_tables.of_papers(trial()),
    "trial-state": lambda: trial_tables.state(trial()),
    "trial-summary": lambda: trial_tables.summary(trial()),
    **answer_tables.TABLES,
    **architecture_tables.TABLES,
    **format_tables.TABLES,
}

if __name__ == "__main__":
    main()
