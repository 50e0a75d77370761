"""The server inside a sandbox: one trusted process that forks a walled child for every job.

The server never holds a job: it reads the limits, forks, and the child reads the rest. What the
child writes goes through one buffer, which is wiped. So a job leaves nothing to the next one:
neither memory nor files nor processes.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from grpolab.validate.sandbox.child import confine, frames, scratch, script, serve, trial
from grpolab.validate.sandbox.child.watch import READY, End, Watch

PRELOADED = (
    "abc", "bisect", "collections.abc", "contextlib", "copy", "dataclasses", "datetime", "enum",
    "functools", "heapq", "io", "itertools", "math", "operator", "random", "re", "string",
    "threading", "time", "types", "typing",
)  # fmt: skip
"""Modules that programs import most, so that each of them need not; every page costs each fork."""
_GIVEN, _OUTPUT, _RULES = 50, 51, 52
"""File descriptors of a child: its channel or standard input, its output, its landlock rules."""
_ERRORS = 2

_KINDS: Mapping[str, Callable[[Mapping[str, Any], int, int], None]] = {
    "serve": serve.run,
    "trial": trial.run,
    "script": script.run,
}


class Walls(NamedTuple):
    """What surrounds every child: the level, what may be read, and the folder it may write to."""

    level: str
    readable: tuple[str, ...]
    listable: tuple[str, ...]
    scratch: str


def main(walls: Walls) -> None:
    """Serve until the control socket, standard input, closes."""
    confine.require_linux()
    if walls.level == "bubblewrap":
        confine.leave_root()
        _enter_namespaces()
    if walls.level == "landlock":
        rules = confine.file_rules(walls.readable, walls.listable, walls.scratch)
        os.dup2(rules, _RULES)
        os.close(rules)
    for name in PRELOADED:
        __import__(name)
    if walls.level == "bubblewrap":
        confine.seccomp_program(os.uname().machine, 1)  # the pid of every child
    gc.collect()
    gc.freeze()
    home = os.pidfd_open(os.getpid())
    control = socket.socket(fileno=0)
    buffer = bytearray(1 << 16)
    while True:
        try:
            head, fds = frames.receive_job(control)
        except frames.Broken:
            sys.exit(0)
        end = _one_job(walls, head, fds, home, buffer)
        if walls.scratch:
            scratch.empty(walls.scratch)
        last = json.dumps(end._asdict()).encode("ascii")
        frames.write_all(0, bytes(4) + len(last).to_bytes(4, "big") + last)


def _one_job(walls: Walls, head: bytes, fds: Sequence[int], home: int, buffer: bytearray) -> End:
    """Fork a child for a job, and watch it."""
    kind, limits = json.loads(head)
    reader, writer = os.pipe()
    errors = os.memfd_create("errors")
    pid = _fork(walls, home)
    if pid == 0:
        _child(walls, limits, fds, writer, errors)
    os.close(writer)
    if kind != "serve":  # only a program ends with its channel; tests report what they miss
        _close(fds)
    channels = fds if kind == "serve" else []
    watch = Watch(
        pid, reader, channels, errors, limits, buffer, walls.scratch,
        walled=walls.level != "unsafe",
    )  # fmt: skip
    try:
        return watch.wait()
    finally:
        os.close(errors)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _enter_namespaces() -> None:
    """Go on as the first process of a pid namespace that this process may leave and re-enter."""
    confine.unshare(confine.CLONE_NEWUSER | confine.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _fork(walls: Walls, home: int) -> int:
    """Fork; with namespaces, into a fresh pid namespace, where the child sees itself alone."""
    if walls.level != "bubblewrap":
        return os.fork()
    confine.unshare(confine.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        confine.enter(home, confine.CLONE_NEWPID)
    return pid


def _text_file(text: str) -> int:
    """A file in memory that holds the text, at its beginning."""
    fd = os.memfd_create("stdin")
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _child(
    walls: Walls, limits: Mapping[str, Any], fds: Sequence[int], output: int, errors: int
) -> None:
    """Read the job, put up the walls, say so with one byte, and run the job; never returns."""
    try:
        job = {**json.loads(frames.read_frame(0, cap=1 << 30)), "limits": limits}
        os.dup2(fds[0] if fds else _text_file(job["stdin"]), _GIVEN)
        output = os.dup2(output, _OUTPUT)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(errors, _ERRORS)
        os.closerange(3, _GIVEN)
        os.closerange(_RULES + 1, 1024)
        _wall_in(walls, limits)
        os.write(_OUTPUT, READY)
    except BaseException as err:
        os.write(output, f"{type(err).__name__}: {err}".encode())
        os._exit(70)
    try:
        _KINDS[job["kind"]](job, _GIVEN, _OUTPUT)
    except BaseException:
        os._exit(71)
    os._exit(0)


def _wall_in(walls: Walls, limits: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if walls.scratch:
        os.environ["TMPDIR"] = walls.scratch
    spaced = walls.level == "bubblewrap"
    confine.set_limits(
        cpu_seconds=limits["cpu_seconds"],
        memory_bytes=limits["memory_bytes"],
        file_bytes=limits["scratch_bytes"],
        threads=limits["threads"] if spaced else None,
    )
    if walls.level == "unsafe":
        return
    if walls.level == "landlock":
        confine.restrict_files(_RULES)
        os.close(_RULES)
    confine.drop_capabilities()
    confine.filter_calls()
