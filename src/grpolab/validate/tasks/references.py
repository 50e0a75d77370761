"""References that passed in earlier runs, so that a run that goes on does not pay again."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import grpolab.validate.sandbox
from grpolab.validate.sandbox import Job, Sandbox


class PassedBefore:
    """Jobs that passed, by a hash of all that the verdict depends on, in a file of the user's.

    The hash is over the program, its tests, the limits and level of the sandbox, the sandbox's
    source and the version of Python. Only what passed is kept: a failure may be mended outside of
    grpolab, so it is judged again. Where the file cannot be written, nothing is kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _cache() / "passed-references.txt"
        try:
            self._known = set(self._path.read_text(encoding="ascii").split("\n"))
        except (OSError, UnicodeDecodeError):
            self._known = set()

    def holds(self, job: Job, sandbox: Sandbox) -> bool:
        """Whether a job has passed before."""
        return _key(job, sandbox) in self._known

    def add(self, jobs: Iterable[Job], sandbox: Sandbox) -> None:
        """Keep jobs that passed; lines of processes that write at once stay whole."""
        new = {_key(job, sandbox) for job in jobs} - self._known
        if not new:
            return
        self._known |= new
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write("".join(f"\n{key}\n" for key in sorted(new)))
        except OSError:
            return


def _key(job: Job, sandbox: Sandbox) -> str:
    parts = (job.program, job.tests, sandbox.limits, str(sandbox.level), judge_hash())
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _cache() -> Path:
    """Folder of what may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpolab"


@functools.cache
def judge_hash() -> str:
    """A hash of what judges programs: the source of the sandbox, and the version of Python."""
    digest = hashlib.sha256(platform.python_version().encode())
    for path in sorted(Path(grpolab.validate.sandbox.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
