"""Names of values inside of objects, dotted, and the Arrow types of JSON values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

_DEPTH = 3  # objects inside of objects in which names are looked for
_WIDE = 200  # keys of an object that is a table of its own


def names_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Keys of the rows in order of appearance, with those inside of objects under dotted names.

    >>> names_of([{"id": 1, "reward": {"acc": 1}}, {"id": 2, "note": ""}])
    ('id', 'reward', 'reward.acc', 'note')
    """
    found: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            found.update(dict.fromkeys(_paths(str(name), value, _DEPTH)))
    return tuple(found)


def _paths(name: str, value: Any, depth: int) -> list[str]:
    if not isinstance(value, dict) or not depth or len(value) > _WIDE:
        return [name]
    return [name, *(p for key, v in value.items() for p in _paths(f"{name}.{key}", v, depth - 1))]


def schema_names(schema: Any) -> tuple[str, ...]:
    """Columns of an Arrow schema, those inside of structures under dotted names."""
    import pyarrow as pa

    found = []
    fields = [(field.name, field.type, _DEPTH) for field in schema]
    while fields:
        name, kind, depth = fields.pop(0)
        found.append(name)
        if pa.types.is_struct(kind) and depth:
            inner = [(f"{name}.{field.name}", field.type, depth - 1) for field in kind]
            fields = [*inner, *fields]
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
            if kind is None:
                return None
            fields[outer] = _with_field(fields.get(outer), inner.split("."), kind)
        if kind is None:
            return None
    return pa.schema(list(fields.items()))


def _with_field(struct: Any, path: Sequence[str], kind: Any) -> Any:
    """A structure with one more field, inside of others where the path has several names."""
    import pyarrow as pa

    known = {} if struct is None else {field.name: field.type for field in struct}
    first, rest = path[0], path[1:]
    known[first] = _with_field(known.get(first), rest, kind) if rest else kind
    return pa.struct(list(known.items()))


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
