"""How good the policy is in the middle of a run: sampled answers to held-out prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.rollouts.hf import rollout
from grpolab.validate.rollouts.table import SamplingLaw

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task


def evaluator(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    num_samples: int,
    temperature: float,
    seed: int,
) -> Callable[[int], dict[str, Any]]:
    """A function of the step that samples ``num_samples`` answers per prompt and judges them.

    The same seed at every step: two steps differ by the policy, not by the luck of the draw.
    """
    law = SamplingLaw(max_new_tokens=task.max_new_tokens, temperature=temperature)
    ks = [k for k in (1, 4, 16, 64) if k <= num_samples]

    def evaluate(step: int) -> dict[str, Any]:
        was_training = model.training
        model.eval()  # no dropout, and no checkpointing, which would forbid the cache
        table = rollout(
            model, tokenizer, task=task, prompts=prompts, num_samples=num_samples,
            group_size=num_samples, law=law, seed=seed,
        )  # fmt: skip
        model.train(was_training)
        counts = table.counts()
        size, correct = counts.group_size, counts.num_correct
        return {
            "num_prompts": len(prompts),
            "num_samples": num_samples,
            "mean_reward": float(np.nanmean(table.reward)) if len(counts) else None,
            "pass_at_k": {k: float(np.nanmean(pass_at_k(size, correct, k))) for k in ks}
            if len(counts)
            else {},
            "token_entropy": float(np.average(table.entropy, weights=table.num_tokens)),
            "frac_truncated": float(table.truncated.mean()),
        }

    return evaluate
