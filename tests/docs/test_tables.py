"""Numbers on the pages are those of the committed results."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    str(page.relative_to(DOCS.parent))
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]
    if "<!-- table:" in page.read_text("utf-8")
)


def load() -> ModuleType:
    """The program beside the pages, which finds its neighbour as when it is run."""
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


tables = load()


@pytest.mark.parametrize("name", PAGES)
def test_page_shows_the_committed_results(name: str) -> None:
    page = (DOCS.parent / name).read_text(encoding="utf-8")
    assert tables.filled(page) == page, "rewrite it with: python docs/tables.py"


def test_every_table_is_shown() -> None:
    pages = "".join((DOCS.parent / name).read_text(encoding="utf-8") for name in PAGES)
    assert [name for name in tables.TABLES if f"<!-- table: {name} -->" not in pages] == []


def test_guard_can_fail() -> None:
    page = f"<!-- table: errors -->\n\n{tables.TABLES['errors']()}\n\n<!-- end of table -->"
    assert tables.filled(page) == page
    changed = page.replace("0.", "1.", 1)
    assert tables.filled(changed) != changed
    with pytest.raises(KeyError, match="nothing"):
        tables.filled("<!-- table: nothing -->\n<!-- end of table -->")
