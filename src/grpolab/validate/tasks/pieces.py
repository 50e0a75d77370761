"""Pieces of Python source: the longest prefix that parses, what it defines, and what it reads.

Source is only parsed here, never run.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

_PARSED = 1_000_000
"""Characters that are parsed, over all shortenings of a text, before it counts as no code."""
_SHORTENINGS = 100
"""Times that a text is shortened at most."""
_SMALL_STEPS = 16
"""Times that a text is shortened by a line or two."""
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_INNER = (*_SCOPES, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


class Piece(NamedTuple):
    """Source that parses, and its statements."""

    source: str = ""
    body: Sequence[ast.stmt] = ()

    def defined(self) -> set[str]:
        """Names that it defines itself; an import or a signature without a body does not count."""
        return bound([node for node in self.body if not _is_stub(node)], imports=False)

    def methods(self) -> list[tuple[str, str]]:
        """Its methods, as pairs of a class and a name."""
        return [
            (outer.name, node.name)
            for outer in self.body
            if isinstance(outer, ast.ClassDef)
            for node in outer.body
            if isinstance(node, _SCOPES) and not _is_stub(node)
        ]

    def known(self) -> set[str]:
        """Names that are bound anywhere in it, at any depth, and builtins."""
        return {*_BUILTINS, *bound(self.body, deep=True)}

    def missing(self) -> set[str]:
        """Names that it reads and binds nowhere; none where it imports all names of a module."""
        if any(
            isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in self.body
        ):
            return set()
        return read(self.body) - self.known()

    def without(self, nodes: Collection[ast.stmt]) -> str:
        """The source with ``pass`` in place of some of its statements."""
        lines = [line.encode() for line in self.source.split("\n")]
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset), reverse=True):
            starts = [node.lineno, *(at.lineno for at in getattr(node, "decorator_list", ()))]
            first, last = min(starts) - 1, (node.end_lineno or node.lineno) - 1
            before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
            lines[first] = before + b"pass" + after
            del lines[first + 1 : last + 1]
        return b"\n".join(lines).decode()


def longest_prefix(text: str) -> Piece:
    r"""The longest prefix of whole lines that parses; an empty piece where there is none.

    A prefix ends before the line of an error. Where that takes a line or two at a time, as in a
    statement that does not end, the whole last statement goes after sixteen times.

    >>> longest_prefix("def f():\n    return 1\n\ndef g(").source
    'def f():\n    return 1\n'
    """
    text = text.partition("\0")[0]
    lines = text.split("\n")
    end, small_steps, parsed = len(lines), 0, 0
    while end > 0 and parsed < _PARSED:
        source = text if end == len(lines) else "".join(f"{line}\n" for line in lines[:end])
        parsed += len(source) + _PARSED // _SHORTENINGS
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes and the like in the source
                return Piece(source, ast.parse(source).body)
        except SyntaxError as err:
            before = min(end, err.lineno or end) - 1
        except (ValueError, RecursionError, MemoryError):
            before = end - 1
        small_steps += end - before <= 2
        if small_steps > _SMALL_STEPS:
            while before > 0 and not lines[before][:1].strip():
                before -= 1
        while before > 0 and not lines[before - 1].strip():
            before -= 1
        end = before
    return Piece()


def bound(nodes: Iterable[ast.AST], *, imports: bool = True, deep: bool = False) -> set[str]:
    r"""Names that nodes bind in the scope where they are, or with ``deep`` in any inside of it.

    >>> sorted(bound(ast.parse("import os.path as p\nfor i in x:\n    def f(a): b = 1").body))
    ['f', 'i', 'p']
    """
    names: set[str] = set()
    for node in _walk(nodes, stop=() if deep else _INNER):
        if isinstance(node, _SCOPES):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom) and imports:
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
    return names


def read(nodes: Iterable[ast.AST], *, attributes: bool = False) -> set[str]:
    """Names that nodes read, at any depth, and if asked for the names of attributes."""
    names: set[str] = set()
    for node in _walk(nodes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and attributes:
            names.add(node.attr)
    return names


def free(nodes: Iterable[ast.AST]) -> set[str]:
    r"""Names that nodes read and that none of them binds, as functions read what is around them.

    >>> sorted(free(ast.parse("def f(a):\n    global n\n    b = a + c\n    n = b").body))
    ['c', 'n']
    """
    names: set[str] = set()
    for node in nodes:
        shared = {
            name for inner in _walk([node]) if isinstance(inner, ast.Global) for name in inner.names
        }
        names |= (read([node]) - bound([node], deep=True)) | shared
    return names


def _walk(nodes: Iterable[ast.AST], *, stop: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """All nodes but those inside a node that stops the walk; without recursion."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, stop):
            waiting.extend(ast.iter_child_nodes(node))


def does_nothing(node: ast.stmt) -> bool:
    """``pass``, or an expression that calls nothing: a docstring, ``...``, a word that parses."""
    acts = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and not any(isinstance(part, acts) for part in _walk([node]))
    )


def _is_stub(node: ast.stmt) -> bool:
    """A function whose body does nothing."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, functions) and all(map(does_nothing, node.body))
