"""Speed of the Bernoulli chains beside peers, in interleaved runs; never a timed test.

Wall seconds are medians. Processor seconds are the least of all runs: on a machine that others use,
they lie above what the work takes, never below.

The load is GRPO on independent Bernoulli policies, g = 8, std-scaled, plain gradient steps. Peers
play the same model in the same process tree: NumPy drawing g uniforms per group, NumPy drawing
binomial counts, JAX where it is installed, and two C programs compiled on the spot (chains.c):
Philox with g comparisons, and Philox with the algorithm of this package.

    python tests/benchmarks/bench_simulate.py [--chains N] [--steps N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grpolab.simulate import Options, simulate_bernoulli, simulate_softmax

GROUP_SIZE, RATE, P0 = 8, 0.1, 0.1
Runner = Callable[[int, int], "Took"]  # of chains, steps
HERE = Path(__file__).parent


class Took(NamedTuple):
    """Wall and processor seconds (of all threads), and the mean of p at the end."""

    seconds: float
    cpu: float
    mean: float


def timed(play: Callable[[int, int], float]) -> Runner:
    """Time a function of this process."""

    def run(chains: int, steps: int) -> Took:
        start, cpu = time.perf_counter(), time.process_time()
        mean = play(chains, steps)
        return Took(time.perf_counter() - start, time.process_time() - cpu, mean)

    return run


def grpolab(chains: int, steps: int, group_size: int = GROUP_SIZE) -> float:
    """This package, on all cores."""
    run = simulate_bernoulli(
        P0, group_size=group_size, learning_rate=RATE, num_steps=steps, seed=1, num_chains=chains
    )
    return float(run.mean_p[-1])


def numpy_steps(chains: int, steps: int, draw: Callable[[np.ndarray], np.ndarray]) -> float:
    """A loop over steps, whole arrays of chains at a time."""
    logit = np.full(chains, np.log(P0 / (1 - P0)))
    for _ in range(steps):
        p = 1 / (1 + np.exp(-logit))
        count = draw(p)
        logit += RATE * np.sqrt(count * (GROUP_SIZE - count)) / GROUP_SIZE
    return float(np.mean(1 / (1 + np.exp(-logit))))


def naive_numpy(chains: int, steps: int) -> float:
    """Uniforms [C, g] compared with p, as one writes it first."""
    rng = np.random.default_rng(1)
    shape = (chains, GROUP_SIZE)
    return numpy_steps(chains, steps, lambda p: (rng.random(shape) < p[:, None]).sum(axis=1))


def transposed_numpy(chains: int, steps: int) -> float:
    """The same with the group along the first axis, where the sum runs along memory."""
    rng = np.random.default_rng(1)
    return numpy_steps(chains, steps, lambda p: (rng.random((GROUP_SIZE, chains)) < p).sum(axis=0))


def numpy_binomial(chains: int, steps: int) -> float:
    """Counts from ``Generator.binomial``."""
    rng = np.random.default_rng(1)
    return numpy_steps(chains, steps, lambda p: rng.binomial(GROUP_SIZE, p))


def jax_runner() -> Runner:
    """JAX, compiled per size: a first call at the sizes that count keeps that off the clock."""
    import jax
    import jax.numpy as jnp

    def play(chains: int, steps: int):  # type: ignore[no-untyped-def]
        def step(logit, key):  # type: ignore[no-untyped-def]
            uniform = jax.random.uniform(key, (GROUP_SIZE, chains))
            count = (uniform < jax.nn.sigmoid(logit)).sum(axis=0)
            return logit + RATE * jnp.sqrt(count * (GROUP_SIZE - count)) / GROUP_SIZE, None

        start = jnp.full(chains, np.log(P0 / (1 - P0)))
        keys = jax.random.split(jax.random.key(1), steps)
        end, _ = jax.lax.scan(step, start, keys)
        return jax.nn.sigmoid(end).mean()

    compiled = jax.jit(play, static_argnums=(0, 1))
    return timed(lambda chains, steps: float(compiled(chains, steps)))


def c_runner(binary: Path, algorithm: str) -> Runner:
    """A C program times itself, so that starting a process does not count."""

    def run(chains: int, steps: int) -> Took:
        sizes = [str(v) for v in (chains, steps, GROUP_SIZE, RATE, P0)]
        done = subprocess.run(
            [binary, algorithm, *sizes], check=True, capture_output=True, text=True
        )
        return Took(*(float(part) for part in done.stdout.split()))

    return run


def peers(folder: Path) -> dict[str, Runner]:
    """Everything that can run here."""
    found: dict[str, Runner] = {
        "numpy uniforms [C, g]": timed(naive_numpy),
        "numpy uniforms [g, C]": timed(transposed_numpy),
        "numpy binomial": timed(numpy_binomial),
        "grpolab": timed(grpolab),
    }
    if importlib.util.find_spec("jax"):
        found["jax"] = jax_runner()
    if shutil.which("gcc"):
        binary = folder / "chains"
        flags = ["-O3", "-march=native", "-fopenmp"]
        subprocess.run(["gcc", *flags, "-o", binary, HERE / "chains.c", "-lm"], check=True)
        found["C, g comparisons"] = c_runner(binary, "compare")
        found["C, same algorithm"] = c_runner(binary, "invert")
    return found


def compare(chains: int, steps: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each peer, rounds interleaved so that noise hits all alike."""
    with tempfile.TemporaryDirectory() as folder:
        runners = peers(Path(folder))
        times: dict[str, list[Took]] = {name: [] for name in runners}
        for runner in runners.values():
            runner(chains, steps)  # compile, fault pages in
        for _ in range(rounds):
            for name, runner in runners.items():
                times[name].append(runner(chains, steps))
    wall = {name: statistics.median(t.seconds for t in seen) for name, seen in times.items()}
    cpu = {name: min(t.cpu for t in seen) for name, seen in times.items()}
    return {
        name: {
            "seconds": wall[name],
            "cpu_seconds": cpu[name],
            "million_groups_per_second": chains * steps / wall[name] / 1e6,
            "million_groups_per_cpu_second": chains * steps / cpu[name] / 1e6,
            "grpolab_is_faster_by": wall[name] / wall["grpolab"],
            "grpolab_needs_less_cpu_by": cpu[name] / cpu["grpolab"],
            "mean_p": times[name][-1].mean,
        }
        for name in times
    }


def growth() -> list[dict[str, float | str]]:
    """Processor nanoseconds per unit of work while one size grows and the others stay."""
    rows: list[dict[str, float | str]] = []

    def add(what: str, value: int, work: int, play: Callable[[], object]) -> None:
        took = [timed(lambda _c, _s: float(play() is None))(0, 0).cpu for _ in range(3)]
        seconds = statistics.median(took)
        rows.append({"grows": what, "value": value, "ns_per_unit": 1e9 * seconds / work})

    for chains in (1 << 14, 1 << 16, 1 << 18):
        add("chains", chains, chains * 50, lambda c=chains: grpolab(c, 50))
    for steps in (50, 200, 800):
        add("steps", steps, steps << 14, lambda s=steps: grpolab(1 << 14, s))
    for g in (4, 8, 16, 32, 64):
        add("g", g, (50 << 15) * g, lambda g=g: grpolab(1 << 15, 50, g))
    for prompts in (8, 32, 128):
        logits, right = np.zeros((prompts, 16)), np.arange(prompts * 16).reshape(-1, 16) % 4 == 0
        add("prompts (softmax, 16 responses)", prompts, prompts * 50,
            lambda z=logits, r=right: simulate_softmax(
                z, r, group_size=8, learning_rate=0.1, num_steps=50, seed=1))  # fmt: skip
    add("options (Adam)", 1, 50 << 12, lambda: simulate_bernoulli(
        P0, group_size=8, learning_rate=RATE, num_steps=50, seed=1, num_chains=1 << 12,
        options=Options(optimiser="adam")))  # fmt: skip
    return rows


def compile_seconds() -> dict[str, float]:
    """First call in a fresh process with an empty and with a filled cache of machine code."""
    code = (
        "import time; from grpolab.simulate import simulate_bernoulli as s;"
        "t = time.perf_counter(); s(0.1, group_size=8, learning_rate=0.1, num_steps=2, seed=1);"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | {"NUMBA_CACHE_DIR": cache}
        seconds = [
            float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                                 text=True, env=env).stdout)
            for _ in range(2)
        ]  # fmt: skip
    return {"empty_cache": seconds[0], "filled_cache": seconds[1]}


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=1 << 18)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {
        "load": {"chains": args.chains, "steps": args.steps, "group_size": GROUP_SIZE},
        "peers": compare(args.chains, args.steps, args.rounds),
        "growth": growth(),
        "compile_seconds": compile_seconds(),
    }
    if args.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{args.chains} chains x {args.steps} steps, g = {GROUP_SIZE}, {args.rounds} rounds")
    for name, row in found["peers"].items():  # type: ignore[attr-defined]
        print(
            f"{name:22} {row['million_groups_per_second']:7.1f} million groups/s,"
            f" {row['million_groups_per_cpu_second']:6.1f} per core;"
            f" grpolab: {row['grpolab_is_faster_by']:5.2f} times as fast,"
            f" {row['grpolab_needs_less_cpu_by']:5.2f} per core; mean p {row['mean_p']:.5f}"
        )
    for row in found["growth"]:  # type: ignore[attr-defined]
        print(f"{row['grows']:32} {row['value']:8} {row['ns_per_unit']:10.3f} ns per unit")
    print(f"first call: {found['compile_seconds']}")


if __name__ == "__main__":
    main()
