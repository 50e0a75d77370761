"""Run a study's jobs on several processes; whatever was finished before is not done again.

Every job fills a scratch folder that is renamed into place when it is whole. A run killed at any
moment therefore holds finished jobs and nothing else, and since each job's numbers depend on its
configuration and seed alone, a resumed run ends as an undisturbed one does.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

from grpolab.errors import UserError
from grpolab.files import atomic_dir, broken_seal, remove_scratch, seal
from grpolab.progress import ProgressBar
from grpolab.simulate.sweep import Backend, end_with_parent, on_cluster, worker_errors
from grpolab.store import claim
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.jobs import RESULT

RUN = "run.json"
WORKERS = ".workers"  # held, shared, by every worker for as long as it lives
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # read by the workers when they load torch
    # glibc keeps freed blocks: getting them anew from the kernel took 5% of a GRPO run
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
}
_channel: Any = None
_alive: Any = None


class Job(Protocol):
    """What the runner knows of a job: its folder, the jobs it waits for, its CPU seconds."""

    @property
    def key(self) -> str:
        """Folder of the job."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the jobs that it waits for."""

    @property
    def weight(self) -> float:
        """CPU seconds, roughly."""


Run = Callable[..., None]
"""``run(job, root=..., out=..., progress=...)`` fills ``out``; it can be pickled."""


@contextlib.contextmanager
def open_run(config: StudyConfig, out: Path) -> Iterator[None]:
    """Claim an output folder for one study; UserError where another run lives or works in it."""
    with open_folder({"config": config.as_dict()}, out, what="a study"):
        yield


@contextlib.contextmanager
def open_folder(wanted: Mapping[str, Any], out: Path, *, what: str) -> Iterator[None]:
    """The same for anything that `run_jobs` runs: ``wanted`` says which run it is."""
    with claim(out, wanted, manifest=RUN, what=what):
        with (out / WORKERS).open("w") as orphans:  # of a run that was killed: gone in a moment
            fcntl.flock(orphans, fcntl.LOCK_EX)
        remove_scratch(out)
        yield


def is_done(root: Path, job: Job) -> bool:
    """Whether a job's folder is there, hence whole; UserError where it has changed since."""
    folder = root / job.key
    if not (folder / RESULT).is_file():
        return False
    if reason := broken_seal(folder):
        raise UserError(f"{folder}: {reason}; remove this folder to do its job anew")
    return True


def run_jobs(
    run: Run,
    jobs: Sequence[Job],
    *,
    root: Path,
    workers: int,
    seconds: float = math.inf,
    backend: Backend = "local",
) -> int:
    """Run what is not done yet, longest waiting chain first, ``workers`` processes at a time.

    A job is started only if it would probably end within ``seconds``, by its weight and by the
    pace of the jobs that ended so far. Returns the number of jobs that were not started. On a
    cluster (``ray``, ``dask``) ``root`` must be a folder that its workers share; there, all jobs
    that wait for nothing run together, and ``seconds`` is looked at between such rounds.
    """
    todo = {job.key: job for job in jobs if not is_done(root, job)}
    if not todo:
        return 0
    if backend != "local":
        return _in_rounds(run, jobs, todo, root, workers, seconds, backend)
    start, pace = time.monotonic(), _Pace()
    order = sorted(todo.values(), key=lambda job: -_chain(job, jobs))
    total = sum(job.weight for job in todo.values())
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    done: set[str] = {job.key for job in jobs if job.key not in todo}
    running: dict[Future[None], Job] = {}
    with (
        ProgressBar(total, note=f"{len(todo)} of {len(jobs)} jobs to do") as bar,
        ProcessPoolExecutor(
            min(workers, len(todo)), mp_context=context, initializer=_start_worker,
            initargs=(queue, root),
        ) as pool,
        worker_errors(),
    ):  # fmt: skip
        try:
            while order or running:
                left = seconds - (time.monotonic() - start)
                fits = [j for j in order if set(j.needs) <= done and pace.of(j) <= left]
                if not fits and not running:
                    break
                for job in fits[: workers - len(running)]:
                    order.remove(job)
                    pace.begin(job)
                    running[pool.submit(_work, run, job, root)] = job
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                with contextlib.suppress(Empty):
                    while True:
                        key, share, words = queue.get_nowait()
                        bar.part(key, todo[key].weight * share, speed=words)
                for future in finished:
                    job = running.pop(future)
                    future.result()
                    done.add(job.key)
                    pace.end(job)
                    bar.part(job.key, job.weight, finished=True)
        except BaseException:
            processes = list(pool._processes.values())  # shutdown forgets them
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            raise
    return len(order)


def _in_rounds(
    run: Run,
    jobs: Sequence[Job],
    todo: dict[str, Job],
    root: Path,
    workers: int,
    seconds: float,
    backend: Backend,
) -> int:
    """The same on a cluster, in rounds of jobs that wait for nothing that is not done."""
    start, left = time.monotonic(), dict(todo)
    total = sum(job.weight for job in todo.values())
    with ProgressBar(total, note=f"{len(todo)} of {len(jobs)} jobs to do") as bar:
        while left and time.monotonic() - start < seconds:
            ready = [job for job in left.values() if not left.keys() & set(job.needs)]
            work = functools.partial(_work, run, root=root)
            for job, _ in zip(
                ready, on_cluster(work, [(job,) for job in ready], backend, workers), strict=True
            ):
                del left[job.key]
                bar.part(job.key, job.weight, finished=True)
    return len(left)


class _Pace:
    """Seconds that a job takes per unit of its weight, from the jobs that ended so far."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._seconds = self._weight = 0.0

    def begin(self, job: Job) -> None:
        self._begun[job.key] = time.monotonic()

    def end(self, job: Job) -> None:
        self._seconds += time.monotonic() - self._begun[job.key]
        self._weight += job.weight

    def of(self, job: Job) -> float:
        """Expected seconds of a job; its weight is CPU seconds where nothing ended yet."""
        return job.weight * (self._seconds / self._weight if self._weight else 1.0)


def _chain(job: Job, jobs: Sequence[Job]) -> float:
    """Weight of a job and of the heaviest chain that waits for it."""
    after = [_chain(other, jobs) for other in jobs if job.key in other.needs]
    return job.weight + max(after, default=0.0)


def _start_worker(queue: Any, root: Path) -> None:
    """Keep the channel, use one thread, and die with the parent even if it was killed."""
    global _channel, _alive
    _channel = queue
    _alive = (root / WORKERS).open("w")
    fcntl.flock(_alive, fcntl.LOCK_SH)
    end_with_parent()
    import torch

    torch.set_num_threads(1)


def _work(run: Run, job: Job, root: Path) -> None:
    last = 0.0
    if _channel is None:  # a worker of a cluster, which nobody has prepared
        import torch

        torch.set_num_threads(1)

    def progress(share: float, words: str = "") -> None:
        nonlocal last
        if _channel is not None and time.monotonic() - last > 0.5:
            last = time.monotonic()
            _channel.put((job.key, share, words))

    with atomic_dir(root / job.key) as scratch:
        run(job, root=root, out=scratch, progress=progress)
        seal(scratch)
