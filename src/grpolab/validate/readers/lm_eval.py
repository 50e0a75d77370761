"""lm-evaluation-harness ``--log_samples``: a line per document and filter, one score each."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts, IntArray, Provenance
from grpolab.validate.readers.columns import Column, encoded, scores
from grpolab.validate.readers.format import ChoiceNeeded, Format, Part, ReadOptions
from grpolab.validate.readers.frame import Frame, LinesFrame, RowsFrame
from grpolab.validate.readers.source import Remarks, Sample, document, located
from grpolab.validate.readers.verdicts import invert_pass_at_k, settle

_PASS = re.compile(r"pass(?:@|_at_)(\d+)$")
_VOTE = re.compile(r"\bmaj|vot(e|ing)|consisten|cons@", re.IGNORECASE)


def recognises(sample: Sample) -> bool:
    """Rows with doc_id, resps and filtered_resps, as lines or (before 0.4.3) as one array."""
    return sample.kind in ("jsonl", "json") and sample.has("doc_id", "resps", "filtered_resps")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Counts from pass@k (smallest k) or from a 0/1 metric of the scored samples."""
    (path,) = paths
    frame = _frame(path, remarks)
    told = [m for row in frame.head for m in row.get("metrics") or () if isinstance(m, str)]
    known = {n: None for n in (*_ROW, *told, options.score) if n in frame.names}
    columns = frame.columns(tuple(known), ("doc_id",))
    rows = _pick_filter(columns.get("filter"), len(columns["doc_id"]), options, path, remarks)
    with located(frame.place(int(rows[0]))):
        metric = _metric(columns.get("metrics"), int(rows[0]), frame, options, path=path)
    if metric not in columns:
        columns |= frame.columns((metric,))
    ids = encoded(columns["doc_id"])
    _refuse_twice(ids.code[rows], rows, ids.values, frame)
    drawn, size = _num_samples(columns, rows, frame)
    low, high = _counts(columns[metric], metric, rows, size, frame)
    if np.any(drawn > size):
        remarks.add(
            f"{path}: only the first sample of {int(np.sum(drawn > size))} documents was scored"
        )
    if np.any(high > low):
        remarks.add(
            f"{path}: {int(np.sum(high > low))} documents have {metric} = 1, which leaves the last"
            " few samples open; they were taken as correct"
        )
    names = [str(ids.values[i]) for i in ids.code[rows].tolist()]
    counts = GroupCounts(
        high,
        size,
        prompt_names=dict(enumerate(names)),
        provenance=Provenance(source=str(path), verdict=metric, filtered=bool(options.filtered)),
    )
    return [Part(counts)]


_NO_FILTER = "none"
_ROW = ("doc_id", "filter", "metrics", "resps", "filtered_resps")


def _frame(path: Path, remarks: Remarks) -> Frame:
    """The documents as lines, or as one array."""
    if Sample(path).kind != "json":
        frame: Frame = LinesFrame(path, remarks)
    else:
        items = document(path)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise UserError(f"{path}: expected a list of documents")
        frame = RowsFrame(items, str(path), unit=":")
    if not frame.head:
        raise UserError(f"{path}: holds no samples")
    return frame


def _pick_filter(
    column: Column | None, count: int, options: ReadOptions, path: Path, remarks: Remarks
) -> IntArray:
    """The rows of one filter; that of a vote of all samples says nothing of a sample."""
    if column is None:
        code, names = np.zeros(count, dtype=np.int64), [_NO_FILTER]
    else:
        code, values = encoded(column)
        names = [*map(str, values), _NO_FILTER]  # the tool calls it so
        code = np.where(code < 0, len(values), code)
    filters = sorted({names[i] for i in np.unique(code).tolist()})
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
    if wanted is None:
        return np.arange(count)
    if wanted not in filters:
        raise UserError(f"{path}: no rows of filter {wanted!r}; it has {', '.join(filters)}")
    return np.flatnonzero(code == names.index(wanted))


def _metric(
    column: Column | None, row: int, frame: Frame, options: ReadOptions, *, path: Path
) -> str:
    """The asked metric, else pass@k of the smallest k, else the only one."""
    value = column[row] if isinstance(column, list) else None if column is None else column[
        row].as_py()  # fmt: skip
    names = [m for m in value or () if isinstance(m, str)]
    if options.score is not None:
        if options.score not in frame.names:
            raise UserError(f"{path}: no metric {options.score!r}; it has {', '.join(names)}")
        return options.score
    by_k = {int(m[1]): name for name in names if (m := _PASS.search(name))}
    if by_k:
        return by_k[min(by_k)]
    if len(names) == 1:
        return names[0]
    why = f"several metrics ({', '.join(names)})"
    raise ChoiceNeeded(str(path), why, option="score", choices=names)


def _refuse_twice(code: IntArray, rows: IntArray, values: Sequence[Hashable], frame: Frame) -> None:
    """UserError where a document has no id, or stands twice."""
    lost = np.flatnonzero(code < 0)
    if len(lost):
        raise UserError(f"{frame.place(int(rows[lost[0]]))}: no doc_id in this row")
    _, first, back = np.unique(code, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[back] != np.arange(len(code)))
    if len(again):
        row = int(again[0])
        line = frame.place(int(rows[first[back[row]]])).rpartition(":")[2]
        raise UserError(
            f"{frame.place(int(rows[row]))}: doc_id {values[int(code[row])]} was already in line"
            f" {line}"
        )


def _num_samples(
    columns: dict[str, Column], rows: IntArray, frame: Frame
) -> tuple[IntArray, IntArray]:
    """Samples drawn, and samples that reached the metric."""
    lengths = []
    for name in ("resps", "filtered_resps"):
        found = _first_lengths(columns.get(name), len(columns["doc_id"]))[rows]
        bad = np.flatnonzero(found < 1)
        if len(bad):
            raise UserError(
                f"{frame.place(int(rows[bad[0]]))}: resps and filtered_resps must be lists that are"
                " not empty"
            )
        lengths.append(found)
    return lengths[0], np.minimum(*lengths)


def _first_lengths(column: Column | None, count: int) -> IntArray:
    """How long the first item of every list is: 1 where it is no list, 0 where there is none."""
    if column is None:
        return np.zeros(count, dtype=np.int64)
    if isinstance(column, list):
        return np.array(
            [
                0
                if not isinstance(v, list) or not v
                else len(v[0])
                if isinstance(v[0], list)
                else 1
                for v in column
            ],
            dtype=np.int64,
        )
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_list(column.type):
        return np.zeros(count, dtype=np.int64)
    filled = pc.fill_null(pc.list_value_length(column), 0)
    some = np.asarray(filled.to_numpy()) > 0
    found = some.astype(np.int64)
    if pa.types.is_list(column.type.value_type) and some.any():
        first = pc.list_element(column.filter(pa.array(some)), 0)
        found[some] = pc.fill_null(pc.list_value_length(first), 0).to_numpy()
    return found


def _counts(
    column: Column, metric: str, rows: IntArray, size: IntArray, frame: Frame
) -> tuple[IntArray, IntArray]:
    """The smallest and the largest number of right samples that the metric allows."""
    values = scores(column, frame.place, metric)[rows]
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        raise UserError(f"{frame.place(int(rows[bad[0]]))}: {metric} must be a number, got null")
    found = _PASS.search(metric)
    pairs, first, back = np.unique(
        np.stack([values, size.astype(np.float64)]), axis=1, return_index=True, return_inverse=True
    )
    ends = []
    for value, drawn, row in zip(*pairs.tolist(), first.tolist(), strict=True):
        where, number = frame.place(int(rows[row])), int(drawn)
        if found:
            low, high = invert_pass_at_k(value, num_samples=number, k=int(found[1]), where=where)
            ends.append((low, settle(low, high, num_samples=number, where=where)))
            continue
        if number == 1 and value not in (0, 1):
            raise UserError(f"{where}: {metric} = {value} is not 0 or 1")
        if number > 1:
            raise UserError(
                f"{where}: {metric} is one number for {number} samples; only pass@k can be turned"
                " back into a count (re-score the samples one by one)"
            )
        ends.append((int(value), int(value)))
    table = np.array(ends, dtype=np.int64)[back.reshape(-1)]
    return table[:, 0], table[:, 1]


FORMAT = Format(
    name="lm-eval",
    tool="lm-eval",
    files="`samples_*.jsonl` (`--log_samples`)",
    tested_on="files that the tool wrote",
    detect=recognises,
    read=read,
    options=("score", "filter"),
)
