"""run_study: plan the jobs, run what is missing, put the numbers together, write the report."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from grpolab import __version__
from grpolab.errors import UserError, input_errors, require
from grpolab.figures.words import duration
from grpolab.simulate.sweep import Backend
from grpolab.store import read_json, write_json, write_settings
from grpolab.validate.models.tiny import Architecture
from grpolab.validate.study.config import Pretrained, StudyConfig, preset
from grpolab.validate.study.families import family
from grpolab.validate.study.jobs import plan
from grpolab.validate.study.runner import open_run, run_jobs
from grpolab.validate.study.tasks import make_task
from grpolab.validate.study.work import run_job

MANIFEST = "manifest.json"
RECORD = "record"
"""Folder of a run that holds its record."""
_VERSIONS = ("numpy", "scipy", "torch", "transformers")


def configure(
    name: str,
    *,
    task: str | None,
    families: Sequence[str] = (),
    seeds: Sequence[int] = (),
    device: str = "",
    model: str = "",
    arch: str = "",
) -> StudyConfig:
    """The configuration of a preset, changed as asked.

    ``families`` (``task/regime``) and ``seeds`` take the place of the preset's where they are
    given. ``model``, a checkpoint folder or a hub id, takes the place of a base model trained from
    scratch, and ``arch`` is the architecture of one from scratch. Raises UserError for an unknown
    preset, task, family or model, a seed below 0 or named twice, a missing torch, or a device that
    is not there.
    """
    config = _restricted(preset(name, task=task), families, seeds)
    for known in config.tasks:  # an unknown task is refused before anything is written
        make_task(known, seed=config.seeds[0])
    require("torch", extra="train")
    require("transformers", extra="train")
    return _on_model(_of_architecture(_on_device(config, device), arch, model), model)


def size_of(config: StudyConfig, *, workers: int = 0) -> str:
    """How much a study does, in words; the time is that of the jobs' weights."""
    jobs, processes = plan(config), workers or _workers(config)
    runs = sum(job.kind == "rl" for job in jobs)
    minutes = sum(job.weight for job in jobs) / 60 / processes
    return (
        f"{len(jobs)} jobs, {runs} of them GRPO runs of {config.grpo.steps} steps,"
        f" {processes} at a time, about {duration(60 * minutes)} on processor cores"
    )


def run(
    config: StudyConfig,
    *,
    out: Path,
    workers: int = 0,
    minutes: float = math.inf,
    backend: Backend = "local",
    settings: Mapping[str, Any] | None = None,
    begin: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Run a study of any configuration in a folder, or go on with it.

    No job is started that would probably end after ``minutes``. ``begin`` is called once the folder
    is this study's, and ``settings``, the options of the command, are kept in it. Where the minutes
    were too few the dictionary holds ``left``, the number of jobs to do. UserError for a folder
    that holds something else.
    """
    start = time.monotonic()
    with open_run(config, out):
        begin()
        if settings is not None:
            write_settings(out, settings)
        jobs = plan(config)
        left = run_jobs(
            functools.partial(run_job, config), jobs, root=out, backend=backend,
            workers=workers or _workers(config), seconds=60 * minutes,
        )  # fmt: skip
        if left:
            return {"out": str(out), "left": left, "jobs": len(jobs)}
        return finish(config, out=out, start=start)


def _restricted(config: StudyConfig, families: Sequence[str], seeds: Sequence[int]) -> StudyConfig:
    """The study of other families or seeds."""
    for name, values in (("families", families), ("seeds", seeds)):
        if len(set(values)) < len(values):
            raise UserError(f"--{name} names one of them twice")
    for text in families:
        family(text)
    if any(seed < 0 for seed in seeds):
        raise UserError("--seeds: a seed is 0 or more")
    return dataclasses.replace(
        config,
        families=tuple(families) or config.families,
        seeds=tuple(seeds) or config.seeds,
    )


def _on_model(config: StudyConfig, model: str) -> StudyConfig:
    """The study on a pretrained model, known by a hash of its files."""
    from grpolab.validate.models.load import check_checkpoint, load_tokenizer
    from grpolab.validate.rollouts.plan import model_hash
    from grpolab.validate.study.pretrained import fitted

    if not model:
        if config.preset == "real":
            raise UserError(
                "preset real needs a pretrained model: make one by `grpolab model smollm2"
                " models/smollm2` and give --model models/smollm2"
            )
        return config
    check_checkpoint(model)
    found = fitted(config, load_tokenizer(model), model=model)
    return dataclasses.replace(found, pretrained=Pretrained(model, model_hash(model)))


def _of_architecture(config: StudyConfig, arch: str, model: str) -> StudyConfig:
    """The study on a model from scratch of another architecture."""
    if not arch:
        return config
    if model:
        raise UserError("--arch is of a model from scratch: give --model or --arch, not both")
    with input_errors():
        kind = dataclasses.replace(config.model, arch=cast(Architecture, arch))
        return dataclasses.replace(config, model=kind)


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
    """Write the record of the finished jobs, what follows from it, and the manifest.

    ``start`` is the monotonic clock when the session began.
    """
    from grpolab.validate.study.collect import collect
    from grpolab.validate.study.derive import derive, write_results
    from grpolab.validate.study.record import Record

    collect(config, root=out).write(out / RECORD)
    record = Record.read(out / RECORD)  # results follow from what is on disk, to the last digit
    results = derive(record)
    write_results(record.config, results, out=out)
    _write_manifest(config, out, time.monotonic() - start)
    return {
        "findings": [finding.text for finding in results.findings],
        "out": str(out),
        "report": str(out / "report.html"),
    }


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
