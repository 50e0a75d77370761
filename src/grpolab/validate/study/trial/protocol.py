"""The protocol of the trial as data, and the hash that its seeds are derived from.

``protocol.json`` was committed before the first run. Its SHA-256 is recorded here, and every seed
of the trial is a hash of it: a protocol that was changed after a run would have given other runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.streams import stream_seed
from grpolab.validate.models.tiny import TinyConfig
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.families import DATA
from grpolab.validate.study.tasks import TASKS
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.sft import SFTConfig

PROTOCOL = Path(__file__).with_name("protocol.json")
PROTOCOL_SHA256 = "1321372a45b01fcbaf500d93d57690cb5f5d090881dd3d4eb998d55ad72ba2ca"
"""SHA-256 of the bytes of ``protocol.json``."""


@dataclass(frozen=True, slots=True)
class Design:
    """One design: a ladder of starts and the RL that all of them get.

    ``data`` names the demonstrations (`families.DATA`); ``first_share`` is the share of prompts of
    the task's first class, which narrow SFT shows, among the prompts of RL and evaluation;
    ``noise`` that of the pre-training corpus. ``depths`` are SFT steps; 0 is the base model.
    """

    name: str
    task: str
    data: str
    first_share: float
    noise: float
    hidden: int
    layers: int
    base_steps: int
    sft: str
    depths: tuple[int, ...]
    steps: int
    lr: float
    group_size: int
    prompts_per_step: int
    low_p: bool = False

    @property
    def model(self) -> TinyConfig:
        """Size of the model."""
        return TinyConfig(hidden=self.hidden, layers=self.layers)

    @property
    def base(self) -> BaseConfig:
        """Pre-training."""
        return BaseConfig(steps=self.base_steps)

    @property
    def ladder(self) -> SFTConfig:
        """SFT through all depths but 0."""
        depths = tuple(d for d in self.depths if d)
        variant: dict[str, dict[str, Any]] = {
            "plain": {}, "smooth": {"label_smoothing": 0.1}, "pear": {"pear": "token"}
        }  # fmt: skip
        return SFTConfig(depths=depths, unit="steps", batch_size=64, lr=5e-4, **variant[self.sft])

    @property
    def grpo(self) -> GRPOConfig:
        """RL; evaluation is asked about every 25 steps and answers where the schedule says so."""
        return GRPOConfig(
            steps=self.steps, lr=self.lr, group_size=self.group_size,
            prompts_per_step=self.prompts_per_step, eval_every=25,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Protocol:
    """The protocol: sizes, designs in the order in which they are run, and the text of the rest.

    ``schedule`` are the steps at which held-out prompts are asked, besides the last one.
    """

    sha256: str
    held_out: int
    start_samples: int
    curve_samples: int
    schedule: tuple[int, ...]
    sft_seeds: int
    rl_seeds: int
    designs: tuple[Design, ...]
    words: Mapping[str, Any]

    def design(self, name: str) -> Design:
        """A design by name; UserError names the known ones."""
        for found in self.designs:
            if found.name == name:
                return found
        known = ", ".join(d.name for d in self.designs)
        raise UserError(f"unknown design {name!r}; known designs: {known}")

    def seed(self, *purpose: object) -> int:
        """A seed of the trial: a hash of the protocol's SHA-256 and the purpose."""
        return stream_seed(int(self.sha256[:16], 16), "trial", *purpose)


@cache
def protocol() -> Protocol:
    """The protocol as it was recorded; UserError where the file is another one."""
    raw = PROTOCOL.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != PROTOCOL_SHA256:
        raise UserError(
            f"{PROTOCOL}: is not the protocol that was fixed before the trial (SHA-256 {found},"
            f" recorded {PROTOCOL_SHA256})"
        )
    return parse(json.loads(raw), sha256=found)


def parse(words: Mapping[str, Any], *, sha256: str) -> Protocol:
    """The protocol of a JSON object; ValueError for a design that cannot be run."""
    sizes = words["sizes"]
    return Protocol(
        sha256=sha256,
        held_out=sizes["held_out_prompts"],
        start_samples=sizes["samples_before_and_after"],
        curve_samples=sizes["samples_during"],
        schedule=tuple(sizes["schedule"]),
        sft_seeds=sizes["sft_seeds"],
        rl_seeds=sizes["rl_seeds"],
        designs=tuple(_design(words["defaults"] | row) for row in words["designs"]),
        words=words,
    )


def _design(row: Mapping[str, Any]) -> Design:
    known = {field.name for field in fields(Design)}
    if row.keys() - known:
        raise ValueError(f"unknown fields of a design: {', '.join(sorted(row.keys() - known))}")
    found = Design(**{**row, "depths": tuple(row["depths"])})
    if found.task not in TASKS or found.data not in DATA or not 0 <= found.first_share <= 1:
        raise ValueError(f"no such task, data or share: {found}")
    return found
