"""Tables of the committed studies on predictors, causes and SFT data, for `docs/tables.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markdown_table import load, table

from grpolab.validate.study.shootout_report import regret_by_outcome
from grpolab.validate.study.summary import label

_MAIN = ("final_pass_at_1", "final_pass_at_10")


def findings(name: str) -> str:
    """What the report of a study says first, as a list."""
    texts = (text.replace("p*", r"p\*") for text in load(name)["findings"])
    return "\n".join(f"- {text}" for text in texts)


def standings(outcome: str) -> str:
    """Predictors by what choosing with them costs."""
    rows = load("full.json")["shootout"]["standings"][outcome]
    return table(
        ("choose by", "regret", "in its worst family", "rho", "adjusted p", "against depth",
         "against pass@g", "inversions called", "silent where none"),
        (
            [label(r["predictor"]), r["regret"], f"{r['worst']:.3f} ({r['fails_in']})", r["rho"],
             r["adjusted_p"], *("/".join(map(str, r["beats"][b])) for b in ("depth", "pass_at_g")),
             r["sensitivity"], r["specificity"]]
            for r in rows
        ),
    )  # fmt: skip


def outcomes() -> str:
    """Regret of every predictor under every outcome."""
    columns, lines = regret_by_outcome(load("full.json")["shootout"]["standings"])
    return table(columns, lines)


def truth() -> str:
    """Whether a family has an inversion."""
    return table(
        ("family", "outcome", "pass@1 picks", "ends best", "lead of a shallower start",
         "inversion", "in seeds"),
        (
            [r["family"], label(r["outcome"]), r["picked"], r["best"], r["lead"],
             "yes" if r["inverted"] else "no", r["in_seeds"]]
            for r in load("full.json")["shootout"]["truth"]
            if r["outcome"] in _MAIN
        ),
    )  # fmt: skip


def transfer(leave_out: str) -> str:
    """Out of sample: the ten with the least regret in final pass@1."""
    found = load("full.json")["shootout"]["transfer"][leave_out]["final_pass_at_1"]
    return table(
        ("predictor", "R2", "rho", "regret"),
        ([label(r["predictor"]), r["r2"], r["spearman"], r["regret"]]
         for r in found["predictors"][:10]),
    )  # fmt: skip


def coverage() -> str:
    """Coverage of 95 % intervals made before RL, by step."""
    return table(
        ("quantity", "forecast", "steps", "coverage", "mean miss"),
        ([r["quantity"].replace("_", "-"), r["method"], f"{r['first']} to {r['last'] - 1}",
          r["coverage"], r["mean_abs_error"]] for r in load("full.json")["calibration"]),
    )  # fmt: skip


def arms(question: str, name: str = "causes.json") -> str:
    """Controls or rescue attempts, each beside the plain run of its depth."""
    rows = load(name)["arms"]
    places = {(r["family"], r["depth"]) for r in rows if r["question"] == question}
    shown = [r for r in rows if r["question"] in ("plain", question)
             and (r["family"], r["depth"]) in places]  # fmt: skip
    shown.sort(key=lambda r: (r["family"], r["depth"], r["question"] != "plain"))
    return table(
        ("family", "depth", "what", "T", "entropy", "zero-std, first steps", "final pass@1",
         "against plain", "final pass@10", "against plain", "on RL prompts"),
        (
            [r["family"], r["depth"], r["summary"], f"{r['temperature']:.2f}", r["start_entropy"],
             r["start_zero_std"], r["final_pass_at_1"], _gap(r, "pass_at_1"),
             r["final_pass_at_10"], _gap(r, "pass_at_10"), r["train_pass_at_1"]]
            for r in shown
        ),
    )  # fmt: skip


def _gap(row: Mapping[str, Any], name: str) -> str:
    pair = row.get(f"against_plain_{name}")
    if pair is None:
        return ""
    return f"{pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"


def forces() -> str:
    """How far p moved on prompts without signal."""

    def change(cell: Mapping[str, float] | None) -> str:
        return "-" if cell is None else f"{cell['change']:+.4f} ± {1.96 * cell['stderr']:.4f}"

    return table(
        ("depth", "what acts", "zero-std groups", "gradient norm", "never solved", "always solved",
         "others"),
        (
            [r["depth"], r["force"], r["frac_zero_std"], r["mean_grad_norm"],
             *(change(r[kind]) for kind in ("never", "always", "others"))]
            for r in load("causes.json")["forces"]
        ),
    )  # fmt: skip


def starts() -> str:
    """Starts that differ in their SFT data."""
    keys = ("pass_at_1", "pass_at_10", "pass_at_256", "token_entropy", "held_out_nll", "signal",
            "final_pass_at_1", "final_pass_at_10", "final_pass_at_64")  # fmt: skip
    rows = [
        [e["start"], *(e.get(k) for k in keys)]
        for found in load("data.json")["starts"].values()
        for e in found["by_start"]
    ]
    return table(("start", *map(label, keys)), rows)


def start_regrets() -> str:
    """What choosing among those starts costs."""
    rows = [
        [label(e["predictor"]), e["picks"], e["final_pass_at_1"], e["final_pass_at_10"]]
        for found in load("data.json")["starts"].values()
        for e in found["regret"]
    ]
    return table(("choose by", "picks", *map(label, _MAIN)), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "controls": lambda: arms("control"),
    "controls-programs": lambda: arms("control", "controls.json"),
    "coverage": coverage,
    "findings-causes": lambda: findings("causes.json"),
    "findings-controls": lambda: findings("controls.json"),
    "findings-data": lambda: findings("data.json"),
    "findings-full": lambda: findings("full.json"),
    "forces": forces,
    "rescues": lambda: arms("rescue"),
    "standings-1": lambda: standings("final_pass_at_1"),
    "standings-10": lambda: standings("final_pass_at_10"),
    "start-regrets": start_regrets,
    "starts": starts,
    "transfer-family": lambda: transfer("family"),
    "transfer-task": lambda: transfer("task"),
    "outcomes": outcomes,
    "truth": truth,
}
