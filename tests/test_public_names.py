"""The public names: every one is there, documented, typed, and costs nothing until it is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import grpolab
from grpolab.errors import UserError

SECTIONS = ("Parameters", "Returns", "Raises", "Examples")
ROOT = Path(__file__).parents[1]


def value_of(name: str) -> Any:
    try:
        return getattr(grpolab, name)
    except UserError as err:
        pytest.skip(str(err))  # GroupSignalMonitor is a callback of TRL


def missing_sections(value: Any) -> list[str]:
    """Sections that a docstring lacks; a rule and an exception need a docstring alone."""
    text = inspect.getdoc(value) or ""
    if not inspect.isfunction(value) and (not inspect.isclass(value) or value is UserError):
        return [] if text else ["docstring"]
    needed = SECTIONS if inspect.isfunction(value) else ("Parameters", "Examples")
    return [title for title in needed if f"\n{title}\n{'-' * len(title)}\n" not in text]


def undescribed_parameters(value: Any) -> list[str]:
    """Parameters of a function without a line ``name : type`` in its docstring."""
    text = inspect.getdoc(value) or ""
    return [n for n in inspect.signature(value).parameters if f"\n{n} : " not in text]


@pytest.mark.parametrize("name", grpolab.NAMES)
def test_every_name_is_the_one_of_its_module(name: str) -> None:
    value = value_of(name)
    assert value is getattr(importlib.import_module(grpolab.NAMES[name]), name)
    assert missing_sections(value) == []
    if inspect.isfunction(value) or (inspect.isclass(value) and value is not UserError):
        assert undescribed_parameters(value) == []


def test_guards_can_fail() -> None:
    def bare(p: float) -> None:
        """Say too little."""

    assert missing_sections(bare) == list(SECTIONS)
    assert undescribed_parameters(bare) == ["p"]
    assert missing_sections(type("Bare", (), {})) == ["Parameters", "Examples"]


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(grpolab.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == grpolab.NAMES
    assert list(grpolab.NAMES) == sorted(grpolab.NAMES)


def test_no_name_hides_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(grpolab.__path__)}
    assert not modules & set(grpolab.NAMES)
    assert set(grpolab.PACKAGES) <= modules
    assert {*grpolab.NAMES, *grpolab.PACKAGES} <= set(dir(grpolab))


def test_import_loads_nothing_and_names_load_what_they_need() -> None:
    code = (
        "import sys, grpolab\n"
        "assert not {'numpy', 'numba', 'torch', 'grpolab.theory'} & set(sys.modules)\n"
        "from grpolab import UserError\n"
        "assert 'numpy' not in sys.modules\n"
        "from grpolab import audit, read, critical_p\n"
        "assert callable(audit) and critical_p(2).item() == 0.5\n"
        "assert not {'numba', 'torch', 'transformers'} & set(sys.modules)\n"
        "assert grpolab.simulate.Within and grpolab.store and 'numba' in sys.modules\n"
        "from grpolab import theory\n"
        "assert theory.critical_p is critical_p\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'grpolab' has no attribute 'attic'"):
        _ = grpolab.attic


def test_reference_lists_every_name() -> None:
    page = (ROOT / "docs" / "reference" / "front.md").read_text(encoding="utf-8")
    for name in grpolab.NAMES:
        assert f"grpolab.{name}\n" in page, name
