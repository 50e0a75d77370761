"""Which force moves the success rate of prompts that give no signal: each switched on and off.

With one prompt alone, one update per batch and a right verifier, group-relative advantages never
lower p (derived in the handbook), and a prompt whose groups have no spread has no gradient. If p
moves on such prompts, something else moves it: the gradient of other prompts (interference), inner
epochs, weight decay, a KL term. From one checkpoint, short runs train on some prompts with some
forces, and p is measured before and after, on fresh samples, on prompts never solved before and on
prompts always solved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from grpolab.simulate import derive_critical_p
from grpolab.streams import stream_seed
from grpolab.theory import critical_p
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.inputs import ask, load, open_task, rl_prompts
from grpolab.validate.study.jobs import Progress, StudyJob, checkpoint_key, job_seed
from grpolab.validate.study.selection import prompt_rates
from grpolab.validate.tasks import Prompt


class Force(NamedTuple):
    """A short run: which prompts it trains on, and what it changes."""

    name: str
    trains_on: str  # "others": prompts with signal; "silent": those without
    changes: dict[str, Any]
    reference: bool = False


FORCES = (
    Force("interference", "others", {}),
    Force("interference, 4 epochs", "others", {"inner_epochs": 4}),
    Force("interference, decay", "others", {"weight_decay": 1.0}),
    Force("interference, KL", "others", {"beta": 0.05}, reference=True),
    Force("silent", "silent", {}),
    Force("silent, decay", "silent", {"weight_decay": 1.0}),
    Force("silent, KL", "silent", {"beta": 0.05}, reference=True),
)
WATCHED = 200
"""Prompts watched of each kind, at most."""
SAMPLES = 32


def play_forces(
    config: StudyConfig, job: StudyJob, *, root: Path, progress: Progress
) -> dict[str, Any]:
    """Mean p before and after each short run, on prompts without signal and on those with."""
    folder = root / checkpoint_key(job.task, job.data, job.seed, job.depth)
    with open_task(config, job.task, seed=job.seed) as task:
        known, rate = prompt_rates(job, rl_prompts(task, job.regime), root=root, depth=job.depth)
        kinds = {
            "never": [p for p, r in zip(known, rate, strict=True) if r == 0],
            "always": [p for p, r in zip(known, rate, strict=True) if r == 1],
            "others": [p for p, r in zip(known, rate, strict=True) if 0 < r < 1],
        }
        silent = kinds["never"] + kinds["always"]
        watched = {name: prompts[:WATCHED] for name, prompts in kinds.items()}
        out: dict[str, Any] = {"num_prompts": {k: len(v) for k, v in kinds.items()}, "runs": []}
        for i, force in enumerate(FORCES):
            trained = kinds["others"] if force.trains_on == "others" else silent
            if len(trained) >= config.grpo.prompts_per_step:
                model, tokenizer = load(config, folder)
                reference = load(config, folder)[0] if force.reference else None
                entry = _play(config, job, force, trained, watched, model, tokenizer, reference,
                              task)  # fmt: skip
                out["runs"].append(entry)
            progress((i + 1) / len(FORCES))
    return out


def _play(
    config: StudyConfig,
    job: StudyJob,
    force: Force,
    trained: list[Prompt],
    watched: dict[str, list[Prompt]],
    model: Any,
    tokenizer: Any,
    reference: Any,
    task: Any,
) -> dict[str, Any]:
    from grpolab.validate.training.grpo import train_grpo

    grpo = dataclasses.replace(config.grpo, steps=config.force_steps, **force.changes)

    def rates(seed: int) -> dict[str, Any]:
        found = {}
        for name, prompts in watched.items():
            if prompts:
                table = ask(
                    model, tokenizer, task=task, prompts=prompts, num_samples=SAMPLES,
                    law=grpo.law(task), seed=seed,
                )  # fmt: skip
                found[name] = table.counts().by_prompt().rate
        return found

    seed = job_seed(job)
    before = rates(stream_seed(seed, "before"))
    run = train_grpo(
        model, tokenizer, task=task, prompts=trained, config=grpo, seed=seed, reference=reference
    )
    after = rates(stream_seed(seed, "after"))
    moved = {
        name: {
            "before": float(before[name].mean()),
            "after": float(after[name].mean()),
            "stderr": float((after[name] - before[name]).std(ddof=1) / len(before[name]) ** 0.5),
            "num_prompts": len(before[name]),
        }
        for name in before
        if len(before[name]) > 1
    }
    return {
        "force": force.name,
        "trains_on": force.trains_on,
        "moved": moved,
        "frac_zero_std": float(np.mean([s.frac_zero_std for s in run.steps])),
        "mean_grad_norm": float(np.mean([s.grad_norm for s in run.steps])),
    }


GROUP_SIZES = (3, 4, 8, 16, 32)
CORRELATIONS = (0.0, 0.1, 0.2)
LEVEL = 0.99


def threshold_table(
    config: StudyConfig, *, progress: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Theory beside simulation for every group size, ICC and event."""
    sizes = sorted({*GROUP_SIZES, config.grpo.group_size})
    cells: list[tuple[int, float, Literal["identical", "all-wrong"]]] = [
        (g, rho, event)
        for event in ("identical", "all-wrong")
        for rho in CORRELATIONS
        for g in sizes
    ]
    rows = []
    for i, (g, rho, event) in enumerate(cells):
        found = derive_critical_p(
            g,
            rho=rho,
            event=event,
            num_groups=config.simulated_groups,
            seed=stream_seed(0, "thresholds", i),
            level=LEVEL,
        )
        rows.append(
            {
                "group_size": g,
                "rho": rho,
                "event": event,
                "predicted": float(critical_p(g, rho=rho, event=event)),
                "estimate": found.estimate,
                "low": found.low,
                "high": found.high,
            }
        )
        progress((i + 1) / len(cells))
    return {"rows": rows, "num_groups": config.simulated_groups, "level": LEVEL}
