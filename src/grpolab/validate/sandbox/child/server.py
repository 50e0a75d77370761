"""The server inside a sandbox: one trusted process that forks a walled child for every job.

The server never holds a job: it reads the limits, and the child reads the rest. Each child is
forked from the same clean state, one ahead of its job, before it knows what that will be. What a
child writes goes through one buffer, which is wiped. So a job leaves nothing to the next one:
neither memory nor files nor processes. Tests that are known to leave nothing (`pure`) may be run
by one process, one suite after another, each with a channel of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from grpolab.validate.sandbox.child import confine, frames, scratch
from grpolab.validate.sandbox.child.watch import CONTROL, READY, STAYS, Watch

PRELOADED = (
    "abc", "bisect", "collections.abc", "contextlib", "copy", "dataclasses", "datetime", "enum",
    "functools", "heapq", "io", "itertools", "math", "operator", "random", "re", "string",
    "threading", "time", "types", "typing",
)  # fmt: skip
"""Modules that programs import most, so that each of them need not; every page costs each fork."""
SPARES = 6
"""Children that are forked at once: after each fork the server pays for every page it touches."""
REUSES = 64
"""Suites that leave nothing which one process runs, unless memory or time make it too many."""
_GROWTH, _AGE = 32 << 10, 10.0
"""KiB of memory and seconds of processor time after which such a process is at its end."""
_GIVEN, _OUTPUT, _RULES = 50, 51, 52
"""File descriptors of a child: its channel or standard input, its output, its landlock rules. After
them comes the owner's socket, CONTROL, from which it reads its job and which it then closes."""
_ERRORS = 2

_KINDS: Mapping[str, Mapping[str, str]] = {
    "programs": {"serve": "serve", "script": "script"},
    "tests": {"trial": "trial"},
}
"""What a server of each role runs: kind of job -> module with the function ``run``."""


Run = Callable[[Mapping[str, Any], int, int], None]
Kinds = Mapping[str, Run]


class Walls(NamedTuple):
    """What surrounds every child: the level, what may be read, and the folder it may write to.

    ``role``: whether the children are programs or tests.
    """

    level: str
    role: str
    readable: tuple[str, ...]
    listable: tuple[str, ...]
    scratch: str


def main(walls: Walls) -> None:
    """Serve until the control socket, standard input, closes; leave no folder behind."""
    try:
        _serve(walls)
    except (frames.Broken, ConnectionError):  # the owner is gone, before it could clean up
        if walls.scratch and walls.level != "bubblewrap":
            with contextlib.suppress(OSError):
                scratch.empty(walls.scratch)
                os.rmdir(walls.scratch)


def _serve(walls: Walls) -> NoReturn:
    confine.require_linux()
    if walls.level == "bubblewrap":
        if walls.scratch:
            os.chmod(walls.scratch, 0o700 if os.geteuid() else 0o1777)  # root leaves it to nobody
        confine.leave_root()
        _enter_namespaces()
    if walls.level == "landlock":
        rules = confine.file_rules(walls.readable, walls.listable, walls.scratch)
        os.dup2(rules, _RULES)
        os.close(rules)
    os.dup2(0, CONTROL)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    os.close(null)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if walls.scratch:
        os.environ["TMPDIR"] = walls.scratch
    for name in PRELOADED:
        __import__(name)
    kinds = {
        kind: importlib.import_module(f"grpolab.validate.sandbox.child.{module}").run
        for kind, module in _KINDS[walls.role].items()
    }
    if walls.level == "bubblewrap":
        confine.prepare_filter(1, receives=walls.role == "tests")  # the pid of every child
        confine.prepare_filter(1)
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection touches pages that every child then has to copy
    home = os.pidfd_open(os.getpid())
    control = socket.socket(fileno=CONTROL)
    buffer = bytearray(1 << 16)
    spares = [_make_spare(walls, kinds, home)]
    kept: list[_Spare] = []
    while True:
        head, fds = frames.receive_job(control)
        kind, limits, stays = json.loads(head)
        child = kept.pop() if stays and kept else spares.pop()
        frames.send_job(child.line, head, fds)
        if kind != "serve":  # only a program ends with its channel; tests report what they miss
            _close(fds)
        if not spares:  # while the child reads its job
            spares = [_make_spare(walls, kinds, home) for _ in range(SPARES)]
        watch = Watch(
            child.pid, child.reader, fds if kind == "serve" else [], child.errors, limits, buffer,
            walls.scratch, child.line, walled=walls.level != "unsafe", stays=stays,
        )  # fmt: skip
        end = watch.wait()
        if end.how == "stays":
            kept.append(child)
        else:
            os.close(child.errors)
        if walls.scratch:
            scratch.empty(walls.scratch)
        last = json.dumps(end._asdict()).encode("ascii")
        frames.write_all(CONTROL, bytes(4) + len(last).to_bytes(4, "big") + last)


class _Spare(NamedTuple):
    """A child that waits for its job, and the server's ends of what leads to it."""

    pid: int
    line: socket.socket
    reader: int
    errors: int


def _make_spare(walls: Walls, kinds: Kinds, home: int) -> _Spare:
    """Fork a child ahead of its job: it holds what the server holds, and that is nothing."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    reader, writer = os.pipe()
    errors = os.memfd_create("errors")
    pid = _fork(walls, home)
    if pid == 0:
        _child(walls, kinds, theirs.detach(), writer, errors)
    theirs.close()
    os.close(writer)
    return _Spare(pid, ours, reader, errors)


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


_raw_fork = ctypes.PyDLL(None).fork
"""`os.fork` runs hooks that cost more than the fork; with one thread there is nothing for them."""


def _fork(walls: Walls, home: int) -> int:
    """Fork; with namespaces, into a fresh pid namespace, where the child sees itself alone."""
    spaced = walls.level == "bubblewrap"
    if spaced:
        confine.unshare(confine.CLONE_NEWPID)
    pid = int(_raw_fork())
    if pid < 0:
        raise OSError("fork failed")
    if pid and spaced:
        confine.enter(home, confine.CLONE_NEWPID)
    return pid


def _text_file(text: str) -> int:
    """A file in memory that holds the text, at its beginning."""
    fd = os.memfd_create("stdin")
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _child(walls: Walls, kinds: Kinds, line: int, output: int, errors: int) -> None:
    """Put up the walls, wait for a job, say so with one byte, and run it; never returns."""
    try:
        for fd, place in ((line, _GIVEN), (output, _OUTPUT), (errors, _ERRORS)):
            os.dup2(fd, place)
        os.closerange(3, _GIVEN)
        os.closerange(CONTROL + 1, 1024)
        _wall_in(walls)
        own = socket.socket(fileno=_GIVEN)
        head, fds = frames.receive_job(own)
        kind, limits, stays = json.loads(head)
        job = _read_job(limits)
        if not stays:
            os.close(CONTROL)
        given = fds[0] if fds else _text_file(job["stdin"])
        _limit(walls, limits, stays=stays)
        os.write(_OUTPUT, READY)
        if stays:
            _run_many(kinds[kind], own, job, given)
        if walls.level == "unsafe":
            own.recv(1)
        os.dup2(given, own.detach())
        os.close(given)
    except frames.Broken:  # the server is gone before there was a job
        os._exit(0)
    except BaseException as err:
        os.write(_OUTPUT, f"{type(err).__name__}: {err}".encode())
        os._exit(70)
    try:
        kinds[kind](job, _GIVEN, _OUTPUT)
    except BaseException:
        os._exit(71)
    os._exit(0)


def _read_job(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {**json.loads(frames.read_frame(CONTROL, cap=1 << 30)), "limits": limits}


def _run_many(run: Run, line: socket.socket, job: Mapping[str, Any], channel: int) -> NoReturn:
    """Run jobs that leave nothing, one after another, each with a channel of its own."""
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for left in reversed(range(REUSES)):
        run(job, channel, _OUTPUT)
        os.close(channel)
        used = resource.getrusage(resource.RUSAGE_SELF)
        if not left or used.ru_maxrss > begun + _GROWTH or used.ru_utime + used.ru_stime > _AGE:
            break
        os.write(_OUTPUT, STAYS)
        head, (channel,) = frames.receive_job(line)
        job = _read_job(json.loads(head)[1])
        os.write(_OUTPUT, READY)
    os._exit(0)


def _wall_in(walls: Walls) -> None:
    """What can be put up before the job is there."""
    if walls.level == "landlock":
        confine.restrict_files(_RULES)
        os.close(_RULES)
    if walls.level != "unsafe":
        confine.drop_capabilities()


def _limit(walls: Walls, limits: Mapping[str, Any], *, stays: bool) -> None:
    """Limits, and the filter of system calls, after which only one that ``stays`` is given more."""
    confine.set_limits(
        cpu_seconds=limits["cpu_seconds"] + _AGE * stays,
        memory_bytes=limits["memory_bytes"],
        file_bytes=limits["scratch_bytes"],
        threads=limits["threads"] + SPARES if walls.level == "bubblewrap" else None,
    )
    if walls.level != "unsafe":
        confine.filter_calls(receives=stays)
