"""Tokens per second of the hf engine and of the own loop, against plain torch on the same device.

python tests/benchmarks/bench_device.py [MODEL] [--device cuda] [--dtype bfloat16] [--prompts 16]
    [--samples 8] [--tokens 64] [--repeats 3] [--json FILE]

The engine draws as many tokens as `generate` of transformers does, from the same model, prompts
and batch, with no end token. A step of the own loop without its sampling is held against the
plainest step there is: one forward pass of the same rows, cross-entropy, backward, AdamW. Only
PYTHONPATH=src is needed, no TRL. Without MODEL a Llama of 75 million parameters is built.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from grpolab.validate.models import TinyConfig, build_model, load_model
from grpolab.validate.models.precision import compute_in, fixed_weights
from grpolab.validate.rollouts.engine import NO_TOKEN
from grpolab.validate.rollouts.hf import sample_ids
from grpolab.validate.rollouts.table import SamplingLaw
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.grpo import update
from grpolab.validate.training.loss import Batch


def timed(act: Callable[[], Any], device: str, repeats: int) -> float:
    """Median wall seconds, after one call that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        act()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def sampling(model: Any, options: argparse.Namespace) -> dict[str, float]:
    """Tokens per second of both samplers; each prompt is asked ``samples`` times."""
    rng = np.random.default_rng(0)
    prompts = rng.integers(5, model.config.vocab_size, (options.prompts, 16)).tolist()
    law = SamplingLaw(max_new_tokens=options.tokens, temperature=1.0)
    uniform = rng.random((options.prompts, options.samples, options.tokens))

    def ours() -> None:
        with fixed_weights(model):
            drawn = sample_ids(model, prompts, law=law, uniform=uniform, pad=0, ends=[])
        assert (drawn.tokens != NO_TOKEN).all()

    ids = torch.tensor(prompts, device=model.device).repeat_interleave(options.samples, dim=0)
    settings = transformers.GenerationConfig(
        do_sample=True, top_k=0, max_new_tokens=options.tokens, min_new_tokens=options.tokens,
        pad_token_id=0, eos_token_id=None,
    )  # fmt: skip

    def theirs() -> None:
        with fixed_weights(model), torch.inference_mode():
            mask = torch.ones_like(ids)
            out = model.generate(ids, attention_mask=mask, generation_config=settings)
        assert out.shape[1] == 16 + options.tokens

    total = options.prompts * options.samples * options.tokens
    return {
        name: total / timed(act, options.device, options.repeats)
        for name, act in (("engine", ours), ("generate", theirs))
    }


def training(model: Any, options: argparse.Namespace) -> dict[str, float]:
    """Tokens per second (prompt and completion) of one update of both."""
    rng = np.random.default_rng(1)
    rows, config = options.prompts * options.samples, GRPOConfig(group_size=options.samples)

    def draw(length: int) -> torch.Tensor:
        found = rng.integers(5, model.config.vocab_size, (rows, length))
        return torch.tensor(found, device=model.device)

    prompt, tokens = draw(16), draw(options.tokens)
    batch = Batch(
        prompt, torch.ones_like(prompt), tokens, torch.ones_like(tokens, dtype=torch.bool)
    )
    advantage = rng.normal(size=rows)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def ours() -> None:
        update(model, optimiser, batch=batch, advantage=advantage, config=config,
               max_new_tokens=options.tokens)  # fmt: skip

    full = torch.cat([prompt, tokens], dim=1)
    labels = full.clone()
    labels[:, :16] = -100

    def theirs() -> None:
        optimiser.zero_grad(set_to_none=False)
        model(input_ids=full, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return {
        name: full.numel() / timed(act, options.device, options.repeats)
        for name, act in (("own update", ours), ("plain step", theirs))
    }


def main() -> None:
    """Measure and print one line per number, and write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    for name, value in (("prompts", 16), ("samples", 8), ("tokens", 64), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--json", default="")
    options = parser.parse_args()
    if options.model:
        model, _ = load_model(options.model, device=options.device)
    else:
        size = 16 + options.tokens + 1
        shape = TinyConfig(
            hidden=options.hidden, layers=options.layers, mlp_ratio=4, max_positions=size
        )
        model, _ = build_model([f"w{i}" for i in range(2000)], shape, seed=0)
        model = model.to(options.device).eval()
    compute_in(model, options.dtype)
    found = {**sampling(model, options), **training(model, options)}
    on_gpu = options.device != "cpu"
    result = {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or "cpu",
        "dtype": options.dtype,
        "parameters": model.num_parameters(),
        "rows": options.prompts * options.samples,
        "tokens": options.tokens,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "tokens_per_second": {name: round(value, 1) for name, value in found.items()},
        "engine_over_generate": round(found["engine"] / found["generate"], 3),
        "own_over_plain": round(found["own update"] / found["plain step"], 3),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
