"""Columns of a table by sample: lists of verdicts, lists of objects, one column per sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers.choose import Roles
from grpolab.validate.readers.columns import Codes, Column, encoded, is_filled, scores
from grpolab.validate.readers.frame import Frame
from grpolab.validate.readers.nested import value_at


class Table:
    """Columns of a table by sample: a row has one, or as many as its lists are long."""

    def __init__(
        self,
        frame: Frame,
        columns: dict[str, Column],
        parent: IntArray | None,
        inner: dict[str, Column],
    ) -> None:
        self.frame, self.columns, self.parent, self.inner = frame, columns, parent, inner

    def codes(self, name: str) -> Codes:
        """Codes of a column, [R]."""
        if name in self.inner:
            return encoded(self.inner[name])
        found = encoded(self.columns[name])
        return found if self.parent is None else Codes(found.code[self.parent], found.values)

    def filled(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a column says something, [R]."""
        if name in self.inner:
            return is_filled(self.inner[name])
        found = is_filled(self.columns[name])
        return found if self.parent is None else found[self.parent]

    def place(self, row: int) -> str:
        """Where a sample stands."""
        return self.frame.place(row if self.parent is None else int(self.parent[row]))


def outer_of(name: str) -> str:
    """The column that a role is in: ``completions`` of ``completions[].reward``."""
    return name.partition("[].")[0]


def unrolled(
    columns: dict[str, Column], roles: Roles, frame: Frame
) -> tuple[IntArray | None, dict[str, Column]]:
    """The row of every sample and the columns of one value per sample; None where that is rows."""
    if len(roles.score) > 1:
        rows = len(columns[roles.score[0]])
        return np.repeat(np.arange(rows, dtype=np.int64), len(roles.score)), {}
    name = roles.score[0]
    column = columns[outer_of(name)]
    if not _is_nested(column):
        return None, {}
    if roles.text and not roles.per_token and "[]." not in roles.text + name:
        text = columns[roles.text]
        if not _is_nested(text) and is_filled(text).any():
            raise UserError(
                f"{frame.where}: {name} is a list and {roles.text} one text: is it a value per"
                " token or per test? pass --score NAME of a column with one verdict per row"
            )
    parent, flat = _flat(column, frame, name)
    if roles.per_token:
        return None, {name: _sums(parent, scores(flat, frame.place), len(column))}
    inner = {name: _field(flat, name)}
    outer = outer_of(name)
    verdicts = [n for names in roles.verdicts for n in names]
    for other in (*roles.problem, *roles.errors, *roles.status, roles.text, *verdicts):
        if other is not None and other.startswith(f"{outer}[]."):
            inner[other] = _field(flat, other)
    for other, values in columns.items():
        if other != outer and _is_nested(values):
            above, items = _flat(values, frame, other)
            if np.array_equal(above, parent):
                inner[other] = items
            elif other in verdicts and (padded := _padded(above, items, parent)):
                inner[other] = padded
    return parent, inner


def _padded(above: IntArray, items: Column, parent: IntArray) -> list[object]:
    """Items of a column that has lists in some rows only, None in the others.

    Nothing where a list is shorter or longer than those of the samples.
    """
    rows = 1 + max(above.max(initial=0), parent.max(initial=0))
    own, lengths = np.bincount(above, minlength=rows), np.bincount(parent, minlength=rows)
    if np.any((own != 0) & (own != lengths)):
        return []
    values = iter(items if isinstance(items, list) else items.to_pylist())
    return [next(values) if own[row] else None for row in parent]


def _sums(parent: IntArray, values: FloatArray, rows: int) -> Column:
    """The sum of the values of every row; none where a row has no values."""
    total = np.bincount(parent, weights=values, minlength=rows)
    some = np.bincount(parent, minlength=rows) > 0
    return [float(v) if there else None for v, there in zip(total, some, strict=True)]


def _is_nested(column: Column) -> bool:
    if isinstance(column, list):
        return isinstance(next((v for v in column if v is not None), None), list)
    import pyarrow as pa

    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
                or pa.types.is_fixed_size_list(column.type))  # fmt: skip


def _flat(column: Column, frame: Frame, name: str) -> tuple[IntArray, Column]:
    """Row of every item, and the items."""
    if isinstance(column, list):
        for row, value in enumerate(column):
            if value is not None and not isinstance(value, list):
                raise UserError(f"{frame.place(row)}: {name} must be a list, got {value!r:.40}")
        lengths = [len(v or ()) for v in column]
        parent = np.repeat(np.arange(len(column)), lengths)
        return parent, [item for v in column for item in v or ()]
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0)
    parent = np.from_dlpack(pc.list_parent_indices(whole)).astype(np.int64)
    return parent, pa.chunked_array([pc.list_flatten(whole)])


def _field(flat: Column, name: str) -> Column:
    """The named field of the items, or the items."""
    key = name.partition("[].")[2]
    if not key:
        return flat
    if isinstance(flat, list):
        return [value_at(item, key) if isinstance(item, dict) else None for item in flat]
    import pyarrow.compute as pc

    return pc.struct_field(flat, [key] if flat.type.get_field_index(key) >= 0 else key.split("."))
