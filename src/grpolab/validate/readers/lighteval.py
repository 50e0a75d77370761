"""lighteval details: parquet with doc, metric and model_response; scores per document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, located, parquet_rows
from grpolab.validate.readers.verdicts import invert_pass_at_k, settle

_PARAMETER = re.compile(r"([a-z_]+)=([^&]+)")
_VOTE = re.compile(r"maj|cons")


def recognises(sample: Sample) -> bool:
    """Columns doc, metric and model_response, with or without underscores around them."""
    if sample.kind != "parquet":
        return False
    return sample.has("doc", "metric", "model_response") or sample.has(
        "__doc__", "__metric__", "__model_response__"
    )


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Counts from ``pass@k:k=..&n=..`` or ``avg@n:n=..`` and the number of texts."""
    (path,) = paths
    rows = parquet_rows(path)
    if not rows:
        raise UserError(f"{path}: holds no samples")
    under = "__" if "__metric__" in rows[0] else ""
    metric = _metric(rows[0][f"{under}metric{under}"], options, path=path)
    correct, size, names, open_counts = [], [], [], 0
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        with located(where):
            texts = row[f"{under}model_response{under}"].get("text")
            samples = len(texts) if isinstance(texts, list) else 1
            low, high = _count(row[f"{under}metric{under}"], metric, samples=samples, where=where)
            names.append(str(row[f"{under}doc{under}"].get("id", number)))
        open_counts += high > low
        correct.append(settle(low, high, num_samples=samples, where=where))
        size.append(samples)
    if open_counts:
        remarks.add(f"{path}: {open_counts} documents at {metric} = 1 were taken as all correct")
    counts = GroupCounts(
        np.array(correct),
        np.array(size),
        prompt_names=dict(enumerate(names)),
        provenance=Provenance(source=str(path), verdict=metric, filtered=bool(options.filtered)),
    )
    return [Part(counts)]


def _parameters(metric: str) -> dict[str, str]:
    return dict(_PARAMETER.findall(metric.partition(":")[2]))


def _metric(values: dict[str, Any], options: ReadOptions, *, path: Path) -> str:
    names = [name for name, value in values.items() if value is not None]
    if options.score is not None:
        if options.score not in names:
            raise UserError(f"{path}: no metric {options.score!r}; it has {', '.join(names)}")
        names = [options.score]
    for prefix in ("avg@n", "pass@k"):
        found = [n for n in names if n.startswith(prefix)]
        if found:
            return min(found, key=lambda n: int(_parameters(n).get("k", "1")))
    if len(names) == 1 and not _VOTE.match(names[0]):
        return names[0]
    if names and all(map(_VOTE.match, names)):
        raise UserError(f"{path}: {names[0]} is a majority vote, not a verdict on a sample")
    why = f"several metrics ({', '.join(names)})"
    raise ChoiceNeeded(str(path), why, option="score", choices=names)


def _count(values: dict[str, Any], metric: str, *, samples: int, where: str) -> tuple[int, int]:
    value = values.get(metric)
    if not isinstance(value, bool | int | float):
        raise UserError(f"{where}: {metric} must be a number, got {value!r:.40}")
    stated = _parameters(metric).get("n", str(samples))
    if stated != str(samples):
        raise UserError(f"{where}: {metric} says n={stated}, but there are {samples} texts")
    k = _parameters(metric).get("k", "1") if metric.startswith("pass@k") else "1"
    return invert_pass_at_k(float(value), num_samples=samples, k=int(k), where=where)


FORMAT = Format(
    name="lighteval",
    tool="lighteval",
    files="its details, parquet",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("score",),
)
