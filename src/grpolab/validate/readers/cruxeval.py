"""CRUXEval ``--scored_results_path``: lists of verdicts and of generations per sample of the data.

The generations may be stored by likelihood; the order and the texts are kept for the audit to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers import long_table
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.format import TABLE_OPTIONS, Format, Part, ReadOptions
from grpolab.validate.readers.frame import RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document

_SCORES, _TEXTS = "raw_scored_generations", "raw_generations"


def recognises(sample: Sample) -> bool:
    """A document with raw_scored_generations."""
    return sample.has(_SCORES) and sample.is_document and isinstance(sample.head, dict)


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """One list of verdicts per sample of the data set."""
    (path,) = paths
    value = document(path)
    found = value.get(_SCORES) if isinstance(value, dict) else None
    if not isinstance(found, dict) or not found:
        raise UserError(f"{path}: expected lists of verdicts by sample under {_SCORES}")
    texts = value.get(_TEXTS)
    texts = texts if isinstance(texts, dict) else {}
    same = all(_length(texts.get(key)) == _length(row) for key, row in found.items())
    rows = [
        {"sample": key, "verdicts": row, **({"generations": texts[key]} if same else {})}
        for key, row in found.items()
    ]
    roles = Roles(problem=("sample",), score=("verdicts",), text="generations" if same else None)
    frame = RowsFrame(rows, str(path), unit=": sample ")
    return long_table.read_frames([frame], options, remarks, where=str(path), roles=[roles])


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else -1


FORMAT = Format(
    name="cruxeval",
    tool="CRUXEval",
    files="the `.json` of `--scored_results_path`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=TABLE_OPTIONS[1:],
)
