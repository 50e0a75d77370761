"""The folders that the jobs of a study leave behind, filled with random numbers: no training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.store import write_counts, write_json
from grpolab.theory import GroupCounts
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.inputs import rl_prompts
from grpolab.validate.study.jobs import RESULT, StudyJob, eval_prompts, plan
from grpolab.validate.study.tasks import make_task as new_task
from grpolab.validate.tasks import Prompt

make_task = cache(new_task)


def write_jobs(config: StudyConfig, root: Path) -> None:
    """Every job of the study as if it had run."""
    rng = np.random.default_rng(0)
    makers = {"ladder": _ladder, "pre": _pre, "rl": _rl, "force": _force, "simulate": _simulate}
    for job in plan(config):
        if job.kind in makers:
            makers[job.kind](config, job, root / job.key, rng)


def rollouts(
    rng: np.random.Generator, prompts: Sequence[Prompt], *, num_samples: int, group_size: int
) -> Rollouts:
    """Random completions; prompts differ in difficulty, and short answers repeat."""
    size = len(prompts)
    rate = rng.beta(0.5, 0.7, size)
    tokens = rng.integers(3, 12, (size, num_samples))
    return Rollouts(
        prompt_id=np.repeat([p.id for p in prompts], num_samples),
        group=np.tile(np.arange(num_samples) // group_size, size),
        reward=(rng.random((size, num_samples)) < rate[:, None]).astype(float).ravel(),
        num_tokens=tokens.ravel(),
        truncated=rng.random(size * num_samples) < 0.05,
        entropy=rng.gamma(2.0, 0.1, size * num_samples),
        logprob=-rng.gamma(2.0, 0.5, size * num_samples),
        text_hash=rng.integers(0, 6, size * num_samples),
    )


def _held_out(config: StudyConfig, job: StudyJob) -> list[Prompt]:
    return eval_prompts(config, make_task(job.task, seed=job.seed))


def _ladder(config: StudyConfig, job: StudyJob, out: Path, rng: np.random.Generator) -> None:
    classes = make_task(job.task, seed=job.seed).classes
    depths = config.sft_of(job.sft).depths
    nll = {str(d): {label: float(rng.gamma(2.0)) for label in classes} for d in depths}
    write_json(out / RESULT, {"held_out_nll": nll})


def _pre(config: StudyConfig, job: StudyJob, out: Path, rng: np.random.Generator) -> None:
    held_out, g = _held_out(config, job), config.grpo.group_size
    train = make_task(job.task, seed=job.seed).prompts("rl")[: config.train_prompts]
    for name, prompts, n in (
        ("eval", held_out, config.num_samples),
        ("greedy", held_out, 1),
        ("train", train, config.train_samples),
    ):
        rollouts(rng, prompts, num_samples=n, group_size=g).write(out / f"{name}.parquet")
    write_json(out / RESULT, {"seed": 1, "judged": {}})


def _rl(config: StudyConfig, job: StudyJob, out: Path, rng: np.random.Generator) -> None:
    assert job.arm is not None
    task, grpo = make_task(job.task, seed=job.seed), config.grpo_of(job.arm)
    prompts, held_out = rl_prompts(task, job.regime), _held_out(config, job)
    asked = {p.id for p in rl_prompts(task, job.regime)}
    held_out = [p for p in held_out if p.label in {q.label for q in prompts}]
    steps, g = grpo.steps, grpo.group_size
    shape = (steps, grpo.prompts_per_step)
    correct = rng.binomial(g, rng.beta(0.5, 0.7, shape))
    groups = GroupCounts(
        correct.ravel(), g, prompt_id=rng.choice(sorted(asked), shape).ravel(),
        step=np.repeat(np.arange(steps), shape[1]),
    )  # fmt: skip
    write_counts(out / "groups.parquet", groups)
    evals = [s for s in range(steps + 1) if s % grpo.eval_every == 0]
    rate = rng.beta(0.5, 0.7, (len(evals), len(held_out)))
    curve = GroupCounts(
        rng.binomial(config.quick_samples, rate).ravel(), config.quick_samples,
        prompt_id=np.tile([p.id for p in held_out], len(evals)),
        step=np.repeat(evals, len(held_out)),
    )  # fmt: skip
    write_counts(out / "evals.parquet", curve)
    for name, which, n in (("eval", held_out, config.num_samples), ("train", prompts[:512], g)):
        rollouts(rng, which, num_samples=n, group_size=g).write(out / f"{name}.parquet")
    names = ("entropy", "grad_norm", "loss", "kl", "clip_low", "clip_high", "frac_truncated")
    write_json(
        out / RESULT,
        {
            "seed": 1, "temperature": 1.0, "lr": grpo.lr, "num_prompts": len(prompts),
            "steps": [{"step": s, **{n: float(rng.random()) for n in names}}
                      for s in range(steps)],
            "evals": [{"step": s, "token_entropy": float(rng.random())} for s in evals],
        },
    )  # fmt: skip


def _force(config: StudyConfig, job: StudyJob, out: Path, rng: np.random.Generator) -> None:
    def moved() -> dict[str, Any]:
        before, after, error = rng.random(3).tolist()
        return {"before": before, "after": after, "stderr": error / 10, "num_prompts": 20}

    runs = [
        {"force": name, "trains_on": "others", "frac_zero_std": 0.5, "mean_grad_norm": 1.0,
         "moved": {kind: moved() for kind in ("never", "always")}}
        for name in ("interference", "interference, decay", "silent")
    ]  # fmt: skip
    write_json(out / RESULT, {"num_prompts": {"never": 20, "always": 20}, "runs": runs})


def _simulate(config: StudyConfig, job: StudyJob, out: Path, rng: np.random.Generator) -> None:
    rows = [
        {"group_size": config.grpo.group_size, "rho": rho, "event": "identical",
         "predicted": p, "estimate": p, "low": p - 0.01, "high": p + 0.01}
        for rho, p in ((0.0, 0.083), (0.2, 0.14))
    ]  # fmt: skip
    write_json(out / RESULT, {"rows": rows, "num_groups": 100, "level": 0.99})
