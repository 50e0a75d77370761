"""One seed gives every purpose a stream of its own: no two experiments share draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grpolab import simulate
from grpolab.simulate import LadderConfig, bernoulli, draw, experiments, softmax
from grpolab.simulate._philox import Key, philox, stream_key
from grpolab.streams import generator, stream_seed
from grpolab.validate.verify.registry import Evidence, Registry, Size

SEED = 11
SMALL: dict[str, Any] = {"group_size": 4, "learning_rate": 0.5, "num_chains": 100, "seed": SEED}
LADDER = LadderConfig(num_prompts=2, num_responses=3, depths=(0, 1), num_steps=1, num_repeats=1)
CALLS: dict[str, Callable[[], Any]] = {
    "draw_groups": lambda: simulate.draw_groups(0.5, group_size=4, num_groups=9, seed=SEED),
    "simulate_bernoulli": lambda: simulate.simulate_bernoulli(0.5, **SMALL, num_steps=1),
    "simulate_softmax": lambda: simulate.simulate_softmax(
        [0.0, 0.0], [True, False], group_size=4, learning_rate=0.1, num_steps=1, seed=SEED
    ),
    "derive_critical_p": lambda: simulate.derive_critical_p(4, num_groups=100, seed=SEED),
    "derive_critical_p_from_waiting": lambda: simulate.derive_critical_p_from_waiting(
        4, num_chains=100, seed=SEED
    ),
    "derive_trap": lambda: simulate.derive_trap(
        4, load=0.1, num_steps=9, num_chains=100, seed=SEED
    ),
    "simulate_escape": lambda: simulate.simulate_escape(0.3, **SMALL),
    "trajectory": lambda: experiments.trajectory_experiment(num_chains=9, num_steps=1, seed=SEED),
    "run_ladder": lambda: simulate.run_ladder(LADDER, seed=SEED),
}
"""Every public function that draws; `tally_groups` counts the groups of `draw_groups`."""


def keys_of(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> set[Key]:
    """Keys of the Philox streams that a call opens."""
    opened = set()

    def record(seed: int, purpose: str) -> Key:
        opened.add(stream_key(seed, purpose))
        return stream_key(seed, purpose)

    with monkeypatch.context() as patch:
        for module in (bernoulli, draw, softmax):
            patch.setattr(module, "stream_key", record)
        call()
    return opened


def first_words(key: Key, blocks: int = 500) -> np.ndarray:
    words = [philox(*(np.uint64(c) for c in (i, 0, 0, 0)), *key) for i in range(blocks)]
    return np.array(words, np.float64).ravel()


def test_every_public_function_opens_streams_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: keys_of(call, monkeypatch) for name, call in CALLS.items()}
    assert [len(opened) for opened in keys.values()] == [1] * len(CALLS)
    words = {name: first_words(*opened) for name, opened in keys.items()}
    for a, b in itertools.combinations(words, 2):
        correlation = np.corrcoef(words[a], words[b])[0, 1]
        assert abs(correlation) < 5 / np.sqrt(2000), (a, b)


def test_a_group_drawn_alone_is_not_the_first_group_of_a_chain() -> None:
    size = 4000
    counts = simulate.draw_groups(0.5, group_size=2, num_groups=size, seed=SEED)
    run = simulate.simulate_bernoulli(
        0.5, group_size=2, learning_rate=0.1, num_steps=1, seed=SEED, num_chains=size
    )
    mixed, moved = counts.num_correct == 1, run.state.odds > 1
    assert abs(np.corrcoef(mixed, moved)[0, 1]) < 5 / np.sqrt(size)  # 1 if draws were shared
    assert abs(moved.mean() - 0.5) < 5 * 0.5 / np.sqrt(size)


def test_a_tally_counts_the_groups_that_would_be_drawn() -> None:
    law: dict[str, Any] = {"group_size": 4, "num_groups": 500, "seed": SEED}
    drawn = simulate.draw_groups(0.3, **law).num_correct
    assert np.array_equal(simulate.tally_groups(0.3, **law), np.bincount(drawn, minlength=5))


def test_every_check_of_verify_has_cells_of_its_own() -> None:
    seen: list[int] = []
    registry = Registry()
    for name in ("one", "two"):

        @registry.register(name, claim="", wrong="")
        def _(size: Size) -> Evidence:
            seen.append(size.cell_seed(0.5, 8))
            return Evidence([], [])

    registry.run(size=Size(groups=1, chains=1, seed=0), level=0.5)
    assert len(set(seen)) == 2


def test_purpose_is_text_whatever_its_type() -> None:
    assert stream_seed(3, "a", np.float64(0.5)) == stream_seed(np.uint64(3), "a", 0.5)  # type: ignore[arg-type]
    assert stream_seed(3, "a", "b") != stream_seed(3, "ab") != stream_seed(3, "b", "a")


def test_generators() -> None:
    own = np.random.default_rng(0)
    assert generator(own, "anything") is own
    a, b = generator(0, "a").random(2000), generator(0, "b").random(2000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(2000)
    assert np.array_equal(a, generator(0, "a").random(2000))
