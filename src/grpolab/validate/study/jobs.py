"""The jobs of a study, each a function of (config, key, folder) that fills its own folder.

A job reads the finished folders of the jobs that it depends on and writes ``result.json`` beside
its artefacts. Keys are paths: ``base/seed0``, ``ladder/narrow/seed0``, ``pre/narrow/seed0/depth8``,
``rl/shift/seed0/depth8/lr0.0001``, ``simulate``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.store import write_counts, write_json
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw
from grpolab.validate.study.config import REGIMES, StudyConfig
from grpolab.validate.tasks import Prompt, Task, make_task

Progress = Callable[[float], None]
RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One node of the study: what it is, what it waits for, roughly how long it takes."""

    key: str
    kind: str
    needs: tuple[str, ...]
    weight: float  # CPU seconds, for the progress bar and for starting long jobs first
    seed: int = 0
    data: str = ""
    regime: str = ""
    depth: int = 0
    lr: float = 0.0


def plan(config: StudyConfig) -> list[Job]:
    """All jobs of a study, dependencies before dependents."""
    jobs = [Job("simulate", "simulate", (), 20.0)]
    rows = config.eval_prompts * config.num_samples + config.train_prompts * config.train_samples
    evals = config.grpo.steps / config.grpo.eval_every + 1
    quick = config.eval_prompts * config.quick_samples * evals
    for seed in config.seeds:
        base = f"base/seed{seed}"
        jobs.append(Job(base, "base", (), 0.05 * config.base.steps, seed))
        for data in config.data_kinds:
            ladder = f"ladder/{data}/seed{seed}"
            jobs.append(Job(ladder, "ladder", (base,), 0.012 * max(config.sft.depths), seed, data))
            for depth in config.sft.depths:
                key = f"pre/{data}/seed{seed}/depth{depth}"
                jobs.append(Job(key, "pre", (ladder,), 6e-5 * rows, seed, data, "", depth))
        for regime in config.regimes:
            data = REGIMES[regime].data
            for depth in config.sft.depths:
                for lr in config.rates:
                    key = f"rl/{regime}/seed{seed}/depth{depth}/lr{lr:g}"
                    weight = 0.05 * config.grpo.steps + 6e-5 * (quick + rows)
                    jobs.append(
                        Job(key, "rl", (f"ladder/{data}/seed{seed}",), weight, seed, data,
                            regime, depth, lr)
                    )  # fmt: skip
    return jobs


def run_job(config: StudyConfig, job: Job, *, root: Path, out: Path, progress: Progress) -> None:
    """Run one job into ``out``; ``root`` holds the finished folders of the others.

    Weights are float32 throughout; with dtype bfloat16 the forward passes run in that precision.
    """
    import torch

    half = config.dtype == "bfloat16"
    with torch.autocast(config.device, dtype=torch.bfloat16, enabled=half):
        _KINDS[job.kind](config, job, root, out, progress)


def _seed(job: Job) -> int:
    """A seed of its own for each job: a stable hash of the study's seed and the job's key."""
    import zlib

    return int(
        np.random.SeedSequence([job.seed, zlib.crc32(job.key.encode())]).generate_state(1)[0]
    )


def _law(task: Task, config: StudyConfig, *, greedy: bool = False) -> SamplingLaw:
    temperature = 0.0 if greedy else config.grpo.temperature
    return SamplingLaw(max_new_tokens=task.max_new_tokens, temperature=temperature)


def eval_prompts(config: StudyConfig, task: Task, *, classes: int = 2) -> list[Prompt]:
    """Held-out prompts, equally many of each of the first ``classes`` classes."""
    share = config.eval_prompts // len(task.classes)
    prompts = task.prompts("eval")
    return [
        p
        for label in task.classes[:classes]
        for p in [q for q in prompts if q.label == label][:share]
    ]


def rl_prompts(task: Task, regime: str) -> list[Prompt]:
    """The training prompts of RL in a regime."""
    allowed = task.classes[: REGIMES[regime].rl_classes]
    return [p for p in task.prompts("rl") if p.label in allowed]


def demonstrations(task: Task, data: str, *, seed: int) -> list[tuple[str, str]]:
    """The SFT pairs of a kind of data."""
    rng = np.random.default_rng([seed, 1])
    if data == "narrow":
        prompts = task.prompts("sft")
        answers = task.demonstrations(prompts, style="canonical", rng=rng)
    else:
        prompts = task.prompts("sft_broad")
        answers = task.demonstrations(prompts, style="random", rng=rng)
    return [(p.text, a) for p, a in zip(prompts, answers, strict=True)]


def _base(config: StudyConfig, job: Job, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.models import build_model, save_model
    from grpolab.validate.training.sft import train_base

    task = make_task(config.task, seed=job.seed)
    model, tokenizer = build_model(task.vocabulary, config.model, seed=job.seed)
    model = model.to(config.device)
    seed = _seed(job)
    train_base(model, tokenizer, task=task, config=config.base, seed=seed, progress=progress)
    save_model(model, tokenizer, out / "model")
    parameters = sum(p.numel() for p in model.parameters())
    write_json(out / RESULT, {"parameters": parameters, "seed": seed})


def _ladder(config: StudyConfig, job: Job, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.models import save_model
    from grpolab.validate.training.sft import sequence_nll, train_ladder

    task = make_task(config.task, seed=job.seed)
    model, tokenizer = _load(config, root / f"base/seed{job.seed}/model")
    held_out = held_out_pairs(config, task, seed=job.seed)
    nll: dict[str, dict[str, float]] = {}

    def reached(depth: int) -> None:
        save_model(model, tokenizer, out / f"depth{depth}")
        nll[str(depth)] = {c: sequence_nll(model, tokenizer, p) for c, p in held_out.items()}

    train_ladder(
        model, tokenizer, pairs=demonstrations(task, job.data, seed=job.seed), config=config.sft,
        seed=_seed(job), reached=reached, progress=progress,
    )  # fmt: skip
    write_json(out / RESULT, {"held_out_nll": nll})


def held_out_pairs(
    config: StudyConfig, task: Task, *, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Held-out prompts with their canonical answers, by prompt class."""
    rng = np.random.default_rng([seed, 2])
    out = {}
    for label in task.classes:
        prompts = [p for p in eval_prompts(config, task) if p.label == label]
        answers = task.demonstrations(prompts, style="canonical", rng=rng)
        out[label] = [(p.text, a) for p, a in zip(prompts, answers, strict=True)]
    return out


def _load(config: StudyConfig, path: Path) -> tuple[Any, Any]:
    from grpolab.validate.models import load_model

    model, tokenizer = load_model(path, device=config.device)
    return model, tokenizer


def _pre(config: StudyConfig, job: Job, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.rollouts.hf import rollout

    task = make_task(config.task, seed=job.seed)
    model, tokenizer = _load(config, root / f"ladder/{job.data}/seed{job.seed}/depth{job.depth}")
    seed = _seed(job)
    held_out, train = eval_prompts(config, task), task.prompts("rl")[: config.train_prompts]
    parts: tuple[tuple[str, Sequence[Prompt], int, bool], ...] = (
        ("eval", held_out, config.num_samples, False),
        ("greedy", held_out, 1, True),
        ("train", train, config.train_samples, False),
    )
    for i, (name, prompts, n, greedy) in enumerate(parts):
        table = rollout(
            model, tokenizer, task=task, prompts=prompts, num_samples=n,
            group_size=config.grpo.group_size, law=_law(task, config, greedy=greedy), seed=seed + i,
        )  # fmt: skip
        _write_rollouts(out, name, table)
        progress((i + 1) / len(parts))
    write_json(out / RESULT, {"seed": seed})


def _write_rollouts(out: Path, name: str, table: Rollouts) -> None:
    # the source is named relative to the run, so that a run gives the same files anywhere
    info = dataclasses.replace(table.provenance, source=name)
    dataclasses.replace(table, provenance=info).write(out / f"{name}.parquet")


def _rl(config: StudyConfig, job: Job, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.models import save_model
    from grpolab.validate.rollouts.hf import rollout
    from grpolab.validate.training.grpo import train_grpo

    task = make_task(config.task, seed=job.seed)
    model, tokenizer = _load(config, root / f"ladder/{job.data}/seed{job.seed}/depth{job.depth}")
    grpo = dataclasses.replace(config.grpo, lr=job.lr)
    held_out = eval_prompts(config, task, classes=REGIMES[job.regime].rl_classes)
    seed = _seed(job)
    g = grpo.group_size

    def evaluate(step: int) -> dict[str, Any]:
        # the same draws at every step: common random numbers make the curve smoother, not biased
        table = rollout(
            model, tokenizer, task=task, prompts=held_out, num_samples=config.quick_samples,
            group_size=g, law=_law(task, config), seed=seed + 1,
        )  # fmt: skip
        return quick_measure(table)

    run = train_grpo(
        model, tokenizer, task=task, prompts=rl_prompts(task, job.regime), config=grpo, seed=seed,
        evaluate=evaluate, progress=lambda share: progress(0.9 * share),
    )  # fmt: skip
    write_counts(out / "groups.parquet", run.counts())
    for name, prompts, n in (
        ("eval", held_out, config.num_samples),
        ("train", rl_prompts(task, job.regime)[: config.train_prompts], g),
    ):
        table = rollout(
            model, tokenizer, task=task, prompts=prompts, num_samples=n, group_size=g,
            law=_law(task, config), seed=seed + 2,
        )  # fmt: skip
        _write_rollouts(out, name, table)
    save_model(model, tokenizer, out / "model")
    steps = [row._asdict() for row in run.steps]
    evals = [{"step": step, **measured} for step, measured in run.evals]
    write_json(out / RESULT, {"seed": seed, "steps": steps, "evals": evals})


def quick_measure(table: Rollouts) -> dict[str, float]:
    """The few numbers that the evaluation schedule keeps: pass@1, pass@10, token entropy."""
    from grpolab.theory import pass_at_k

    totals = table.counts().by_prompt()
    tenth = pass_at_k(totals.num_samples, totals.num_correct, 10)
    return {
        "pass_at_1": float(totals.rate.mean()),
        "pass_at_10": float(np.mean(tenth)),
        "token_entropy": float(table.entropy.mean()),
    }


def _simulate(config: StudyConfig, job: Job, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.study.thresholds import threshold_table

    write_json(out / RESULT, threshold_table(config, progress=progress))


_KINDS: Mapping[str, Callable[[StudyConfig, Job, Path, Path, Progress], None]] = MappingProxyType(
    {"base": _base, "ladder": _ladder, "pre": _pre, "rl": _rl, "simulate": _simulate}
)
