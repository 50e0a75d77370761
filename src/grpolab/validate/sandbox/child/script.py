"""Run a whole program: text on standard input, text on standard output."""

from __future__ import annotations

import atexit
import os
import random
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

OK, RAISED, NO_MEMORY = 0, 1, 3
"""Exit status of a script that ended well, raised, or ran out of memory."""


def start_afresh(argv: str = "program") -> None:
    """The same random numbers and arguments for every program."""
    random.seed(0)
    sys.argv = [argv]


def run_source(name: str, source: str) -> types.ModuleType:
    """Execute source as the module of that name."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module


def run(job: Mapping[str, Any], stdin: int, output: int) -> None:
    """Run ``job["program"]`` as ``__main__``; ends the process with its status."""
    start_afresh()
    os.dup2(stdin, 0)
    os.dup2(output, 1)
    os.close(stdin)
    os.close(output)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    status = OK
    try:
        run_source("__main__", job["program"])
    except SystemExit as end:
        status = OK if end.code is None or end.code == 0 else RAISED
    except MemoryError:
        status = NO_MEMORY
    except BaseException:
        status = RAISED
    _leave(status)


def _leave(status: int) -> None:
    """End as an interpreter does: threads joined, exit handlers run, output flushed."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        status = status or RAISED
    os._exit(status)
