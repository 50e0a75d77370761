"""Our own tables of groups, parquet or JSON lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from grpolab.store import read_counts
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers.source import Sample
from grpolab.validate.readers.verdicts import ReadOptions

FORMAT = "grpolab"
MANY_FILES = False
_COLUMNS = ("num_correct", "group_size", "prompt_id", "step")


def recognises(sample: Sample) -> bool:
    """A header line with ``grpolab``, or its four columns in parquet."""
    if sample.kind == "parquet":
        return sample.has(*_COLUMNS)
    return sample.kind == "jsonl" and sample.has("grpolab")


def read(paths: Sequence[Path], options: ReadOptions, notes: list[str]) -> GroupCounts:
    """The table as it was written; ``filtered`` may be overridden."""
    (path,) = paths
    counts = read_counts(path)
    source = counts.provenance.source or str(path)
    info = dataclasses.replace(counts.provenance, source=source)
    if options.filtered is not None:
        info = dataclasses.replace(info, filtered=options.filtered)
    return GroupCounts(
        counts.num_correct,
        counts.group_size,
        prompt_id=counts.prompt_id,
        step=counts.step,
        prompt_names=counts.prompt_names,
        provenance=info,
    )
