"""Simulated policies over tokens, against enumeration and against tables over responses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from grpolab import theory
from grpolab.simulate import Options, simulate_prefix, simulate_softmax

TABLE = np.log([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]])
MARK = np.array([True, False, False, True])
KW: dict[str, Any] = {"group_size": 4, "learning_rate": 0.1, "seed": 1}


def test_single_groups_lower_p_and_the_mean_rises(scale: float) -> None:
    run = simulate_prefix(TABLE, MARK, num_steps=1, num_models=int(40_000 * scale), **KW)
    moves = run.state.p - 0.5
    fell = int(np.sum(moves < -1e-9))  # the chance of such a group is 0.0149 by enumeration
    assert fell > 0
    assert binomtest(fell, len(moves), 0.0149375).pvalue > 1e-4
    square = float(np.sum(theory.success_gradient(TABLE, correct=MARK) ** 2))
    want = 0.1 * theory.expected_gain(theory.GRPO, 0.5, squared_gradient=square, group_size=4)
    error = float(moves.std()) / np.sqrt(len(moves))
    assert moves.mean() == pytest.approx(float(want), abs=4 * error + 0.1**2)


def test_one_token_is_a_table_over_responses() -> None:
    logits, right = np.array([0.3, -0.2, 0.5]), np.array([True, False, False])
    kw = KW | {"options": Options(inner_epochs=3, kl=0.1, optimiser="adam")}
    a = simulate_prefix(logits[None], right, num_steps=1, num_models=200, **kw)
    b = simulate_softmax(logits, right, num_steps=1, num_models=200, **kw)
    # other streams, the same finitely many outcomes
    assert np.isin(np.round(a.state.p, 9), np.round(b.state.p, 9)).mean() > 0.9
    assert np.ptp(a.state.p) == pytest.approx(np.ptp(b.state.p), rel=0.3)


@pytest.mark.parametrize("options", [
    Options(), Options(optimiser="adam"), Options(inner_epochs=3), Options(kl=0.2),
    Options(max_tries=4), Options(true_positive=0.9, false_positive=0.1, outage=0.1),
])  # fmt: skip
def test_threads_segments_and_continuations_do_not_matter(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = simulate_prefix(TABLE, MARK, num_steps=6, num_models=50, options=options, **KW)
    monkeypatch.setattr("grpolab.simulate._models._SUM_BYTES", 1)
    one = simulate_prefix(
        TABLE, MARK, num_steps=6, num_models=50, options=options, threads=1, snapshot_every=2, **KW
    )
    assert np.array_equal(whole.mean_p, one.mean_p)
    assert np.array_equal(whole.std_p, one.std_p)
    half = simulate_prefix(TABLE, MARK, num_steps=3, num_models=50, options=options, **KW)
    rest = simulate_prefix(half.state, num_steps=3, options=options, **KW)
    assert np.array_equal(rest.state.logits, whole.state.logits)
    assert one.snapshot_step.tolist() == [2, 4, 6]
    assert one.snapshot_p[-1].tolist() == whole.state.p.tolist()


def test_update_is_the_one_of_theory() -> None:
    """Every state after one step is one that `prefix_update` gives for some group."""
    run = simulate_prefix(TABLE, MARK, num_steps=1, num_models=60, **(KW | {"group_size": 2}))
    made = [
        theory.prefix_update(theory.GRPO, TABLE, correct=MARK, responses=[a, b], learning_rate=0.1)
        for a in range(4) for b in range(4)
    ]  # fmt: skip
    for table in run.state.logits:
        assert min(float(np.abs(table - other).max()) for other in made) < 1e-12


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="correct must be 4 booleans"):
        simulate_prefix(TABLE, [True, False], num_steps=1, **KW)
    with pytest.raises(ValueError, match="logits must be"):
        simulate_prefix(np.zeros((4, 2)), MARK, num_steps=1, **KW)
    with pytest.raises(ValueError, match="pressure has no meaning"):
        simulate_prefix(TABLE, MARK, num_steps=1, options=Options(pressure=1.0), **KW)
