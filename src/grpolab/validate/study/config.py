"""What a study is made of, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.models.tiny import TinyConfig
from grpolab.validate.study.arms import (
    PLAIN,
    SFT_VARIANTS,
    Arm,
    controls,
    cures,
    entropy_controls,
    rates,
    rescues,
)
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.families import Family, family
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.sft import SFTConfig


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A checkpoint to start from: a folder or a hub id, and a hash of what it holds."""

    path: str
    hash: str = ""


LADDER = SFTConfig(depths=(8, 32, 128, 512, 2048), unit="steps", batch_size=64, lr=5e-4)


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """Everything that defines a study; two runs with equal configs give equal results.

    ``families`` are ``task/regime``. ``num_samples`` completions per prompt are drawn for a full
    measurement, ``quick_samples`` at each point of the RL evaluation schedule. ``train_prompts`` x
    ``train_samples`` rollouts on RL training prompts predict the early groups of RL.
    ``force_steps`` > 0 asks which force moves the prompts that give no signal, by that many GRPO
    steps. ``simulated_groups`` 0 leaves the thresholds out.

    ``pretrained`` takes the place of the base model that is otherwise trained from scratch by
    ``base``. With ``depth_zero`` GRPO also starts from the base model, without SFT.
    ``batch_rows`` completions are sampled together.
    """

    preset: str
    families: tuple[str, ...] = ("countdown/shift",)
    seeds: tuple[int, ...] = (0,)
    model: TinyConfig = field(default_factory=TinyConfig)
    base: BaseConfig = field(default_factory=lambda: BaseConfig(steps=1500))
    sft: SFTConfig = LADDER
    grpo: GRPOConfig = field(default_factory=GRPOConfig)
    arms: tuple[Arm, ...] = (PLAIN,)
    force_steps: int = 0
    eval_prompts: int = 256
    num_samples: int = 128
    quick_samples: int = 20
    train_prompts: int = 512
    train_samples: int = 32
    simulated_groups: int = 200_000
    device: str = "cpu"
    dtype: str = "float32"
    pretrained: Pretrained | None = None
    depth_zero: bool = False
    batch_rows: int = 2048

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, lists for tuples."""
        from grpolab.store import jsonable

        plain: dict[str, Any] = jsonable(asdict(self))
        return plain

    @property
    def parsed(self) -> tuple[Family, ...]:
        """The families as (task, regime)."""
        return tuple(family(text) for text in self.families)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, each once."""
        return tuple(dict.fromkeys(f.task for f in self.parsed))

    @property
    def is_tuning(self) -> bool:
        """Whether the study chooses a learning rate."""
        return any(arm.question == "tune" for arm in self.arms)

    @property
    def depths(self) -> tuple[int, ...]:
        """Depths from which GRPO starts; 0 is the base model."""
        return (0, *self.sft.depths) if self.depth_zero else self.sft.depths

    def data_of(self, task: str) -> tuple[str, ...]:
        """The kinds of demonstrations that a task's families need, each once."""
        return tuple(dict.fromkeys(f.data for f in self.parsed if f.task == task))

    def depths_of(self, arm: Arm) -> tuple[int, ...]:
        """The depths that an arm starts from."""
        return tuple(d for d in self.depths if arm.at(d))

    def sft_of(self, variant: str) -> SFTConfig:
        """SFT settings of a variant; only the depths that some arm starts from are kept."""
        if variant == "plain":
            return self.sft
        used = {d for arm in self.arms if arm.sft == variant for d in self.depths_of(arm)} - {0}
        return replace(self.sft, depths=tuple(sorted(used)), **SFT_VARIANTS[variant])

    def grpo_of(self, arm: Arm) -> GRPOConfig:
        """GRPO settings of an arm."""
        return replace(self.grpo, **dict(arm.changes))


_DEFAULT = StudyConfig("default", families=("countdown/shift", "countdown/no-shift"))
_SEEDS = (0, 1, 2)

PRESETS: Mapping[str, StudyConfig] = MappingProxyType(
    {
        "smoke": replace(
            _DEFAULT,
            preset="smoke",
            families=("countdown/shift",),
            base=BaseConfig(steps=700),
            sft=replace(LADDER, depths=(8, 64, 512)),
            grpo=GRPOConfig(steps=120, eval_every=20),
            num_samples=64,
            train_prompts=256,
            simulated_groups=50_000,
        ),
        "micro": replace(
            _DEFAULT,
            preset="micro",
            families=("countdown/shift",),
            model=TinyConfig(hidden=32),
            base=BaseConfig(steps=400, batch_size=128, lr=8e-3),
            sft=replace(LADDER, depths=(4, 32, 192), batch_size=32, lr=1e-3),
            grpo=GRPOConfig(steps=60, prompts_per_step=16, lr=3e-4, warmup=10, eval_every=30),
            eval_prompts=128,
            num_samples=64,
            train_prompts=192,
            train_samples=16,
            simulated_groups=0,
        ),
        "default": _DEFAULT,
        "full": replace(
            _DEFAULT,
            preset="full",
            seeds=_SEEDS,
            families=(
                "countdown/shift", "countdown/no-shift", "countdown/broad", "countdown/ample",
                "programs/shift", "programs/ample",
            ),
            grpo=GRPOConfig(steps=400, eval_every=100),
            quick_samples=64,
        ),
        "causes": replace(
            _DEFAULT,
            preset="causes",
            seeds=_SEEDS,
            families=("countdown/shift",),
            sft=replace(LADDER, depths=(8, 128, 2048)),
            grpo=GRPOConfig(steps=400, eval_every=100),
            arms=(PLAIN, *controls(8, 2048), *rescues(8, 2048)),
            force_steps=100,
            train_prompts=2800,
            simulated_groups=0,
        ),
        "controls": replace(
            _DEFAULT,
            preset="controls",
            seeds=_SEEDS,
            families=("programs/shift",),
            sft=replace(LADDER, depths=(8, 2048)),
            grpo=GRPOConfig(steps=400, eval_every=100),
            arms=(PLAIN, *entropy_controls(8, 2048)),
            simulated_groups=0,
        ),
        "cures": replace(
            _DEFAULT,
            preset="cures",
            seeds=_SEEDS,
            families=("countdown/shift", "programs/shift"),
            sft=replace(LADDER, depths=(8, 2048)),
            grpo=GRPOConfig(steps=400, eval_every=100),
            arms=(PLAIN, *cures(8, 2048)),
            train_prompts=2800,
            simulated_groups=0,
        ),
        "data": replace(
            _DEFAULT,
            preset="data",
            seeds=_SEEDS,
            families=("coins/unique", "coins/half", "coins/eighth", "coins/short"),
            sft=replace(LADDER, depths=(48,)),
            grpo=GRPOConfig(steps=400, eval_every=50),
            num_samples=256,
            simulated_groups=0,
        ),
        "tune": replace(
            _DEFAULT,
            preset="tune",
            seeds=(1000,),
            families=("countdown/shift",),
            arms=rates((3e-5, 1e-4, 3e-4, 1e-3)),
            grpo=GRPOConfig(steps=300, eval_every=50),
            simulated_groups=0,
        ),
        "real": replace(
            _DEFAULT,
            preset="real",
            seeds=(0, 1),
            families=("sums/no-shift", "sums/shift"),
            sft=SFTConfig(depths=(6, 24, 96), unit="steps", batch_size=16, lr=3e-5),
            grpo=GRPOConfig(
                steps=60, prompts_per_step=16, max_new_tokens=5, lr=3e-6, warmup=5,
                eval_every=30,
            ),
            eval_prompts=128,
            num_samples=64,
            quick_samples=16,
            train_prompts=192,
            train_samples=16,
            simulated_groups=0,
            depth_zero=True,
            batch_rows=256,
        ),
        "gpu": replace(
            _DEFAULT,
            preset="gpu",
            model=TinyConfig(hidden=768, layers=8, mlp_ratio=4),
            base=BaseConfig(steps=4000, batch_size=1024, lr=5e-4),
            sft=replace(LADDER, lr=1e-4),
            grpo=GRPOConfig(prompts_per_step=128, lr=2e-5),
            eval_prompts=1000,
            device="cuda",
            dtype="bfloat16",
        ),
    }
)  # fmt: skip


def preset(name: str, *, task: str | None = None) -> StudyConfig:
    """Look a preset up by name; ``task`` replaces the tasks of all its families.

    UserError lists the known presets.

    >>> preset("smoke").families, preset("smoke", task="coins").families
    (('countdown/shift',), ('coins/shift',))
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}; known presets: {', '.join(PRESETS)}")
    config = PRESETS[name]
    if task is None:
        return config
    moved = dict.fromkeys(f"{task}/{f.regime}" for f in config.parsed)
    return replace(config, families=tuple(moved))
