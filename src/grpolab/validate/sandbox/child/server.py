"""The server inside a sandbox: one trusted process that forks a walled child for every job.

The server never holds a job: it reads the limits, forks, and the child reads the rest. What the
child writes goes through one buffer, which is wiped. So a job leaves nothing to the next one:
neither memory nor files nor processes.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from grpolab.validate.sandbox.child import confine, frames, script, serve, trial

TICK = 0.05
"""Seconds between two looks at a child's CPU clock."""
PRELOADED = (
    "abc", "argparse", "array", "bisect", "calendar", "cmath", "collections.abc", "contextlib",
    "copy", "csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "hashlib", "heapq", "inspect", "io", "itertools", "json", "math", "numbers", "operator",
    "pprint", "queue", "random", "re", "statistics", "string", "textwrap", "threading", "time",
    "traceback", "types", "typing", "unicodedata", "unittest", "uuid",
)  # fmt: skip
"""Modules that programs import most, so that each of them need not."""
READY = b"R"
_GIVEN, _OUTPUT, _RULES = 50, 51, 52
"""File descriptors of a child: its channel or standard input, its output, its landlock rules."""

_KINDS: Mapping[str, Callable[[Mapping[str, Any], int, int], None]] = {
    "serve": serve.run,
    "trial": trial.run,
    "script": script.run,
}


class Walls(NamedTuple):
    """What surrounds every child: the level and what may be read at the landlock level."""

    level: str
    readable: tuple[str, ...]
    listable: tuple[str, ...]


class End(NamedTuple):
    """How a child ended: how, exit code or signal, CPU and wall seconds, peak memory in bytes."""

    how: str  # exit, signal, cpu, wall, output, stopped, unready
    code: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def main(walls: Walls) -> None:
    """Serve until the control socket, standard input, closes."""
    confine.require_linux()
    if walls.level == "bubblewrap":
        confine.leave_root()
        _enter_namespaces()
    if walls.level == "landlock":
        os.dup2(confine.file_rules(walls.readable, walls.listable), _RULES)
    for name in PRELOADED:
        __import__(name)
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
        kind, limits = json.loads(head)
        reader, writer = os.pipe()
        pid = _fork(walls, home)
        if pid == 0:
            _child(walls, limits, fds, writer)
        os.close(writer)
        if kind != "serve":  # only a program ends with its channel; tests report what they miss
            _close(fds)
        end = _Watch(pid, reader, fds if kind == "serve" else [], limits, buffer).wait()
        frames.write_frame(0, b"")
        frames.write_frame(0, json.dumps(end._asdict()).encode("ascii"))


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


def _child(walls: Walls, limits: Mapping[str, Any], fds: Sequence[int], output: int) -> None:
    """Read the job, put up the walls, say so with one byte, and run the job; never returns."""
    try:
        job = {**json.loads(frames.read_frame(0, cap=1 << 30)), "limits": limits}
        os.dup2(fds[0] if fds else _text_file(job["stdin"]), _GIVEN)
        output = os.dup2(output, _OUTPUT)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
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
    spaced = walls.level == "bubblewrap"
    confine.set_limits(
        cpu_seconds=limits["cpu_seconds"],
        memory_bytes=limits["memory_bytes"],
        threads=limits["threads"] if spaced else None,
    )
    if walls.level == "unsafe":
        return
    if walls.level == "landlock":
        confine.restrict_files(_RULES)
        os.close(_RULES)
    confine.drop_capabilities()
    confine.filter_calls()


def _cpu_seconds(pid: int) -> float:
    """CPU time of a whole process, its threads included; 0 once it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class _Watch:
    """The watch over one child: its output, its clocks, and the hearers of both."""

    def __init__(
        self,
        pid: int,
        reader: int,
        channels: Sequence[int],
        limits: Mapping[str, Any],
        buffer: bytearray,
    ) -> None:
        self._pid, self._reader, self._channels = pid, reader, channels
        self._limits, self._buffer = limits, buffer
        self._exited = os.pidfd_open(pid)
        self._written = 0
        self._ready = False

    def wait(self) -> End:
        """Wait for the child, or for the first limit that it breaks; kill it, and say which."""
        started = time.monotonic()
        poll = select.poll()
        poll.register(0, 0)
        poll.register(self._exited, select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        for channel in self._channels:
            poll.register(channel, select.POLLRDHUP)
        how = ""
        while not how:
            events = dict(poll.poll(TICK * 1000))
            if 0 in events:  # the owner is gone
                os.kill(self._pid, signal.SIGKILL)
                os._exit(1)
            if self._reader in events and not self._forward():
                poll.unregister(self._reader)
            how = self._reason(events, time.monotonic() - started)
        _close(self._channels)
        return self._finish(how, started)

    def _reason(self, events: Mapping[int, int], elapsed: float) -> str:
        """Why to stop waiting, if at all."""
        if self._exited in events:
            return "exit"
        if any(channel in events for channel in self._channels):
            return "stopped"
        if self._written > self._limits["output_bytes"]:
            return "output"
        if _cpu_seconds(self._pid) > self._limits["cpu_seconds"]:
            return "cpu"
        return "wall" if elapsed > self._limits["wall_seconds"] else ""

    def _forward(self) -> int:
        """Pass on what the child wrote, then wipe it; how many bytes."""
        size = os.readv(self._reader, [self._buffer])
        if size:
            self._ready = self._ready or self._buffer.startswith(READY)
            self._written += size
            with memoryview(self._buffer) as view:
                frames.write_frame(0, view[:size])
            self._buffer[:size] = bytes(size)
        return size

    def _finish(self, how: str, started: float) -> End:
        if how != "exit":
            os.kill(self._pid, signal.SIGKILL)
        _, status, usage = os.wait4(self._pid, 0)
        elapsed = time.monotonic() - started
        while how == "exit" and self._forward():
            how = "output" if self._written > self._limits["output_bytes"] else how
        os.close(self._reader)
        os.close(self._exited)
        code = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        if how == "exit" and code < 0:
            late = -code in (signal.SIGXCPU, signal.SIGKILL) and cpu > self._limits["cpu_seconds"]
            how, code = ("cpu" if late else "signal"), -code
        if not self._ready:
            how = "unready"
        return End(how, code, cpu, elapsed, usage.ru_maxrss * 1024)
