"""One seed, many purposes: no two of them share a draw, in simulate and in verify."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grpolab
from grpolab import theory
from grpolab.simulate import (
    LadderConfig,
    bernoulli,
    derive_critical_p,
    derive_critical_p_from_waiting,
    derive_trap,
    draw,
    draw_groups,
    draw_members,
    events,
    prefix,
    run_ladder,
    simulate_bernoulli,
    simulate_escape,
    simulate_first_passage,
    simulate_prefix,
    simulate_softmax,
    softmax,
)
from grpolab.simulate.experiments import escape_experiment, trajectory_experiment
from grpolab.validate.verify import suite
from grpolab.validate.verify.registry import Size

STEP: dict[str, Any] = {"group_size": 4, "learning_rate": 0.1, "num_steps": 1}
PLAYS: dict[str, Callable[[int], object]] = {
    "groups": lambda s: draw_groups(0.3, group_size=4, num_groups=2, seed=s),
    "members": lambda s: draw_members([0.3, 0.5], num_groups=2, seed=s),
    "chains": lambda s: simulate_bernoulli(0.3, **STEP, seed=s),
    "tables": lambda s: simulate_softmax([0.0, 0.0], [True, False], **STEP, seed=s),
    "tokens": lambda s: simulate_prefix(np.zeros((3, 2)), [True] * 2 + [False] * 2, **STEP, seed=s),
    "p* from groups": lambda s: derive_critical_p(8, num_groups=100, seed=s),
    "p* from waits": lambda s: derive_critical_p_from_waiting(8, num_chains=100, seed=s),
    "passages": lambda s: simulate_first_passage(
        0.3, stop=0.5, group_size=4, learning_rate=1.0, num_chains=2, seed=s
    ),
    "escape": lambda s: simulate_escape(
        0.3, group_size=8, learning_rate=0.5, num_chains=10, seed=s
    ),
    "trap": lambda s: derive_trap(
        8, load=0.1, learning_rate=0.3, num_steps=50, num_chains=100, seed=s
    ),
    "trajectory": lambda s: trajectory_experiment(num_steps=2, num_chains=10, seed=s),
    "ladder": lambda s: run_ladder(
        LadderConfig(num_prompts=2, depths=(0, 1), num_steps=1, num_repeats=1), seed=s
    ),
}  # fmt: skip


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, compiled: None) -> list[Any]:
    """Keys of all Philox streams that are opened."""
    seen: list[Any] = []
    for module in (bernoulli, draw, events, softmax, prefix):
        opened = module.stream_key

        def note(seed: int, purpose: str, opened: Any = opened) -> Any:
            seen.append(opened(seed, purpose))
            return seen[-1]

        monkeypatch.setattr(module, "stream_key", note)
    return seen


def test_purposes_of_one_seed_have_streams_of_their_own(keys: list[Any]) -> None:
    used: dict[str, set[Any]] = {}
    for name, play in PLAYS.items():
        keys.clear()
        play(0)
        used[name] = set(keys)
        assert used[name]
    for a in used:
        for b in used:
            assert a == b or not used[a] & used[b], (a, b)


def test_seeds_have_streams_of_their_own(keys: list[Any]) -> None:
    for play in PLAYS.values():
        keys.clear()
        play(0)
        first = set(keys)
        keys.clear()
        play(1)
        assert not first & set(keys)


def test_an_experiment_draws_as_its_function_does(keys: list[Any]) -> None:
    """The experiment of a sweep adds no second stream beside the function that it calls."""
    escape_experiment(p0=0.3, learning_rate=0.5, num_chains=10, seed=0)
    first = set(keys)
    keys.clear()
    PLAYS["escape"](0)
    assert first == set(keys)


@pytest.mark.usefixtures("compiled")
def test_cells_of_verify_share_no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two cells of two checks, nor two of one check that play different things."""
    used: dict[int, tuple[object, ...]] = {}
    plain = Size.cell_seed

    def note(self: Size, *cell: object) -> int:
        seed = plain(self, *cell)
        assert used.setdefault(seed, (self.check, *cell)) == (self.check, *cell)
        return seed

    monkeypatch.setattr(Size, "cell_seed", note)
    small = suite.SMALL._replace(groups=500, chains=64)
    for entry in suite.entries(full=False):
        if entry.name not in ("escape", "trap"):  # they need chains
            entry.run(small._replace(check=entry.name))
    assert len(used) > 100


def test_generators_are_made_for_a_purpose() -> None:
    """numpy's generators are made from a seed of one purpose; `streams.generator` does it."""
    allowed = {"cell_seed", "stream_seed"}
    root = Path(grpolab.__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("default_rng")):
                continue
            made = [ast.unparse(a).split("(")[0].split(".")[-1] for a in node.args]
            assert set(made[:1]) & allowed, f"{name}:{node.lineno}"


def test_two_kernels_of_one_key_draw_apart(scale: float) -> None:
    """Groups of chains and of tables of one seed are uncorrelated."""
    number = max(400, int(4000 * scale))
    chains = simulate_bernoulli(0.5, **(STEP | {"group_size": 16}), num_chains=number, seed=5)
    tables = simulate_softmax(
        [0.0, 0.0], [True, False], **(STEP | {"group_size": 16}), num_models=number, seed=5
    )
    moved = [chains.state.logit, tables.state.p[:, 0]]
    assert abs(np.corrcoef(moved)[0, 1]) < 4 / np.sqrt(number)
    assert theory.PRESETS
