"""Short runs as a probe reads them: per-prompt counts before and after, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.store import flat, read_manifest
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.forecast.outcome import pass_at_any
from grpolab.validate.training.rundir import RUN, read_run

_MAY_DIFFER = ("model", "model_hash", "seed", "versions", "reference", "reference_hash",
               "interventions")  # fmt: skip
_FREE_STEPS = ("config.steps", "config.eval_every")


class Answers(NamedTuple):
    """Success counts of the held-out prompts at one step, ordered by prompt."""

    step: int
    prompt_id: IntArray
    num_correct: IntArray
    num_samples: IntArray
    prompts_hash: str


class ShortRun(NamedTuple):
    """One run of one start: its evaluations by step, and rollouts trained on and answered with."""

    path: str
    model: str
    model_hash: str
    seed: int
    settings: Mapping[str, Any]
    evals: Mapping[int, Answers]
    trained: Mapping[int, int]  # rollouts of the steps before a step
    answered: int


def read_short_run(path: Path) -> ShortRun:
    """A run folder of `grpolab train` with evaluations.

    UserError for another folder, a run without evaluations, and one whose evaluations do not say
    what each prompt got.
    """
    done, manifest = read_run(path), read_manifest(path / RUN)
    if not done.evals:
        raise UserError(f"{path}: has no evaluations; train with --eval-every N")
    evals = {}
    for step, row in done.evals:
        if "counts" not in row:
            raise UserError(
                f"{path}: its evaluation before step {step} holds means only, not the counts of"
                " each prompt: it was written by an earlier version and cannot be paired"
            )
        evals[step] = _answers(path, step, row)
    sizes = np.array([len(r.group_size) * manifest["group_size"] for r in done.records])
    spent = np.concatenate([[0], np.cumsum(sizes)])
    return ShortRun(
        str(path), manifest["model"], manifest["model_hash"], manifest["seed"],
        _settings(manifest), evals,
        {step: int(spent[min(step, len(sizes))]) for step in evals},
        sum(row["num_prompts"] * row["num_samples"] for _, row in done.evals),
    )  # fmt: skip


def _answers(path: Path, step: int, row: Mapping[str, Any]) -> Answers:
    try:
        held = row["counts"]
        ids, correct, size = (
            np.array(held[name], dtype=np.int64)
            for name in ("prompt_id", "num_correct", "num_samples")
        )
        if not len(ids) == len(correct) == len(size):
            raise ValueError("columns of different lengths")
        if (correct < 0).any() or (correct > size).any():
            raise ValueError("more right answers than samples")
        order = np.argsort(ids, kind="stable")
        if len(np.unique(ids)) < len(ids):
            raise ValueError("a prompt twice")
        return Answers(step, ids[order], correct[order], size[order], str(row["prompts_hash"]))
    except (KeyError, TypeError, ValueError) as err:
        raise UserError(f"{path}: the evaluation before step {step} is not whole ({err})") from None


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same in all runs of a probe, by dotted names."""
    kept = {name: v for name, v in manifest.items() if name not in _MAY_DIFFER}
    return {name: v for name, v in flat(kept).items() if name not in _FREE_STEPS}


def common_step(runs: Sequence[ShortRun], *, at: int = 0) -> int:
    """The last step > 0 at which all runs were evaluated, or ``at`` where it is one of them."""
    shared = set.intersection(*(set(run.evals) for run in runs)) - {0}
    if not shared:
        where = "; ".join(f"{run.path}: {_listed(run.evals)}" for run in runs[:4])
        raise UserError(f"no step after 0 at which all runs were evaluated ({where})")
    if at and at not in shared:
        raise UserError(f"--steps {at}: not all runs were evaluated then; {_listed(shared)} were")
    return at or max(shared)


def _listed(steps: Iterable[int]) -> str:
    return f"steps {', '.join(map(str, sorted(steps)))}"


def check_comparable(runs: Sequence[ShortRun]) -> None:
    """UserError where runs differ in more than start and seed, or one is there twice."""
    first = runs[0]
    for run in runs[1:]:
        for name in sorted(first.settings.keys() | run.settings.keys()):
            before, now = first.settings.get(name), run.settings.get(name)
            if before != now:
                raise UserError(
                    f"{run.path}: {name} is {now!r} and {before!r} in {first.path}; runs of a probe"
                    " differ in start and seed only"
                )
    seen: dict[tuple[str, int], str] = {}
    for run in runs:
        other = seen.setdefault((run.model_hash, run.seed), run.path)
        if other != run.path:
            raise UserError(f"{run.path} and {other} have the same start and seed")


class Scored(NamedTuple):
    """Scores [R, P] after and before the short runs, by start; prompts left out for few samples."""

    after: dict[str, FloatArray]
    before: dict[str, FloatArray]
    num_prompts: int
    left_out: int


def score_runs(runs: Mapping[str, Sequence[ShortRun]], *, step: int, k: int) -> Scored:
    """pass@k of each prompt after ``step`` steps, and before the first where it was evaluated.

    Prompts with fewer than k verdicts in some run are left out of all. UserError where the runs
    answered different prompts, or fewer than 2 prompts are left.
    """
    every = [(run, run.evals[step]) for group in runs.values() for run in group]
    first, answers = every[0]
    for run, other in every[1:]:
        if other.prompts_hash != answers.prompts_hash:
            raise UserError(f"{first.path} and {run.path} were evaluated on different prompts")
    everyone = np.unique(np.concatenate([a.prompt_id for _, a in every]))
    kept = everyone
    for run, found in every:
        for a in (found, run.evals.get(0)):
            if a is not None:
                kept = np.intersect1d(kept, a.prompt_id[a.num_samples >= k])
    if len(kept) < 2:
        raise UserError(
            f"at least 2 prompts must have {k} verdicts in every run, got {len(kept)} of"
            f" {len(everyone)}: give more --eval-samples"
        )

    def table(group: Sequence[ShortRun], at: int) -> FloatArray:
        rows = [_scores(run.evals[at], kept, k) for run in group if at in run.evals]
        return np.array(rows).reshape(len(rows), len(kept))

    return Scored(
        {label: table(group, step) for label, group in runs.items()},
        {label: table(group, 0) for label, group in runs.items()},
        len(kept),
        len(everyone) - len(kept),
    )


def _scores(found: Answers, kept: IntArray, k: int) -> FloatArray:
    rows = np.searchsorted(found.prompt_id, kept)
    return pass_at_any(found.num_samples[rows], found.num_correct[rows], k)
