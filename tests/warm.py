"""The command line from a process that has loaded it: what a page runs costs its work alone.

``commands`` starts a server, which imports the package once, and gives a folder with a program
``grpolab``. Each call of that program is a process of its own, with the arguments, the folder, the
environment and the streams of its caller, forked from the server. Python starts and imports are
most of a second for each command otherwise.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

PROGRAM = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
server.sendall(asked)
sys.exit(int(server.recv(16) or 1))
"""
LEFT_OUT = ("__main__", "symbolic", "sandbox", "inspect_reducer")
"""Modules that run when they are imported, or that no command of the core needs."""


@contextlib.contextmanager
def commands() -> Iterator[Path]:
    """A folder for the front of PATH, whose ``grpolab`` is served until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder, "socket"))
        program = Path(folder, "grpolab")
        program.write_text(PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o755)
        words = [sys.executable, "-P", __file__, address]  # tests/vllm is no package vllm
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield Path(folder)
            server.stdin.close()


def serve(address: str) -> None:
    """Answer calls until standard input ends."""
    load()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"ready\n")
        while sys.stdin.buffer not in select.select([listener, sys.stdin.buffer], [], [])[0]:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                status = run(caller)
                caller.sendall(str(status).encode())
                os._exit(status)
            caller.close()
            with contextlib.suppress(ChildProcessError):  # calls that have ended
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def load() -> None:
    """Import what commands import; none of it loads torch."""
    import grpolab

    for module in pkgutil.walk_packages(grpolab.__path__, "grpolab."):
        if not any(name in module.name for name in LEFT_OUT):
            importlib.import_module(module.name)
    for name in ("matplotlib.figure", "pyarrow.csv", "pyarrow.parquet", "rich.table"):
        importlib.import_module(name)
    gc.freeze()


def run(caller: socket.socket) -> int:
    """One call, in this process; its exit status."""
    head, streams, _, _ = socket.recv_fds(caller, 4, 3)
    with caller.makefile("rb") as rest:
        arguments, folder, environment = json.loads(rest.read(int.from_bytes(head, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace")
    try:
        importlib.import_module("grpolab.cli").main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
