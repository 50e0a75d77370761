"""Instances of the program's subclasses of plain types: they compare as the plain type does."""

from __future__ import annotations

import functools
import keyword
from collections import deque, namedtuple
from collections.abc import Callable
from typing import Any

from grpolab.validate.sandbox.child.standins import Remote


def ask_attribute(value: Any, name: str) -> Any:
    """An attribute that the plain type does not have, asked of the program."""
    if name.startswith("__"):
        raise AttributeError(name)
    remote = value._grpolab_remote
    return remote._program.ask("getattr", remote, name)


@functools.cache
def _named(name: str, fields: tuple[str, ...]) -> Any:
    if len(fields) > 200 or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError("no named tuple")
    return namedtuple(name, fields)


@functools.cache
def _subclass(base: Any, shown: bool) -> Any:
    body: dict[str, Any] = {"__getattr__": ask_attribute, "__hash__": base.__hash__}
    if shown:
        for action in ("str", "repr"):
            body[f"__{action}__"] = functools.partialmethod(_ask_text, action)
    if base in _CHANGING:
        body |= {n: _fresh(base, n) for n in dir(base) if _is_method(base, n)}
    return type(base.__name__, (base,), body)


def _ask_text(value: Any, action: str) -> str:
    remote: Remote = value._grpolab_remote
    return remote._program.exact(str, action, remote)


_CHANGING = (list, dict, set)
_WITHOUT = ("__new__", "__init__", "__getattribute__", "__setattr__", "__delattr__", "__class__",
            "__init_subclass__", "__subclasshook__", "__class_getitem__", "__dir__", "__doc__",
            "__hash__", "__reduce__", "__reduce_ex__", "__getstate__", "__sizeof__", "__new__",
            "__format__")  # fmt: skip
_CHANGES = frozenset(
    "append extend insert pop remove clear sort reverse update add discard popitem setdefault"  # noqa: SIM905
    " __setitem__ __delitem__ __iadd__ __ior__ __iand__ __isub__ __ixor__ difference_update"
    " intersection_update symmetric_difference_update".split()
)


def _is_method(base: type, name: str) -> bool:
    return name not in _WITHOUT and callable(getattr(base, name))


def _fresh(base: type, name: str) -> Callable[..., Any]:
    """A method of a container that first looks whether the program has changed it since.

    What the container holds changes between two calls of the program only; in between it stays.
    """
    plain: Callable[..., Any] = getattr(base, name)

    def method(value: Any, *args: Any, **kwargs: Any) -> Any:
        remote = value._grpolab_remote
        if name in _CHANGES:
            answer = remote._program.ask("method", remote, name, list(args), kwargs)
            renew(value)
            return value if name.startswith("__i") else answer
        if value._grpolab_seen != remote._program.calls:
            renew(value)
        try:
            return plain(value, *args, **kwargs)
        except (LookupError, TypeError):
            if name != "__getitem__":
                raise
            return remote._program.ask("getitem", remote, *args)  # it may have its own keys

    return method


def renew(value: Any) -> None:
    """Fetch what a container of the program holds now."""
    remote = value._grpolab_remote
    now = remote._program.ask("plain", remote)
    if isinstance(value, type(now)) and type(now) in _CHANGING:
        _fill(value, now)
    value.__dict__["_grpolab_seen"] = remote._program.calls


def special(program: Any, plain: Any, remote: Remote, fields: Any, name: str, shown: bool) -> Any:
    """A plain value that remembers which object of the program it is."""
    base: Any = type(plain)
    if fields:
        base = _named(name, tuple(fields))
        value = _subclass(base, shown)(*plain)
    elif base in _CHANGING:
        value = _subclass(base, shown)()
        _fill(value, plain)
    else:
        value = _subclass(base, shown)(plain)
    vars(value).update(_grpolab_remote=remote, _grpolab_seen=program.calls)
    return value


def _fill(value: Any, content: Any) -> None:
    """Give a container its content, by the methods of the plain type."""
    if isinstance(value, list):
        list.__setitem__(value, slice(None), content)
    elif isinstance(value, dict):
        dict.clear(value)
        dict.update(value, content)
    else:
        set.clear(value)
        set.update(value, content)


def overwrite(old: Any, new: Any) -> None:
    """Give a mutable container the content of another, and keep the containers in it."""
    if type(old) is not type(new) or old is new:
        return
    if type(old) is list:
        first = [_kept(a, b) for a, b in zip(old, new, strict=False)]
        old[:] = first + new[len(first) :]
    elif isinstance(old, dict):
        kept = dict(old)
        old.clear()
        dict.update(old, {k: _kept(kept[k], v) if k in kept else v for k, v in new.items()})
    elif type(old) in (set, deque):
        old.clear()
        old.extend(new) if type(old) is deque else old.update(new)
    elif type(old) is bytearray:
        old[:] = new
    elif hasattr(old, "getvalue"):
        old.seek(0)
        old.truncate()
        old.write(new.getvalue())
        old.seek(new.tell())


def _kept(old: Any, new: Any) -> Any:
    if type(old) is not type(new) or type(old) not in (list, dict, set, deque):
        return new
    overwrite(old, new)
    return old
