"""What every simulation of a policy is asked, checked in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpolab.simulate.draw import MAX_GROUP_SIZE
from grpolab.simulate.options import Options
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule, TwoValued
from grpolab.theory.groups import FloatArray
from grpolab.theory.rules import rule_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Group size, rate, steps, rule and options of a run, as plain numbers; else ValueError.

    ``number`` counts the copies of a start: chains of a prompt, models of a table.

    >>> Settings(group_size=8, learning_rate=0.1, num_steps=2, seed=0, rule="rloo").law.name
    'rloo'
    """

    group_size: int
    learning_rate: float
    num_steps: int
    seed: int
    rule: Rule = GRPO
    options: Options | None = None
    number: int = 1
    number_name: str = "num_models"
    snapshot_every: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        rate = _check.single("learning_rate", _check.numbers("learning_rate", self.learning_rate))
        if not math.isfinite(rate):
            raise ValueError(f"learning_rate must be finite, got {rate}")
        made = {
            "group_size": group_size_of(self.group_size),
            "learning_rate": rate,
            "num_steps": _check.one_whole("num_steps", self.num_steps, least=0),
            "rule": rule_of(self.rule),
            "options": Options() if self.options is None else self.options,
            "number": _check.one_whole(self.number_name, self.number),
            "snapshot_every": _check.one_whole("snapshot_every", self.snapshot_every, least=0),
        }
        if self.threads is not None:
            made["threads"] = _check.one_whole("threads", self.threads)
        if not isinstance(made["options"], Options):
            raise ValueError(f"options must be Options(...), got {self.options!r}")
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def law(self) -> TwoValued:
        """The rule as an object."""
        return rule_of(self.rule)

    @property
    def extra(self) -> Options:
        """The options, those of a plain step where none are given."""
        return self.options or Options()

    def for_tables(self, *, continued: bool) -> Settings:
        """The same where the options have a meaning for policies over responses."""
        for name in ("p_prior", "p_ref", "pressure"):
            if getattr(self.extra, name) != getattr(Options(), name):
                raise ValueError(f"{name} has no meaning for softmax policies")
        self.extra.require_start(continued=continued)
        return self


def group_size_of(group_size: int) -> int:
    """One group size that the kernels take."""
    return _check.one_whole("group_size", group_size, most=MAX_GROUP_SIZE)


def inside(name: str, value: float) -> float:
    """One number in (0, 1)."""
    checked: FloatArray = _check.within(name, value, 0.0, 1.0, ends="none")
    return _check.single(name, checked)
