"""What all tests share: the files that are programs, and an environment in which two runs fit.

Pytest's doctest collection must pass by the programs under tests. Every worker of pytest-xdist
computes on one thread: a pool of threads in each of them waits for cores that the others hold. The
hundreds of processes that tests start keep what they compile, whatever the caller's shell says. No
test waits for a disk, thousands of times some milliseconds.
"""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = ["benchmarks/*", "*/generate/*", "*/readers/fuzz_*.py", "vllm/*"]

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch are loaded
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.fsync = os.fstat  # a look at the descriptor: what tests write need not outlive the machine


def pytest_collection() -> None:
    """Modules and tests stay until the end: the collector need not look at them each time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()
    atexit.register(gc.freeze)


@pytest.fixture(scope="session")
def warm_path() -> Iterator[Path]:
    """A folder for the front of PATH with a ``grpolab`` that is loaded already."""
    # this folder on sys.path would make packages of its folders, one of which is named vllm
    spec = importlib.util.spec_from_file_location("warm", Path(__file__).with_name("warm.py"))
    assert spec is not None
    assert spec.loader is not None
    warm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(warm)
    with warm.commands() as folder:
        yield folder


@pytest.fixture(scope="session")
def each() -> Callable[..., None]:
    """``each(check, cases)`` calls ``check(*case)`` for every case, and names all that fail.

    For hundreds of small cases of one idea: a test of its own each costs more than most of them.
    """

    def run(check: Callable[..., object], cases: Iterable[tuple[Any, ...]]) -> None:
        failed, number = [], 0
        for case in cases:
            number += 1
            try:
                check(*case)
            except (Exception, pytest.fail.Exception) as error:
                error.add_note(f"case: {case}")
                failed.append(error)
        assert number, "no case"
        if failed:
            names = "; ".join(error.__notes__[-1] for error in failed)
            raise BaseExceptionGroup(f"{len(failed)} of {number} cases fail: {names}", failed)

    return run
