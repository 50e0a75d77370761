"""The example notebooks: executed, with the output that they show, linked, and small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "examples").glob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def words(book: Any) -> list[list[str]]:
    """What each cell printed or showed, as text; pictures by their kind alone."""
    shown = []
    for cell in book.cells:
        if cell.cell_type == "code":
            parts = []
            for out in cell.outputs:
                data = out.get("data", {})
                parts.append(out.get("text") or data.get("text/plain", ""))
                parts += sorted(kind for kind in data if kind.startswith("image/"))
            shown.append([re.sub(r"0x[0-9a-f]+", "0x", part) for part in parts])
    return shown


def test_each_user_has_one() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["audit", "theory", "triage"]
    pages = "".join((ROOT / name).read_text() for name in ("README.md", "docs/index.md"))
    for path in NOTEBOOKS:
        assert f"examples/{path.name}" in pages
        assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_output_and_a_picture(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    assert any("image/png" in parts for parts in words(book))
    for cell in book.cells:
        if cell.cell_type == "code":
            assert cell.execution_count
            assert all(out.output_type != "error" for out in cell.outputs)
            assert all(out.get("name") != "stderr" for out in cell.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # of the kernel's own packages
def test_it_runs_and_shows_the_same(path: Path) -> None:
    book = read(path)
    before = words(book)
    where = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=where).execute()
    assert words(book) == before
