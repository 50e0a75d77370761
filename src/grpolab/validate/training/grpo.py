"""GRPO on one page: prompts, groups of rollouts, verdicts, advantages, clipped update, log.

`GRPOLoop.advance` is one step. It picks prompts (`pick_prompts`), samples and judges a group of
completions for each (`draw_groups`), turns rewards into advantages by the rule of the configuration
(`Groups.advantages`), and moves the weights (`update`). A loop started at the same seed draws the
same rollouts whether it was interrupted or not, because every batch of prompts and every draw is
keyed by (seed, purpose, place) and no generator carries a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.progress import Pace
from grpolab.streams import generator, stream_seed
from grpolab.theory.advantage import TwoValued
from grpolab.theory.groups import FloatArray, IntArray, equal_rewards
from grpolab.validate.models.precision import fixed_weights
from grpolab.validate.rollouts.collect import describe, rollouts
from grpolab.validate.rollouts.engine import Draws, Engine, join_draws, texts
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.training.config import GRPOConfig, least_group
from grpolab.validate.training.log import GRPORun, StepLog, StepRecord
from grpolab.validate.training.loss import (
    Batch,
    LossParts,
    grpo_loss,
    loss_terms,
    policy_logprobs,
    reference_logprobs,
)

if TYPE_CHECKING:
    import torch

    from grpolab.validate.tasks import Prompt, Task

BoolArray = npt.NDArray[np.bool_]


class GRPOLoop:
    """A run of GRPO that is advanced step by step, and can be stopped and taken up again.

    Trains ``model`` in place; at most ``batch_rows`` rollouts (0: all) go through the loss at once,
    which changes memory and not the gradient. Raises ValueError when ``beta`` > 0 and no reference
    model is given, and for fewer prompts than a step asks.
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
        self._batches = 0  # of prompts, asked so far; more than steps under dynamic sampling
        self._solved: set[int] = set()  # prompts that some rollout of an earlier step answered
        self._model, self._task, self._prompts = model, task, prompts
        self._config, self._seed, self._reference = config, seed, reference
        self._batch_rows = batch_rows
        self._engine = HFEngine.of(model, tokenizer)  # eval mode: sampler and trainer are one
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

    def advance(self) -> StepRecord:
        """One step: rollouts, verdicts, advantages, update, log."""
        config = self._config
        drawn = self._draw()
        kept, scale = drawn, 1.0
        if config.dynamic_sampling != "off":
            kept = drawn.keep(_first(drawn.has_spread, config.prompts_per_step))
            if config.dynamic_sampling == "matched":
                scale = len(kept.prompts) / len(drawn.prompts)
        parts, norm = update(
            self._model, self._optimiser, batch=kept.batch(self._engine),
            advantage=self._advantages(kept), config=config,
            max_new_tokens=config.law(self._task).max_new_tokens, reference=self._reference,
            scale=scale, batch_rows=self._batch_rows,
        )  # fmt: skip
        self._decay_to_start()
        self._schedule.step()
        self._solved |= {p.id for p, c in zip(drawn.prompts, drawn.num_correct, strict=True) if c}
        record = _record(self.step, drawn, parts, norm)
        self.step += 1
        return record

    def _advantages(self, groups: Groups) -> FloatArray:
        """Advantages by the configuration; 0 for a prompt that it is done with."""
        found = groups.advantages(self._config.advantage)
        if self._config.only_unsolved:
            new = [prompt.id not in self._solved for prompt in groups.prompts]
            found = found * np.repeat(new, self._config.group_size)
        return found

    def _draw(self) -> Groups:
        """Groups of one step; several batches of prompts under dynamic sampling."""
        config = self._config
        batches: list[Groups] = []
        while not batches or (
            config.dynamic_sampling != "off"
            and sum(int(b.has_spread.sum()) for b in batches) < config.prompts_per_step
            and len(batches) < config.max_draws
        ):
            index = pick_prompts(len(self._prompts), config, seed=self._seed, batch=self._batches)
            with fixed_weights(self._model):
                drawn = draw_groups(
                    self._engine, task=self._task, prompts=[self._prompts[i] for i in index],
                    config=config, seed=self._seed,
                    first=self._batches * config.prompts_per_step,
                )  # fmt: skip
            batches.append(drawn)
            self._batches += 1
        return Groups.join(batches)

    @property
    def learning_rate(self) -> float:
        """The rate of the next update, after the warm-up so far."""
        return float(self._schedule.get_last_lr()[0])

    def state_dict(self) -> dict[str, Any]:
        """All that a later loop on the same weights needs to go on as if nothing had happened."""
        return {
            "step": self.step,
            "batches": self._batches,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "start": self._start,
            "solved": sorted(self._solved),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where ``state_dict`` was called; the weights are the caller's to restore."""
        self.step, self._batches = state["step"], state["batches"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._start = state["start"]
        self._solved = set(state.get("solved", ()))  # a state of an earlier version has none

    def _trained(self) -> list[Any]:
        return [p for group in self._optimiser.param_groups for p in group["params"]]

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
    progress: Callable[[float, str], None] = lambda share, words: None,
) -> GRPORun:
    """Train in place. ``evaluate(step)`` is called before step 0, every ``eval_every``, at the end.

    ``progress`` gets the share that is done, and the last step and its pace in words.

    Raises ValueError when ``beta`` > 0 and no reference model is given.
    """
    loop = GRPOLoop(
        model, tokenizer, task=task, prompts=prompts, config=config, seed=seed, reference=reference
    )
    run, pace = GRPORun(), Pace()
    while loop.step < config.steps:
        if evaluate is not None and loop.step % config.eval_every == 0:
            run.evals.append((loop.step, evaluate(loop.step)))
        run.records.append(loop.advance()._replace(rollouts=None))
        log = run.records[-1].log
        progress(loop.step / config.steps, f"{log.words}{pace.after(log.num_tokens)}")
    if evaluate is not None:
        run.evals.append((config.steps, evaluate(config.steps)))
    return run


def pick_prompts(num_prompts: int, config: GRPOConfig, *, seed: int, batch: int) -> IntArray:
    """Places of the prompts of batch number ``batch``, [prompts_per_step], without repeats."""
    order = generator(seed, "prompts", batch)
    return np.asarray(order.choice(num_prompts, config.prompts_per_step, replace=False))


class Groups(NamedTuple):
    """M groups of g rollouts, one group per prompt, as they were drawn and judged."""

    prompts: Sequence[Prompt]  # M
    ids: Sequence[Sequence[int]]  # token ids of the M prompts
    draws: Draws  # [M * g, ...]
    text: Sequence[str]  # M * g
    reward: FloatArray  # [M, g], NaN without a verdict

    @property
    def num_correct(self) -> IntArray:
        """Right rollouts of each group, [M]."""
        return np.asarray(np.nansum(self.reward, axis=1), dtype=np.int64)

    @property
    def num_judged(self) -> IntArray:
        """Rollouts with a verdict, [M]: the group's size in all statistics."""
        return np.asarray((~np.isnan(self.reward)).sum(axis=1))

    @property
    def has_spread(self) -> BoolArray:
        """Which groups [M] hold both rewards."""
        return np.asarray(~equal_rewards(self.reward))

    def advantages(self, rule: TwoValued) -> FloatArray:
        """Advantage of every rollout, [M * g]; 0 without a verdict.

        Also 0 in a group with fewer verdicts than a rule of subsets of k needs.
        """
        least = least_group(rule)
        value = rule.advantages(self.num_correct, np.maximum(self.num_judged, least))
        found = np.where(self.reward == 1, value.correct[:, None], value.wrong[:, None])
        known = ~np.isnan(self.reward) & (self.num_judged >= least)[:, None]
        return np.where(known, found, 0.0).reshape(-1)

    def batch(self, engine: Engine) -> Batch:
        """Prompts and completions as padded tensors on the engine's device."""
        g = self.reward.shape[1]
        rows = [ids for ids in self.ids for _ in range(g)]
        return Batch.of(rows, self.draws.tokens, tokenizer=engine.tokenizer, device=engine.device)

    def table(self) -> Rollouts:
        """The rollouts with their texts; group i is the i-th prompt's."""
        size, g = self.reward.shape
        columns = describe([p.id for p in self.prompts], self.draws)
        columns["sample"] = np.arange(size * g)
        return rollouts(columns, self.text, self.reward.ravel(), group_size=g, keep_text=True)

    def keep(self, groups: BoolArray) -> Groups:
        """Some of the groups."""
        rows = np.repeat(groups, self.reward.shape[1])
        places = np.flatnonzero(groups).tolist()
        return Groups(
            [self.prompts[i] for i in places],
            [self.ids[i] for i in places],
            self.draws.select(rows),
            [self.text[i] for i in np.flatnonzero(rows)],
            self.reward[groups],
        )

    @classmethod
    def join(cls, parts: Sequence[Groups]) -> Groups:
        """Several batches as one."""
        return cls(
            [prompt for part in parts for prompt in part.prompts],
            [ids for part in parts for ids in part.ids],
            join_draws([part.draws for part in parts]),
            [text for part in parts for text in part.text],
            np.concatenate([part.reward for part in parts]),
        )


def draw_groups(
    engine: Engine,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    first: int = 0,
) -> Groups:
    """Sample one group per prompt and judge it; ``first`` is the place of the first prompt."""
    g = config.group_size
    ids = encode(engine.tokenizer, prompts)
    draws = engine.draw(
        ids, num_samples=g, law=config.law(task), seed=stream_seed(seed, "rollouts"), first=first
    )
    text = texts(engine.tokenizer, draws.tokens, config.law(task))
    verdicts = judge(task, prompts, text)
    return Groups(prompts, ids, draws, text, np.array(verdicts, dtype=np.float64).reshape(-1, g))


def update(
    model: Any,
    optimiser: torch.optim.Optimizer,
    *,
    batch: Batch,
    advantage: FloatArray,
    config: GRPOConfig,
    max_new_tokens: int,
    reference: Any = None,
    scale: float = 1.0,
    batch_rows: int = 0,
) -> tuple[LossParts, float]:
    """``inner_epochs`` optimiser steps on one batch; the parts and gradient norm of the last.

    ``batch`` holds M * g rows, g consecutive ones a group, and ``advantage`` [M * g] theirs. The
    token weights are those of the whole batch times ``scale``, so the gradient is the same however
    many rows, at most ``batch_rows`` (0: all), go through the model at once. With nothing left to
    learn from the optimiser still steps on a zero gradient: its momentum moves the weights, as it
    does for a trainer that skips nothing.
    """
    import torch

    pieces = list(loss_terms(batch, advantage, config, max_new_tokens).pieces(batch_rows))
    fixed = [reference_logprobs(reference, piece.batch, config) for piece in pieces]
    old: list[torch.Tensor] = []
    for _ in range(config.inner_epochs):
        optimiser.zero_grad(set_to_none=False)
        if not pieces:
            _ensure_gradients(model)
        total = LossParts(*torch.zeros(4, device=model.device))
        for i, piece in enumerate(pieces):
            logp, entropy = policy_logprobs(model, piece.batch, config)
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


def _ensure_gradients(model: Any) -> None:
    """Zero gradients where there are none yet: optimisers pass over parameters without one."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _first(chosen: BoolArray, limit: int) -> BoolArray:
    """The first ``limit`` true entries of a mask."""
    return np.asarray(chosen & (np.cumsum(chosen) <= limit))


def _record(step: int, drawn: Groups, parts: LossParts, norm: float) -> StepRecord:
    table, correct, size = drawn.table(), drawn.num_correct, drawn.num_judged
    mean, same = StepRecord.reward_stats(correct, size)
    log = StepLog(
        step=step,
        mean_reward=mean,
        frac_zero_std=same,
        entropy=table.token_entropy,
        grad_norm=norm,
        loss=float(parts.loss.detach()),
        kl=float(parts.kl),
        clip_low=float(parts.clip_low),
        clip_high=float(parts.clip_high),
        frac_truncated=float(table.truncated.mean()),
        num_missing=int(drawn.reward.size - size.sum()),
        num_tokens=int(table.num_tokens.sum()),
    )
    ids = np.array([p.id for p in drawn.prompts], dtype=np.int64)
    return StepRecord(log, correct, size, ids, table)
