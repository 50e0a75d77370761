"""Where SFT data come from, and which prompts RL asks: the families of starts that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from grpolab.errors import UserError
from grpolab.validate.study.tasks.problems import Style


@dataclass(frozen=True, slots=True)
class Data:
    """Demonstrations: prompts of a split, how they are answered, and how many there are.

    ``size`` 0 takes the whole split once; a larger size goes through it again with new answers.
    Split ``spare`` is what is neither evaluated nor trained on by RL. ``shortest`` takes the
    prompts whose answers are shortest, in words.
    """

    name: str
    split: str
    style: Style
    size: int = 0
    shortest: bool = False


DATA: Mapping[str, Data] = MappingProxyType(
    {
        d.name: d
        for d in (
            Data("narrow", "sft", "canonical"),
            Data("broad", "sft_broad", "random"),
            Data("ample", "spare", "random", 24_000),
            Data("unique", "spare", "random", 3072),
            Data("half", "spare", "random", 1536),
            Data("eighth", "spare", "random", 384),
            Data("short", "spare", "short", 1536, shortest=True),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Regime:
    """How the SFT data relate to the prompts of RL and evaluation.

    ``data`` names the demonstrations; ``rl_classes`` is how many of the task's classes (in order)
    RL trains on and evaluation asks.
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
            Regime("ample", "ample", 2, "SFT with more demonstrations than it can memorise"),
            Regime("unique", "unique", 2, "3072 demonstrations once"),
            Regime("half", "half", 2, "1536 demonstrations twice, of all lengths"),
            Regime("eighth", "eighth", 2, "384 demonstrations eight times"),
            Regime("short", "short", 2, "1536 demonstrations twice, the shortest"),
        )
    }
)


class Family(NamedTuple):
    """A task and a regime, written ``task/regime``: starts that differ in SFT alone."""

    task: str
    regime: str

    @property
    def name(self) -> str:
        """How results call it: the regime, with the task before it unless it is countdown.

        >>> Family("countdown", "shift").name, Family("coins", "broad").name
        ('shift', 'coins broad')
        """
        return self.regime if self.task == "countdown" else f"{self.task} {self.regime}"

    @property
    def data(self) -> str:
        """Name of the demonstrations."""
        return REGIMES[self.regime].data


def family(text: str) -> Family:
    """Read ``task/regime``; UserError for another form or an unknown regime.

    >>> family("coins/shift")
    Family(task='coins', regime='shift')
    """
    task, slash, regime = text.partition("/")
    if not slash:
        raise UserError(f"a family is task/regime, countdown/shift for one; {text!r} is not")
    if regime not in REGIMES:
        raise UserError(f"unknown regime {regime!r}; known regimes: {', '.join(REGIMES)}")
    return Family(task, regime)
