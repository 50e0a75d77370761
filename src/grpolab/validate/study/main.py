"""run_study: plan the jobs, run what is missing, put the numbers together, write the report."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from grpolab import __version__
from grpolab.errors import UserError, require
from grpolab.store import atomic_path, read_json, write_json, write_parquet
from grpolab.validate.study.config import StudyConfig, preset
from grpolab.validate.study.jobs import RESULT, plan
from grpolab.validate.study.runner import open_run, run_jobs
from grpolab.validate.study.tasks import make_task

MANIFEST = "manifest.json"
_VERSIONS = ("numpy", "scipy", "torch", "transformers")


def run_study(
    name: str, *, task: str | None, out: Path, workers: int = 0, device: str = ""
) -> dict[str, Any]:
    """Run a preset in a folder, or go on with it; returns what ``results.json`` holds.

    Raises UserError for an unknown preset or task, a folder that holds something else, a missing
    torch, or a device that is not there.
    """
    config = preset(name, task=task)
    for known in config.tasks:  # an unknown task is refused before anything is written
        make_task(known, seed=config.seeds[0])
    require("torch", extra="train")
    require("transformers", extra="train")
    return run(_on_device(config, device), out=out, workers=workers)


def run(config: StudyConfig, *, out: Path, workers: int = 0) -> dict[str, Any]:
    """Run a study of any configuration in a folder, or go on with it."""
    start = time.monotonic()
    with open_run(config, out):
        jobs = plan(config)
        run_jobs(config, jobs, root=out, workers=workers or _workers(config))
        return finish(config, out=out, start=start)


def _workers(config: StudyConfig) -> int:
    """One process per core; on a GPU a few processes, which share it."""
    cores = len(os.sched_getaffinity(0))
    return cores if config.device == "cpu" else min(cores, 4)


def _on_device(config: StudyConfig, device: str) -> StudyConfig:
    import torch

    if device:
        config = dataclasses.replace(config, device=device)
    if config.device not in ("cpu", "cuda"):
        raise UserError(f"unknown device {config.device!r}; choose cpu or cuda")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"preset {config.preset} needs a CUDA device and torch sees none; --device cpu runs it"
            " on the processor, which takes hours"
        )
    return config


def finish(config: StudyConfig, *, out: Path, start: float) -> dict[str, Any]:
    """Read the finished jobs; write ``results.json``, ``summary.json``, tables, report, manifest.

    ``start`` is the monotonic clock when the session began.
    """
    from grpolab.validate.study.findings import findings
    from grpolab.validate.study.measure import collect
    from grpolab.validate.study.outcomes import arm_table, force_table
    from grpolab.validate.study.predictions import calibration, independence, predictions
    from grpolab.validate.study.report import write_report
    from grpolab.validate.study.summary import summarise

    rows = collect(config, root=out)
    results: dict[str, Any] = {
        "config": config.as_dict(),
        "version": __version__,
        **summarise(config, rows, root=out),
        "rows": rows,
    }
    if config.simulated_groups:
        results["thresholds"] = read_json(out / "simulate" / RESULT)
    if "families" in results:
        results["shootout"] = predictions(config, rows)
        results["calibration"] = calibration(config, rows, root=out)
        results["independence"] = independence(config, root=out)
    if len(config.arms) > 1 and not config.is_tuning:
        results["arms"] = arm_table(config, root=out)
    if config.force_steps:
        results["forces"] = force_table(config, root=out)
    results["findings"] = findings(config, results)
    write_json(out / "results.json", results)
    write_json(out / "summary.json", _summary(results))
    _write_tables(rows, out=out)
    write_report(config, read_json(out / "results.json"), out=out)
    _write_manifest(config, out, time.monotonic() - start)
    return {"findings": results["findings"], "out": str(out), "report": str(out / "report.html")}


def _summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """What is small enough to be committed: no raw rows, no table of each single family."""
    kept = {k: v for k, v in results.items() if k != "rows"}
    if "shootout" in kept:
        kept["shootout"] = {k: v for k, v in kept["shootout"].items() if k != "families"}
    return kept


def _write_tables(rows: Sequence[Mapping[str, Any]], *, out: Path) -> None:
    """Two tables for other tools: one row per checkpoint, one per early RL step."""
    from grpolab.validate.study.summary import METRICS

    keys = ("family", "seed", "depth", "lr")
    checkpoints = {key: [row[key] for row in rows] for key in keys}
    for name, read in METRICS.items():
        checkpoints[name] = [read(row) for row in rows]
    steps: dict[str, list[Any]] = {key: [] for key in (*keys, "step", "zero_std", "variance")}
    for row in rows:
        measured = row["early"]["measured"]
        for key in keys:
            steps[key] += [row[key]] * row["early"]["steps"]
        steps["step"] += range(row["early"]["steps"])
        for name in ("zero_std", "variance"):
            steps[name] += measured[name]
    for stem, table in (("checkpoints", checkpoints), ("early_steps", steps)):
        with atomic_path(out / f"{stem}.parquet") as scratch:
            write_parquet(scratch, table, {})


def _write_manifest(config: StudyConfig, out: Path, seconds: float) -> None:
    """What made these results, and how long it took: beside them, for results are reproducible."""
    path = out / MANIFEST
    sessions = read_json(path)["sessions"] if path.exists() else []
    sessions.append({"seconds": round(seconds, 1)})
    write_json(
        path,
        {
            "command": f"grpolab study --preset {config.preset}",
            "families": list(config.families),
            "seeds": list(config.seeds),
            "commit": _commit(),
            "versions": {"python": platform.python_version(), "grpolab": __version__,
                         **{name: metadata.version(name) for name in _VERSIONS}},
            "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "gpu": _gpu()},
            "sessions": sessions,
            "total_seconds": round(sum(s["seconds"] for s in sessions), 1),
        },
    )  # fmt: skip


def _commit() -> str:
    """The commit of the checkout that ran, or nothing where there is none."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return found.stdout.strip()


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
