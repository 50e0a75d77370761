"""The directive ``package``: every public module of a package, so that none can be forgotten.

Docstrings are plain text with names in backticks; what reStructuredText would take for markup
(p*, |z|, K_) is escaped.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

_LITERAL = re.compile(r"(``.+?``|`[^`]+`)")
_MARKUP = re.compile(r"([*|\\])|(?<=\w)(_)(?=\W|$)")


class Package(SphinxDirective):
    """``{package} grpolab.theory``: its modules, not those of the packages below it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """One section per module."""
        package = self.arguments[0]
        lines: list[str] = []
        for name in modules(package):
            lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", "```", ""]
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(StringList(lines, package), 0, holder, match_titles=True)
        return holder.children


def modules(package: str) -> list[str]:
    """Dotted names of the public modules of a package, itself first if it defines anything."""
    module = importlib.import_module(package)
    own = any(getattr(value, "__module__", "") == package for value in vars(module).values())
    below = sorted(child.name for child in pkgutil.iter_modules(module.__path__) if not child.ispkg)
    names = [f"{package}.{name}" for name in below if not name.startswith("_")]
    return [package, *names] if own else names


def _tidy(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = _LITERAL.split(line)
            parts[::2] = [_MARKUP.sub(r"\\\1\2", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def _skip(_app: Any, _what: str, _name: str, obj: Any, skip: bool, _options: Any) -> bool:
    """Leave out fields of named tuples ("Alias for field number 0") and methods made elsewhere."""
    named = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    foreign = inspect.isfunction(obj) and not obj.__module__.startswith("grpolab")
    return skip or named or foreign


def setup(app: Any) -> dict[str, bool]:
    """Register the directive and the filter of docstrings."""
    app.add_directive("package", Package)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _tidy, priority=400)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
