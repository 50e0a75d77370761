"""TRL ``completions/completions_{step}.parquet``: blocks of g rows that share a prompt.

The files hold the trainer's last generation batch at every log call, so three things go wrong when
rows are simply grouped by prompt: the same rows are written again under a later step; a file
written after an evaluation holds evaluation rows behind training rows; and g is not recorded.
Groups are therefore blocks of consecutive rows, and a block's advantages must sum to zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import EQUAL, FloatArray, IntArray, equal_rewards
from grpolab.validate.readers.columns import Texts, factorise, scores
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.frame import ParquetFrame
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.trainer_state import histories, is_evaluation, trainer_states
from grpolab.validate.readers.verdicts import binarise, scored, to_part

_OWN = ("step", "prompt", "completion", "advantage")
_BALANCE = 1e-3  # of the largest advantage of a block
_START = 200  # characters of a completion that are kept
_EPS = 1e-4  # what TRL adds to a standard deviation


def recognises(sample: Sample) -> bool:
    """Columns step, prompt, completion and advantage."""
    return sample.kind == "parquet" and sample.has(*_OWN)


class _File(NamedTuple):
    """The rows of one file: codes of texts hold over all files."""

    path: Path
    step: int
    prompt: IntArray
    completion: IntArray
    problem: IntArray
    advantage: FloatArray
    reward: FloatArray
    scale: FloatArray  # sum over reward functions of abs(reward)
    rewards: Mapping[str, FloatArray]  # by reward function
    given: FloatArray  # advantage as written, NaN included

    def tail(self, first: int) -> _File:
        """The rows from one on."""
        return self._replace(
            prompt=self.prompt[first:], completion=self.completion[first:],
            problem=self.problem[first:], advantage=self.advantage[first:],
            reward=self.reward[first:], scale=self.scale[first:],
            rewards={name: column[first:] for name, column in self.rewards.items()},
            given=self.given[first:],
        )  # fmt: skip

    @property
    def signature(self) -> FloatArray:
        """What makes a row the same row, [R, 4]."""
        return np.stack([self.prompt, self.completion, self.reward, self.advantage], axis=1)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Groups of one binary reward column, duplicates and evaluation steps left out."""
    frames = [f for f in map(ParquetFrame, paths) if f.head]
    if not frames:
        raise UserError(f"{paths[0].parent}: holds no completions")
    frames.sort(key=lambda f: (_step(f), f.path.name))
    reward, rewards = _reward_columns(frames[0], options)
    files, names, texts = _load(frames, reward, rewards, options)
    fresh = _drop_eval_steps(_drop_rewritten(files, remarks), remarks)
    size = options.group_size or _infer_group_size(fresh)
    if options.group_size is None:
        remarks.add(f"group size {size} was inferred from runs of equal prompts")
    for block in fresh:
        _check_blocks(block, size)
    source = str(paths[0] if len(paths) == 1 else paths[0].parent)
    score = scored(np.concatenate([part.reward for part in fresh]), options.missing)
    counted = to_part(
        np.concatenate([part.problem for part in fresh]),
        score,
        binarise(score, threshold=options.threshold, remarks=remarks, where=source),
        names=names,
        source=source,
        remarks=remarks,
        group=np.concatenate([np.arange(len(part.reward)) // size for part in fresh]),
        step=np.concatenate([np.full(len(part.reward), part.step) for part in fresh]),
        text=_texts(np.concatenate([part.completion for part in fresh]), texts),
        filtered=bool(options.filtered),
        name=reward,
        threshold=options.threshold,
        learned=np.concatenate([_learned(part, size) for part in fresh]),
        rewards={name: np.concatenate([part.rewards[name] for part in fresh]) for name in rewards},
    )
    return [counted]


def _step(frame: ParquetFrame) -> int:
    return int(frame.head[0]["step"])


def _load(
    frames: Sequence[ParquetFrame], reward: str, rewards: Sequence[str], options: ReadOptions
) -> tuple[list[_File], list[Any], list[Any]]:
    """The files in order of their steps, the names of the problems, and the completions."""
    wanted = list(dict.fromkeys([*_OWN, *rewards, *([options.problem] if options.problem else [])]))
    tables = []
    for frame in frames:
        missing = [n for n in wanted if n not in frame.names]
        if missing:
            raise UserError(f"{frame.path}: no column {missing[0]!r}; it has"
                            f" {', '.join(frame.names)}")  # fmt: skip
        tables.append(frame.columns(wanted))
    sizes = [len(t["step"]) for t in tables]
    prompt, completion = (_codes([t[name] for t in tables], sizes) for name in _OWN[1:3])
    problem = _codes([t[options.problem] for t in tables], sizes) if options.problem else prompt
    found = []
    for i, (frame, table) in enumerate(zip(frames, tables, strict=True)):
        place = frame.place
        score = {n: scores(table[n], place, n) for n in rewards}
        scale = np.sum([np.abs(np.nan_to_num(s)) for s in score.values()], axis=0)
        given = scores(table["advantage"], place, "advantage", finite=False)
        found.append(
            _File(
                frame.path,
                _step(frame),
                prompt[0][i],
                completion[0][i],
                problem[0][i],
                np.where(np.isfinite(given), given, 0.0),
                score[reward],
                scale,
                score,
                given,
            )
        )  # fmt: skip
    return found, problem[1], completion[1]


def _texts(code: IntArray, values: Sequence[Any]) -> Texts:
    texts = [str(v) for v in values]
    return Texts(code, np.array(list(map(len, texts)))[code], [t[:_START] for t in texts])


def _codes(columns: Sequence[Any], sizes: Sequence[int]) -> tuple[list[IntArray], list[Any]]:
    """Codes of one column of all files, and the values."""
    values = [value for column in columns for value in map(_text, column.to_pylist())]
    code, names = factorise(values)
    return np.split(code, np.cumsum(sizes)[:-1]), names


def _text(prompt: Any) -> Any:
    """A chat as text; a prompt that is a text as it is, told from a missing one."""
    return json.dumps(prompt, sort_keys=True) if isinstance(prompt, list | dict) else prompt


def _reward_columns(first: ParquetFrame, options: ReadOptions) -> tuple[str, list[str]]:
    """The one reward function, or the one asked for, and all; a sum of several is never used."""
    rows = first.head
    names = [
        name
        for name in rows[0]
        if name not in _OWN
        and any(isinstance(r[name], float) for r in rows)
        and all(r[name] is None or isinstance(r[name], float) for r in rows)
    ]
    if options.score is not None:
        if options.score not in rows[0]:
            raise UserError(
                f"{first.path}: no column {options.score!r}; it has {', '.join(rows[0])}"
            )
        return options.score, list(dict.fromkeys([options.score, *names]))
    if len(names) == 1:
        return names[0], names
    why = f"which reward column holds the verdict (found: {', '.join(names) or 'none'})"
    raise ChoiceNeeded(str(first.path), why, option="score", choices=names)


def _drop_eval_steps(files: list[_File], remarks: Remarks) -> list[_File]:
    """Leave out files of steps that were evaluated, as trainer_state.json tells."""
    run = files[0].path.parent.parent
    if not trainer_states(run) and len(files) > 1:
        remarks.add(
            "no trainer_state.json beside the completions: rows of an evaluation at a logged step,"
            " if there was one, are counted as training rows"
        )
    steps = {int(row["step"]) for rows in histories(run) for row in rows if is_evaluation(row)}
    kept = [f for f in files if f.step not in steps]
    if len(kept) < len(files):
        lost = ", ".join(str(f.step) for f in files if f.step in steps)
        remarks.add(f"files of steps {lost} mix training and evaluation rows and were left out")
    if not kept:
        raise UserError(
            f"{files[0].path.parent}: every file was overwritten by an evaluation at its step"
        )
    return kept


def _drop_rewritten(files: list[_File], remarks: Remarks) -> list[_File]:
    """Rows at the head of a file that repeat the tail of the file before were written twice."""
    kept, dropped, before = [], 0, np.empty((0, 4))
    for part in files:
        now = part.signature
        overlap = _overlap(before, now)
        dropped += overlap
        kept.append(part.tail(overlap))
        before = now
    if dropped:
        remarks.add(f"{dropped} rows repeat rows of the step before and were left out")
    return [part for part in kept if len(part.reward)]


def _overlap(before: FloatArray, now: FloatArray) -> int:
    """Length of the longest tail of ``before`` that is a head of ``now``."""
    longest = min(len(before), len(now))
    return next(
        (n for n in range(longest, 0, -1)
         if np.array_equal(before[-n:], now[:n], equal_nan=True)), 0,
    )  # fmt: skip


def _infer_group_size(files: list[_File]) -> int:
    runs = (np.diff(np.flatnonzero(np.diff(f.prompt, prepend=-2, append=-2))) for f in files)
    size = math.gcd(*(int(n) for run in runs for n in np.unique(run)))
    if size < 2:
        why = "the group size cannot be inferred from the prompts"
        raise ChoiceNeeded(str(files[0].path), why, option="group_size", value="G")
    return size


def _check_blocks(part: _File, size: int) -> None:
    """UserError where blocks of this size are no groups: prompts differ, or advantages do not sum.

    In a group whose rewards are equal the advantages are rounding divided by eps: equal to 0 on the
    scale of the rewards that were added, divided by eps, and of any sum.
    """
    if len(part.reward) % size:
        raise UserError(f"{part.path}: {len(part.reward)} rows are not whole groups of {size}")
    prompt, advantage, scale = (
        column.reshape(-1, size) for column in (part.prompt, part.advantage, part.scale)
    )
    mixed = np.flatnonzero((prompt != prompt[:, :1]).any(axis=1))
    top = np.abs(advantage).max(axis=1)
    dust = equal_rewards(np.stack([top, 0.0 * top], axis=1), scale=scale.max(axis=1) / _EPS)
    odd = np.flatnonzero((np.abs(advantage.sum(axis=1)) > _BALANCE * size * top) & ~dust)
    block = min((int(b[0]) for b in (mixed, odd) if len(b)), default=None)
    if block is None:
        return
    where = f"{part.path}: rows {block * size + 1} to {(block + 1) * size}"
    if block in mixed:
        why = f"different prompts in one group of {size}"
        raise ChoiceNeeded(where, why, option="group_size", value="G")
    raise UserError(f"{where}: advantages do not sum to zero, so this is not one group of {size}")


def _learned(part: _File, size: int) -> FloatArray:
    """Advantages as the trainer used them; 0 in groups whose summed reward is the same.

    There TRL divides rounding by eps. Where weights make a sum that the file does not show,
    advantages of at most `EQUAL` are 0 as well.
    """
    total, scale, given = (
        column.reshape(-1, size)
        for column in (
            np.sum([np.nan_to_num(r) for r in part.rewards.values()], axis=0),
            part.scale,
            part.given,
        )
    )
    with np.errstate(invalid="ignore"):
        tiny = (np.abs(given) <= EQUAL).all(axis=1)
    dead = equal_rewards(total, scale=scale.max(axis=1)) | tiny
    return np.where(dead[:, None] & np.isfinite(given), 0.0, given).reshape(-1)


FORMAT = Format(
    name="trl",
    tool="TRL",
    files="the folder `completions/` (`log_completions=True`)",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("problem", "score", "group_size"),
    many_files=True,
)
