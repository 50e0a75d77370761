"""What the arms made of a checkpoint, against the plain run of the same depth and seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.store import read_counts, read_json
from grpolab.theory.groups import GroupCounts
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.arms import Arm
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import Family
from grpolab.validate.study.jobs import RESULT, force_key, rl_key
from grpolab.validate.study.summary import interval, scores
from grpolab.validate.study.tasks import make_task

FIRST = 10
"""Steps over which the zero-std share at the start of RL is counted."""


def arm_table(config: StudyConfig, *, root: Path) -> list[dict[str, Any]]:
    """One row per family, arm and depth: means over seeds, and differences from the plain run.

    Differences in final pass@1 and pass@10 are paired by held-out prompt and seed, with 95 %
    intervals over prompts.
    """
    table = []
    for family in config.parsed:
        for arm in config.arms:
            for depth in config.depths_of(arm):
                runs = [_run(config, root, family, seed, depth, arm) for seed in config.seeds]
                entry: dict[str, Any] = {
                    "family": family.name, "arm": arm.name, "question": arm.question,
                    "summary": arm.summary, "depth": depth,
                    **{key: _mean([run[key] for run in runs]) for key in runs[0]},
                }  # fmt: skip
                if arm.name != "plain":
                    for name, k in (("pass_at_1", 1), ("pass_at_10", 10)):
                        entry[f"against_plain_{name}"] = _against_plain(
                            config, root, family, depth, arm, k
                        )
                table.append(entry)
    return table


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values))


def _run(
    config: StudyConfig, root: Path, family: Family, seed: int, depth: int, arm: Arm
) -> dict[str, float]:
    folder = root / rl_key(family, seed, depth, arm.name)
    result = read_json(folder / RESULT)
    groups = read_counts(folder / "groups.parquet")
    first = groups.select(groups.step < FIRST)
    final = Rollouts.read(folder / "eval.parquet")
    start = result["evals"][0]
    task = make_task(family.task, seed=seed)
    label = {p.id: p.label for p in task.prompts("eval")}
    out = {
        "temperature": result["temperature"],
        "lr": result["lr"],
        "num_prompts": result["num_prompts"],
        "start_pass_at_1": start["pass_at_1"],
        "start_pass_at_10": start["pass_at_10"],
        "start_entropy": start["token_entropy"],
        "start_zero_std": first.frac_zero_std,
        "zero_std": groups.frac_zero_std,
        "rollouts": float(groups.group_size.sum()),
        "informative_groups": _informative(groups),
        "train_pass_at_1": float(Rollouts.read(folder / "train.parquet").reward.mean()),
        "final_entropy": float(final.entropy.mean()),
        "clip_high": _mean([row["clip_high"] for row in result["steps"]]),
        "clip_low": _mean([row["clip_low"] for row in result["steps"]]),
        "kl": _mean([row["kl"] for row in result["steps"]]),
    }
    for k in (1, 10, 64):
        score = scores(folder / "eval.parquet", k) if k <= config.num_samples else {}
        if score:
            out[f"final_pass_at_{k}"] = _mean(list(score.values()))
    one = scores(folder / "eval.parquet", 1)
    for name in task.classes:
        mine = [value for i, value in one.items() if label[i] == name]
        if mine:
            out[f"final_{_place(task.classes, name)}"] = _mean(mine)
    return out


def _place(classes: Sequence[str], name: str) -> str:
    return "first_class" if name == classes[0] else "second_class"


def _informative(groups: GroupCounts) -> float:
    k, g = groups.num_correct, groups.group_size
    return float(((k > 0) & (k < g)).sum())


def _against_plain(
    config: StudyConfig, root: Path, family: Family, depth: int, arm: Arm, k: int
) -> dict[str, float]:
    differences: list[float] = []
    for seed in config.seeds:
        mine, plain = (
            scores(root / rl_key(family, seed, depth, name) / "eval.parquet", k)
            for name in (arm.name, "plain")
        )
        differences += [mine[i] - plain[i] for i in mine]
    return interval(differences)


def force_table(config: StudyConfig, *, root: Path) -> list[dict[str, Any]]:
    """One row per family, depth and force: how far p moved on watched prompts, over the seeds.

    ``change`` is the mean over seeds, ``stderr`` that of the mean: prompts within seeds.
    """
    table = []
    for family in config.parsed:
        for depth in config.sft.depths:
            found = [read_json(root / force_key(family, s, depth) / RESULT) for s in config.seeds]
            names = dict.fromkeys(run["force"] for result in found for run in result["runs"])
            for name in names:
                runs = [r for result in found for r in result["runs"] if r["force"] == name]
                table.append(
                    {
                        "family": family.name, "depth": depth, "force": name,
                        "trains_on": runs[0]["trains_on"],
                        "frac_zero_std": _mean([r["frac_zero_std"] for r in runs]),
                        "mean_grad_norm": _mean([r["mean_grad_norm"] for r in runs]),
                        **{kind: _moved(runs, kind) for kind in ("never", "always", "others")},
                    }
                )  # fmt: skip
    return table


def _moved(runs: Sequence[dict[str, Any]], kind: str) -> dict[str, float] | None:
    cells = [run["moved"][kind] for run in runs if kind in run["moved"]]
    if not cells:
        return None
    return {
        "before": _mean([c["before"] for c in cells]),
        "after": _mean([c["after"] for c in cells]),
        "change": _mean([c["after"] - c["before"] for c in cells]),
        "stderr": float(np.sqrt(sum(c["stderr"] ** 2 for c in cells)) / len(cells)),
        "num_prompts": float(sum(c["num_prompts"] for c in cells)),
    }
