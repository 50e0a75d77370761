"""Find out what works here: a level counts only if its walls hold when something pushes."""

from __future__ import annotations

import functools
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.sandbox.jobs import CaseTests, Job, Limits, Outcome
from grpolab.validate.sandbox.levels import Level, is_installed
from grpolab.validate.sandbox.pair import Pair

_PROGRAM = """
import fcntl, os, socket

def own(pid):
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
    return True

def send(kind, address):
    ours, _ = socket.socketpair(socket.AF_UNIX, kind)
    return ours.sendto(b"x", address)

def attempts(secret, target, pid, address):
    def tried(action):
        try:
            return bool(action())
        except OSError:
            return False
    return [
        tried(lambda: open(secret).read()),
        tried(lambda: open(target, "w")),
        tried(lambda: os.open("/made", os.O_CREAT | os.O_WRONLY)),
        tried(lambda: socket.socket()),
        tried(lambda: os.fork() or os._exit(0)),
        tried(lambda: os.execv("/bin/true", ["true"]) or True),
        tried(lambda: os.kill(pid, 0) or True),
        tried(lambda: own(pid)),
        tried(lambda: send(socket.SOCK_DGRAM, address)),
        tried(lambda: send(socket.SOCK_DGRAM, "\\0" + address)),
    ]
"""
_WALLS = ("reading a file", "writing a file", "making a file", "opening a socket",
          "starting a process", "running a program", "signalling its owner",
          "signalling through a file", "sending to a socket",
          "sending to an abstract socket")  # fmt: skip


@functools.cache
def broken_walls(level: Level) -> str:
    """What a program can do at this level that it must not; empty when every wall stands."""
    if not is_installed(level):
        return "bwrap is not installed"
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract,
    ):
        secret = Path(folder) / "secret"
        secret.write_text("secret")
        secret.chmod(0o666)
        Path(folder).chmod(0o777)
        address = str(Path(folder) / "socket")
        named.bind(address)
        abstract.bind(f"\0{address}")
        args = [str(secret), str(Path(folder) / "made"), os.getpid(), address]
        pair = Pair(level, Limits())
        try:
            for i, wall in enumerate(_WALLS):
                program = f"{_PROGRAM}\ndef wall(*a):\n    return attempts(*a)[{i}]\n"
                tests = CaseTests(cases=[(args, False)], entry_point="wall")
                result = pair.run(Job(program, tests))
                if result.outcome is not Outcome.PASS:
                    return f"{wall}: {result.outcome} {result.detail}".strip()
        finally:
            pair.close()
    return ""


def choose_level(wanted: Level | None = None, *, unsafe: bool = False) -> Level:
    """The strongest level whose walls stand, or the wanted one; UserError when there is none.

    ``unsafe`` allows, as the last resort or when wanted, a level without walls, at which neither
    verdicts nor the machine are safe from a program.
    """
    if wanted is Level.UNSAFE and not unsafe:
        raise UserError(
            "the unsafe level runs code without walls, which can forge its verdict and change the"
            " machine: allow it explicitly (unsafe)"
        )
    order: Sequence[Level] = [wanted] if wanted else [Level.BUBBLEWRAP, Level.LANDLOCK]
    reasons = []
    for level in order:
        reason = "" if level is Level.UNSAFE else broken_walls(level)
        if not reason:
            return level
        reasons.append(f"{level}: {reason}")
    if unsafe and wanted is None:
        return Level.UNSAFE
    raise UserError(
        f"no sandbox works here ({'; '.join(reasons)}); install bubblewrap and allow user"
        " namespaces, or allow the unsafe level"
    )
