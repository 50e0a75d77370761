"""The packages of grpolab and the imports between them, read from the code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from grpolab.figures.tables import Table

SRC = Path(__file__).parents[1] / "src"
LIBRARY = (
    "theory", "simulate", "figures", "validate/estimate", "validate/models", "validate/readers",
    "validate/sandbox", "validate/forecast", "validate/tasks", "validate/audit",
    "validate/plan", "validate/monitor", "validate/rollouts", "validate/verify",
    "validate/training", "validate/triage", "validate/probe", "validate/study", "cli",
)  # fmt: skip
"""Packages from the lowest level to the highest."""


def packages() -> str:
    """One row per package: its purpose, and the packages that it imports from."""
    rows = [[f"`{name}`", purpose(name), _joined(imports(name))] for name in LIBRARY]
    return Table(("package", "what it is for", "imports from"), rows).markdown()


def purpose(package: str) -> str:
    """The first line of a package's docstring."""
    tree = ast.parse((SRC / "grpolab" / package / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def imports(package: str) -> set[str]:
    """Other packages that any module of a package imports from, in functions too."""
    found = set()
    for path in (SRC / "grpolab" / package).rglob("*.py"):
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] == "grpolab" and len(parts) > 1:
                whole = "/".join(parts[1:3]) if parts[1] == "validate" else parts[1]
                found |= {p for p in LIBRARY if p == whole}
    return found - {package}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _joined(names: set[str]) -> str:
    return ", ".join(f"`{name.rpartition('/')[2]}`" for name in LIBRARY if name in names) or "-"


TABLES: Mapping[str, Callable[[], str]] = {"packages": packages}
