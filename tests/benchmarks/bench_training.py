"""Seconds per GRPO step, own loop and TRL taking turns in one process on one thread.

python tests/benchmarks/bench_training.py [STEPS]
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from grpolab.validate.models import TinyConfig, build_model, load_model, save_model
from grpolab.validate.study.config import LADDER
from grpolab.validate.study.inputs import examples
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.grpo import GRPOLoop
from grpolab.validate.training.rundir import RunDir
from grpolab.validate.training.sft import train_ladder
from grpolab.validate.training.trl_grpo import TrlOptions, make_trainer

DEPTH = 60  # SFT steps: deeper ones repeat themselves, which the own loop makes use of
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "plain, no row skipped": {"skip_zero_advantage": False},
    "KL and entropy bonus": {"beta": 0.05, "entropy_coef": 0.01},
    "2 inner epochs": {"inner_epochs": 2},
}


def start(folder: Path) -> Any:
    """A model that solves some of the prompts some of the time."""
    task = make_task("countdown", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=64, layers=2), seed=0)
    rng = np.random.default_rng(0)
    prompts = task.prompts("rl")[:64]
    answers = task.demonstrations(prompts, style="random", rng=rng)
    pairs = [(prompt.text, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    with tempfile.TemporaryDirectory() as out:
        train_ladder(
            model, tokenizer, run=RunDir(Path(out)), train=examples(pairs, tokenizer), held_out=(),
            config=replace(LADDER, depths=(DEPTH,), lr=2e-3), seed=0,
        )  # fmt: skip
        save_model(load_model(Path(out) / f"depth-{DEPTH}")[0], tokenizer, folder)
    return task


def measure(task: Any, folder: Path, config: GRPOConfig) -> tuple[list[float], list[float], float]:
    """CPU seconds of every step of both, and the share of zero-std groups of the own loop."""
    prompts = task.prompts("rl")[:64]
    model, tokenizer = load_model(folder)
    reference, _ = load_model(folder)
    loop = GRPOLoop(model, tokenizer, task=task, prompts=prompts, config=config, seed=0,
                    reference=reference)  # fmt: skip
    own: list[float] = []
    trl: list[float] = []
    same: list[float] = []

    class Turns(TrainerCallback):
        """An own step before each batch of TRL's; TRL's time runs until the next one begins."""

        since = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % config.inner_epochs:
                return
            if state.global_step:
                trl.append(time.process_time() - self.since)
            began = time.process_time()
            same.append(loop.advance().log.frac_zero_std)
            own.append(time.process_time() - began)
            self.since = time.process_time()

    theirs, _ = load_model(folder)
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(
            theirs, tokenizer, run=RunDir(Path(out)), task=task, prompts=prompts, config=config,
            seed=0, options=TrlOptions(save_every=10**6), reference=str(folder),
        )  # fmt: skip
        trainer.add_callback(Turns())
        trainer.args.save_strategy = "no"
        trainer.train()
    return own[3:], trl[3:], statistics.mean(same)


def main(steps: int) -> None:
    torch.set_num_threads(1)
    base = GRPOConfig(steps=steps, prompts_per_step=16, group_size=8, lr=1e-4)
    with tempfile.TemporaryDirectory() as folder:
        task = start(Path(folder))
        for name, change in CASES.items():
            own, trl, same = measure(task, Path(folder), dataclasses.replace(base, **change))
            a, b = statistics.median(own), statistics.median(trl)
            print(f"{name}: own {1000 * a:.0f} ms, TRL {1000 * b:.0f} ms, own / TRL = {a / b:.2f}"
                  f" (zero-std groups {same:.2f})")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
