"""lm-evaluation-harness ``--log_samples``: a line per document and filter, one score each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document, located, records
from grpolab.validate.readers.verdicts import hashable, invert_pass_at_k, settle

_PASS = re.compile(r"pass(?:@|_at_)(\d+)$")
_VOTE = re.compile(r"\bmaj|vot(e|ing)|consisten|cons@", re.IGNORECASE)


def recognises(sample: Sample) -> bool:
    """Rows with doc_id, resps and filtered_resps, as lines or (before 0.4.3) as one array."""
    return sample.kind in ("jsonl", "json") and sample.has("doc_id", "resps", "filtered_resps")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Counts from pass@k (smallest k) or from a 0/1 metric of the scored samples."""
    (path,) = paths
    rows = _rows(path, remarks)
    if not rows:
        raise UserError(f"{path}: holds no samples")
    rows = _pick_filter(rows, options, path=path, remarks=remarks)
    with located(f"{path}:{rows[0][0]}"):
        metric = _metric(rows[0][1], options, path=path)
    correct, size, names, open_counts, unscored = [], [], [], 0, 0
    seen: dict[Any, int] = {}
    for line, row in rows:
        where = f"{path}:{line}"
        document = row.get("doc_id")
        first = seen.setdefault(hashable(document), line)
        if first != line:
            raise UserError(f"{where}: doc_id {document} was already in line {first}")
        with located(where):
            drawn, scored = _num_samples(row, where=where)
            low, high = _count(row, metric, scored=scored, where=where)
        unscored += drawn > scored
        open_counts += high > low
        correct.append(settle(low, high, num_samples=scored, where=where))
        size.append(scored)
        names.append(str(document))
    if unscored:
        remarks.add(f"{path}: only the first sample of {unscored} documents was scored")
    if open_counts:
        remarks.add(
            f"{path}: {open_counts} documents have {metric} = 1, which leaves the last few samples"
            " open; they were taken as correct"
        )
    counts = GroupCounts(
        np.array(correct),
        np.array(size),
        prompt_names=dict(enumerate(names)),
        provenance=Provenance(source=str(path), verdict=metric, filtered=bool(options.filtered)),
    )
    return [Part(counts)]


def _rows(path: Path, remarks: Remarks) -> list[tuple[int, dict[str, Any]]]:
    """The records with their line, or their place in the array."""
    if Sample(path).kind != "json":
        return list(records(path, remarks))
    items = document(path)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UserError(f"{path}: expected a list of documents")
    return list(enumerate(items, start=1))


def _pick_filter(
    rows: list[tuple[int, dict[str, Any]]], options: ReadOptions, *, path: Path, remarks: Remarks
) -> list[tuple[int, dict[str, Any]]]:
    """The rows of one filter; that of a vote of all samples says nothing of a sample."""
    filters = sorted({str(row.get("filter")) for _, row in rows})
    wanted = options.filter
    votes = [name for name in filters if _VOTE.search(name)]
    if wanted in votes or (votes and len(votes) == len(filters)):
        raise UserError(
            f"{path}: filter {wanted or votes[0]} holds the verdict on the majority of the samples,"
            " not on a sample; give the samples of another filter"
        )
    if votes and wanted is None and len(filters) == len(votes) + 1:
        wanted = next(name for name in filters if name not in votes)
        remarks.add(f"{path}: filter {wanted} was read; {', '.join(votes)} is a majority vote")
    if wanted is None and len(filters) > 1:
        why = f"holds the filters {', '.join(filters)}"
        raise ChoiceNeeded(str(path), why, option="filter", choices=filters)
    kept = [r for r in rows if wanted is None or str(r[1].get("filter")) == wanted]
    if not kept:
        raise UserError(f"{path}: no rows of filter {wanted!r}; it has {', '.join(filters)}")
    return kept


def _metric(row: dict[str, Any], options: ReadOptions, *, path: Path) -> str:
    """The asked metric, else pass@k of the smallest k, else the only one."""
    names = [m for m in row.get("metrics", []) if isinstance(m, str)]
    if options.score is not None:
        if options.score not in row:
            raise UserError(f"{path}: no metric {options.score!r}; it has {', '.join(names)}")
        return options.score
    ranked = sorted((int(m[1]), m[0]) for m in map(_PASS.search, names) if m)
    by_k = {int(m[1]): name for name in names if (m := _PASS.search(name))}
    if ranked:
        return by_k[ranked[0][0]]
    if len(names) == 1:
        return names[0]
    why = f"several metrics ({', '.join(names)})"
    raise ChoiceNeeded(str(path), why, option="score", choices=names)


def _num_samples(row: dict[str, Any], *, where: str) -> tuple[int, int]:
    """Samples drawn, and samples that reached the metric."""
    resps, kept = row.get("resps"), row.get("filtered_resps")
    if not isinstance(resps, list) or not resps or not isinstance(kept, list) or not kept:
        raise UserError(f"{where}: resps and filtered_resps must be lists that are not empty")
    drawn = len(resps[0]) if isinstance(resps[0], list) else 1
    scored = len(kept[0]) if isinstance(kept[0], list) else 1
    return drawn, min(scored, drawn)


def _count(row: dict[str, Any], metric: str, *, scored: int, where: str) -> tuple[int, int]:
    value = row.get(metric)
    if not isinstance(value, bool | int | float):
        raise UserError(f"{where}: {metric} must be a number, got {value!r:.40}")
    found = _PASS.search(metric)
    if found:
        return invert_pass_at_k(float(value), num_samples=scored, k=int(found[1]), where=where)
    if scored == 1 and value not in (0, 1):
        raise UserError(f"{where}: {metric} = {value} is not 0 or 1")
    if scored > 1:
        raise UserError(
            f"{where}: {metric} is one number for {scored} samples; only pass@k can be turned back"
            " into a count (re-score the samples one by one)"
        )
    return int(value), int(value)


FORMAT = Format(
    name="lm-eval",
    tool="lm-eval",
    files="`samples_*.jsonl` (`--log_samples`)",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("score", "filter"),
)
