"""The jobs of the trial: a base model with its SFT ladder and what is measured on it, and one run.

Keys are paths below the working folder: ``labels-low/starts/sft0`` and
``labels-low/rl/sft0/depth8/rl1``.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.store import write_json
from grpolab.streams import generator, stream_seed
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.study.base import train_base
from grpolab.validate.study.inputs import ask, demonstrations, examples, rl_prompts
from grpolab.validate.study.jobs import RESULT, Progress
from grpolab.validate.study.tasks import StudyTask, make_task
from grpolab.validate.study.trial.plasticity import plasticity
from grpolab.validate.study.trial.protocol import Design, Protocol
from grpolab.validate.tasks import Prompt
from grpolab.validate.training.rundir import RunDir

FIRST_CLASS = 64
"""Held-out prompts of the first class on which ``nll-first`` is measured."""


@dataclass(frozen=True, slots=True)
class TrialJob:
    """A ladder (``depth`` -1), or the run of RL seed ``rl`` from a depth of it."""

    design: Design
    sft: int
    depth: int = -1
    rl: int = 0

    @property
    def key(self) -> str:
        """Folder of the job."""
        if self.depth < 0:
            return f"{self.design.name}/starts/sft{self.sft}"
        return f"{self.design.name}/rl/sft{self.sft}/depth{self.depth}/rl{self.rl}"

    @property
    def needs(self) -> tuple[str, ...]:
        """A run waits for its ladder."""
        return () if self.depth < 0 else (TrialJob(self.design, self.sft).key,)

    @property
    def weight(self) -> float:
        """CPU seconds, roughly."""
        size = self.design.hidden * self.design.layers / 128
        if self.depth < 0:
            return size * (0.05 * self.design.base_steps + 0.012 * max(self.design.depths)) + 5
        rollouts = self.design.group_size * self.design.prompts_per_step / 256
        return size * 0.035 * self.design.steps * rollouts + 3


def plan(protocol: Protocol, design: Design) -> list[TrialJob]:
    """All jobs of a design: its ladders, then its runs."""
    ladders = [TrialJob(design, sft) for sft in range(protocol.sft_seeds)]
    runs = [
        TrialJob(design, sft, depth, rl)
        for sft in range(protocol.sft_seeds)
        for depth in design.depths
        for rl in range(protocol.rl_seeds)
    ]
    return [*ladders, *runs]


def run_trial_job(
    protocol: Protocol, job: TrialJob, *, root: Path, out: Path, progress: Progress
) -> None:
    """Run one job into ``out``; ``root`` holds the finished folders of the others."""
    task = make_task(
        job.design.task,
        seed=protocol.seed(job.design.name, "task", job.sft),
        noise=job.design.noise,
    )
    try:
        if job.depth < 0:
            _starts(protocol, job, task, out, progress)
        else:
            _run(protocol, job, task, root, out, progress)
    finally:
        task.close()


def mixed(
    prompts: Sequence[Prompt], task: StudyTask, *, first_share: float, size: int = 0
) -> list[Prompt]:
    """The first prompts of a split, ``first_share`` of them of the task's first class.

    ``size`` 0 takes as many as the split has in these shares. The classes are spread evenly, so
    that every beginning has about the same shares.
    """
    parts = [
        [p for p in prompts if (p.label == task.classes[0]) == first] for first in (True, False)
    ]
    shares = (first_share, 1.0 - first_share)
    if not size:
        size = int(min(len(p) / s for p, s in zip(parts, shares, strict=True) if s > 0))
    first = round(size * first_share)
    chosen = (parts[0][:first], parts[1][: size - first])
    if len(chosen[0]) + len(chosen[1]) != size:
        raise ValueError(f"the split has too few prompts for {size} with share {first_share}")
    place = [(i + 0.5) / len(part) for part in chosen for i in range(len(part))]
    order = np.argsort(place, kind="stable")
    together = [*chosen[0], *chosen[1]]
    return [together[i] for i in order.tolist()]


def held_out(protocol: Protocol, design: Design, task: StudyTask) -> list[Prompt]:
    """The held-out prompts of a ladder."""
    return mixed(task.prompts("eval"), task, first_share=design.first_share, size=protocol.held_out)


def _starts(
    protocol: Protocol, job: TrialJob, task: StudyTask, out: Path, progress: Progress
) -> None:
    from grpolab.validate.models import build_model, load_model, save_model
    from grpolab.validate.training.sft import train_ladder

    design = job.design

    def seed(*purpose: object) -> int:
        return protocol.seed(design.name, "sft", job.sft, *purpose)

    model, tokenizer = build_model(task.vocabulary, design.model, seed=seed("weights"))
    train_base(
        model, tokenizer, task=task, config=design.base, seed=seed("corpus"),
        progress=lambda share: progress(0.7 * share),
    )  # fmt: skip
    save_model(model, tokenizer, out / "depth-0")
    shown = demonstrations(task, design.data, seed=seed("demonstrations"))
    run = RunDir(out)
    train_ladder(
        model, tokenizer, run=run, train=examples(shown, tokenizer), held_out=(),
        config=design.ladder, seed=seed("order"),
        progress=lambda share: progress(0.7 + 0.2 * share),
    )  # fmt: skip
    shutil.rmtree(run.checkpoints)
    prompts = held_out(protocol, design, task)
    first = [p for p in task.prompts("eval") if p.label == task.classes[0]][:FIRST_CLASS]
    rows = []
    for depth in design.depths:
        model, tokenizer = load_model(out / f"depth-{depth}")
        rows.append(_measure(protocol, job, task, model, tokenizer, (prompts, first), depth))
    write_json(
        out / RESULT,
        {"prompts": [p.id for p in prompts], "first": [p.label == task.classes[0] for p in prompts],
         "starts": rows},
    )  # fmt: skip


def _measure(
    protocol: Protocol,
    job: TrialJob,
    task: StudyTask,
    model: Any,
    tokenizer: Any,
    asked: tuple[Sequence[Prompt], Sequence[Prompt]],
    depth: int,
) -> dict[str, Any]:
    """Counts and measures of one start."""
    from grpolab.validate.training.sft_data import held_out_nll

    design, law = job.design, job.design.grpo.law(task)
    # the same draws at every depth: common random numbers make starts easier to compare
    seed = protocol.seed(design.name, "sft", job.sft, "before")
    tables = [
        ask(model, tokenizer, task=task, prompts=asked[0], num_samples=n, seed=seed,
            law=dataclasses.replace(law, temperature=temperature))
        for n, temperature in ((protocol.start_samples, law.temperature), (1, 0.0))
    ]  # fmt: skip
    nll = []
    for prompts in asked:
        answers = task.demonstrations(prompts, style="canonical", rng=generator(0, "canonical"))
        pairs = [(p.text, a) for p, a in zip(prompts, answers, strict=True)]
        shown = examples(pairs, tokenizer)
        nll.append(held_out_nll(model, shown, pad=tokenizer.pad_token_id).per_answer)
    return {
        "depth": depth,
        "correct": _correct(tables[0], asked[0]),
        "greedy": _correct(tables[1], asked[0]),
        "nll": nll[0],
        "nll-first": nll[1],
        "entropy": tables[0].token_entropy,
        **plasticity(model, tokenizer, asked[0])._asdict(),
    }


def _correct(table: Rollouts, prompts: Sequence[Prompt]) -> list[int]:
    """Right completions of every prompt, in the order of the prompts."""
    totals = table.counts().by_prompt()
    if len(totals.prompt_id) < len(prompts) or np.ptp(totals.num_samples):
        raise RuntimeError("a completion got no verdict: run the same command again")
    by_id = dict(zip(totals.prompt_id.tolist(), totals.num_correct.tolist(), strict=True))
    return [int(by_id[p.id]) for p in prompts]


def _run(
    protocol: Protocol, job: TrialJob, task: StudyTask, root: Path, out: Path, progress: Progress
) -> None:
    from grpolab.validate.models import load_model
    from grpolab.validate.training.grpo import train_grpo

    design, grpo = job.design, job.design.grpo
    folder = root / TrialJob(design, job.sft).key / f"depth-{job.depth}"
    model, tokenizer = load_model(folder)
    prompts = held_out(protocol, design, task)
    asked = mixed(rl_prompts(task, "shift"), task, first_share=design.first_share)
    seed = protocol.seed(design.name, "rl", job.sft, job.depth, job.rl)

    def sampled(purpose: str, n: int) -> list[int]:
        table = ask(
            model, tokenizer, task=task, prompts=prompts, num_samples=n, law=grpo.law(task),
            seed=stream_seed(seed, purpose),
        )  # fmt: skip
        return _correct(table, prompts)

    def evaluate(step: int) -> list[int] | None:
        at = step in protocol.schedule and step < grpo.steps
        return sampled("curve", protocol.curve_samples) if at else None

    run = train_grpo(
        model, tokenizer, task=task, prompts=asked, config=grpo,
        seed=stream_seed(seed, "training"), evaluate=evaluate, progress=progress,
    )  # fmt: skip
    if not all(np.isfinite(row.loss) and np.isfinite(row.grad_norm) for row in run.steps):
        raise FloatingPointError(f"{job.key}: a loss or a gradient is not finite")
    curve = {str(step): found for step, found in run.evals if found is not None}
    write_json(
        out / RESULT,
        {
            "curve": curve,
            "end": sampled("end", protocol.start_samples),
            "grad_norm": run.steps[0].grad_norm,
            "num_correct": [int(r.num_correct.sum()) for r in run.records],
            "num_informative": [
                int(((r.num_correct > 0) & (r.num_correct < r.group_size)).sum())
                for r in run.records
            ],
        },
    )
