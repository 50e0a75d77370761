"""GRPO in one readable loop: sample groups, judge, advantages, clipped update, log every group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grpolab.theory.advantage import TRL, AdvantageRule
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.rollouts.hf import completion_texts, judge, sample
from grpolab.validate.rollouts.table import SamplingLaw
from grpolab.validate.training.batches import Batch, completion_logprobs
from grpolab.validate.training.loss import Aggregation, LossParts, grpo_loss, token_weights

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Prompt, Task


@dataclass(frozen=True, slots=True)
class GRPOConfig:
    """Everything that defines a GRPO run besides the model, the task and the seed.

    ``clip_high`` above ``clip_low`` is DAPO's clip-higher. ``beta`` weighs the KL divergence to the
    reference model that is handed to `train_grpo`. ``inner_epochs`` updates are made per batch of
    rollouts. ``skip_zero_advantage`` leaves rows out of the backward pass whose gradient is zero.
    """

    steps: int = 500
    prompts_per_step: int = 32
    group_size: int = 8
    lr: float = 1e-4
    warmup: int = 30
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    rule: AdvantageRule = TRL
    aggregation: Aggregation = "sequence"
    clip_low: float = 0.2
    clip_high: float = 0.2
    inner_epochs: int = 1
    beta: float = 0.0
    temperature: float = 1.0
    eval_every: int = 25
    skip_zero_advantage: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "prompts_per_step", "group_size", "inner_epochs", "eval_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}")


class StepLog(NamedTuple):
    """One training step."""

    step: int
    mean_reward: float
    frac_zero_std: float
    entropy: float  # mean token entropy of the sampled completions, nats
    grad_norm: float
    loss: float
    kl: float
    clip_low: float
    clip_high: float
    frac_truncated: float


@dataclass(slots=True)
class GRPORun:
    """What a run leaves behind: every group of every step, one row per step, the evaluations."""

    num_correct: list[IntArray] = field(default_factory=list)
    group_size: list[IntArray] = field(default_factory=list)
    prompt_id: list[IntArray] = field(default_factory=list)
    steps: list[StepLog] = field(default_factory=list)
    evals: list[tuple[int, Any]] = field(default_factory=list)

    def counts(self) -> GroupCounts:
        """All groups in order; ``step`` is the step that sampled them.

        A group's size is its number of verdicts; groups without any are left out.
        """
        size = np.concatenate(self.group_size)
        per_step = [len(row) for row in self.num_correct]
        return GroupCounts(
            np.concatenate(self.num_correct)[size > 0],
            size[size > 0],
            prompt_id=np.concatenate(self.prompt_id)[size > 0],
            step=np.repeat(np.arange(len(per_step)), per_step)[size > 0],
        )


class Draw(NamedTuple):
    """The rollouts of one step."""

    batch: Batch  # [M * g, ...]
    num_correct: IntArray  # [M]
    group_size: IntArray  # [M], rollouts with a verdict
    advantage: FloatArray  # [M * g]
    entropy: float
    frac_truncated: float


def train_grpo(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    reference: Any = None,
    evaluate: Callable[[int], Any] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> GRPORun:
    """Train in place. ``evaluate(step)`` is called before step 0, every ``eval_every``, at the end.

    Raises ValueError when ``beta`` > 0 and no reference model is given.
    """
    import torch

    if config.beta > 0 and reference is None:
        raise ValueError("beta > 0 needs a reference model")
    generator = torch.Generator(device=model.device).manual_seed(seed)
    order = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / max(config.warmup, 1))
    )
    run = GRPORun()
    model.eval()  # no dropout: sampler and trainer are one policy
    for step in range(config.steps):
        if evaluate is not None and step % config.eval_every == 0:
            run.evals.append((step, evaluate(step)))
        picked = [prompts[i] for i in order.choice(len(prompts), config.prompts_per_step, False)]
        draw = draw_groups(
            model, tokenizer, task=task, prompts=picked, config=config, rng=generator
        )
        parts, norm = update(model, optimiser, draw=draw, config=config, task=task,
                             reference=reference)  # fmt: skip
        schedule.step()
        _record(run, step, picked, draw, parts, norm)
        progress((step + 1) / config.steps)
    if evaluate is not None:
        run.evals.append((config.steps, evaluate(config.steps)))
    return run


def draw_groups(
    model: Any,
    tokenizer: Any,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    rng: torch.Generator,
) -> Draw:
    """Sample one group per prompt, judge it and look up the advantages.

    A rollout without a verdict counts in no group statistic and gets advantage 0.
    """
    g = config.group_size
    law = SamplingLaw(max_new_tokens=task.max_new_tokens, temperature=config.temperature)
    sampled = sample(
        model, tokenizer, prompts=[p.text for p in prompts], num_samples=g, law=law, generator=rng
    )
    texts = completion_texts(tokenizer, sampled)
    reward = np.array(judge(task, prompts, texts), dtype=np.float64).reshape(-1, g)
    seen = ~np.isnan(reward)
    num_correct = np.nansum(reward, axis=1).astype(np.int64)
    size = seen.sum(axis=1)
    value = config.rule.advantages(num_correct, np.maximum(size, 1))
    advantage = np.where(reward == 1, value.correct[:, None], value.wrong[:, None])
    advantage = np.where(seen, advantage, 0.0).reshape(-1)
    batch = Batch(
        sampled.prompt_ids.repeat_interleave(g, dim=0),
        sampled.prompt_mask.repeat_interleave(g, dim=0),
        sampled.tokens.clone(),  # out of inference mode
        sampled.mask.clone(),
    )
    entropy = float(sampled.entropy.sum() / sampled.mask.sum())
    ended = (sampled.tokens == tokenizer.eos_token_id).any(dim=1).float().mean()
    return Draw(batch, num_correct, size, advantage, entropy, 1.0 - float(ended))


def update(
    model: Any,
    optimiser: torch.optim.Optimizer,
    *,
    draw: Draw,
    config: GRPOConfig,
    task: Task,
    reference: Any = None,
) -> tuple[LossParts, float]:
    """``inner_epochs`` optimiser steps on one draw; the parts and gradient norm of the last.

    The token weights are those of the whole batch, so leaving out rows whose advantage is 0 changes
    nothing as long as no KL term acts on them. With nothing left the optimiser still steps on a
    zero gradient: its momentum moves the weights, as it does for a trainer that skips nothing.
    """
    import torch

    weight = token_weights(draw.batch.mask, config.aggregation, max_length=task.max_new_tokens)
    advantage = torch.as_tensor(draw.advantage, dtype=weight.dtype, device=weight.device)
    batch = draw.batch
    if config.skip_zero_advantage and config.beta == 0:
        rows = advantage.nonzero()[:, 0]
        batch, weight, advantage = Batch(*(x[rows] for x in batch)), weight[rows], advantage[rows]
    ref_logp = None
    if config.beta > 0:
        with torch.no_grad():
            ref_logp = completion_logprobs(reference, batch, temperature=config.temperature)
    old_logp: torch.Tensor | None = None
    for _ in range(config.inner_epochs):
        optimiser.zero_grad(set_to_none=False)
        if len(advantage) == 0:
            zero = weight.new_zeros(())
            parts = LossParts(zero, zero, zero, zero)
            _ensure_gradients(model)
        else:
            logp = completion_logprobs(model, batch, temperature=config.temperature)
            old_logp = logp.detach() if old_logp is None else old_logp
            parts = grpo_loss(
                logp, old_logp=old_logp, ref_logp=ref_logp, advantage=advantage, weight=weight,
                clip_low=config.clip_low, clip_high=config.clip_high, beta=config.beta,
            )  # fmt: skip
            parts.loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimiser.step()
    return parts, float(norm)


def _ensure_gradients(model: Any) -> None:
    """Zero gradients where there are none yet: optimisers pass over parameters without one."""
    import torch

    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _record(
    run: GRPORun,
    step: int,
    prompts: Sequence[Prompt],
    draw: Draw,
    parts: LossParts,
    norm: float,
) -> None:
    k, g = draw.num_correct, draw.group_size
    run.num_correct.append(k)
    run.group_size.append(g)
    run.prompt_id.append(np.array([p.id for p in prompts], dtype=np.int64))
    run.steps.append(
        StepLog(
            step=step,
            mean_reward=float(k.sum() / g.sum()) if g.any() else math.nan,
            frac_zero_std=float(((k == 0) | (k == g))[g > 0].mean()) if g.any() else math.nan,
            entropy=draw.entropy,
            grad_norm=norm,
            loss=float(parts.loss.detach()),
            kl=float(parts.kl),
            clip_low=float(parts.clip_low),
            clip_high=float(parts.clip_high),
            frac_truncated=draw.frac_truncated,
        )
    )
