"""Names of values inside of objects, dotted, and the Arrow types of JSON values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def names_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Keys of the rows in order of appearance, with those inside of objects under dotted names.

    >>> names_of([{"id": 1, "reward": {"acc": 1}}, {"id": 2, "note": ""}])
    ('id', 'reward', 'reward.acc', 'note')
    """
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            found[str(name)] = None
            if isinstance(value, dict):
                found.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
    return tuple(found)


def schema_names(schema: Any) -> tuple[str, ...]:
    """Columns of an Arrow schema, those inside of structures under dotted names."""
    import pyarrow as pa

    found = []
    for field in schema:
        found.append(field.name)
        if pa.types.is_struct(field.type):
            found += [f"{field.name}.{inner.name}" for inner in field.type]
    return tuple(found)


def holds(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has a value of this name, null included."""
    outer, inner = split_name(name, row)
    if not inner:
        return outer in row
    within = row.get(outer, False)  # nothing in it has a value where it is null
    return within is None or (isinstance(within, dict) and holds(within, inner))


def split_name(name: str, present: Collection[str]) -> tuple[str, str]:
    """A dotted name as a name that is present, the longest, and the rest inside of it.

    >>> split_name("a.b.c", {"a.b", "a"}), split_name("a.b", {"a.b"}), split_name("x.y", {"a"})
    (('a.b', 'c'), ('a.b', ''), ('x.y', ''))
    """
    parts = name.split(".")
    heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    outer = next((head for head in heads if head in present), name)
    return outer, name[len(outer) + 1 :]


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """The value of a name or of a dotted name, None where there is none.

    >>> value_at({"reward": {"acc": 1}}, "reward.acc"), value_at({}, "reward.acc")
    (1, None)
    """
    outer, inner = split_name(name, row)
    within = row.get(outer)
    if not inner:
        return within
    return value_at(within, inner) if isinstance(within, dict) else None


def inside(table: Any, name: str) -> Any:
    """A column, or a field of a column of structures."""
    import pyarrow.compute as pc

    outer, inner = split_name(name, table.column_names)
    return pc.struct_field(table[outer], inner.split(".")) if inner else table[outer]


def schema_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """The Arrow schema of some columns by their first values; None where it cannot be told."""
    import pyarrow as pa

    fields: dict[str, Any] = {}
    present = {key for row in rows for key in row}
    for name in names:
        outer, inner = split_name(name, present)
        if not inner:
            kind = kind_of([row.get(name) for row in rows])
            fields[name] = kind
        else:
            kind = kind_of([value_at(row, name) for row in rows])
            if kind is None or "." in inner:
                return None
            kept = list(fields.get(outer, ()))
            fields[outer] = pa.struct([*kept, pa.field(inner, kind)])
        if kind is None:
            return None
    return pa.schema(list(fields.items()))


def kind_of(values: Sequence[Any]) -> Any:
    """The Arrow type of JSON values; text where all are null, None where types are mixed."""
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds <= {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds <= {int, float}:
        exact = all(abs(v) <= 2**53 for v in values if isinstance(v, int))
        return pa.float64() if exact else None
    if kinds == {list}:
        inner = kind_of([v for value in values if value is not None for v in value])
        return None if inner is None else pa.list_(inner)
    return None
