"""Write the tables of committed results into the pages: ``python docs/tables.py``.

A table stands between two comments, ``<!-- table: NAME -->`` and ``<!-- end of table -->``. Numbers
come from ``docs/results`` and nowhere else, lists of formats and trainers from their records in the
code, as do the values of ``--format``; a test compares what is committed with what is made here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import architecture_tables
import format_tables
import study_tables
from markdown_table import load, table

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.S)


def main() -> None:
    """Rewrite every page that holds a table, and the values of ``--format``."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(filled(text), encoding="utf-8")


def filled(text: str) -> str:
    """The page with its tables made anew; KeyError for a table that nobody makes."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{_made(m[2])}\n\n{m[3]}", text)


def _made(name: str) -> str:
    make = TABLES[name]
    try:
        return make()
    except FileNotFoundError as err:
        return f"*No results yet: `{Path(err.filename).name}` is not committed.*"


def _families() -> Mapping[str, Any]:
    found: Mapping[str, Any] = load("full.json")["families"]
    return found


def ladder() -> str:
    """Per family and depth: before RL, predicted and counted groups, after RL."""
    columns = (
        "family", "SFT steps", "pass@1", "token entropy", "ICC", "zero-std from mean p",
        "zero-std counted", "pass@10", "final pass@1", "final pass@10",
    )  # fmt: skip
    keys = (
        "pass_at_1", "token_entropy", "icc", "zero_std/mean-p", "zero_std", "pass_at_10",
        "final_pass_at_1", "final_pass_at_10",
    )  # fmt: skip
    return table(
        columns,
        (
            [name, entry["depth"], *(entry.get(key) for key in keys)]
            for name, family in _families().items()
            for entry in family["by_depth"]
        ),
    )


def errors() -> str:
    """Mean (largest) absolute error of three forecasts over checkpoints."""
    return table(
        ("family", "of", "mean p", "beta-binomial", "thinning"),
        (
            [name, what.replace("_", "-"), *(_error(forecasts[f]) for f in _FORECASTS)]
            for name, family in _families().items()
            for what, forecasts in family["checkpoint_error"].items()
        ),
    )


_FORECASTS = ("mean-p", "beta-binomial", "thinning")


def _error(error: Mapping[str, float]) -> str:
    return f"{error['mean']:.4f} ({error['max']:.4f})"


def early() -> str:
    """Mean absolute error of the zero-std forecast per window of RL steps."""
    return table(
        ("family", "RL steps", "counted share", "mean p of the step", "beta-binomial", "thinning"),
        (
            [name, f"{w['from']} to {w['to']}", w["zero_std"]["measured"]]
            + [w["zero_std"][f] for f in _FORECASTS]
            for name, family in _families().items()
            for w in family["early_error"]
        ),
    )


def inversions() -> str:
    """The pick of pass@1 before RL against the checkpoint that ends best."""
    rows = []
    for name, family in _families().items():
        found = family["inversion"]
        for what in ("pass_at_1", "pass_at_10"):
            leads = [found[what].get(when) for when in ("before", "after")]
            ends = [found["picked"], found[what]["best"]]
            rows.append([name, what.replace("pass_at_", "pass@"), *ends, *map(_lead, leads)])
    columns = ("family", "final", "pass@1 picks", "ends best", "lead before RL", "lead after RL")
    return table(columns, rows)


def _lead(lead: Mapping[str, float] | None) -> str | None:
    return lead and f"{lead['difference']:+.3f} [{lead['low']:+.3f}, {lead['high']:+.3f}]"


def thresholds() -> str:
    """Derived and simulated p*."""
    rows = load("full.json")["thresholds"]["rows"]
    return table(
        ("g", "rho", "event", "derived", "simulated", "99 % interval"),
        (
            (
                r["group_size"],
                f"{r['rho']:g}",
                r["event"],
                *(f"{r[key]:.4f}" for key in ("predicted", "estimate")),
                f"{r['low']:.4f} to {r['high']:.4f}",
            )
            for r in rows
            if r["group_size"] in (4, 8, 16, 64)
        ),
    )


def _verify(kind: str) -> Iterable[Mapping[str, Any]]:
    """Outcomes of `grpolab verify --full`: of formulas, or the calibration of estimators."""
    for outcome in load("verify.json")["results"]:
        calibrates = outcome["checks"][0]["reference"] == "calibration"
        if calibrates == (kind == "calibration"):
            yield outcome


def _kept(outcome: Mapping[str, Any]) -> str:
    total = len(outcome["checks"])
    return f"{total - outcome['num_failed']} of {total}"


def checks() -> str:
    """What `grpolab verify --full` found, one row per claim."""
    return table(
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


def calibration() -> str:
    """Measured coverage, size, power and bias, with the cell that is nearest to its limit."""
    rows = []
    for r in _verify("calibration"):
        worst = min(r["checks"], key=lambda check: check["p_value"])
        numbers = (worst["observed"], worst["predicted"])
        rows.append([f"`{r['name']}`", r["claim"], _kept(r), worst["name"], *numbers])
    return table(("check", "claim", "kept", "hardest cell", "measured", "limit"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "calibration": calibration,
    "checks": checks,
    "early": early,
    "errors": errors,
    "inversions": inversions,
    "ladder": ladder,
    "thresholds": thresholds,
    **architecture_tables.TABLES,
    **format_tables.TABLES,
    **study_tables.TABLES,
}

if __name__ == "__main__":
    main()
