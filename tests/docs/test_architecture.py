"""The page on the architecture names what is there, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "grpolab"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOTTED = re.compile(r"`((?:theory|simulate|figures|validate|cli)(?:\.\w+)+)`")
FILE = re.compile(r"`((?:theory|simulate|figures|validate|cli|tests)/[\w/]*(?:\.py)?)`")


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name (or a method) that a module defines."""
    parts = dotted.split(".")
    for size in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:size])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return defines(ast.parse(file.read_text(encoding="utf-8")), parts[size:])
    return False


def defines(tree: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    if not names:
        return True
    for node in tree.body:
        named = getattr(node, "name", "")
        targets = [getattr(t, "id", "") for t in getattr(node, "targets", [])]
        if names[0] in (named, *targets, getattr(getattr(node, "target", None), "id", "")):
            return len(names) == 1 or (isinstance(node, ast.ClassDef) and defines(node, names[1:]))
    return False


@pytest.mark.parametrize("name", sorted(set(DOTTED.findall(PAGE))))
def test_every_name_of_the_page_is_there(name: str) -> None:
    assert is_there(name)


@pytest.mark.parametrize("name", sorted(set(FILE.findall(PAGE))))
def test_every_file_of_the_page_is_there(name: str) -> None:
    assert ((ROOT if name.startswith("tests") else PACKAGE) / name).exists()


def test_guard_can_fail() -> None:
    assert is_there("validate.forecast.law.LawOfP.zero_std")
    assert not is_there("validate.forecast.law.LawOfP.nothing")
    assert not is_there("validate.forecast.nothing")
    assert not is_there("validate.nothing.read")


def test_the_page_says_what_every_module_beside_the_packages_is_for() -> None:
    beside = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    section = PAGE.partition("Beside the packages")[2].partition("\n## ")[0]
    assert {name for name in beside if f"`{name}`" not in section} == set()
    assert section.startswith(" lie ten modules.")
    assert len(beside) == 10


def test_the_table_names_every_package_from_the_lowest_level_up() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    import architecture_tables as made

    found = {
        str(path.parent.relative_to(PACKAGE))
        for path in PACKAGE.rglob("__init__.py")
        if len(path.relative_to(PACKAGE).parts) == 2 + ("validate" in path.parts)
    }
    assert set(made.LIBRARY) == found - {"validate"}
    for place, package in enumerate(made.LIBRARY):
        assert made.imports(package) <= set(made.LIBRARY[:place]), package
        assert len(made.purpose(package)) > 20, package
    assert "validate/forecast" in made.imports("validate/audit")
