"""Parameter sweeps: every point of a grid once, on this machine or a cluster, resumable.

Each point writes one JSON file, whole or not at all, named after its parameters; a sweep that was
killed is started again and computes what is missing. Results do not depend on the backend.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import itertools
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Literal

from grpolab import __version__
from grpolab.errors import UserError, require
from grpolab.files import remove_scratch
from grpolab.store import claim, jsonable, read_sealed, write_sealed
from grpolab.streams import stream_seed

_MANIFEST = "sweep.json"
Backend = Literal["local", "ray", "dask"]
Point = dict[str, Any]
Experiment = Callable[..., Mapping[str, Any]]


def grid_points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """All combinations of the values of a grid, the last name varying fastest.

    >>> grid_points({"g": [2, 8], "rho": [0.0]})
    [{'g': 2, 'rho': 0.0}, {'g': 8, 'rho': 0.0}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def point_seed(seed: int, point: Mapping[str, Any]) -> int:
    """A seed for a point that depends on nothing but the sweep's seed and the parameters."""
    return stream_seed(seed, "sweep", _canonical(point))


def run_sweep(
    experiment: Experiment,
    points: Sequence[Point],
    *,
    seed: int,
    out: Path | None = None,
    backend: Backend = "local",
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """``experiment(**point, seed=...)`` for every point; results in the order of the points.

    ``experiment`` must be a function that can be imported. With ``out``, results are files there
    and points whose file exists are not computed again; UserError if the folder belongs to another
    sweep. ``ray`` and ``dask`` run on the cluster that joblib finds (extra: cluster); workers write
    their files themselves, so ``out`` must be a place that they share.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if backend not in ("local", "ray", "dask"):
        raise ValueError(f"backend must be local, ray or dask, got {backend}")
    with _claimed(out, experiment, seed):
        found = {i: _read(out, p) for i, p in enumerate(points) if _done(out, p)}
        missing = [i for i in range(len(points)) if i not in found]
        progress(len(found), len(points))
        work = partial(_compute, experiment, seed, out)
        for i, result in _map(work, points, missing, backend, workers):
            found[i] = result
            progress(len(found), len(points))
    return [found[i] for i in range(len(points))]


@contextlib.contextmanager
def _claimed(out: Path | None, experiment: Experiment, seed: int) -> Iterator[None]:
    """Hold the folder of a sweep, without what a killed process was writing there."""
    if out is None:
        yield
        return
    name = f"{experiment.__module__}.{experiment.__qualname__}"
    wanted = {"experiment": name, "seed": seed, "version": __version__}
    with claim(out, wanted, manifest=_MANIFEST, what="a sweep"):
        remove_scratch(out)
        yield


def _compute(
    experiment: Experiment, seed: int, out: Path | None, index: int, point: Point
) -> tuple[int, dict[str, Any]]:
    """One point, where the worker is; the file is written there, so that nothing gets lost."""
    result = experiment(**point, seed=point_seed(seed, point))
    record = jsonable({"point": point, "seed": point_seed(seed, point), **result})
    if out is not None:
        write_sealed(_file(out, point), record)
    return index, record


def _map(
    work: Callable[[int, Point], tuple[int, dict[str, Any]]],
    points: Sequence[Point],
    missing: Sequence[int],
    backend: Backend,
    workers: int,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Results as they come."""
    if backend != "local":
        yield from on_cluster(work, [(i, points[i]) for i in missing], backend, workers)
    elif workers == 1:
        for i in missing:
            yield work(i, points[i])
    else:
        context = multiprocessing.get_context("spawn")  # threads of a parent do not survive a fork
        with (
            ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool,
            worker_errors(),
        ):
            for future in as_completed([pool.submit(work, i, points[i]) for i in missing]):
                yield future.result()


@contextlib.contextmanager
def worker_errors() -> Iterator[None]:
    """Say in one line that a worker process was killed."""
    try:
        yield
    except BrokenProcessPool as err:
        raise UserError(
            "a worker process was killed, as by a machine without memory left: run the same command"
            " again to go on, with fewer --workers"
        ) from err


def end_with_parent() -> None:
    """End this worker process when its parent ends, even where the parent is killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def on_cluster(
    work: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    backend: Backend,
    workers: int,
) -> Iterator[Any]:
    """``work(*a)`` for every tuple of arguments, in their order, on the cluster that joblib finds.

    Needs the extra ``cluster``. Without a cluster, ``dask`` starts ``workers`` local processes.
    """
    require("joblib", extra="cluster")
    require("ray" if backend == "ray" else "distributed", extra="cluster")
    import joblib

    if backend == "ray":
        importlib.import_module("ray.util.joblib").register_ray()
        client = None
    else:
        client = _dask_client(workers)
    with joblib.parallel_config(backend=backend, n_jobs=workers):
        tasks = (joblib.delayed(work)(*given) for given in arguments)
        yield from joblib.Parallel(return_as="list")(tasks)
    if client is not None:
        client.close()


def _dask_client(workers: int) -> Any:
    """The client of a cluster that the caller has connected to, or of a new local one."""
    distributed = importlib.import_module("distributed")
    try:
        return distributed.get_client()
    except ValueError:
        return distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)


def _done(out: Path | None, point: Point) -> bool:
    return out is not None and _file(out, point).exists()


def _read(out: Path | None, point: Point) -> dict[str, Any]:
    try:
        return read_sealed(_file(out, point))
    except UserError as err:
        raise UserError(f"{err}; remove it to compute its point anew") from None


def _file(out: Path | None, point: Point) -> Path:
    name = hashlib.sha256(_canonical(point).encode()).hexdigest()[:20]
    return (out or Path()) / f"{name}.json"


def _canonical(point: Mapping[str, Any]) -> str:
    return json.dumps(jsonable(point), sort_keys=True, allow_nan=False)
