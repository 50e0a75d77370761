"""Tests that leave nothing behind, and the calls that they make whatever the answers are.

Both are read from the source of the tests, never from a program, and what is not certain is no.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from grpolab.validate.sandbox.child.values import dumps, encode

_BUILTINS = frozenset(dir(builtins))
_PURE = frozenset(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter"  # noqa: SIM905
    " float format frozenset hasattr hash hex id int isinstance issubclass iter len list map max"
    " min next oct ord pow print range repr reversed round set slice sorted str sum tuple zip"
    " Ellipsis NotImplemented".split()
) | {name for name in _BUILTINS if isinstance(getattr(builtins, name), type)
     and issubclass(getattr(builtins, name), BaseException)}  # fmt: skip
"""Builtins that change nothing but their arguments, and reach no name by its text."""
_WHOLE = frozenset({"itertools", "math", "random"})
"""Modules without a public name that leads further; random numbers begin anew in every suite."""
_PARTS: Mapping[str, frozenset[str]] = {
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque"}),
    "copy": frozenset({"copy", "deepcopy"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta"}),
    "fractions": frozenset({"Fraction"}),
    "functools": frozenset({"reduce"}),
    "typing": frozenset({"Any", "Callable", "Dict", "FrozenSet", "Iterable", "Iterator", "List",
                         "Optional", "Sequence", "Set", "Tuple", "Union"}),
}  # fmt: skip
_FRAMES = ("gi_", "cr_", "ag_", "tb_", "f_", "co_", "func_")
"""How attributes begin that lead from a generator or a function to its frame and its globals."""
_NEVER = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await, ast.ClassDef, ast.Global,
          ast.Nonlocal)  # fmt: skip


def leaves_nothing(*trees: ast.AST) -> bool:
    r"""Whether sources change nothing in the process that runs them, so that it can run others.

    They define functions and compute. They may not name a builtin beyond those that compute,
    assign an attribute, read one that begins with an underscore or leads to a frame, define a
    class, or import more than a few names of the library.

    >>> leaves_nothing(ast.parse("def check(f):\n    assert f([1]) == 1"))
    True
    >>> leaves_nothing(ast.parse("import sys\nassert f(sys.argv) == 1"))
    False
    """
    return all(_harmless(node) for tree in trees for node in ast.walk(tree))


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Load) and not node.attr.startswith(("_", *_FRAMES))
    if isinstance(node, ast.Name):
        return _is_plain(node.id)
    if isinstance(node, ast.arg):
        return _is_plain(node.arg)
    if isinstance(node, ast.FunctionDef):
        return _is_plain(node.name)
    if isinstance(node, ast.Import):
        return all(alias.name in _WHOLE and _is_plain(alias.asname or "") for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        known = _PARTS.get(node.module or "", frozenset())
        return all(a.name in known and _is_plain(a.asname or "") for a in node.names)
    return not isinstance(node, _NEVER)


def _is_plain(name: str) -> bool:
    return not name.startswith("__") and (name not in _BUILTINS or name in _PURE)


Call = tuple[str, list[Any]]
"""A name of the program, and the arguments as they cross the wall."""


def certain_calls(
    tree: ast.Module, entry_point: str, asked: Collection[str], defined: Collection[str]
) -> list[Call]:
    r"""The calls of the program that the tests make in this order as long as no assertion fails.

    Empty unless the tests are a row of asserts, at the top or in a ``check(candidate)``, in which
    every call of the program has literal arguments and is reached without a condition. ``asked``
    are the names that the tests ask for, ``defined`` those that their context defines.

    >>> certain_calls(ast.parse("assert f(1, [2]) == 3 and f(4) == 5"), "", ["f"], [])
    []
    >>> tests = ast.parse("assert f(1, [2]) == 3\nassert abs(f(4) - 5) < 1")
    >>> certain_calls(tests, "", ["f"], [])
    [('f', [1, [2]]), ('f', [4])]
    """
    if _APPLIED & {*asked, *defined}:
        return []
    body = [node for node in tree.body if not _says_nothing(node)]
    names: dict[str, str] = {}
    checks = [node for node in body if isinstance(node, ast.FunctionDef)]
    if checks:
        if len(body) > 1 or checks[0].name != "check" or not entry_point:
            return []
        arguments = checks[0].args
        if len(arguments.args) != 1 or ast.dump(arguments).count("arg(") != 1:
            return []
        names[arguments.args[0].arg] = entry_point
        body = [node for node in checks[0].body if not _says_nothing(node)]
        if checks[0].decorator_list:
            return []
    calls: list[Call] = []
    for node in body:
        if not isinstance(node, ast.Assert) or not _collect(node.test, names, calls):
            return []
    return calls if all(name in asked for name, _ in calls) else []


def _says_nothing(node: ast.stmt) -> bool:
    """A text, ``pass``, ``assert True``, or a name that is given a literal (METADATA)."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    if isinstance(node, ast.Assign):
        (target, *more) = node.targets
        return not more and isinstance(target, ast.Name) and target.id.isupper() and (
            _literal(node.value) is not _NONE
        )  # fmt: skip
    return isinstance(node, ast.Pass)


_NONE = object()
_OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Tuple, ast.List, ast.Set, ast.operator,
              ast.unaryop, ast.cmpop, ast.expr_context, ast.Constant)  # fmt: skip
_APPLIED = frozenset({"abs", "len", "round", "set", "tuple", "list", "float", "int", "str", "bool"})


def _collect(node: ast.AST, names: Mapping[str, str], calls: list[Call]) -> bool:
    """Add the calls of an expression in the order of evaluation; whether all are certain."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        name = node.func.id
        if name in _APPLIED and name not in names:
            return all(_collect(inner, names, calls) for inner in node.args)
        args = [_literal(inner) for inner in node.args]
        if name in _BUILTINS or (names and name not in names) or _NONE in args:
            return False
        try:
            sent = [encode(value) for value in args]
        except (TypeError, ValueError, RecursionError):
            return False
        calls.append((names.get(name, name), sent))
        return are_stable(sent)
    if isinstance(node, ast.Compare) and len(node.ops) > 1:  # the second half may not be reached
        return False
    if not isinstance(node, _OPERATORS):
        return False
    return all(_collect(inner, names, calls) for inner in ast.iter_child_nodes(node))


def are_stable(args: Sequence[Any]) -> bool:
    """Whether encoded arguments are the same text in every process: no sets, and no NaN."""
    text = dumps(args)
    return not any(word in text for word in (b'"set"', b'"frozenset"', b"NaN"))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NONE
