"""A result as a table: built once, shown in a terminal, on a page and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from grpolab.figures.words import escaped, number, plain, text
from grpolab.terminal import printable

if TYPE_CHECKING:
    from rich.console import Group

_SENTENCE = 28  # characters from which on a cell may wrap on a page


class Column(NamedTuple):
    """The head of a column, how its values are written, and whether they are words."""

    name: str
    show: Callable[[Any], str] = number
    words: bool = False


@dataclass(frozen=True, slots=True, init=False)
class Table:
    """Columns, rows of plain values, a caption that explains them, and a title.

    A column is a `Column`, or its name where its values are written by `number`; the first column
    and columns of words are set to the left. ValueError for a row of another length.

    >>> table = Table(["g", Column("p*")], [[8, 0.0829959], [2, None]], "A dash: there is none.")
    >>> print(table.markdown())
    | g | p* |
    | --- | --- |
    | 8 | 0.083 |
    | 2 | - |
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]
    caption: str
    title: str

    def __init__(
        self,
        columns: Sequence[Column | str],
        rows: Iterable[Sequence[object]],
        caption: str = "",
        *,
        title: str = "",
    ) -> None:
        heads = tuple(Column(c) if isinstance(c, str) else c for c in columns)
        lines = tuple(tuple(row) for row in rows)
        for line in lines:
            if len(line) != len(heads):
                raise ValueError(f"rows must have {len(heads)} cells, got {line}")
        for name, value in zip(self.__slots__, (heads, lines, caption, title), strict=True):
            object.__setattr__(self, name, value)

    @property
    def cells(self) -> list[list[str]]:
        """The values as they are written."""
        return [[c.show(v) for c, v in zip(self.columns, row, strict=True)] for row in self.rows]

    def terminal(self, *, caption: bool = True) -> Group:
        """For a rich console; names are no markup, and what a terminal obeys is escaped."""
        from rich import box
        from rich.console import Group
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=box.HEAVY_HEAD)
        for i, column in enumerate(self.columns):
            left = column.words or i == 0
            head = Text(printable(column.name))
            grid.add_column(head, justify="left" if left else "right", overflow="fold")
        for row in self.cells:
            grid.add_row(*(Text(printable(cell)) for cell in row))
        above = [Text(printable(plain(self.title)), "table.title")] if self.title else []
        below = [Text(printable(plain(self.caption)))] if self.caption and caption else []
        return Group(*above, grid, *below)

    def html(self) -> str:
        """For a page: it can be selected and copied into a spreadsheet; everything is escaped."""
        left = [' class="left"' if column.words else "" for column in self.columns]
        head = "".join(
            f'<th scope="col"{mark}>{text(column.name)}</th>'
            for column, mark in zip(self.columns, left, strict=True)
        )
        body = "".join(
            f"<tr>{_row_head(row)}{''.join(map(_cell, row[1:], left[1:]))}</tr>"
            for row in self.cells
        )
        note = f'<p class="note">{text(self.caption)}</p>' if self.caption else ""
        inner = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{scrolled('wide', self.title or f'Table: {self.columns[0].name}', inner)}{note}"

    def markdown(self) -> str:
        """For a page of the documentation, without title and caption."""
        heads = [column.name for column in self.columns]
        lines = [heads, ["---"] * len(heads), *self.cells]
        return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def scrolled(kind: str, name: str, inner: str) -> str:
    """A part that scrolls on a phone: the keyboard reaches it, and a screen reader names it."""
    label = escaped(plain(name)).replace('"', "&quot;")
    return f'<div class="{kind}" role="region" tabindex="0" aria-label="{label}">{inner}</div>'


def _row_head(row: Sequence[str]) -> str:
    return f'<th scope="row">{text(row[0])}</th>' if row else ""


def _cell(shown: str, left: str) -> str:
    """A cell of a page; sentences may wrap, and numbers with their intervals do not."""
    mark = ' class="words"' if len(shown) > _SENTENCE else left
    return f"<td{mark}>{text(shown)}</td>"


def _escaped(shown: str) -> str:
    return " ".join(shown.replace("|", "\\|").splitlines())
