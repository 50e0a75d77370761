"""What all tests share: the files that are programs, and an environment in which two runs fit.

Pytest's doctest collection must pass by the programs under tests. Every worker of pytest-xdist
computes on one thread: a pool of threads in each of them waits for cores that the others hold. The
hundreds of processes that tests start keep what they compile, whatever the caller's shell says.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import warm

collect_ignore_glob = ["benchmarks/*", "*/generate/*", "*/readers/fuzz_*.py", "vllm/*"]

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch are loaded
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection() -> None:
    """Modules and tests stay until the end: the collector need not look at them each time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    atexit.register(gc.freeze)


@pytest.fixture(scope="session")
def warm_path() -> Iterator[Path]:
    """A folder for the front of PATH with a ``grpolab`` that is loaded already."""
    with warm.commands() as folder:
        yield folder
