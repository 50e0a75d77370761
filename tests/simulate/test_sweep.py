"""Sweeps: every point once, the same result everywhere, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grpolab.errors import UserError
from grpolab.files import exclusive
from grpolab.simulate import grid_points, point_seed, run_sweep

GRID = grid_points({"a": [1, 2, 3], "b": [0.5, 1.5]})
CALLS: list[tuple[int, float]] = []


def product(*, a: int, b: float, seed: int) -> dict[str, Any]:
    CALLS.append((a, b))
    return {"value": a * b, "noise": seed % 1000}


def files(out: Path) -> list[Path]:
    return [p for p in out.glob("*.json") if p.name != "sweep.json"]


def test_order_and_seeds() -> None:
    found = run_sweep(product, GRID, seed=1)
    assert [r["value"] for r in found] == [0.5, 1.5, 1.0, 3.0, 1.5, 4.5]
    assert [r["point"] for r in found] == GRID
    assert len({r["seed"] for r in found}) == 6
    assert found[0]["seed"] == point_seed(1, GRID[0]) != point_seed(2, GRID[0])
    # the seed of a point does not depend on the others
    assert run_sweep(product, GRID[3:4], seed=1)[0] == found[3]


def test_nothing_is_computed_twice(tmp_path: Path) -> None:
    CALLS.clear()
    first = run_sweep(product, GRID[:4], seed=1, out=tmp_path)
    assert len(CALLS) == 4
    files(tmp_path)[0].unlink()
    seen: list[tuple[int, int]] = []
    again = run_sweep(
        product, GRID, seed=1, out=tmp_path, progress=lambda d, n: seen.append((d, n))
    )
    assert len(CALLS) == 4 + 1 + 2
    assert again[:4] == first
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)]


def test_another_sweep_is_refused(tmp_path: Path) -> None:
    run_sweep(product, GRID[:1], seed=1, out=tmp_path)
    with pytest.raises(UserError, match="holds another run: seed was"):
        run_sweep(product, GRID[:1], seed=2, out=tmp_path)


def test_a_point_that_has_changed_is_refused_with_its_remedy(tmp_path: Path) -> None:
    first = run_sweep(product, GRID[:2], seed=1, out=tmp_path)
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"noise": ', b'"noise": 1'))
    with pytest.raises(UserError, match=rf"{path.name}: has changed .*; remove it to compute"):
        run_sweep(product, GRID[:2], seed=1, out=tmp_path)
    path.unlink()
    (tmp_path / ".point.x.partial").touch()  # of a killed process
    assert run_sweep(product, GRID[:2], seed=1, out=tmp_path) == first
    assert path.read_bytes() == whole
    assert not list(tmp_path.glob("*.partial"))


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run_sweep(product, GRID[:1], seed=1, out=tmp_path)
    with exclusive(tmp_path), pytest.raises(UserError, match="another process is working"):
        run_sweep(product, GRID[:1], seed=1, out=tmp_path)


def dying(*, a: int, seed: int) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_worker_that_is_killed_is_one_line(tmp_path: Path) -> None:
    points = grid_points({"a": [1, 2]})
    with pytest.raises(UserError, match="a worker process was killed"):
        run_sweep(dying, points, seed=1, out=tmp_path, workers=2)


def test_infinities_are_null(tmp_path: Path) -> None:
    found = run_sweep(infinite, [{}], seed=0, out=tmp_path)
    assert found[0]["value"] is None
    assert run_sweep(infinite, [{}], seed=0, out=tmp_path) == found


def infinite(*, seed: int) -> dict[str, Any]:
    return {"value": float("inf")}


@pytest.mark.parametrize(
    ("kw", "words"), [({"workers": 0}, "workers must"), ({"backend": "slurm"}, "backend must")]
)
def test_bad_input(kw: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        run_sweep(product, GRID, seed=0, **kw)


SCRIPT = """
import sys, time
from pathlib import Path
from grpolab.simulate import grid_points, run_sweep

def slow(*, a, seed):
    with Path(sys.argv[2]).open("a") as log:
        log.write(f"{a}\\n")
    time.sleep(0.1)
    return {"value": a * a}

if __name__ == "__main__":
    run_sweep(slow, grid_points({"a": list(range(8))}), seed=3, out=Path(sys.argv[1]))
"""


def test_kill_and_resume(tmp_path: Path) -> None:
    script, out, log = tmp_path / "slow.py", tmp_path / "out", tmp_path / "log"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(out), str(log)]
    first = subprocess.Popen(command)
    deadline = time.time() + 30
    while time.time() < deadline and len(files(out) if out.exists() else []) < 3:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    kept = {p: p.read_bytes() for p in files(out)}
    assert 3 <= len(kept) < 8
    subprocess.run(command, check=True)
    assert len(files(out)) == 8
    assert all(path.read_bytes() == was for path, was in kept.items())
    values = sorted(json.loads(p.read_text())["value"] for p in files(out))
    assert values == [a * a for a in range(8)]
    # only the point that the kill hit may have been started twice
    assert len(log.read_text().split()) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "dask", "ray"])
def test_two_workers_give_the_same(backend: Any, tmp_path: Path) -> None:
    if backend != "local":
        pytest.importorskip("joblib")
        pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend])
    from grpolab.simulate.experiments import pstar_experiment

    points = grid_points({"group_size": [4, 8], "num_groups": [2000]})
    alone = run_sweep(pstar_experiment, points, seed=1)
    many = run_sweep(pstar_experiment, points, seed=1, out=tmp_path, backend=backend, workers=2)
    assert many == alone
