"""GRPO in one readable loop: sample groups, judge, advantages, clipped update, log every group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grpolab.validate.training.config import GRPOConfig as GRPOConfig
from grpolab.validate.training.draw import BoolArray, merge
from grpolab.validate.training.draw import Draw as Draw
from grpolab.validate.training.draw import draw_groups as draw_groups
from grpolab.validate.training.log import GRPORun as GRPORun
from grpolab.validate.training.log import StepLog as StepLog
from grpolab.validate.training.log import StepRecord as StepRecord
from grpolab.validate.training.loss import (
    Batch,
    LossParts,
    completion_logprobs,
    grpo_loss,
    logprobs_and_entropy,
    token_weights,
)

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Prompt, Task


class GRPOLoop:
    """A run of GRPO that is advanced step by step, and can be stopped and taken up again.

    Trains ``model`` in place; at most ``batch_rows`` rollouts (0: all) go through the loss at once,
    which changes memory and not the gradient. Raises ValueError when ``beta`` > 0 and no reference
    model is given.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        task: Task,
        prompts: Sequence[Prompt],
        config: GRPOConfig,
        seed: int,
        reference: Any = None,
        batch_rows: int = 0,
    ) -> None:
        import torch

        if config.beta > 0 and reference is None:
            raise ValueError("beta > 0 needs a reference model")
        if len(prompts) < config.prompts_per_step:
            raise ValueError(
                f"prompts must hold at least prompts_per_step={config.prompts_per_step} prompts,"
                f" got {len(prompts)}"
            )
        self.step = 0
        self._model, self._tokenizer, self._task = model, tokenizer, task
        self._prompts, self._config, self._reference = prompts, config, reference
        self._batch_rows = batch_rows
        self._sampler = torch.Generator(device=model.device).manual_seed(seed)
        self._order = np.random.default_rng(seed)
        to_zero = config.weight_decay if config.decay_to == "zero" else 0.0
        self._optimiser = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=config.lr, betas=config.betas, weight_decay=to_zero,
        )  # fmt: skip
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: min(1.0, (step + 1) / max(config.warmup, 1))
        )
        self._start = None
        if config.weight_decay > 0 and config.decay_to == "start":
            self._start = [p.detach().clone() for p in self._trained()]
        model.eval()  # no dropout: sampler and trainer are one policy

    def advance(self) -> StepRecord:
        """One step: rollouts, update, log."""
        drawn, prompts = self._draw()
        kept, share = drawn, 1.0
        if self._config.dynamic_sampling != "off":
            kept = drawn.keep(_first(drawn.has_spread, self._config.prompts_per_step))
            if self._config.dynamic_sampling == "matched":
                share = len(kept.num_correct) / len(drawn.num_correct)
        parts, norm = update(
            self._model, self._optimiser, draw=kept, config=self._config, task=self._task,
            reference=self._reference, scale=share, batch_rows=self._batch_rows,
        )  # fmt: skip
        self._decay_to_start()
        self._schedule.step()
        record = _record(self.step, prompts, drawn, parts, norm)
        self.step += 1
        return record

    def state_dict(self) -> dict[str, Any]:
        """All that a later loop on the same weights needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "sampler": self._sampler.get_state(),
            "order": self._order.bit_generator.state,
            "start": self._start,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where ``state_dict`` was called; the weights are the caller's to restore."""
        self.step = state["step"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._sampler.set_state(state["sampler"])
        self._order.bit_generator.state = state["order"]
        self._start = state["start"]

    def _trained(self) -> list[Any]:
        return [p for group in self._optimiser.param_groups for p in group["params"]]

    def _draw(self) -> tuple[Draw, list[Prompt]]:
        """Groups of one step, and their prompts; several batches under dynamic sampling."""
        config = self._config
        draws: list[Draw] = []
        prompts: list[Prompt] = []
        spread = 0
        while not draws or (
            config.dynamic_sampling != "off"
            and spread < config.prompts_per_step
            and len(draws) < config.max_draws
        ):
            index = self._order.choice(len(self._prompts), config.prompts_per_step, False)
            picked = [self._prompts[i] for i in index]
            drawn = draw_groups(
                self._model, self._tokenizer, task=self._task, prompts=picked, config=config,
                rng=self._sampler,
            )  # fmt: skip
            draws.append(drawn)
            prompts += picked
            spread += int(drawn.has_spread.sum())
        return merge(draws, pad=self._tokenizer.pad_token_id), prompts

    def _decay_to_start(self) -> None:
        import torch

        if self._start is None:
            return
        with torch.no_grad():
            for group in self._optimiser.param_groups:
                amount = group["lr"] * self._config.weight_decay
                for weight, start in zip(group["params"], self._start, strict=True):
                    weight.lerp_(start, amount)


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
    loop = GRPOLoop(
        model, tokenizer, task=task, prompts=prompts, config=config, seed=seed, reference=reference
    )
    run = GRPORun()
    while loop.step < config.steps:
        if evaluate is not None and loop.step % config.eval_every == 0:
            run.evals.append((loop.step, evaluate(loop.step)))
        run.records.append(loop.advance()._replace(rollouts=None))
        progress(loop.step / config.steps)
    if evaluate is not None:
        run.evals.append((config.steps, evaluate(config.steps)))
    return run


def update(
    model: Any,
    optimiser: torch.optim.Optimizer,
    *,
    draw: Draw,
    config: GRPOConfig,
    task: Task,
    reference: Any = None,
    scale: float = 1.0,
    batch_rows: int = 0,
) -> tuple[LossParts, float]:
    """``inner_epochs`` optimiser steps on one draw; the parts and gradient norm of the last.

    The token weights are those of the whole batch times ``scale``, so the gradient is the same
    however many rows, at most ``batch_rows`` (0: all), go through the model at once. With nothing
    left to learn from the optimiser still steps on a zero gradient: its momentum moves the weights,
    as it does for a trainer that skips nothing.
    """
    import torch

    pieces = list(_terms(draw, config, task.max_new_tokens).pieces(batch_rows))
    fixed = [_reference(reference, piece.batch, config) for piece in pieces]
    old: list[torch.Tensor] = []
    for _ in range(config.inner_epochs):
        optimiser.zero_grad(set_to_none=False)
        if not pieces:
            _ensure_gradients(model)
        total = LossParts(*torch.zeros(4, device=model.device))
        for i, piece in enumerate(pieces):
            logp, entropy = _policy(model, piece.batch, config)
            if len(old) == i:
                old.append(logp.detach())
            parts = grpo_loss(
                logp, old_logp=old[i], ref_logp=fixed[i], entropy=entropy,
                advantage=piece.advantage, weight=scale * piece.weight, share=piece.share,
                config=config,
            )  # fmt: skip
            parts.loss.backward()  # type: ignore[no-untyped-call]
            total = LossParts(*(a + b.detach() for a, b in zip(total, parts, strict=True)))
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimiser.step()
    return total, float(norm)


class _Terms(NamedTuple):
    """Rows [N] of a batch, and for each token its weight in the loss and its share of all."""

    batch: Batch
    advantage: torch.Tensor
    weight: torch.Tensor
    share: torch.Tensor

    def pieces(self, rows: int) -> Iterator[_Terms]:
        """At most ``rows`` at a time, 0 for all; nothing where there is no row."""
        size = rows or len(self.advantage)
        for start in range(0, len(self.advantage), size or 1):
            part = slice(start, start + size)
            yield _Terms(Batch(*(t[part] for t in self.batch)), *(t[part] for t in self[1:]))


def _terms(draw: Draw, config: GRPOConfig, max_length: int) -> _Terms:
    """The rows that need a forward pass: each distinct one once, with the weight of its copies.

    A row whose advantage is 0 is left out where no KL or entropy term acts on it. Both are exact:
    the gradient is the sum over rows, and copies of a row have equal terms.
    """
    import torch

    mask = draw.batch.mask
    weight = token_weights(mask, config.aggregation, max_length=max_length)
    share = token_weights(mask, "token", max_length=max_length)
    group = np.repeat(np.arange(len(draw.num_correct)), config.group_size)
    key = [group[:, None], draw.advantage.view(np.int64)[:, None], draw.batch.tokens.cpu().numpy()]
    _, first, copies = np.unique(np.hstack(key), axis=0, return_index=True, return_counts=True)
    if config.skip_zero_advantage and config.only_advantages_act:
        acts = draw.advantage[first] != 0
        first, copies = first[acts], copies[acts]
    rows = torch.as_tensor(first, device=mask.device)
    times = torch.as_tensor(copies, device=mask.device)[:, None]
    advantage = torch.as_tensor(draw.advantage, dtype=weight.dtype, device=mask.device)
    batch = Batch(*(part[rows] for part in draw.batch))
    return _Terms(batch, advantage[rows], weight[rows] * times, share[rows] * times)


def _policy(
    model: Any, batch: Batch, config: GRPOConfig
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities, and entropies where they act."""
    if config.entropy_coef == 0:
        return completion_logprobs(model, batch, temperature=config.temperature), None
    return logprobs_and_entropy(model, batch, temperature=config.temperature)


def _reference(reference: Any, batch: Batch, config: GRPOConfig) -> torch.Tensor | None:
    """Log-probabilities under the reference model, where the KL term acts."""
    import torch

    if config.beta == 0:
        return None
    with torch.no_grad():
        return completion_logprobs(reference, batch, temperature=config.temperature)


def _ensure_gradients(model: Any) -> None:
    """Zero gradients where there are none yet: optimisers pass over parameters without one."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _first(chosen: BoolArray, limit: int) -> BoolArray:
    """The first ``limit`` true entries of a mask."""
    return np.asarray(chosen & (np.cumsum(chosen) <= limit))


def _record(
    step: int, prompts: Sequence[Prompt], draw: Draw, parts: LossParts, norm: float
) -> StepRecord:
    mean, same = StepRecord.reward_stats(draw.num_correct, draw.group_size)
    log = StepLog(
        step=step,
        mean_reward=mean,
        frac_zero_std=same,
        entropy=draw.entropy,
        grad_norm=norm,
        loss=float(parts.loss.detach()),
        kl=float(parts.kl),
        clip_low=float(parts.clip_low),
        clip_high=float(parts.clip_high),
        frac_truncated=draw.frac_truncated,
        num_missing=int(len(draw.advantage) - draw.group_size.sum()),
    )
    ids = np.array([p.id for p in prompts], dtype=np.int64)
    return StepRecord(log, draw.num_correct, draw.group_size, ids, draw.rollouts)
