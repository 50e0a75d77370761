"""A simulated SFT ladder: train on labels for more and more steps, then GRPO from every depth.

Prompts are softmax tables over V responses. SFT pulls each prompt to one labelled response, which
is right with the label accuracy: pass@1 rises with depth, entropy and pass@k fall. GRPO then has
the same budget from every depth. Whether the deeper checkpoint ends higher depends on budget,
accuracy and interference between prompts, so the ranking by pass@1 may or may not be inverted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from grpolab.simulate.options import Options
from grpolab.simulate.softmax import BoolArray, simulate_softmax, softmax
from grpolab.streams import generator, stream_seed
from grpolab.theory import _check
from grpolab.theory.groups import FloatArray
from grpolab.theory.pass_at_k import expected_pass_at_k
from grpolab.theory.rules import rule_named
from grpolab.theory.tabular import entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderConfig:
    """The world (prompts, responses), the SFT ladder, and the GRPO stage that follows."""

    num_prompts: int = 48
    num_responses: int = 24
    frac_correct: float = 0.15
    base_spread: float = 1.0
    depths: tuple[int, ...] = (0, 3, 10, 30, 100)
    label_accuracy: float = 0.5
    label_smoothing: float = 0.0
    sft_rate: float = 0.5
    group_size: int = 8
    learning_rate: float = 0.3
    num_steps: int = 200
    rule: str = "grpo"
    interference: float = 0.0
    blocks: int = 1
    kl: float = 0.0
    kl_reference: Literal["start", "base"] = "start"
    max_tries: int = 1
    inner_epochs: int = 1
    num_repeats: int = 8
    k: int = 10

    def __post_init__(self) -> None:
        for name in ("frac_correct", "label_accuracy", "label_smoothing", "interference"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("num_prompts", "num_repeats", "blocks", "k"):
            _check.one_whole(name, getattr(self, name))
        if self.num_responses < 2:
            raise ValueError(f"num_responses must be >= 2, got {self.num_responses}")
        if len(self.depths) < 2 or any(d < 0 for d in self.depths):
            raise ValueError(f"depths must be two or more numbers >= 0, got {self.depths}")
        if list(self.depths) != sorted(set(self.depths)):
            raise ValueError(f"depths must rise, got {self.depths}")
        rule_named(self.rule)
        if self.kl_reference not in ("start", "base"):
            raise ValueError(f"kl_reference must be start or base, got {self.kl_reference}")


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """What each depth shows before GRPO and where GRPO took it; means over prompts."""

    depths: tuple[int, ...]
    entropy: FloatArray  # [D, R] nats per response
    pass_at_1: FloatArray  # [D, R]
    pass_at_k: FloatArray  # [D, R]
    frac_zero_std: FloatArray  # [D], groups of the first GRPO step
    outcome: FloatArray  # [D, R] pass@1 after GRPO
    outcome_at_k: FloatArray  # [D, R] pass@k after GRPO

    @property
    def tau(self) -> FloatArray:
        """Kendall's tau between pass@1 before and after GRPO over depths, per repeat, [R]."""
        pairs = zip(self.pass_at_1.T, self.outcome.T, strict=True)
        return np.array([float(stats.kendalltau(a, b).statistic) for a, b in pairs])

    @property
    def inversion(self) -> float:
        """Outcome of the best depth minus that of the depth with the best pass@1, mean repeat."""
        before, after = self.pass_at_1.mean(axis=1), self.outcome.mean(axis=1)
        return float(after.max() - after[int(np.argmax(before))])

    @property
    def inverted(self) -> bool:
        """True if pass@1 ranks the depths against the outcome, beyond the noise of the repeats."""
        tau = self.tau
        error = float(tau.std(ddof=1)) / math.sqrt(len(tau)) if len(tau) > 1 else 0.0
        return bool(tau.mean() + 2 * error < 0)


def run_ladder(config: LadderConfig, *, seed: int) -> Ladder:
    """SFT to every depth and GRPO from there; R repeats with prompts of their own.

    The depths of one repeat share the random numbers of GRPO, which makes contrasts between them
    sharper; repeats share none.

    >>> small = LadderConfig(num_prompts=12, depths=(0, 30), num_steps=20, num_repeats=2)
    >>> ladder = run_ladder(small, seed=1)
    >>> bool(np.all(ladder.pass_at_1[1] > ladder.pass_at_1[0]))
    True
    """
    base, correct, label = _world(config, generator(seed, "prompts of the ladder"))
    rows: list[list[FloatArray]] = []
    silent: list[float] = []
    for start in sft_ladder(base, label, config):
        before = _summary(start, correct, config.k)
        run = simulate_softmax(
            start,
            correct,
            group_size=config.group_size,
            learning_rate=config.learning_rate,
            num_steps=config.num_steps,
            seed=stream_seed(seed, "ladder"),
            rule=rule_named(config.rule),
            options=Options(
                kl=config.kl, max_tries=config.max_tries, inner_epochs=config.inner_epochs
            ),
            features=_features(config) if config.interference > 0 else None,
            reference=base if config.kl_reference == "base" else None,
        )
        after = _summary(run.state.logits.reshape(start.shape), correct, config.k)
        rows.append([*before, *after[1:]])
        silent.append(float(run.frac_zero_std[0]) if config.num_steps else math.nan)
    table = np.array(rows)  # [D, 5, R]
    return Ladder(
        config.depths, table[:, 0], table[:, 1], table[:, 2], np.array(silent), table[:, 3],
        table[:, 4],
    )  # fmt: skip


def sft_ladder(base: FloatArray, label: FloatArray, config: LadderConfig) -> list[FloatArray]:
    """Logits [R, P, V] after each depth: gradient steps of cross-entropy to the smoothed labels."""
    size = base.shape[-1]
    target = (1 - config.label_smoothing) * label + config.label_smoothing / size
    logits, found = base.copy(), []
    for step in range(max(config.depths) + 1):
        if step in config.depths:
            found.append(logits.copy())
        logits += config.sft_rate * (target - softmax(logits))
    return found


def _world(
    config: LadderConfig, rng: np.random.Generator
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Base logits, which responses are right, and the label (one-hot), all [R, P, V].

    Every prompt has at least one right and one wrong response, so that both labels exist.
    """
    shape = (config.num_repeats, config.num_prompts, config.num_responses)
    base = config.base_spread * rng.standard_normal(shape)
    order = rng.random(shape).argsort(axis=-1)
    most = config.num_responses - 1
    number = np.clip(rng.binomial(config.num_responses, config.frac_correct, shape[:2]), 1, most)
    correct = order < number[..., None]
    good = rng.random(shape[:2]) < config.label_accuracy
    # among the responses of the wanted kind the labeller takes one at random
    score = rng.random(shape) + (correct == good[..., None])
    label = np.zeros(shape)
    np.put_along_axis(label, score.argmax(axis=-1)[..., None], 1.0, axis=-1)
    return base, correct, label


def _features(config: LadderConfig) -> FloatArray:
    """Own weights of each prompt, and a part shared by its block: inner products are kappa."""
    prompts, kappa = config.num_prompts, config.interference
    block = np.arange(prompts) % config.blocks
    shared = (block[:, None] == np.arange(config.blocks)).astype(np.float64)
    features: FloatArray = np.hstack(
        [math.sqrt(1 - kappa) * np.eye(prompts), math.sqrt(kappa) * shared]
    )
    return features


def _summary(
    logits: FloatArray, correct: BoolArray, k: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Entropy, pass@1 and pass@k of each repeat, [R] each."""
    chance = softmax(logits)
    p = np.minimum(np.sum(np.where(correct, chance, 0.0), axis=-1), 1.0)
    return entropy(chance).mean(axis=-1), p.mean(axis=-1), expected_pass_at_k(p, k).mean(axis=-1)
