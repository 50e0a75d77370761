"""Rollouts to disk, shard by shard: kill it at any point, start it again, get the same files.

A run is a folder: ``manifest.json``, ``prompts.jsonl``, ``samples/00000.parquet`` (texts, token
ids, log-probabilities), ``verdicts/00000.parquet`` and, once all shards are there,
``rollouts.parquet`` and ``groups.parquet`` (which ``grpolab audit`` reads). Samples are written
before they are judged, so a verifier cannot lose them. Verdicts say which verifier gave them:
those of another one are given anew.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.files import LOCK, atomic_path, exclusive, remove_scratch
from grpolab.store import (
    check_parquet,
    claim,
    has_column,
    read_manifest,
    read_parquet,
    write_counts,
    write_json,
    write_parquet,
    write_text,
)
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.rollouts.collect import describe, provenance, rollouts
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws, Engine, texts
from grpolab.validate.rollouts.judge import judge_all, too_many_errors
from grpolab.validate.rollouts.plan import MANIFEST, MAY_CHANGE, RolloutPlan, manifest
from grpolab.validate.rollouts.prompts import check_context, encode
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw, text_hash
from grpolab.validate.tasks.identity import VerifierId

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

ROLLOUTS, GROUPS, RESULT = "rollouts.parquet", "groups.parquet", "result.json"
_SAMPLES = ("prompt_id", "sample", "num_tokens", "truncated", "entropy", "logprob", "token_hash")
_SINCE = "start"  # a column that older shards do not have
Progress = Callable[[float, str], None]
"""Told the share that is done, and in words how fast."""


class Worker(NamedTuple):
    """Process ``rank`` of the ``workers`` that share a run; each takes every workers-th shard."""

    rank: int = 0
    workers: int = 1


def stream(
    engine: Engine,
    plan: RolloutPlan,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    out: Path,
    worker: Worker | None = None,
    rejudge: bool = False,
    allow_errors: bool = False,
    progress: Progress = lambda share, speed: None,
    note: Callable[[str], None] = lambda words: None,
) -> Rollouts | None:
    """Draw and judge what is not there yet; the whole table, or None while other parts are missing.

    Each shard has its own seeds, so shards may be drawn in any order, by any number of processes,
    and a run that was killed continues to the files that it would have written. Completions that
    another verifier judged, and with ``rejudge`` all, are judged anew and not drawn anew, and
    ``note`` hears so. UserError when ``out`` holds another run, where a prompt is empty or does not
    fit the context, and, unless ``allow_errors``, where the verifier fails on more than 5 %.
    """
    rank, workers = worker or Worker()
    if not 0 <= rank < workers:
        raise ValueError(f"rank must lie in 0..{workers - 1}, got {rank}")
    if not prompts:
        raise UserError("there are no prompts to draw for")
    wanted = manifest(plan, engine.info, task=task, prompts=prompts)
    with _claimed(out, wanted, rank, workers):
        write_text(out / "prompts.jsonl", "".join(_line(p) for p in prompts))
        shards = plan.shards(len(prompts))
        mine = range(rank, len(shards), workers)
        _check(out, mine)
        _forget(task, out, mine, all_of_them=rejudge, note=note)
        judging = _Judging(task, len(prompts) * plan.num_samples, allow_errors)
        _draw_missing(engine, plan, prompts, out, [(i, shards[i]) for i in mine], progress, judging)
        progress(1.0, "")
        there = [_shard(out, "verdicts", i) for i in range(len(shards))]
        known = task.verifier
        if any(not path.exists() or _judged_by(path) != known for path in there):
            return None
        _check(out, (i for i in range(len(shards)) if i not in mine))
        return _finish(
            out, task.name, len(shards), provenance(plan, engine.info), allow_errors=allow_errors
        )


def _judged_by(path: Path) -> VerifierId | None:
    """The verifier whose verdicts a shard holds; None where it does not say."""
    _, meta = read_parquet(path, ())
    found = meta.get("verifier")
    return VerifierId(*found) if found else None


def _forget(
    task: Task, out: Path, shards: Iterable[int], *, all_of_them: bool, note: Callable[[str], None]
) -> None:
    """Remove the verdicts of another verifier, or all, and the tables made of them."""
    now, before = task.verifier, set()
    for i in shards:
        path = _shard(out, "verdicts", i)
        if path.exists():
            found = _judged_by(path)
            if all_of_them or found != now:
                before.add(found)
                for name in (ROLLOUTS, GROUPS, RESULT):
                    (out / name).unlink(missing_ok=True)
                path.unlink()
    for found in before:
        if found == now:
            note(f"{out}: judging the completions anew by {now.name}")
        elif found is None or found.name == now.name:
            note(f"{out}: the verifier {now.name} or what it judges by has changed since: judging"
                 " the completions anew, none is sampled again")  # fmt: skip
        else:
            note(f"{out}: judged by {found.name} so far, now by {now.name}: judging the completions"
                 " anew, none is sampled again")  # fmt: skip


class _Judging:
    """Judges the shards of a run, and counts on how many of its completions the verifier fails."""

    def __init__(self, task: Task, total: int, allow_errors: bool) -> None:
        self._task, self._total, self._allowed = task, total, allow_errors
        self._errors, self._first = 0, ""

    def shard(self, prompts: Sequence[Prompt], out: Path, index: int) -> None:
        """Judge a shard unless it is judged; UserError once too many errors are certain."""
        path = _shard(out, "verdicts", index)
        if not path.exists():
            _judge(self._task, prompts, out, index)
        _, meta = read_parquet(path, ())
        self._errors += meta["num_errors"]
        self._first = self._first or meta["first_error"]
        refusal = too_many_errors(self._errors, self._total, self._first)
        if refusal is not None and not self._allowed:
            raise refusal


@contextlib.contextmanager
def _claimed(out: Path, wanted: Mapping[str, Any], rank: int, workers: int) -> Iterator[None]:
    """Hold the folder, alone or with the other workers of the run."""
    shared = workers > 1
    named = exclusive(out, lock=f"{LOCK}-{rank}-{workers}") if shared else contextlib.nullcontext()
    with (
        claim(
            out, wanted, manifest=MANIFEST, what="a rollout run", may_change=MAY_CHANGE,
            shared=shared,
        ),
        named,
    ):  # fmt: skip
        if not shared:
            remove_scratch(out)
        yield


def _check(out: Path, shards: Iterable[int]) -> None:
    """UserError where a shard that is there is not as it was written."""
    for i in shards:
        for kind, again in (("samples", "draw"), ("verdicts", "judge")):
            path = _shard(out, kind, i)
            if not path.exists():
                continue
            try:
                check_parquet(path)
            except UserError as err:
                raise UserError(f"{err}; remove it to {again} its completions anew") from None


def _line(prompt: Prompt) -> str:
    talk = {"messages": prompt.messages} if prompt.messages else {}
    return json.dumps({"id": prompt.id, "text": prompt.text, "label": prompt.label, **talk}) + "\n"


def _shard(out: Path, kind: str, index: int) -> Path:
    return out / kind / f"{index:05d}.parquet"


def _draw_missing(
    engine: Engine,
    plan: RolloutPlan,
    prompts: Sequence[Prompt],
    out: Path,
    shards: Sequence[tuple[int, range]],
    progress: Progress,
    judging: _Judging,
) -> None:
    """Draw and judge the shards that are not there, one after another."""
    missing = [i for i, _ in shards if not _shard(out, "samples", i).exists()]
    if missing:
        ids = encode(engine.tokenizer, prompts, chat=plan.chat)
        check_context(ids, prompts, max_new_tokens=plan.law.max_new_tokens, context=engine.context)
    pace = _Pace(sum(len(places) for _, places in shards), progress)
    for i, places in shards:
        if i in missing:
            draws = engine.draw(
                [ids[j] for j in places], num_samples=plan.num_samples, law=plan.law,
                seed=plan.seed, first=places.start, watch=pace,
            )  # fmt: skip
            columns = _columns(engine.tokenizer, [prompts[j].id for j in places], draws, plan.law)
            with atomic_path(_shard(out, "samples", i)) as scratch:
                write_parquet(scratch, columns, {})
        judging.shard([prompts[j] for j in places], out, i)
        pace.reached(places)


class _Pace:
    """Turns what an engine says after every batch into progress, with tokens per second."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._done = self._shards = self._tokens = 0
        self._began = time.monotonic()

    def __call__(self, prompts: int, tokens: int) -> None:
        """A batch is drawn."""
        self._done += prompts
        self._tokens += tokens
        self._tell()

    def reached(self, places: range) -> None:
        """A shard is done, drawn now or before."""
        self._shards += len(places)
        self._done = self._shards
        self._tell()

    def _tell(self) -> None:
        speed = ""
        if self._tokens:
            speed = f"{self._tokens / (time.monotonic() - self._began):.0f} tokens/s"
        if self._done < self._total:
            self._progress(self._done / self._total, speed)


def _columns(
    tokenizer: Any, prompt_ids: Sequence[int], draws: Draws, law: SamplingLaw
) -> dict[str, Any]:
    """One row per completion, with everything that was drawn."""
    drawn = draws.tokens != NO_TOKEN
    return {
        **describe(prompt_ids, draws),
        "text": texts(tokenizer, draws.tokens, law),
        "token_ids": _lists(draws.tokens.astype(np.int32), drawn),
        "token_logprob": _lists(draws.logprob.astype(np.float32), drawn),
    }


def _lists(values: Any, mask: Any) -> Any:
    """An arrow column of lists from a padded array and the mask of what counts."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values[mask])


def _judge(task: Task, prompts: Sequence[Prompt], out: Path, index: int) -> None:
    path = _shard(out, "verdicts", index)
    columns, _ = read_parquet(_shard(out, "samples", index), ["text"])
    before = Counter(task.report().outcomes)
    judged = judge_all(task, prompts, columns["text"].tolist())
    reward = np.array(judged.verdicts, dtype=np.float64)
    report = task.report()
    meta = {
        "verifier": list(task.verifier),
        "num_errors": judged.num_errors,
        "first_error": judged.first_error,
        "sandbox": report.level or None,
        "outcomes": dict(sorted((Counter(report.outcomes) - before).items())),
    }
    with atomic_path(path) as scratch:
        write_parquet(scratch, {"reward": reward}, meta)


def _finish(
    out: Path, task: str, num_shards: int, origin: Provenance, *, allow_errors: bool
) -> Rollouts:
    """Put the shards together and write the tables that others read."""
    table, judging = _collect(out, num_shards, origin)
    errors = sum(meta["num_errors"] for meta in judging)
    first = next((meta["first_error"] for meta in judging if meta["first_error"]), "")
    refusal = too_many_errors(errors, len(table), first)
    if refusal is not None and not allow_errors:
        raise refusal
    table.write(out / ROLLOUTS)
    counts = named_counts(table, task=task)
    write_counts(out / GROUPS, counts)
    missing = int(np.isnan(table.reward).sum())
    write_json(
        out / RESULT,
        {
            "num_rollouts": len(table),
            "num_missing": missing,
            "num_verifier_errors": errors,
            "first_verifier_error": first,
            "sandbox": sorted({meta["sandbox"] for meta in judging if meta["sandbox"]}),
            "outcomes": dict(sum((Counter(meta["outcomes"]) for meta in judging), Counter())),
            "num_empty": int((table.text_hash == text_hash("")).sum()),
            "frac_truncated": float(table.truncated.mean()),
            "mean_reward": float(np.nanmean(table.reward)) if missing < len(table) else None,
        },
    )
    return table


def _collect(out: Path, num_shards: int, origin: Provenance) -> tuple[Rollouts, list[Any]]:
    group_size = read_manifest(out / MANIFEST)["group_size"]
    parts, judging = [], []
    for i in range(num_shards):
        path = _shard(out, "samples", i)
        known = [_SINCE] if has_column(path, _SINCE) else []
        columns, _ = read_parquet(path, [*_SAMPLES, *known, "text"])
        verdicts, meta = read_parquet(_shard(out, "verdicts", i), ["reward"])
        text = columns.pop("text").tolist()
        parts.append(rollouts(columns, text, verdicts["reward"], group_size=group_size))
        judging.append(meta)
    return Rollouts.concatenate(parts, provenance=origin), judging


def named_counts(table: Rollouts, *, task: str) -> GroupCounts:
    """Counts whose prompts have names, so that runs over the same prompts can be paired."""
    counts = table.counts()
    return GroupCounts(
        counts.num_correct,
        counts.group_size,
        prompt_id=counts.prompt_id,
        prompt_names={i: f"{task}/{i}" for i in np.unique(counts.prompt_id).tolist()},
        provenance=counts.provenance,
    )


def read_run(out: Path) -> Rollouts:
    """The table of a finished run; UserError when ``out`` is none."""
    if not (out / ROLLOUTS).is_file():
        raise UserError(f"{out}: no finished rollout run (no {ROLLOUTS})")
    return Rollouts.read(out / ROLLOUTS)
