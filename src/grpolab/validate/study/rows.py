"""What is known of one run, before, during and after RL, and the table of numbers taken from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from grpolab.validate.training.plasticity import Plasticity

Quantity = Literal["zero_std", "variance"]
QUANTITIES: tuple[Quantity, ...] = ("zero_std", "variance")
FORECASTS = ("mean-p", "beta-binomial", "thinning")
"""The forecasts of the groups of RL that are compared, by name."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Shares of zero-std groups, all wrong or all right, and the mean within-group variance."""

    zero_std: float
    all_wrong: float
    all_right: float
    variance: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Share of zero-std groups and within-group variance as one method forecasts them."""

    zero_std: float
    variance: float

    def of(self, quantity: Quantity) -> float:
        """The forecast of a quantity by its name."""
        return self.zero_std if quantity == "zero_std" else self.variance


@dataclass(frozen=True, slots=True)
class Measured:
    """A checkpoint before RL on some held-out prompts.

    ``pass_rates`` holds pass@k by metric name (``pass_at_10``). Entropies are in nats:
    ``token_entropy`` per token, ``completion_entropy`` the mean over completions of their mean
    token entropy, ``sequence_entropy`` that of a whole completion. ``held_out_nll``: nats per
    canonical answer. ``observed`` groups are of the second half of the samples; ``predicted`` and
    ``variance_by_icc`` (the formula at the mean p, times 1 - ICC) are from the first half.
    """

    pass_rates: Mapping[str, float]
    pass_at_g: float
    pass_at_64_extrapolated: float
    greedy: float
    token_entropy: float
    completion_entropy: float
    sequence_entropy: float
    distinct: float
    collision_rate: float
    frac_truncated: float
    icc: float
    held_out_nll: float
    observed: Signal
    predicted: Mapping[str, Forecast]
    variance_by_icc: float


@dataclass(frozen=True, slots=True)
class TrainingPrompts:
    """A checkpoint before RL on its training prompts.

    ``signal`` is E[sigma] of a planned group, ``informative`` the share of mixed groups,
    ``support`` the share of prompts that were ever solved in ``num_samples`` samples.
    """

    pass_at_1: float
    signal: float
    informative: float
    support: float
    num_samples: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint before RL: on all prompts of a family, by prompt class, on training prompts."""

    measured: Measured
    by_class: Mapping[str, Measured]
    train: TrainingPrompts
    held_out_nll_sft_class: float
    plasticity: Plasticity | None = None


@dataclass(frozen=True, slots=True)
class Peak:
    """A metric over the evaluations of a run, step 0 among them.

    ``corrected`` is scored on prompts that did not choose the step, so it is free of the winner's
    curse; ``highest`` is not.
    """

    start: float
    highest: float
    step: int
    corrected: float


@dataclass(frozen=True, slots=True)
class RLOutcome:
    """What RL made of a checkpoint: peak over the evaluations, and the end in full."""

    peak: Mapping[str, Peak]
    final: Mapping[str, float]
    final_token_entropy: float
    train_pass_at_1: float
    by_class: Mapping[str, Mapping[str, float]]
    mean_grad_norm: float
    first_grad_norm: float = math.nan


@dataclass(frozen=True, slots=True)
class Gap:
    """A measured value, and what each forecast misses it by."""

    measured: float
    error: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Window:
    """Means over the RL steps first..last-1."""

    first: int
    last: int
    zero_std: Gap
    variance: Gap

    def of(self, quantity: Quantity) -> Gap:
        """The gap of a quantity by its name."""
        return self.zero_std if quantity == "zero_std" else self.variance


@dataclass(frozen=True, slots=True)
class Early:
    """The first RL steps: measured per step, and three forecasts.

    ``formula`` is the formula at each step's own mean reward, the most favourable reading of it;
    ``forecast`` was made once, before RL, from rollouts on training prompts. The last of the
    ``windows`` is over all these steps.
    """

    measured: Mapping[Quantity, tuple[float, ...]]
    formula: Mapping[Quantity, tuple[float, ...]]
    forecast: Mapping[str, Forecast]
    windows: tuple[Window, ...]

    @property
    def steps(self) -> int:
        """How many steps these are."""
        return len(self.measured["zero_std"])


@dataclass(frozen=True, slots=True)
class Row:
    """One run: where it started, its first steps, and what came of it."""

    family: str
    task: str
    regime: str
    seed: int
    depth: int
    lr: float
    before: Checkpoint
    after: RLOutcome
    early: Early


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a row: its name, what people call it, and how it is read.

    ``direction`` says whether the start with the most (1) or the least (-1) of it is chosen; 0 for
    what is not used to choose a start. Directions were fixed before any outcome was seen, by the
    rule that people use, or by theory.
    """

    name: str
    label: str
    read: Callable[[Row], float | None]
    direction: int = 0


def _greedy_gap(row: Row) -> float:
    """How much better the likeliest answer is than a sampled one, in pass@1."""
    return row.before.measured.greedy - row.before.measured.pass_rates["pass_at_1"]


def _before() -> tuple[Metric, ...]:
    """Metrics that are known before RL."""

    def measured(name: str, label: str, direction: int = 0) -> Metric:
        def read(row: Row) -> float:
            value: float = getattr(row.before.measured, name)
            return value

        return Metric(name, label, read, direction)

    def rate(k: int, direction: int = 0) -> Metric:
        name = f"pass_at_{k}"
        return Metric(
            name, f"pass@{k}", lambda row: row.before.measured.pass_rates.get(name), direction
        )

    def plastic(name: str, label: str) -> Metric:
        def read(row: Row) -> float | None:
            found = row.before.plasticity
            return None if found is None else getattr(found, name)

        return Metric(name, label, read)

    def seen(name: Literal["zero_std", "all_wrong", "all_right", "variance"], label: str,
             direction: int = 0) -> Metric:  # fmt: skip
        def read(row: Row) -> float:
            value: float = getattr(row.before.measured.observed, name)
            return value

        return Metric(name, label, read, direction)

    def predicted(quantity: Quantity, method: str) -> Metric:
        return Metric(
            f"{quantity}/{method}", f"{_QUANTITY[quantity]} by {method.replace('-p', ' p')}",
            lambda row: row.before.measured.predicted[method].of(quantity),
        )  # fmt: skip

    return (
        rate(1, 1),
        measured("greedy", "greedy pass@1", 1),
        measured("pass_at_g", "pass@g", 1),
        rate(10, 1),
        rate(64, 1),
        rate(256),
        measured("pass_at_64_extrapolated", "pass@64 from g samples", 1),
        measured("token_entropy", "token entropy", 1),
        measured("completion_entropy", "completion entropy"),
        measured("sequence_entropy", "sequence entropy", 1),
        Metric("held_out_nll_sft_class", "held-out NLL, SFT class",
               lambda row: row.before.held_out_nll_sft_class, -1),
        measured("held_out_nll", "held-out NLL", -1),
        measured("icc", "ICC", -1),
        seen("zero_std", _QUANTITY["zero_std"], -1),
        Metric("signal", "signal", lambda row: row.before.train.signal, 1),
        Metric("support", "support", lambda row: row.before.train.support, 1),
        measured("distinct", "distinct of g"),
        measured("collision_rate", "collision rate"),
        Metric("greedy_gap", "greedy - sampled pass@1", _greedy_gap),
        plastic("dormant", "dormant units"),
        plastic("effective_rank", "effective rank"),
        Metric("first_grad_norm", "gradient norm of the first RL batch",
               lambda row: row.after.first_grad_norm),
        measured("frac_truncated", "truncated"),
        seen("all_wrong", "all wrong"),
        seen("all_right", "all right"),
        seen("variance", _QUANTITY["variance"]),
        *(predicted(quantity, method) for quantity in QUANTITIES for method in FORECASTS),
    )  # fmt: skip


def _after() -> tuple[Metric, ...]:
    """Metrics that RL decides."""

    def peak(k: int) -> tuple[Metric, Metric]:
        name = f"pass_at_{k}"

        def of(row: Row) -> Peak | None:
            return row.after.peak.get(name)

        def highest(row: Row) -> float | None:
            found = of(row)
            return None if found is None else found.highest

        def corrected(row: Row) -> float | None:
            found = of(row)
            return None if found is None else found.corrected

        return (
            Metric(f"peak_{name}", f"peak pass@{k}", highest),
            Metric(f"corrected_peak_{name}", f"corrected peak pass@{k}", corrected),
        )

    def final(k: int) -> Metric:
        name = f"pass_at_{k}"
        return Metric(f"final_{name}", f"final pass@{k}", lambda row: row.after.final.get(name))

    def gain(k: int) -> Metric:
        name = f"pass_at_{k}"
        return Metric(
            f"gain_{name}", f"gain pass@{k}",
            lambda row: row.after.final[name] - row.before.measured.pass_rates[name],
        )  # fmt: skip

    return (
        *(metric for k in (1, 10, 64) for metric in (*peak(k), final(k))),
        gain(1),
        gain(10),
        Metric("train_pass_at_1", "pass@1 on RL prompts", lambda row: row.after.train_pass_at_1),
    )


_QUANTITY: Mapping[Quantity, str] = {"zero_std": "zero-std share", "variance": "variance"}

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in (*_before(), *_after())}
)
"""Every number of a row that is summarised, by name."""

MAIN_OUTCOMES = ("final_pass_at_1", "final_pass_at_10")
"""Outcomes that sentences and tables are about."""
OUTCOMES = (
    *MAIN_OUTCOMES, "final_pass_at_64", "corrected_peak_pass_at_1", "corrected_peak_pass_at_10",
    "corrected_peak_pass_at_64", "gain_pass_at_1",
)  # fmt: skip
"""Outcomes of RL that predictors are compared on."""

_OTHERS = {"depth": "SFT depth itself", "deepest": "the deepest"}


def label(name: str) -> str:
    """What a metric, or another way to choose a start, is called.

    >>> label("final_pass_at_10"), label("icc"), label("depth")
    ('final pass@10', 'ICC', 'SFT depth itself')
    """
    return METRICS[name].label if name in METRICS else _OTHERS.get(name, name)
