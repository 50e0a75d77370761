"""The record of a study: what it measured, as counts by prompt, with entropies and losses beside.

Tables, findings, figures and pages are functions of a record, so that they can be made again
without training when an estimator changes. On disk a record is a folder:

``record.json``      configuration, versions, losses, settings of each run, forces, thresholds
``before.parquet``   rollouts before RL: one row per checkpoint, split and prompt
``after.parquet``    rollouts after RL: one row per run, split and prompt
``groups.parquet``   every group of the first `EARLY_STEPS` steps of RL
``windows.parquet``  totals by prompt in each later window of as many steps
``evals.parquet``    the quick evaluations during RL, by step and prompt
``steps.parquet``    one row per step of RL
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.store import read_json, write_json
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.plain import from_plain, to_plain
from grpolab.validate.study.record_tables import Columns, read_tables, write_tables
from grpolab.validate.training.plasticity import Plasticity

EARLY_STEPS = 100
"""Steps of RL whose groups are kept one by one; also the length of a later window."""
FILE = "record.json"


class Start(NamedTuple):
    """A checkpoint before RL."""

    task: str
    data: str
    seed: int
    depth: int


class Ladder(NamedTuple):
    """An SFT ladder."""

    task: str
    data: str
    sft: str
    seed: int


class RunKey(NamedTuple):
    """A GRPO run."""

    task: str
    regime: str
    seed: int
    depth: int
    arm: str

    @property
    def start(self) -> Start:
        """The checkpoint on the plain ladder at the depth that the run starts from."""
        return Start(self.task, REGIMES[self.regime].data, self.seed, self.depth)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Completions of one policy by prompt: P prompts, each with G groups of rollouts.

    ``num_correct`` and ``group_size`` [P, G] are successes and verdicts per group; a group without
    a verdict has size 0. ``token_entropy`` [P] is per token (nats), ``completion_entropy`` the mean
    over completions of their mean token entropy, ``logprob`` the mean log-probability of a
    completion. ``distinct`` (different texts among a group) and ``collision_rate`` (pairs of equal
    texts) are NaN where they were not asked for.
    """

    prompt_id: IntArray  # [P]
    label: npt.NDArray[np.object_]  # [P] class of the prompt
    num_correct: IntArray  # [P, G]
    group_size: IntArray  # [P, G]
    num_completions: IntArray  # [P]
    num_tokens: IntArray  # [P]
    num_truncated: IntArray  # [P]
    token_entropy: FloatArray  # [P]
    completion_entropy: FloatArray  # [P]
    logprob: FloatArray  # [P]
    distinct: FloatArray  # [P]
    collision_rate: FloatArray  # [P]

    def __len__(self) -> int:
        return len(self.prompt_id)

    def of(self, classes: Sequence[str]) -> Samples:
        """The prompts of some classes."""
        keep = np.isin(self.label, list(classes))
        return Samples(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def counts(self, groups: slice = slice(None)) -> GroupCounts:
        """Successes per group; ``groups`` takes only some groups of each prompt."""
        correct, size = self.num_correct[:, groups], self.group_size[:, groups]
        seen = size > 0
        prompt = np.broadcast_to(self.prompt_id[:, None], size.shape)
        return GroupCounts(correct[seen], size[seen], prompt_id=prompt[seen])

    def halves(self) -> tuple[GroupCounts, GroupCounts]:
        """Groups of the first and of the second half of each prompt: independent draws."""
        middle = (self.num_correct.shape[1] + 1) // 2
        return self.counts(slice(middle)), self.counts(slice(middle, None))

    def mean_token_entropy(self) -> float:
        """Mean over tokens of the entropy of the next one, in nats."""
        return float(self.token_entropy @ self.num_tokens / self.num_tokens.sum())

    def over_completions(self, values: FloatArray) -> float:
        """Mean over completions of a mean [P] that each prompt has over its own."""
        return float(values @ self.num_completions / self.num_completions.sum())


class Before(NamedTuple):
    """Rollouts of a checkpoint before RL: held-out prompts, greedily too, and training prompts."""

    eval: Samples
    greedy: Samples
    train: Samples


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run was started with, and the token entropy of its quick evaluations by step."""

    temperature: float
    lr: float
    num_prompts: int
    eval_entropy: Mapping[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """One entry per step of RL, shape [T]; counts are over all groups drawn."""

    step: IntArray
    num_groups: IntArray
    num_informative: IntArray
    num_samples: IntArray
    num_correct: IntArray
    entropy: FloatArray
    grad_norm: FloatArray
    loss: FloatArray
    kl: FloatArray
    clip_low: FloatArray
    clip_high: FloatArray
    frac_truncated: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A GRPO run: its first groups, totals by prompt in later windows, evaluations, the end.

    In ``windows`` a row is a prompt in a window: all its rollouts there, ``step`` the first step.
    """

    settings: Settings
    groups: GroupCounts
    windows: GroupCounts
    evals: GroupCounts
    steps: Steps
    eval: Samples
    train: Samples


@dataclass(frozen=True, slots=True)
class Moved:
    """Mean p on watched prompts before and after a short run; standard error of the change."""

    before: float
    after: float
    stderr: float
    num_prompts: int


@dataclass(frozen=True, slots=True)
class ForceRun:
    """A short run that trains on some prompts with some forces."""

    force: str
    trains_on: str
    moved: Mapping[str, Moved]
    frac_zero_std: float
    mean_grad_norm: float


@dataclass(frozen=True, slots=True)
class Forces:
    """The short runs from one checkpoint."""

    num_prompts: Mapping[str, int]
    runs: tuple[ForceRun, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """p* of one group size, ICC and event: derived, and found by simulation with an interval."""

    group_size: int
    rho: float
    event: str
    predicted: float
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Derived and simulated thresholds."""

    rows: tuple[Threshold, ...]
    num_groups: int
    level: float


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Everything that a study measured.

    ``settings`` is the configuration as it was written, ``config`` what this version makes of it.
    ``nll`` [depth][class]: nats per canonical answer on held-out prompts. ``classes``: those of
    each task, in order. ``plasticity`` is empty in records of earlier versions.
    """

    version: str
    settings: Mapping[str, Any]
    config: StudyConfig
    classes: Mapping[str, tuple[str, ...]]
    nll: Mapping[Ladder, Mapping[int, Mapping[str, float]]]
    before: Mapping[Start, Before]
    runs: Mapping[RunKey, Run]
    forces: Mapping[RunKey, Forces]
    thresholds: Thresholds | None
    plasticity: Mapping[Start, Plasticity] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write a folder that `read` reads; entropies and losses keep 12 bits."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tables(folder, self._tables())
        head = {
            "version": self.version,
            "config": self.settings,
            "classes": self.classes,
            "nll": [{**key._asdict(), "nll": nll} for key, nll in self.nll.items()],
            "runs": [{**key._asdict(), **to_plain(r.settings)} for key, r in self.runs.items()],
            "forces": [{**key._asdict(), **to_plain(f)} for key, f in self.forces.items()],
            "thresholds": to_plain(self.thresholds),
        }
        if self.plasticity:
            head["plasticity"] = [
                {**key._asdict(), **to_plain(found)} for key, found in self.plasticity.items()
            ]
        write_json(folder / FILE, head)  # last: a folder that holds it is whole

    def _tables(self) -> Iterator[tuple[str, list[tuple[tuple[Any, ...], Columns]]]]:
        runs = self.runs.items()
        yield (
            "before",
            [
                ((*key, split), _columns(samples))
                for key, before in self.before.items()
                for split, samples in before._asdict().items()
            ],
        )
        yield (
            "after",
            [
                ((*key, split), _columns(samples))
                for key, run in runs
                for split, samples in (("eval", run.eval), ("train", run.train))
            ],
        )
        for name in ("groups", "windows", "evals"):
            yield name, [(key, _count_columns(getattr(run, name))) for key, run in runs]
        yield "steps", [(key, _columns(run.steps)) for key, run in runs]

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Read what `write` wrote; UserError where it is anything else."""
        try:
            return cls._read(folder)
        except KeyError as err:
            raise UserError(f"{folder}: not a whole record, {err} is missing") from None

    @classmethod
    def _read(cls, folder: Path) -> Record:
        head = read_json(folder / FILE)
        tables = read_tables(folder)
        runs = {}
        for entry in head["runs"]:
            key = from_plain(RunKey, entry)
            counts = {n: _counts(tables[n].get(key)) for n in ("groups", "windows", "evals")}
            runs[key] = Run(
                settings=from_plain(Settings, entry),
                **counts,
                steps=Steps(**tables["steps"][key]),
                eval=Samples(**tables["after"][*key, "eval"]),
                train=Samples(**tables["after"][*key, "train"]),
            )
        starts = dict.fromkeys(Start(*key[:-1]) for key in tables["before"])
        thresholds = head.get("thresholds")
        nll = from_plain(_Losses, {"entries": head["nll"]})
        return cls(
            version=head["version"],
            settings=head["config"],
            config=from_plain(StudyConfig, head["config"]),
            classes={task: tuple(names) for task, names in head["classes"].items()},
            nll={Ladder(e.task, e.data, e.sft, e.seed): e.nll for e in nll.entries},
            before={
                key: Before(*(Samples(**tables["before"][*key, s]) for s in Before._fields))
                for key in starts
            },
            runs=runs,
            forces={from_plain(RunKey, e): from_plain(Forces, e) for e in head["forces"]},
            thresholds=None if thresholds is None else from_plain(Thresholds, thresholds),
            plasticity={
                from_plain(Start, e): from_plain(Plasticity, e) for e in head.get("plasticity", ())
            },
        )


class _Loss(NamedTuple):
    task: str
    data: str
    sft: str
    seed: int
    nll: Mapping[int, Mapping[str, float]]


class _Losses(NamedTuple):
    entries: tuple[_Loss, ...]


def _columns(table: Samples | Steps) -> Columns:
    return {f.name: getattr(table, f.name) for f in fields(table)}


def _counts(columns: Columns | None) -> GroupCounts:
    """A part of a table of counts; a run without rows there has no part."""
    if columns is None:
        return GroupCounts([], [])
    return GroupCounts(
        columns["num_correct"],
        columns["group_size"],
        prompt_id=columns["prompt_id"],
        step=columns["step"],
    )


def _count_columns(counts: GroupCounts) -> Columns:
    return {n: getattr(counts, n) for n in ("step", "prompt_id", "num_correct", "group_size")}
