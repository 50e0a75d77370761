"""What a suite of tests asks of a program: known from its own source, before any program runs.

The source is parsed, never run, here. Every assertion in it is marked, so that whoever runs the
suite can tell whether one was reached.
"""

from __future__ import annotations

import ast
import builtins
import functools
import marshal
import symtable
from collections.abc import Iterator
from typing import Any, NamedTuple

from grpolab.validate.sandbox.pure import Call, certain_calls, leaves_nothing

RAN = "__assertion_ran__"
"""Name that the marked source calls after an assertion; no program can define it."""
_BUILTINS = frozenset(dir(builtins))
_CHECKING = ("raises", "assertRaises", "assertRaisesRegex")
_ELSEWHERE = frozenset({"tempfile", "subprocess", "multiprocessing", "socket"})
"""Modules by which tests share files or processes with a program."""
_APART = {
    "patch": "patches modules, which the program in its own process does not see",
    "assertLogs": "reads the log of the program", "assertNoLogs": "reads the log of the program",
    "assertWarns": "reads warnings of the program", "warns": "reads warnings of the program",
    "getsource": "reads the source of the program",
}  # fmt: skip
_REPLACED = ("stdin", "input", "environ", "argv", "modules")
_STREAMS = frozenset({"capsys", "capfd", "redirect_stdout", "stdout", "readouterr"})


class Suite(NamedTuple):
    """Names that are asked of a program, those used as classes or never called, the marked code.

    ``refusal`` says why no program can be judged by it; empty where one can. ``captures``: the
    tests read what the program prints. ``defines_check``: they define HumanEval's ``check``.
    ``pure`` tests leave nothing in the process that runs them; ``calls`` they make in any case.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    constants: tuple[str, ...]
    modules: tuple[str, ...]
    star: bool
    captures: bool
    defines_check: bool
    refusal: str
    pure: bool
    calls: tuple[Call, ...]
    context: bytes
    tests: bytes


@functools.lru_cache(maxsize=4096)
def read_suite(tests: str, context: str, entry_point: str) -> Suite:
    """The analysis of one suite; SyntaxError or ValueError where a source is no Python."""
    context_tree = ast.parse(context)
    context_code = compile(context_tree, "<context>", "exec", dont_inherit=True)
    tree = ast.parse(tests)
    pure = leaves_nothing(tree, context_tree)
    symbols = symtable.symtable(tests, "tests", "exec")
    imported = _imports(tree)
    given = _own(symtable.symtable(context, "context", "exec"))
    asked = _free(symbols) - given
    asked |= imported.names | _attributes(tree, imported.aliases | {"solution"})
    if asked & {"eval", "exec", "globals", "locals"} or _mentions(
        tree, {"eval", "exec", "globals"}
    ):
        asked |= _quoted(tree) - _own(symbols)
    names = {n for n in asked if n not in _BUILTINS and not _is_dunder(n)} | {entry_point} - {""}
    names -= {"solution"} if imported.aliases & {"solution"} else set()
    called = {_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    used = _words(tree, imports=False) | ({entry_point} if "check" in _own(symbols) else set())
    captures = bool(_words(tree) & _STREAMS)
    calls = certain_calls(tree, entry_point, names, given - {entry_point}) if pure else []
    marked = _Marker()
    marked_tree = ast.fix_missing_locations(marked.visit(tree))
    code = compile(marked_tree, "<tests>", "exec", dont_inherit=True)
    refusal = _refusal(tree)
    local = {alias for name, alias in imported.renamed if name in names}
    if not used & (names | imported.aliases | local) and not imported.star:
        refusal = "the tests never call the program"
    elif not marked.count:
        refusal = refusal or "the tests assert nothing"
    return Suite(
        names=tuple(sorted(names)),
        classes=tuple(sorted(n for n in names if _is_class(tree, n))),
        constants=tuple(sorted(names - called - {entry_point})),
        modules=tuple(sorted(imported.modules)),
        star=imported.star,
        captures=captures,
        defines_check="check" in _own(symbols),
        refusal=refusal,
        pure=pure,
        calls=() if captures else tuple(calls),
        context=marshal.dumps(context_code),
        tests=marshal.dumps(code),
    )


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _tables(top: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield top
    for child in top.get_children():
        yield from _tables(child)


def _free(top: symtable.SymbolTable) -> set[str]:
    """Names that are read somewhere as globals and bound nowhere as such."""
    read = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is top)
    }
    return read - _own(top)


def _own(top: symtable.SymbolTable) -> set[str]:
    """Globals that a source binds itself."""
    return {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if (table is top or symbol.is_declared_global())
        and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace())
    }


class _Imports(NamedTuple):
    names: set[str]
    aliases: set[str]
    modules: set[str]
    star: bool
    renamed: set[tuple[str, str]]


def _imports(tree: ast.AST) -> _Imports:
    """What is imported from ``solution``, under which names it goes, and which others there are."""
    names: set[str] = set()
    aliases: set[str] = set()
    modules: set[str] = set()
    renamed: set[tuple[str, str]] = set()
    tried = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            names |= {alias.name for alias in node.names}
            renamed |= {(alias.name, alias.asname) for alias in node.names if alias.asname}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "solution":
                    aliases.add(alias.asname or alias.name)
                elif id(node) not in tried:
                    modules.add(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and id(node) not in tried:
            modules.add(node.module)
    star = "*" in names
    return _Imports(names - {"*"}, aliases, modules, star, renamed)


def _attributes(tree: ast.AST, aliases: set[str]) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in aliases
    }


def _words(tree: ast.AST, *, imports: bool = True) -> set[str]:
    """Every name, attribute, argument and, if asked, imported name of a source."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias) and imports:
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not imports:
            found |= set(node.value.replace("(", " ").replace(".", " ").split())  # in eval
    return found


def _mentions(tree: ast.AST, names: set[str]) -> bool:
    return any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(tree))


def _quoted(tree: ast.AST) -> set[str]:
    """Names in strings that are source themselves."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            found |= {n.id for n in ast.walk(inner) if isinstance(n, ast.Name)}
    return found


def _is_class(tree: ast.AST, name: str) -> bool:
    """Whether the tests use a name as a class: by its spelling, and as what objects come from."""
    if not name[:1].isupper():
        return False
    made: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _calls(node.value, name):
            made |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_made(node.value, name, made):
            return True
        if isinstance(node, ast.withitem) and _calls(node.context_expr, name):
            return True
        if (
            isinstance(node, ast.Call)
            and _called(node) in ("isinstance", "assertIsInstance")
            and any(isinstance(a, ast.Name) and a.id == name for a in node.args[1:])
        ):
            return True
    return False


def _is_made(node: ast.expr, name: str, made: set[str]) -> bool:
    """Whether an expression is the class, an object of it, or made of one by operators."""
    if isinstance(node, ast.Name):
        return node.id in made | {name}
    if isinstance(node, ast.BinOp):
        return _is_made(node.left, name, made) or _is_made(node.right, name, made)
    return _calls(node, name)


def _called(node: ast.AST) -> str:
    """The last part of the name of what is called."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and _called(node) == name


def _refusal(tree: ast.AST) -> str:
    """Why the tests cannot judge a program that lives in another process, if they cannot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = {a.name.partition(".")[0] for a in node.names}
            if isinstance(node, ast.ImportFrom):
                roots = {(node.module or "").partition(".")[0]}
            for root in sorted(roots & _ELSEWHERE):
                return f"the tests use {root}, which the program in its own process cannot share"
        if isinstance(node, ast.Call):
            word = _called(node)
            if word == "open" and isinstance(node.func, ast.Name):
                return "the tests open files, which the program does not see"
        if isinstance(node, ast.Name | ast.Attribute):
            word = node.id if isinstance(node, ast.Name) else node.attr
            if word in _APART and isinstance(node.ctx, ast.Load):
                return f"the tests use {word}, which {_APART[word]}"
            if (
                isinstance(node.ctx, ast.Store)
                and isinstance(node, ast.Attribute)
                and word in _REPLACED
            ):
                return f"the tests replace {word}, which the program does not see"
    return ""


class _Marker(ast.NodeTransformer):
    """Call RAN after every assertion: an assert, a check of unittest or pytest, a guarded raise."""

    def __init__(self) -> None:
        self.count = 0

    def _mark(self, node: ast.AST) -> ast.stmt:
        self.count += 1
        call = ast.Call(func=ast.Name(id=RAN, ctx=ast.Load()), args=[], keywords=[])
        return ast.copy_location(ast.Expr(value=call), node)

    def visit_Assert(self, node: ast.Assert) -> Any:
        """``assert True`` asserts nothing."""
        return node if isinstance(node.test, ast.Constant) else [node, self._mark(node)]

    def visit_Expr(self, node: ast.Expr) -> Any:
        """``self.assertEqual(...)`` and the like."""
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        word = _called(value)
        return [node, self._mark(node)] if word.lower().startswith(("assert", "raises")) else node

    def visit_With(self, node: ast.With | ast.AsyncWith) -> Any:
        """``with pytest.raises(...)``."""
        self.generic_visit(node)
        checks = any(_called(item.context_expr) in _CHECKING for item in node.items)
        return [node, self._mark(node)] if checks else node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> Any:
        """The same."""
        return self.visit_With(node)

    def visit_If(self, node: ast.If) -> Any:
        """``if wrong: raise ...``."""
        guards = any(_gives_up(part) for part in (*node.body, *node.orelse))
        self.generic_visit(node)
        return [self._mark(node), node] if guards else node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> Any:
        """An exception that the tests expect."""
        self.generic_visit(node)
        node.body.insert(0, self._mark(node))
        return node


def _gives_up(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant)
    return isinstance(node, ast.Expr) and _called(node.value) in ("fail", "exit")
