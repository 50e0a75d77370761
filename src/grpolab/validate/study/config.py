"""What a study is made of: regimes, presets, and which numbers were chosen how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.models.tiny import TinyConfig
from grpolab.validate.training.grpo import GRPOConfig
from grpolab.validate.training.sft import BaseConfig, SFTConfig


@dataclass(frozen=True, slots=True)
class Regime:
    """How the SFT data relate to the prompts of RL and evaluation.

    ``data`` names the demonstrations: ``narrow`` shows one canonical answer per problem of the
    first class, ``broad`` one random answer per problem of both. ``rl_classes`` is how many of the
    task's classes (in order) RL trains on and evaluation asks.
    """

    name: str
    data: str
    rl_classes: int
    summary: str


REGIMES: Mapping[str, Regime] = MappingProxyType(
    {
        r.name: r
        for r in (
            Regime("shift", "narrow", 2, "SFT shows one class of prompts, RL asks two"),
            Regime("no-shift", "narrow", 1, "SFT and RL on the same class of prompts"),
            Regime("broad", "broad", 2, "SFT and RL on the same mix: deep SFT can only memorise"),
        )
    }
)


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """Everything that defines a study; two runs with equal configs give equal results.

    ``num_samples`` completions per prompt are drawn for a full measurement, ``quick_samples`` at
    each point of the RL evaluation schedule. ``train_prompts`` x ``train_samples`` rollouts on RL
    training prompts predict the early groups of RL.
    """

    preset: str
    task: str = "countdown"
    seeds: tuple[int, ...] = (0,)
    regimes: tuple[str, ...] = ("shift",)
    model: TinyConfig = field(default_factory=TinyConfig)
    base: BaseConfig = field(default_factory=lambda: BaseConfig(steps=1500))
    sft: SFTConfig = field(default_factory=SFTConfig)
    grpo: GRPOConfig = field(default_factory=GRPOConfig)
    learning_rates: tuple[float, ...] = ()
    eval_prompts: int = 256
    num_samples: int = 128
    quick_samples: int = 20
    train_prompts: int = 512
    train_samples: int = 32
    simulated_groups: int = 200_000
    device: str = "cpu"
    dtype: str = "float32"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, lists for tuples."""
        from grpolab.store import jsonable

        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    @property
    def rates(self) -> tuple[float, ...]:
        """Learning rates to run: one, or a grid in a tuning run."""
        return self.learning_rates or (self.grpo.lr,)

    @property
    def data_kinds(self) -> tuple[str, ...]:
        """The kinds of demonstrations that the regimes need, each once."""
        return tuple(dict.fromkeys(REGIMES[name].data for name in self.regimes))


_DEFAULT = StudyConfig("default", regimes=("shift", "no-shift"))

PRESETS: Mapping[str, StudyConfig] = MappingProxyType(
    {
        "smoke": replace(
            _DEFAULT,
            preset="smoke",
            regimes=("shift",),
            base=BaseConfig(steps=700),
            sft=SFTConfig(depths=(8, 64, 512)),
            grpo=GRPOConfig(steps=120, eval_every=20),
            num_samples=64,
            train_prompts=256,
            simulated_groups=50_000,
        ),
        "default": _DEFAULT,
        "full": replace(
            _DEFAULT, preset="full", seeds=(0, 1, 2), regimes=("shift", "no-shift", "broad")
        ),
        "tune": replace(
            _DEFAULT,
            preset="tune",
            seeds=(1000,),
            regimes=("shift",),
            learning_rates=(3e-5, 1e-4, 3e-4, 1e-3),
            grpo=GRPOConfig(steps=300, eval_every=50),
        ),
        "gpu": replace(
            _DEFAULT,
            preset="gpu",
            seeds=(0,),
            model=TinyConfig(hidden=768, layers=8, mlp_ratio=4),
            base=BaseConfig(steps=4000, batch_size=1024, lr=5e-4),
            sft=SFTConfig(lr=1e-4),
            grpo=GRPOConfig(prompts_per_step=128, lr=2e-5),
            eval_prompts=1000,
            device="cuda",
            dtype="bfloat16",
        ),
    }
)


def preset(name: str, *, task: str | None = None) -> StudyConfig:
    """Look a preset up by name; UserError lists the known ones.

    >>> preset("smoke").regimes
    ('shift',)
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}; known presets: {', '.join(PRESETS)}")
    config = PRESETS[name]
    return config if task is None else replace(config, task=task)
