"""The watch over one child: its output, its clocks, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from grpolab.validate.sandbox.child import frames, scratch

TICK = 0.05
"""Seconds between two looks at a child's CPU clock."""
READY = b"R"
STAYS = b"\n"
"""The last byte that a child writes which waits for its next job; no verdict holds one."""
CONTROL = 53
"""The file descriptor of the owner's socket, in a server."""
_LAST_WORDS = 1000


class End(NamedTuple):
    """How a child ended: how, exit code or signal, CPU and wall seconds, peak memory in bytes.

    ``killed`` is a SIGKILL that the server did not send, and that the program could not send
    either. ``stays``: the child has written its verdict and waits for the next job, its peak is
    unknown. ``words`` is the end of what the child wrote to standard error: a text, and no more.
    """

    how: str  # exit, stays, signal, killed, cpu, wall, output, disk, stopped, unready
    code: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    words: str


def _cpu_seconds(pid: int) -> float:
    """CPU time of a whole process, its threads included; 0 once it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class Watch:
    """The watch over one child: its output, its clocks, and the hearers of both."""

    def __init__(
        self,
        pid: int,
        reader: int,
        channels: Sequence[int],
        errors: int,
        limits: Mapping[str, Any],
        buffer: bytearray,
        folder: str,
        line: socket.socket,
        *,
        walled: bool,
        stays: bool = False,
    ) -> None:
        self._pid, self._reader, self._channels = pid, reader, channels
        self._errors, self._folder, self._walled = errors, folder, walled
        self._stays, self._done = stays, False
        self._before = _cpu_seconds(pid) if stays else 0.0
        self._line = line
        self._limits, self._buffer = limits, buffer
        self._exited = os.pidfd_open(pid)
        self._written = 0
        self._ready = False

    def wait(self) -> End:
        """Wait for the child, or for the first limit that it breaks; kill it, and say which.

        Broken where the owner has gone meanwhile.
        """
        started = time.monotonic()
        poll = select.poll()
        poll.register(CONTROL, 0)
        poll.register(self._exited, select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        for channel in self._channels:
            poll.register(channel, select.POLLRDHUP)
        how = ""
        while not how:
            events = dict(poll.poll(TICK * 1000))
            if CONTROL in events:  # the owner is gone
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                raise frames.Broken("the owner is gone")
            if self._reader in events and not self._forward():
                poll.unregister(self._reader)
            how = self._reason(events, time.monotonic() - started)
        for channel in self._channels:
            os.close(channel)
        return self._finish(how, started)

    def _reason(self, events: Mapping[int, int], elapsed: float) -> str:
        """Why to stop waiting, if at all."""
        if self._done:
            return "stays"
        if self._exited in events:
            return "exit"
        if any(channel in events for channel in self._channels):
            return "stopped"
        if self._written > self._limits["output_bytes"]:
            return "output"
        if _cpu_seconds(self._pid) - self._before > self._limits["cpu_seconds"]:
            return "cpu"
        if self._folder and os.listdir(self._folder):
            enough = self._limits["scratch_bytes"]
            if scratch.size(self._folder, enough=enough) > enough:
                return "disk"
        return "wall" if elapsed > self._limits["wall_seconds"] else ""

    def _forward(self) -> int:
        """Pass on what the child wrote, then wipe it; how many bytes."""
        size = os.readv(self._reader, [self._buffer])
        if size:
            self._done = self._stays and self._buffer[size - 1 : size] == STAYS
            with memoryview(self._buffer) as view:
                frames.write_frame(CONTROL, view[:size])
            if not self._written:
                self._ready = self._buffer.startswith(READY)
                if not self._walled:  # such a program could kill this process unheard
                    self._line.send(READY)
            self._written += size
            self._buffer[:size] = bytes(size)
        return size

    def _finish(self, how: str, started: float) -> End:
        if how == "stays":
            os.close(self._exited)
            cpu = _cpu_seconds(self._pid) - self._before
            return End(how, 0, cpu, time.monotonic() - started, 0, "")
        if how != "exit":
            os.kill(self._pid, signal.SIGKILL)
        _, status, usage = os.wait4(self._pid, 0)
        elapsed = time.monotonic() - started
        while how == "exit" and self._forward():
            how = "output" if self._written > self._limits["output_bytes"] else how
        os.close(self._reader)
        os.close(self._exited)
        self._line.close()
        code = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime - self._before
        if how == "exit" and code < 0:
            how, code = "signal", -code
            if code in (signal.SIGXCPU, signal.SIGKILL) and cpu > self._limits["cpu_seconds"]:
                how = "cpu"
            elif code == signal.SIGKILL and self._walled:
                how = "killed"
        if not self._ready:
            how = "killed" if how == "killed" else "unready"
        return End(how, code, cpu, elapsed, usage.ru_maxrss * 1024, self._last_words())

    def _last_words(self) -> str:
        """The end of what the child wrote to standard error."""
        start = max(0, os.fstat(self._errors).st_size - _LAST_WORDS)
        return os.pread(self._errors, _LAST_WORDS, start).decode("utf-8", "replace")
