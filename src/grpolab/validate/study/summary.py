"""Numbers per depth, forecast errors, rank correlations and regrets: what the findings rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study import shootout
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import Family
from grpolab.validate.study.jobs import pre_key, rl_key

Row = Mapping[str, Any]
FORECASTS = ("mean-p", "beta-binomial", "thinning")


def _get(*path: str) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        value: Any = row
        for name in path:
            if name not in value:
                return None
            value = value[name]
        return float(value)

    return read


def _gain(name: str) -> Callable[[Row], float | None]:
    return lambda row: row["post"]["final"][name] - row["pre"][name]


METRICS: Mapping[str, Callable[[Row], float | None]] = MappingProxyType(
    {
        "pass_at_1": _get("pre", "pass_at_1"),
        "greedy": _get("pre", "greedy"),
        "pass_at_10": _get("pre", "pass_at_10"),
        "pass_at_64": _get("pre", "pass_at_64"),
        "pass_at_256": _get("pre", "pass_at_256"),
        "pass_at_64_extrapolated": _get("pre", "pass_at_64_extrapolated"),
        "pass_at_g": _get("pre", "pass_at_g"),
        "signal": _get("pre", "train", "signal"),
        "support": _get("pre", "train", "support"),
        "token_entropy": _get("pre", "token_entropy"),
        "sequence_entropy": _get("pre", "sequence_entropy"),
        "distinct": _get("pre", "distinct"),
        "collision_rate": _get("pre", "collision_rate"),
        "frac_truncated": _get("pre", "frac_truncated"),
        "icc": _get("pre", "icc"),
        "held_out_nll": _get("pre", "held_out_nll"),
        "held_out_nll_sft_class": _get("pre", "held_out_nll_sft_class"),
        "zero_std": _get("pre", "observed", "zero_std"),
        "all_wrong": _get("pre", "observed", "all_wrong"),
        "all_right": _get("pre", "observed", "all_right"),
        "variance": _get("pre", "observed", "variance"),
        **{
            f"{what}/{name}": _get("pre", "predicted", name, what)
            for what in ("zero_std", "variance")
            for name in FORECASTS
        },
        **{
            f"{name}_pass_at_{k}": _get("post", *path)
            for k in (1, 10, 64)
            for name, path in (
                ("peak", ("peak", f"pass_at_{k}", "peak")),
                ("corrected_peak", ("corrected_peak", f"pass_at_{k}")),
                ("final", ("final", f"pass_at_{k}")),
            )
        },
        "gain_pass_at_1": _gain("pass_at_1"),
        "gain_pass_at_10": _gain("pass_at_10"),
        "train_pass_at_1": _get("post", "train_pass_at_1"),
    }
)

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "depth": "SFT depth itself",
        "deepest": "the deepest",
        "pass_at_64_extrapolated": "pass@64 from g samples",
        "greedy": "greedy pass@1",
        "held_out_nll": "held-out NLL",
        "held_out_nll_sft_class": "held-out NLL, SFT class",
        "icc": "ICC",
        "zero_std": "zero-std share",
    }
)


def label(name: str) -> str:
    """How a metric is written for people.

    >>> label("final_pass_at_10"), label("token_entropy"), label("icc")
    ('final pass@10', 'token entropy', 'ICC')
    """
    return LABELS.get(name, name.replace("pass_at_", "pass@").replace("_", " "))


OUTCOMES = (
    "peak_pass_at_1", "final_pass_at_1", "peak_pass_at_10", "final_pass_at_10",
    "gain_pass_at_1", "gain_pass_at_10",
)  # fmt: skip


def summarise(config: StudyConfig, rows: Sequence[Row], *, root: Path) -> dict[str, Any]:
    """Everything between the raw rows and the report; for a tuning run, the choice of the rate."""
    if config.is_tuning:
        return {"tuning": tuning(config, rows)}
    if len(config.sft.depths) == 1:
        return {"starts": {t: starts(config, rows, t, root=root) for t in config.tasks}}
    families = {}
    for family in config.parsed:
        mine = [row for row in rows if row["family"] == family.name]
        depths = by_depth(config, mine)
        families[family.name] = {
            "task": family.task,
            "regime": family.regime,
            "by_depth": depths,
            "inversion": inversion(config, depths, root=root, family=family),
            "checkpoint_error": checkpoint_error(mine),
            "early_error": early_error(mine),
        }
    return {"families": families}


def by_depth(config: StudyConfig, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds of every metric, one entry per depth."""
    out = []
    for depth in config.sft.depths:
        mine = [row for row in rows if row["depth"] == depth]
        entry: dict[str, Any] = {"depth": depth, "num_seeds": len(mine)}
        for name, read in METRICS.items():
            values = [v for v in (read(row) for row in mine) if v is not None]
            if values:
                entry[name] = float(np.mean(values))
                entry[f"{name}:sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        out.append(entry)
    return out


def starts(config: StudyConfig, rows: Sequence[Row], task: str, *, root: Path) -> dict[str, Any]:
    """One entry per family of a task, all at one depth: starts that differ in their SFT data."""
    families = [family for family in config.parsed if family.task == task]
    entries = []
    for family in families:
        mine = by_depth(config, [row for row in rows if row["family"] == family.name])
        entries.append({"start": family.regime, **mine[0]})
    found = {f.regime: f for f in families}
    claims = [
        {"better": a, "worse": b, **compare_starts(config, root, found[a], found[b])}
        for a, b in CLAIMS
        if a in found and b in found
    ]
    return {"by_start": entries, "claims": claims, "regret": start_regrets(config, rows, families)}


def start_regrets(
    config: StudyConfig, rows: Sequence[Row], families: Sequence[Family]
) -> list[dict[str, Any]]:
    """What choosing among the starts by each predictor costs, mean over seeds."""
    place = {family.name: i for i, family in enumerate(families)}
    flat = [
        {
            "task": row["task"], "regime": "starts", "seed": row["seed"],
            "depth": place[row["family"]], **{name: read(row) for name, read in METRICS.items()},
        }
        for row in rows
        if row["family"] in place
    ]  # fmt: skip
    (table,) = shootout.families(flat)
    directions = {n: d for n, d in shootout.DIRECTIONS.items() if n != "depth" and table.has(n)}
    found: dict[str, dict[str, Any]] = {}
    for outcome in OUTCOMES[:4]:
        for cell in shootout.regret_rows(table, outcome, directions=directions):
            if cell.predictor != "deepest":
                picks = [families[i].regime for i in cell.picks]
                entry = found.setdefault(cell.predictor, {"predictor": cell.predictor})
                entry |= {"picks": ", ".join(dict.fromkeys(picks)), outcome: cell.regret}
    return list(found.values())


CLAIMS = (("half", "unique"), ("half", "short"))
"""Data-level claims of arXiv 2510.01624: the first start ends better after RL than the second."""


def compare_starts(
    config: StudyConfig, root: Path, one: Family, two: Family
) -> dict[str, dict[str, float]]:
    """Paired differences one - two before and after RL, over prompts and seeds."""
    depth = config.sft.depths[0]
    out = {}
    for name, k in (("pass_at_1", 1), ("pass_at_10", 10)):
        for when in ("before", "after"):
            differences: list[float] = []
            for seed in config.seeds:
                a, b = (
                    scores(
                        root / (rl_key(f, seed, depth, "plain") if when == "after"
                                else pre_key(f.task, f.data, seed, depth)) / "eval.parquet", k
                    )
                    for f in (one, two)
                )  # fmt: skip
                differences += [a[i] - b[i] for i in a]
            out[f"{name}_{when}"] = interval(differences)
    return out


def _column(depths: Sequence[Row], name: str) -> list[float] | None:
    values = [entry.get(name) for entry in depths]
    return None if any(v is None for v in values) else [float(v) for v in values if v is not None]


def inversion(
    config: StudyConfig, depths: Sequence[Row], *, root: Path, family: Family
) -> dict[str, Any]:
    """The checkpoint that pre-RL pass@1 picks against the one that ends best, paired by prompt.

    For each of pass@1 and pass@10 at the end of RL: both depths, the difference (best - picked)
    before and after with 95 % intervals over prompts, and the share of the final gap that was there
    before RL.
    """
    before = _column(depths, "pass_at_1")
    assert before is not None
    pick = int(np.argmax(before))
    out: dict[str, Any] = {"picked": depths[pick]["depth"]}
    for name, k in (("pass_at_1", 1), ("pass_at_10", 10)):
        values = _column(depths, f"final_{name}")
        assert values is not None
        best = int(np.argmax(values))
        entry: dict[str, Any] = {"best": depths[best]["depth"]}
        if best != pick:
            pair = (depths[best]["depth"], depths[pick]["depth"])
            entry["before"] = _paired(config, root, family, pair, k=k, after=False)
            entry["after"] = _paired(config, root, family, pair, k=k, after=True)
        out[name] = entry
    return out


def _paired(
    config: StudyConfig, root: Path, family: Family, pair: tuple[int, int], *, k: int, after: bool
) -> dict[str, float]:
    """Mean over prompts (and seeds) of the difference of two depths, 95 % interval over prompts."""
    differences: list[float] = []
    for seed in config.seeds:
        first, second = (
            root / (rl_key(family, seed, depth, "plain") if after
                    else pre_key(family.task, family.data, seed, depth))
            for depth in pair
        )  # fmt: skip
        # RL is judged on the family's prompts only: the pre-RL table may hold more
        asked = np.unique(
            Rollouts.read(
                root / rl_key(family, seed, config.sft.depths[0], "plain") / "eval.parquet"
            ).prompt_id
        )
        one, two = (scores(folder / "eval.parquet", k) for folder in (first, second))
        differences += [one[i] - two[i] for i in asked.tolist()]
    return interval(differences)


def scores(path: Path, k: int) -> dict[int, float]:
    """Unbiased pass@k of every prompt in a table of rollouts."""
    from grpolab.theory import pass_at_k

    totals = Rollouts.read(path).counts().by_prompt()
    values = pass_at_k(totals.num_samples, totals.num_correct, k)
    return dict(zip(totals.prompt_id.tolist(), values.tolist(), strict=True))


def interval(differences: Sequence[float]) -> dict[str, float]:
    """Mean of paired differences over prompts, with its normal 95 % interval."""
    array = np.array(differences)
    half = 1.96 * float(array.std(ddof=1)) / len(array) ** 0.5
    mean = float(array.mean())
    return {"difference": mean, "low": mean - half, "high": mean + half, "num_prompts": len(array)}


def checkpoint_error(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean and largest absolute error of each forecast over checkpoints, on independent draws."""
    out: dict[str, Any] = {}
    for what in ("zero_std", "variance"):
        seen = np.array([row["pre"]["observed"][what] for row in rows])
        out[what] = {}
        for name in FORECASTS:
            guess = np.array([row["pre"]["predicted"][name][what] for row in rows])
            error = np.abs(guess - seen)
            out[what][name] = {"mean": float(error.mean()), "max": float(error.max())}
    return out


def early_error(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Mean absolute error of each forecast per window of early RL steps, over runs."""
    out = []
    for i, window in enumerate(rows[0]["early"]["windows"]):
        entry: dict[str, Any] = {"from": window["from"], "to": window["to"]}
        for what in ("zero_std", "variance"):
            cells = [row["early"]["windows"][i][what] for row in rows]
            entry[what] = {
                "measured": float(np.mean([c["measured"] for c in cells])),
                **{name: float(np.mean([abs(c[name]) for c in cells])) for name in FORECASTS},
            }
        out.append(entry)
    return out


def tuning(config: StudyConfig, rows: Sequence[Row]) -> dict[str, Any]:
    """Final pass@1 per depth and learning rate, and the rate with the best mean over depths."""
    table: list[dict[str, Any]] = []
    for lr in (config.grpo_of(arm).lr for arm in config.arms):
        finals = {
            str(row["depth"]): row["post"]["final"]["pass_at_1"] for row in rows if row["lr"] == lr
        }
        tenth = {
            str(row["depth"]): row["post"]["final"]["pass_at_10"] for row in rows if row["lr"] == lr
        }
        mean = float(np.mean(list(finals.values())))
        table.append({"lr": lr, "mean_final_pass_at_1": mean, "final_pass_at_1": finals,
                      "final_pass_at_10": tenth})  # fmt: skip
    best = max(table, key=lambda entry: entry["mean_final_pass_at_1"])
    start = {str(row["depth"]): row["pre"]["pass_at_1"] for row in rows}
    return {"table": table, "chosen": best["lr"], "pre_pass_at_1": start}
