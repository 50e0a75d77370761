"""Tokens per CPU second of sampling a real model: the hf engine, `generate` of transformers, vLLM.

python tests/benchmarks/bench_rollout.py MODEL [--tokens 96] [--vllm VENV] [--train STEPS]

Chat prompts, 32 samples each at temperature 1, whose completions end between a few tokens and the
budget. All draw from the same law in turn, on one thread; only tokens up to the end token count.
``--train`` puts the own loop and TRL side by side, step by step, on the same model: give one that
solves some of the sums, since a step without a mixed group is no update.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.validate.rollouts import SamplingLaw
from grpolab.validate.rollouts.engine import end_tokens
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.tasks import Prompt

ASKED = (
    "Name a colour.",
    "Say hello in French.",
    "What is 2 + 2? Answer with a number.",
    "Write one short sentence about the sea.",
)
SAMPLES = 32


def prompts() -> list[Prompt]:
    """Prompts whose answers have many lengths."""
    return [Prompt(i, text, "all", (("user", text),)) for i, text in enumerate(ASKED)]


def timed(draw: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what was drawn."""
    began = time.process_time()
    found = draw()
    return time.process_time() - began, found


def say(name: str, seconds: float, lengths: Any) -> float:
    """Print and return tokens per CPU second."""
    low, middle, high = np.percentile(lengths, [10, 50, 90])
    rate = float(np.sum(lengths)) / seconds
    print(
        f"{name}: {rate:.0f} tokens per CPU second ({np.sum(lengths)} tokens; lengths"
        f" {low:.0f}, {middle:.0f}, {high:.0f} at 10, 50, 90%)",
        flush=True,
    )
    return rate


def of_transformers(folder: str, law: SamplingLaw) -> None:
    """The hf engine, and `generate` on the same model."""
    import torch

    from grpolab.validate.models import load_model
    from grpolab.validate.rollouts.hf import HFEngine

    torch.set_num_threads(1)
    model, tokenizer = load_model(folder)
    ids = encode(tokenizer, prompts())
    engine = HFEngine.of(model, tokenizer)
    engine.draw(ids[:1], num_samples=2, law=SamplingLaw(2), seed=1)
    seconds, drawn = timed(lambda: engine.draw(ids, num_samples=SAMPLES, law=law, seed=0))
    own = say("hf engine", seconds, drawn.num_tokens)

    batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    torch.manual_seed(0)
    with torch.inference_mode():
        seconds, out = timed(
            lambda: model.generate(
                **batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=law.max_new_tokens, num_return_sequences=SAMPLES,
            )
        )  # fmt: skip
    new = out[:, batch["input_ids"].shape[1] :]
    ends = torch.isin(new, torch.tensor(end_tokens(tokenizer, model.generation_config)))
    lengths = torch.where(ends.any(1), ends.int().argmax(1) + 1, new.shape[1]).numpy()
    theirs = say("generate", seconds, lengths)
    print(f"hf engine / generate = {own / theirs:.2f}", flush=True)


def of_vllm(folder: str, law: SamplingLaw) -> None:
    """The vLLM engine, in the Python that has vLLM."""
    from grpolab.validate.rollouts.vllm import VLLMEngine

    engine = VLLMEngine(folder, max_model_len=256)
    ids = encode(engine.tokenizer, prompts())
    engine.draw(ids[:1], num_samples=2, law=SamplingLaw(2), seed=1)
    seconds, drawn = timed(lambda: engine.draw(ids, num_samples=SAMPLES, law=law, seed=0))
    say("vLLM", seconds, drawn.num_tokens)


def train(folder: str, steps: int) -> None:
    """CPU seconds per GRPO step of the own loop and of TRL, which take turns."""
    import torch
    from bench_training import measure

    from grpolab.validate.study.tasks import make_task
    from grpolab.validate.training.config import GRPOConfig

    torch.set_num_threads(1)
    for skip in (True, False):
        config = GRPOConfig(
            steps=steps + 3, prompts_per_step=8, group_size=8, lr=1e-6, max_new_tokens=24,
            skip_zero_advantage=skip,
        )  # fmt: skip
        own, trl, same = measure(make_task("sums", seed=0), Path(folder), config)
        a, b = statistics.median(own), statistics.median(trl)
        rows = "rows with zero advantage skipped" if skip else "no row skipped"
        print(f"own loop {a:.1f} s, TRL {b:.1f} s, own / TRL = {a / b:.2f} ({rows},"
              f" zero-std {same:.2f})", flush=True)  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--vllm", default="", help="environment that has vLLM")
    parser.add_argument("--train", type=int, default=0, metavar="STEPS")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    law = SamplingLaw(args.tokens)
    if args.inside:
        of_vllm(args.model, law)
        return
    of_transformers(args.model, law)
    if args.vllm:
        command = [f"{args.vllm}/bin/python", __file__, args.model, "--inside"]
        command += ["--tokens", str(args.tokens)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if args.train:
        train(args.model, args.train)


if __name__ == "__main__":
    main()
