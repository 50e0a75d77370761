"""Tables that notebooks show and data frame libraries take."""

from __future__ import annotations

import html
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from grpolab.errors import UserError

SHOWN = 10
"""Rows that a notebook shows of a table."""


class Frame(ABC):
    """An object that is a table: columns by name, a line that sums it up.

    ``repr`` is one line, a notebook shows the first rows, `to_pandas` and the Arrow PyCapsule
    protocol (``pyarrow.table(x)``, ``polars.DataFrame(x)``, DuckDB) give all of them.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, Any]:
        """The columns by name: arrays or lists of one length."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """What the table holds, in one line."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline}>"

    def _repr_html_(self) -> str:
        """The headline and the first rows, for notebooks."""
        columns = self.columns
        length = max((len(column) for column in columns.values()), default=0)
        head = "".join(f'<th scope="col">{_cell(name)}</th>' for name in columns)
        rows = "".join(
            "<tr>"
            + "".join(f"<td>{_cell(column[i])}</td>" for column in columns.values())
            + "</tr>"
            for i in range(min(length, SHOWN))
        )
        rest = f"<p>{length - SHOWN:,} more rows</p>" if length > SHOWN else ""
        return f"<p>{_cell(self)}</p><table><tr>{head}</tr>{rows}</table>{rest}"

    def to_pandas(self) -> Any:
        """A pandas data frame of the columns; UserError where pandas is not installed."""
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError as error:
            raise UserError("to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(dict(self.columns))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The columns as an Arrow stream."""
        import pyarrow

        table = pyarrow.table({name: pyarrow.array(c) for name, c in self.columns.items()})
        return table.__arrow_c_stream__(requested_schema)


def _cell(value: object) -> str:
    """One value as HTML.

    >>> _cell("a<b"), _cell(0.123456), _cell(7)
    ('a&lt;b', '0.1235', '7')
    """
    is_float = isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f"
    return html.escape(f"{value:.4g}" if is_float else str(value))
