"""One table, three renderers: the same cells, and nothing of a name is taken for markup."""

from __future__ import annotations

import html.parser
import io
import math

import pytest
from rich.console import Console

from grpolab.figures import words
from grpolab.figures.tables import Column, Table

HOSTILE = "<script>alert('x')</script> [red] | `a` **b**\nnext"
TABLE = Table(
    ("name", "value", Column("p*", words.significant), Column("pass@1", words.estimate)),
    [["a", 0.5, 0.0829959, (0.5, 0.25, 0.75)], [HOSTILE, math.nan, None, None]],
    "A `dash`: there is none.",
    title="E[sigma]",
)


def terminal(table: Table, *, caption: bool = True) -> str:
    console = Console(file=io.StringIO(), width=1000)
    console.print(table.terminal(caption=caption))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_three_show_the_same_cells() -> None:
    cells = ["a", "0.500", "0.083", "0.500 (0.250 to 0.750)"]
    assert TABLE.cells[0] == cells
    assert TABLE.cells[1][1:] == ["-", "-", "-"]
    row = next(line for line in terminal(TABLE).splitlines() if line.startswith("│ a"))
    assert [cell.strip() for cell in row.strip("│").split("│")] == cells
    html = f'<th scope="row">{cells[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in cells[1:])
    assert html in TABLE.html()
    assert f"| {' | '.join(cells)} |" in TABLE.markdown().splitlines()


def test_title_and_caption() -> None:
    shown = terminal(TABLE).splitlines()
    assert shown[0] == "E[sigma]"
    assert shown[-1] == "A dash: there is none."
    assert "there is none" not in terminal(TABLE, caption=False)
    assert '<p class="note">A <code>dash</code>: there is none.</p>' in TABLE.html()
    assert "note" not in Table(["a"], [[1]]).html()


def test_a_hostile_name_is_text() -> None:
    seen: set[str] = set()

    class Tags(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.add(tag)

    Tags().feed(TABLE.html())
    assert seen <= {"div", "table", "thead", "tbody", "tr", "th", "td", "p", "code", "strong"}
    assert "[red]" in terminal(TABLE)
    assert TABLE.markdown().count("\n") == 3
    assert "[red] \\| `a`" in TABLE.markdown()


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows must have 2 cells, got \(1,\)"):
        Table(["a", "b"], [[1]])


@pytest.mark.parametrize(
    ("value", "shown"), [(math.nan, "-"), (None, "-"), (3, "3"), ("x", "x"), (0.12345, "0.123")]
)
def test_numbers(value: object, shown: str) -> None:
    assert words.number(value) == shown


def test_shares_are_never_rounded_to_certainty() -> None:
    assert [words.percent(s) for s in (0.0, 0.0049, 0.005, 0.9949, 0.995, 1.0)] == [
        "0%", "<1%", "<1%", "99%", ">99%", "100%",
    ]  # fmt: skip
    assert (words.chance(0.0), words.chance(1.0)) == ("<1%", ">99%")
    assert words.percent(math.nan) == words.p_value(math.nan) == words.count(math.nan) == "-"
