"""Run a study's jobs on several processes; whatever was finished before is not done again.

Every job fills a scratch folder that is renamed into place when it is whole. A run killed at any
moment therefore holds finished jobs and nothing else, and since each job's numbers depend on its
configuration and seed alone, a resumed run ends as an undisturbed one does.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from queue import Empty
from typing import Any

from grpolab.errors import UserError
from grpolab.files import atomic_dir, broken_seal, remove_scratch, seal
from grpolab.progress import ProgressBar
from grpolab.simulate.sweep import end_with_parent, worker_errors
from grpolab.store import claim
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.jobs import RESULT, StudyJob
from grpolab.validate.study.work import run_job

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


@contextlib.contextmanager
def open_run(config: StudyConfig, out: Path) -> Iterator[None]:
    """Claim an output folder for one study; UserError where another run lives or works in it."""
    with claim(out, {"config": config.as_dict()}, manifest=RUN, what="a study"):
        with (out / WORKERS).open("w") as orphans:  # of a run that was killed: gone in a moment
            fcntl.flock(orphans, fcntl.LOCK_EX)
        remove_scratch(out)
        yield


def is_done(root: Path, job: StudyJob) -> bool:
    """Whether a job's folder is there, hence whole; UserError where it has changed since."""
    folder = root / job.key
    if not (folder / RESULT).is_file():
        return False
    if reason := broken_seal(folder):
        raise UserError(f"{folder}: {reason}; remove this folder to do its job anew")
    return True


def run_jobs(
    config: StudyConfig,
    jobs: Sequence[StudyJob],
    *,
    root: Path,
    workers: int,
    seconds: float = math.inf,
) -> int:
    """Run what is not done yet, longest waiting chain first, ``workers`` processes at a time.

    A job is started only if it would probably end within ``seconds``, by its weight and by the
    pace of the jobs that ended so far. Returns the number of jobs that were not started.
    """
    todo = {job.key: job for job in jobs if not is_done(root, job)}
    if not todo:
        return 0
    start, pace = time.monotonic(), _Pace()
    order = sorted(todo.values(), key=lambda job: -_chain(job, jobs))
    total = sum(job.weight for job in todo.values())
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    done: set[str] = {job.key for job in jobs if job.key not in todo}
    running: dict[Future[None], StudyJob] = {}
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
                    running[pool.submit(_work, config, job, root)] = job
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                with contextlib.suppress(Empty):
                    while True:
                        key, share = queue.get_nowait()
                        bar.part(key, todo[key].weight * share)
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


class _Pace:
    """Seconds that a job takes per unit of its weight, from the jobs that ended so far."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._seconds = self._weight = 0.0

    def begin(self, job: StudyJob) -> None:
        self._begun[job.key] = time.monotonic()

    def end(self, job: StudyJob) -> None:
        self._seconds += time.monotonic() - self._begun[job.key]
        self._weight += job.weight

    def of(self, job: StudyJob) -> float:
        """Expected seconds of a job; its weight is CPU seconds where nothing ended yet."""
        return job.weight * (self._seconds / self._weight if self._weight else 1.0)


def _chain(job: StudyJob, jobs: Sequence[StudyJob]) -> float:
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


def _work(config: StudyConfig, job: StudyJob, root: Path) -> None:
    last = 0.0

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            _channel.put((job.key, share))

    with atomic_dir(root / job.key) as scratch:
        run_job(config, job, root=root, out=scratch, progress=progress)
        seal(scratch)
