"""One server process, as its owner sees it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grpolab.validate.sandbox.child import frames
from grpolab.validate.sandbox.child.scratch import empty
from grpolab.validate.sandbox.child.watch import READY, End
from grpolab.validate.sandbox.levels import Level, environment, inside_scratch, server_command

GRACE = 10.0
"""Seconds that a server may take beyond its program's limits before it is given up."""


class WorkerLost(Exception):
    """A server that does not start, does not answer, or died; says what it last wrote."""


class Report(NamedTuple):
    """How a child ended (see `child.watch.End`) and what it wrote."""

    how: str
    code: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    output: bytes
    words: str = ""


class Worker:
    """A server in its sandbox; one job at a time. ``scratch``: its programs may write files."""

    def __init__(
        self, level: Level, packages: Sequence[Path] = (), *, scratch: bool = False
    ) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.running = False
        """Whether the job had begun to run when the server was last heard of."""
        self._folder = ""
        inside = inside_scratch(packages) if scratch else ""
        if scratch and level is not Level.BUBBLEWRAP:
            inside = self._folder = tempfile.mkdtemp(prefix="grpolab-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._due = 0.0
        try:
            self._process = subprocess.Popen(
                server_command(level, packages, inside), stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL, stderr=self._errors, env=environment(), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as err:
            self._socket.close()
            self._errors.close()
            self._remove_folder()
            raise WorkerLost(str(err)) from err
        finally:
            theirs.close()

    def submit(
        self, job: Mapping[str, Any], fds: Sequence[int] = (), *, stays: bool = False
    ) -> None:
        """Send a job; its report must be collected before the next one.

        ``stays``: the process that runs it may run others of this kind after it.
        """
        self._due = time.monotonic() + job["limits"]["wall_seconds"] + GRACE
        self.running = False
        self._socket.settimeout(GRACE)
        try:
            head = json.dumps([job["kind"], job["limits"], stays]).encode("ascii")
            frames.send_job(self._socket, head, fds)
            body = json.dumps({k: v for k, v in job.items() if k != "limits"}).encode("ascii")
            self._socket.sendall(len(body).to_bytes(4, "big") + body)
        except (OSError, frames.Broken) as err:
            raise self._lost(err) from err

    def collect(self) -> Report:
        """The report on the job in work; WorkerLost when it is overdue."""
        try:
            output = bytearray()
            while size := self._size():
                output += self._receive(size)
                self.running = True
            end = End(**json.loads(self._receive(self._size())))
            return Report(*end[:5], bytes(output).removeprefix(READY), end.words)
        except (OSError, ValueError, TypeError) as err:
            raise self._lost(err) from err

    def _size(self) -> int:
        return int.from_bytes(self._receive(4), "big")

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._socket.settimeout(max(0.01, self._due - time.monotonic()))
            part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise OSError("the server closed its end")
            data += part
        return bytes(data)

    def _lost(self, err: Exception) -> WorkerLost:
        self._errors.seek(0)
        last = self._errors.read()[-500:].decode("utf-8", "replace").strip()
        return WorkerLost(f"{err}; {last}" if last else str(err))

    def close(self) -> None:
        """End the server and everything in it."""
        self._socket.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder:
            with contextlib.suppress(OSError):
                empty(self._folder)
                os.rmdir(self._folder)
