"""Run a whole program: text on standard input, text on standard output."""

from __future__ import annotations

import _sitebuiltins
import _thread
import atexit
import builtins
import contextlib
import gc
import os
import random
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

OK, RAISED, NO_MEMORY = 0, 1, 3
"""Exit status of a script that ended well, raised, or ran out of memory."""


_STACK = 64 << 20
"""The largest thread stack: deeper recursion of Python code takes no stack, only C code does."""


def start_afresh(argv: str = "program") -> None:
    """The same random numbers and arguments for every program, and what `site` would bring."""
    random.seed(0)
    sys.argv = [argv]
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    threading.stack_size = _modest_stack


def _modest_stack(size: int = 0) -> int:
    """`threading.stack_size`, within the memory that a program has."""
    return _thread.stack_size(min(size, _STACK))


def print_error(err: BaseException) -> None:
    """What an interpreter says at its end, shorter: the class and the text of an exception."""
    with contextlib.suppress(BaseException):
        text = f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
        os.write(2, f"{text[-2000:]}\n".encode("utf-8", "backslashreplace"))


def run_source(name: str, source: str, module: types.ModuleType | None = None) -> types.ModuleType:
    """Execute source as the module of that name."""
    module = module or types.ModuleType(name)
    module.__file__ = f"/{name.strip('_')}.py"
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module


def run(job: Mapping[str, Any], stdin: int, output: int) -> None:
    """Run ``job["program"]`` as ``__main__``; ends the process with its status."""
    start_afresh()
    gc.enable()
    os.dup2(stdin, 0)
    os.dup2(output, 1)
    os.close(stdin)
    os.close(output)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    status = OK
    module = types.ModuleType("__main__")
    try:
        run_source("__main__", job["program"], module)
    except SystemExit as end:
        status = OK if end.code is None or end.code == 0 else RAISED
        if status and not isinstance(end.code, int):
            print_error(end)
    except MemoryError as err:
        status = NO_MEMORY
        print_error(err)
    except BaseException as err:
        status = RAISED
        print_error(err)
    _leave(status, module)


def _flush(stream: Any) -> None:
    if stream is not None and not stream.closed:
        stream.flush()


def _leave(status: int, module: types.ModuleType) -> None:
    """End as an interpreter does: threads joined, handlers run, objects dropped, output flushed.

    A stream that the program closed is left alone.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        _flush(sys.stdout)
        module.__dict__.clear()
        _flush(sys.__stdout__)
    except BaseException as err:
        print_error(err)
        status = status or RAISED
    with contextlib.suppress(BaseException):
        sys.stderr.flush()
    os._exit(status)
