"""The simulated ladder: what SFT depth does, and rank inversion both present and absent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grpolab.simulate import LadderConfig, run_ladder
from grpolab.simulate.ladder import _world, sft_ladder
from grpolab.simulate.softmax import softmax

SMALL = LadderConfig(num_prompts=32, num_responses=16, num_repeats=6, num_steps=120)


pytestmark = pytest.mark.usefixtures("compiled")


def test_depth_trades_entropy_for_pass_at_1() -> None:
    ladder = run_ladder(replace(SMALL, num_steps=1), seed=1)
    assert np.all(np.diff(ladder.pass_at_1.mean(axis=1)) > 0)
    assert np.all(np.diff(ladder.entropy.mean(axis=1)[1:]) < 0)
    assert ladder.pass_at_k.mean(axis=1)[-1] < ladder.pass_at_k.mean(axis=1)[1]
    # concentrated prompts have silent groups although pass@1 is best
    assert ladder.frac_zero_std[-1] > ladder.frac_zero_std[1]


def test_inversion_with_a_long_budget() -> None:
    ladder = run_ladder(SMALL, seed=1)
    assert ladder.inverted
    assert ladder.inversion > 0.2


def test_no_inversion_with_a_short_budget_and_good_labels() -> None:
    ladder = run_ladder(replace(SMALL, num_steps=15, label_accuracy=0.9), seed=1)
    assert not ladder.inverted
    assert ladder.inversion < 0.05


def test_grpo_never_hurts_without_interference() -> None:
    apart = run_ladder(SMALL, seed=2)
    assert np.all(apart.outcome >= apart.pass_at_1 - 1e-9)


def test_full_interference_costs_pass_at_k() -> None:
    """Prompts that share all weights but not the right responses undo each other's progress."""
    config = replace(SMALL, interference=1.0, num_steps=20, depths=(0, 100))
    shared = run_ladder(config, seed=2)
    assert np.all(shared.outcome_at_k[0] < shared.pass_at_k[0])
    assert shared.outcome_at_k[0].mean() < shared.pass_at_k[0].mean() - 0.1


def test_kl_to_the_base_frees_a_collapsed_checkpoint_and_to_the_start_does_not() -> None:
    deep = replace(SMALL, depths=(0, 300), kl=0.1, num_steps=200)
    held = run_ladder(deep, seed=3).outcome.mean(axis=1)
    freed = run_ladder(replace(deep, kl_reference="base"), seed=3).outcome.mean(axis=1)
    assert freed[1] > held[1] + 0.1


def test_label_smoothing_keeps_entropy() -> None:
    plain = run_ladder(replace(SMALL, num_steps=1), seed=4)
    smooth = run_ladder(replace(SMALL, num_steps=1, label_smoothing=0.2), seed=4)
    assert smooth.entropy[-1].mean() > plain.entropy[-1].mean() + 0.3


def test_sft_is_cross_entropy() -> None:
    config = replace(SMALL, depths=(0, 1), label_smoothing=0.1)
    base, _, label = _world(config, np.random.default_rng(0))
    start, end = sft_ladder(base, label, config)
    target = 0.9 * label + 0.1 / 16
    assert np.array_equal(start, base)
    np.testing.assert_allclose(end - start, 0.5 * (target - softmax(base)), atol=1e-12)


def test_labels_are_right_as_often_as_asked() -> None:
    config = replace(SMALL, num_repeats=200, label_accuracy=0.7)
    _, correct, label = _world(config, np.random.default_rng(1))
    right = np.sum(correct * label, axis=-1).mean()
    assert abs(right - 0.7) < 4 * np.sqrt(0.21 / (200 * 32))
    assert np.all(label.sum(axis=-1) == 1)
    assert np.all(correct.any(axis=-1) & ~correct.all(axis=-1))


def test_one_seed_one_ladder() -> None:
    a, b = (run_ladder(replace(SMALL, num_steps=5, interference=0.2), seed=5) for _ in range(2))
    assert np.array_equal(a.outcome, b.outcome)
    assert not np.array_equal(
        a.outcome, run_ladder(replace(SMALL, num_steps=5, interference=0.2), seed=6).outcome
    )


@pytest.mark.parametrize(
    "kw",
    [
        {"label_accuracy": 1.5},
        {"num_prompts": 0},
        {"num_responses": 1},
        {"depths": (3,)},
        {"depths": (3, 1)},
        {"rule": "ppo"},
        {"kl_reference": "best"},
    ],
)
def test_bad_input(kw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(kw))} must"):
        LadderConfig(**kw)
