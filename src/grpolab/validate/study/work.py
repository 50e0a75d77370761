"""The jobs of a study, each a function of (config, job, root, out) that fills its own folder."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.store import write_counts, write_json
from grpolab.streams import stream_seed
from grpolab.theory.groups import GroupCounts
from grpolab.validate.models.precision import compute_in
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.arms import Arm
from grpolab.validate.study.base import train_base
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.forces import play_forces, threshold_table
from grpolab.validate.study.inputs import (
    ask,
    demonstrations,
    examples,
    held_out_pairs,
    load,
    open_task,
    rl_prompts,
)
from grpolab.validate.study.jobs import (
    RESULT,
    Progress,
    StudyJob,
    base_key,
    checkpoint_key,
    eval_prompts,
    job_seed,
    ladder_key,
)
from grpolab.validate.study.measure import pass_rates
from grpolab.validate.study.plain import to_plain
from grpolab.validate.study.selection import matched_temperature, select_prompts
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt
from grpolab.validate.training.plasticity import plasticity
from grpolab.validate.training.restart import restart
from grpolab.validate.training.rundir import RunDir
from grpolab.validate.training.sft import train_ladder
from grpolab.validate.training.sft_data import held_out_nll

AFTER_PROMPTS = 512
"""Most training prompts that are answered once more after RL."""


def run_job(
    config: StudyConfig, job: StudyJob, *, root: Path, out: Path, progress: Progress
) -> None:
    """Run one job into ``out``; ``root`` holds the finished folders of the others.

    Weights are float32 throughout; with dtype bfloat16 the forward passes run in that precision.
    """
    _KINDS[job.kind](config, job, root, out, progress)


def _base(config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.models import build_model, save_model

    if config.pretrained:
        given = Path(config.pretrained.path)
        model, tokenizer = load(config, given)
        if given.is_dir():  # one copy is enough
            (out / "model").symlink_to(given.resolve())
        else:
            save_model(model, tokenizer, out / "model")
        write_json(out / RESULT, {"parameters": model.num_parameters()})
        return
    task = make_task(job.task, seed=job.seed)
    seed = job_seed(job)
    model, tokenizer = build_model(task.vocabulary, config.model, seed=stream_seed(seed, "weights"))
    model = compute_in(model.to(config.device), config.dtype)
    train_base(model, tokenizer, task=task, config=config.base, seed=seed, progress=progress)
    save_model(model, tokenizer, out / "model")
    write_json(out / RESULT, {"parameters": model.num_parameters(), "seed": seed})


def _ladder(config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress) -> None:
    task = make_task(job.task, seed=job.seed)
    model, tokenizer = load(config, root / base_key(job.task, job.seed) / "model")
    shown = demonstrations(task, job.data, seed=job.seed)
    # every variant sees the same demonstrations in the same order
    order = stream_seed(job.seed, ladder_key(job.task, job.data, job.seed))
    run = RunDir(out)
    sft = config.sft_of(job.sft)
    train_ladder(
        model, tokenizer, run=run, train=examples(shown, tokenizer), held_out=(), config=sft,
        seed=order, device=config.device, dtype=config.dtype, progress=progress,
    )  # fmt: skip
    shutil.rmtree(run.checkpoints)
    held_out = held_out_pairs(config, task, seed=job.seed)
    nll = {}
    base = root / base_key(job.task, job.seed) / "model"
    for depth in config.depths if job.sft == "plain" else sft.depths:
        reached, _ = load(config, out / f"depth-{depth}" if depth else base)
        nll[str(depth)] = {
            label: held_out_nll(
                reached, examples(pairs, tokenizer), pad=tokenizer.pad_token_id
            ).per_answer
            for label, pairs in held_out.items()
        }
    write_json(out / RESULT, {"held_out_nll": nll})


def _pre(config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress) -> None:
    model, tokenizer = load(config, root / checkpoint_key(job.task, job.data, job.seed, job.depth))
    seed, hot = job_seed(job), config.grpo.temperature
    with open_task(config, job.task, seed=job.seed) as task:
        held_out, train = eval_prompts(config, task), task.prompts("rl")[: config.train_prompts]
        parts: tuple[tuple[str, Sequence[Prompt], int, float], ...] = (
            ("eval", held_out, config.num_samples, hot),
            ("greedy", held_out, 1, 0.0),
            ("train", train, config.train_samples, hot),
        )
        for i, (name, prompts, n, temperature) in enumerate(parts):
            table = ask(
                model, tokenizer, task=task, prompts=prompts, num_samples=n,
                law=dataclasses.replace(config.grpo.law(task), temperature=temperature),
                seed=stream_seed(seed, name),
                group_size=min(config.grpo.group_size, n), batch_rows=config.batch_rows,
            )  # fmt: skip
            write_rollouts(out, name, table)
            progress((i + 1) / len(parts))
        judged = {"level": level} if (level := task.report().level) else {}
        ids = encode(tokenizer, held_out)
        measured = plasticity(model, ids, pad=tokenizer.pad_token_id)
        write_json(out / RESULT, {"seed": seed, "judged": judged, "plasticity": to_plain(measured)})


def write_rollouts(out: Path, name: str, table: Rollouts) -> None:
    """Write a table; its source is named relative to the run, so that runs are alike anywhere."""
    info = dataclasses.replace(table.provenance, source=name)
    dataclasses.replace(table, provenance=info).write(out / f"{name}.parquet")


def _rl(config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress) -> None:
    from grpolab.validate.models import save_model
    from grpolab.validate.training.grpo import train_grpo

    assert job.arm is not None
    arm, seed = job.arm, job_seed(job)
    start = root / checkpoint_key(job.task, job.data, job.seed, job.depth, sft=job.sft)
    model, tokenizer = load(config, start)
    restart(model, arm.restart, seed=seed)
    with open_task(config, job.task, seed=job.seed) as task:
        grpo = config.grpo_of(arm)
        if arm.entropy_of:
            hot = matched_temperature(config, job, model, tokenizer, task=task, root=root)
            rate = grpo.lr * hot if arm.match_step else grpo.lr
            grpo = dataclasses.replace(grpo, temperature=hot, lr=rate)
        held_out = eval_prompts(config, task, classes=REGIMES[job.regime].rl_classes)
        prompts = select_prompts(config, job, rl_prompts(task, job.regime), root=root)
        curve: list[Rollouts] = []

        def sampled(purpose: str, asked: Sequence[Prompt], n: int, group_size: int) -> Rollouts:
            return ask(
                model, tokenizer, task=task, prompts=asked, num_samples=n, group_size=group_size,
                law=grpo.law(task), seed=stream_seed(seed, purpose),
                batch_rows=config.batch_rows,
            )  # fmt: skip

        def evaluate(step: int) -> dict[str, Any]:
            # the same draws at every step: common random numbers make the curve smoother
            table = sampled("curve", held_out, config.quick_samples, config.quick_samples)
            curve.append(table)
            return {**pass_rates(table.counts()), "token_entropy": table.token_entropy}

        run = train_grpo(
            model, tokenizer, task=task, prompts=prompts, config=grpo,
            seed=stream_seed(seed, "training"),
            reference=_reference(config, job, arm, root, start), evaluate=evaluate,
            progress=lambda share, words: progress(0.9 * share, words),
        )  # fmt: skip
        write_counts(out / "groups.parquet", run.counts())
        write_counts(out / "evals.parquet", _curve(curve, [step for step, _ in run.evals]))
        g = config.grpo.group_size
        write_rollouts(out, "eval", sampled("eval", held_out, config.num_samples, g))
        asked = rl_prompts(task, job.regime)[:AFTER_PROMPTS]
        write_rollouts(out, "train", sampled("train", asked, g, g))
    if not config.pretrained:  # half a gigabyte each
        save_model(model, tokenizer, out / "model")
    result = {
        "seed": seed, "temperature": grpo.temperature, "lr": grpo.lr, "num_prompts": len(prompts),
        "steps": [row._asdict() for row in run.steps],
        "evals": [{"step": step, **measured} for step, measured in run.evals],
    }  # fmt: skip
    write_json(out / RESULT, result)


def _reference(config: StudyConfig, job: StudyJob, arm: Arm, root: Path, start: Path) -> Any:
    if not arm.reference:
        return None
    folder = {
        "start": start,
        "base": root / base_key(job.task, job.seed) / "model",
    }.get(
        arm.reference,
        root / ladder_key(job.task, job.data, job.seed) / arm.reference.replace("depth", "depth-"),
    )
    return load(config, folder)[0]


def _curve(tables: Sequence[Rollouts], steps: Sequence[int]) -> GroupCounts:
    """One row per evaluated prompt and step: how many of the quick samples were right."""
    counts = [table.counts() for table in tables]
    return GroupCounts(
        np.concatenate([c.num_correct for c in counts]),
        np.concatenate([c.group_size for c in counts]),
        prompt_id=np.concatenate([c.prompt_id for c in counts]),
        step=np.repeat(steps, [len(c) for c in counts]),
    )


def _force(config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress) -> None:
    write_json(out / RESULT, play_forces(config, job, root=root, progress=progress))


def _simulate(
    config: StudyConfig, job: StudyJob, root: Path, out: Path, progress: Progress
) -> None:
    write_json(out / RESULT, threshold_table(config, progress=progress))


_Run = Callable[[StudyConfig, StudyJob, Path, Path, Progress], None]
_KINDS: Mapping[str, _Run] = MappingProxyType(
    {"base": _base, "ladder": _ladder, "pre": _pre, "rl": _rl, "force": _force,
     "simulate": _simulate}
)  # fmt: skip
