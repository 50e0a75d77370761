"""Our own tables of groups, parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grpolab.store import read_counts
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample

_COLUMNS = ("num_correct", "group_size", "prompt_id", "step")


def recognises(sample: Sample) -> bool:
    """A header line with ``grpolab``, or its four columns in parquet."""
    if sample.kind == "parquet":
        return sample.has(*_COLUMNS)
    return sample.kind == "jsonl" and sample.has("grpolab")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """The table as it was written; ``filtered`` may be overridden."""
    (path,) = paths
    counts = read_counts(path)
    info = counts.provenance
    filtered = info.filtered if options.filtered is None else options.filtered
    info = replace(info, source=info.source or str(path), filtered=filtered)
    return [Part(replace(counts, provenance=info))]


FORMAT = Format(
    name="grpolab",
    tool="grpolab",
    files="`groups.parquet`, `rollouts.parquet`",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
)
