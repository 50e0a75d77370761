"""What a reader is: a record per format, the options it is given, and what it can answer.

Reading ends in a `Reading`, or in a UserError. Two kinds of errors have a type of their own, since
callers act on them: `NoVerdicts` and `ChoiceNeeded`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.readers.source import Remarks, Sample, located

Option = Literal[
    "format", "problem", "score", "group", "step", "threshold", "group_size", "filter", "filtered",
    "group_by", "num_correct", "num_samples", "errors", "repeats",
    "id_suffix", "missing",
]  # fmt: skip
"""Names of the fields of `ReadOptions`."""
TABLE_OPTIONS: tuple[Option, ...] = ("score", "group_by", "errors", "repeats")
"""Options of every format that is read as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read a file; None leaves the choice to the format.

    ``score`` names the column, reward function, metric or scorer that holds the verdict;
    ``threshold`` makes scores binary (correct where score > threshold); ``group_size`` is needed
    where a format does not record it; ``filter`` picks a filter of lm-eval; ``filtered`` overrides
    whether the file was written after dynamic sampling.

    In tables ``problem`` and ``group`` may name several columns with commas between them.
    ``group_by`` makes one input of every value of a column (of every combination of several with
    commas between them), or of every ``file``; ``none`` pools all. ``num_correct`` and
    ``num_samples`` name the columns of a table of counts, ``num_samples`` may be a number.
    ``errors`` says whether samples with an error are ``missing`` or ``wrong``, ``repeats`` whether
    samples that are written twice are kept (``keep``) or counted once (``drop``). ``id_suffix``
    says whether ids such as ``q0_0`` and ``q0_1`` are samples of one problem (``sample``) or
    problems of their own (``problem``).
    ``missing`` is the score that stands for no verdict, such as -1.
    """

    format: str = "auto"
    problem: str | None = None
    score: str | None = None
    group: str | None = None
    step: str | None = None
    threshold: float | None = None
    group_size: int | None = None
    filter: str | None = None
    filtered: bool | None = None
    group_by: str | None = None
    num_correct: str | None = None
    num_samples: str | None = None
    errors: Literal["missing", "wrong"] | None = None
    repeats: Literal["keep", "drop"] | None = None
    id_suffix: Literal["sample", "problem"] | None = None
    missing: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and math.isnan(self.threshold):
            raise ValueError("threshold must be a number, got nan")
        if self.group_size is not None and self.group_size < 1:
            raise ValueError(f"group_size must be >= 1, got {self.group_size}")
        for name, known in (
            ("errors", ("missing", "wrong")),
            ("repeats", ("keep", "drop")),
            ("id_suffix", ("sample", "problem")),
        ):
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")


def listed(names: str | None) -> tuple[str, ...]:
    """The columns that an option names, with commas between them, each once; none for None.

    >>> listed("task, id"), listed(None)
    (('task', 'id'), ())
    """
    return () if names is None else tuple(dict.fromkeys(map(str.strip, names.split(","))))


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Samples:
    """One row per sample, shape [R], in the order of the file; what counts alone cannot tell.

    ``prompt``, ``group`` and ``step`` are those of the counts, ``reward`` is 0, 1 or NaN (no
    verdict), and ``score`` what the file has instead, before ``threshold`` made it binary (None
    where it was). ``text`` holds equal numbers for equal completions, -1 for none, ``length`` their
    characters, and ``starts`` the first 200 characters of the completion of every number.
    ``learned`` is what the trainer learned from, where the file has it: advantages, 0 where they
    are rounding alone, or the trainer's own reward; see `signal`. ``rewards`` are the reward
    functions one by one, where the trainer adds several. Columns that a file does not have are
    None.
    """

    prompt: IntArray
    reward: FloatArray
    score: FloatArray
    group: IntArray | None = None
    step: IntArray | None = None
    text: IntArray | None = None
    length: IntArray | None = None
    starts: Sequence[str] = ()
    threshold: float | None = None
    learned: FloatArray | None = None
    rewards: Mapping[str, FloatArray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Samples: rows={len(self.reward)}, prompts={len(np.unique(self.prompt))}>"

    @property
    def signal(self) -> FloatArray:
        """What must differ within a group for the trainer to learn from it, [R]."""
        return self.score if self.learned is None else self.learned

    @property
    def is_graded(self) -> bool:
        """Whether a threshold decided what is correct, of scores with more than two values."""
        found = self.score[~np.isnan(self.score)]
        return self.threshold is not None and len(np.unique(found)) > 2


class Part(NamedTuple):
    """One input of a file: its counts, its samples where there are some, and which part it is."""

    counts: GroupCounts
    samples: Samples | None = None
    label: str = ""
    notes: tuple[str, ...] = ()


class Reading(NamedTuple):
    """The table, the format it was read as, and what was left out or assumed on the way.

    ``cut_off`` is the number of files whose last line is incomplete and was left out. ``samples``
    are the rows behind the counts, None for a table of counts; ``label`` says which part of the
    input this is, where it has several.
    """

    counts: GroupCounts
    format: str
    notes: tuple[str, ...]
    cut_off: int = 0
    samples: Samples | None = None
    label: str = ""

    def __repr__(self) -> str:
        return f"<Reading: {self.format}, {self.counts.headline}>"


class NoVerdicts(UserError):
    """The files hold samples, and none of them has a verdict."""


class ChoiceNeeded(UserError):
    """The files can be read in several ways, and only the user knows which is meant.

    ``option`` is the field of `ReadOptions` that makes the choice, ``choices`` are its possible
    values where they are known.

    >>> needed = ChoiceNeeded("a.json", "scorers f1, em", option="score", choices=("f1", "em"))
    >>> str(needed), needed.choices
    ('a.json: scorers f1, em; pass --score NAME', ('f1', 'em'))
    """

    def __init__(
        self,
        where: str,
        why: str,
        *,
        option: Option,
        value: str = "NAME",
        choices: Sequence[str] = (),
        flag: str = "",
    ) -> None:
        self.where = where
        self.why = why
        self.option = option
        self.value = value
        self.choices = tuple(choices)
        super().__init__(f"{where}: {why}; pass {flag or flag_of(option)} {value}")

    def with_flag(self, flag: str) -> ChoiceNeeded:
        """The same error, for a command that has another flag for the option."""
        return ChoiceNeeded(
            self.where,
            self.why,
            option=self.option,
            value=self.value,
            choices=self.choices,
            flag=flag,
        )


def flag_of(option: Option) -> str:
    """The flag of ``grpolab audit`` that sets a field of `ReadOptions`.

    >>> flag_of("score"), flag_of("group_size")
    ('--score', '--recorded-group-size')
    """
    return "--recorded-group-size" if option == "group_size" else f"--{option.replace('_', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format: how it is called, what it is read from, and the two functions that do it.

    ``name`` is the value of ``--format``, ``tool`` who writes such files, ``files`` what to give
    (Markdown), ``tested_on`` what the tests read. ``options`` are the fields of `ReadOptions` that
    the reader uses beside ``threshold`` and ``filtered``. ``many_files`` is true where one run has
    several files; otherwise every file is an input of its own. ``detect`` tells from the content
    whether a file has the format, ``read`` turns files into parts, nearly always one, and says in
    the remarks what it left out or assumed.
    """

    name: str
    tool: str
    files: str
    tested_on: str
    detect: Callable[[Sample], bool]
    read: Callable[[Sequence[Path], ReadOptions, Remarks], list[Part]]
    options: tuple[Option, ...] = ()
    many_files: bool = False

    def readings(self, paths: Sequence[Path], options: ReadOptions) -> list[Reading]:
        """Read files that are known to have this format; UserError names the file at fault."""
        remarks = Remarks()
        with located(str(paths[0])):
            parts = self.read(paths, options, remarks)
        notes = remarks.said()
        return [
            Reading(p.counts, self.name, (*notes, *p.notes), remarks.cut_off, p.samples, p.label)
            for p in parts
        ]

    def reading(self, paths: Sequence[Path], options: ReadOptions) -> Reading:
        """The one input that the files are; UserError where they are several."""
        return single(self.readings(paths, options), str(paths[0]))


def single(readings: Sequence[Reading], where: str) -> Reading:
    """The only reading; UserError where there are several."""
    if len(readings) > 1:
        labels = ", ".join(r.label for r in readings[:4])
        raise UserError(f"{where}: {len(readings)} inputs ({labels}, ...); give one of them")
    return readings[0]
