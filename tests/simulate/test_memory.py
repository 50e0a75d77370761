"""Groups that another policy drew, and rollouts cut by a budget: three policies, one meaning.

A table of one right and one wrong response is the Bernoulli policy with half its logit difference
moved at twice the pace: z = t_right - t_wrong, each of which a gradient step moves. A table over
tokens of length one is the same table. What is exact for one is therefore held against all three.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from grpolab import theory
from grpolab.simulate import Options, simulate_bernoulli, simulate_prefix, simulate_softmax

G, RATE, P0 = 4, 0.6, 0.3
Z0 = float(np.log(P0 / (1 - P0)))


def ends(kind: str, options: Options, *, steps: int, number: int, rule: Any = "grpo") -> Any:
    """Logits z after some steps, [number], whatever the policy is made of."""
    at: dict[str, Any] = {
        "group_size": G, "num_steps": steps, "seed": 5, "options": options, "rule": rule
    }  # fmt: skip
    if kind == "bernoulli":
        run = simulate_bernoulli(P0, learning_rate=RATE, num_chains=number, **at)
        return run.state.logit, run
    # z = t_1 - t_0 moves twice as far as each of them
    right = np.array([False, True])
    if kind == "softmax":
        table = simulate_softmax([0.0, Z0], right, learning_rate=RATE / 2, num_models=number, **at)
        return np.diff(table.state.logits[:, 0], axis=-1)[:, 0], table
    tokens = simulate_prefix([[0.0, Z0]], right, learning_rate=RATE / 2, num_models=number, **at)
    return np.diff(tokens.state.logits[:, 0], axis=-1)[:, 0], tokens


def surrogate(z: float, counts: tuple[int, int, int, int], drawn: float, ratios: bool) -> float:
    """dz/rate by one group (hit, missed, fooled, refused) drawn at the logit ``drawn``."""
    p, b = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(-drawn))
    hit, missed, fooled, refused = counts
    right, wrong = theory.GRPO.advantages(hit + fooled, G)
    up, down = (p / b, (1 - p) / (1 - b)) if ratios else (1.0, 1.0)
    good, bad = hit * right + missed * wrong, fooled * right + refused * wrong
    return float(good * up * (1 - p) - bad * down * p) / G


def binomial(n: int, p: float) -> Any:
    return theory.count_pmf(p, n) if n else np.ones(1)


KINDS = ["bernoulli", "softmax", "prefix"]
WIDE = {"clip_low": 1.0, "clip_high": 1e9}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("importance", [True, False])
def test_a_group_taken_again_is_that_of_the_enumeration(
    kind: str, importance: bool, scale: float
) -> None:
    """Two steps; the second takes the first group again, where that was mixed, with chance 0.6."""
    number = max(200, int(30_000 * scale))
    z, run = ends(kind, Options(replay=0.6, importance=importance, **WIDE), steps=2, number=number)
    mean = square = drawn = 0.0
    for k, chance in enumerate(binomial(G, P0)):
        after = Z0 + RATE * surrogate(Z0, (k, 0, 0, G - k), Z0, importance)
        mixed = 0.6 if 0 < k < G else 0.0
        again = after + RATE * surrogate(after, (k, 0, 0, G - k), Z0, importance)
        mean, square = mean + chance * mixed * again, square + chance * mixed * again**2
        drawn += chance * (1 - mixed)
        for j, other in enumerate(binomial(G, 1 / (1 + np.exp(-after)))):
            new = after + RATE * surrogate(after, (j, 0, 0, G - j), after, importance)
            weight = chance * (1 - mixed) * other
            mean, square = mean + weight * new, square + weight * new**2
    spread = np.sqrt(square - mean**2)
    assert z.mean() == pytest.approx(mean, abs=4 * spread / np.sqrt(number))
    assert z.std() == pytest.approx(spread, rel=0.05 + 3 / np.sqrt(number))
    error = 4 * np.sqrt(drawn * (1 - drawn) / number)
    assert run.mean_groups_drawn.tolist() == pytest.approx([1.0, drawn], abs=error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [True, False])
def test_cut_rollouts_are_those_of_the_enumeration(kind: str, masked: bool, scale: float) -> None:
    number = max(300, int(30_000 * scale))
    options = Options(cut_right=0.5, cut_wrong=0.2, mask_cut=masked)
    z, run = ends(kind, options, steps=1, number=number)
    mean = square = dead = 0.0
    for k, chance in enumerate(binomial(G, P0)):
        for (i, a), (j, b) in product(enumerate(binomial(k, 0.5)), enumerate(binomial(G - k, 0.2))):
            counts = (k - i, 0 if masked else i, 0, G - k - (j if masked else 0))
            move = RATE * surrogate(Z0, counts, Z0, ratios=False)
            weight = chance * a * b
            mean, square = mean + weight * move, square + weight * move**2
            dead += weight * (k - i in (0, G))
    spread = np.sqrt(square - mean**2)
    assert z.mean() - Z0 == pytest.approx(mean, abs=4 * spread / np.sqrt(number))
    error = 4 * np.sqrt(dead * (1 - dead) / number)
    assert run.frac_zero_std[0] == pytest.approx(dead, abs=error)
    if not masked:  # then it is a grader that misses half of what is right
        noisy = theory.noisy_drift("grpo", P0, group_size=G, true_positive=0.5)
        assert mean == pytest.approx(RATE * noisy, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("importance", [True, False])
def test_stale_groups_drift_as_the_formula_says(kind: str, importance: bool, scale: float) -> None:
    number = max(300, int(30_000 * scale))
    options = Options(staleness=2, importance=importance, **WIDE)
    first, _ = ends(kind, options, steps=2, number=number)
    third, _ = ends(kind, options, steps=3, number=number)
    p = 1 / (1 + np.exp(-first))
    wanted = theory.stale_drift("grpo", p, behaviour=[P0] * G, importance=importance)
    gap = (third - first) / RATE - wanted
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(number) + 1e-12


def test_ratios_of_inner_epochs_without_importance_are_to_the_policy_of_the_step() -> None:
    """Taken as if fresh: a clip that a fresh group does not meet is not met by a stale one."""
    loose = Options(staleness=3, importance=False, inner_epochs=2, clip_low=1.0, clip_high=1e9)
    tight = Options(staleness=3, importance=False, inner_epochs=2, clip_low=0.9, clip_high=5.0)
    for kind in KINDS:
        z, _ = ends(kind, loose, steps=5, number=50)
        w, _ = ends(kind, tight, steps=5, number=50)
        np.testing.assert_array_equal(z, w)


@pytest.mark.parametrize("kind", ["softmax", "prefix"])
def test_threads_and_snapshots_do_not_matter(kind: str) -> None:
    options = Options(staleness=2, replay=0.5, cut_right=0.3, mask_cut=True)
    right, table = np.array([False, True]), np.array([[0.0, Z0]])
    play: Any = simulate_softmax if kind == "softmax" else simulate_prefix
    start = (table, right[None]) if kind == "softmax" else (table, right)
    at = {"group_size": G, "learning_rate": 0.3, "num_steps": 7, "seed": 0, "options": options}
    runs = [
        play(*start, num_models=40, threads=t, snapshot_every=s, **at) for t, s in ((1, 0), (2, 3))
    ]
    np.testing.assert_array_equal(runs[0].mean_p, runs[1].mean_p)
    with pytest.raises(ValueError, match="staleness must be 0 where a run is continued"):
        play(runs[0].state, **at)
    with pytest.raises(ValueError, match="replay must be 0 where a run is continued"):
        play(runs[0].state, **(at | {"options": Options(replay=0.5)}))


SHARED = {"group_size": 4, "learning_rate": 0.1, "num_steps": 1, "seed": 0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("group_size", 0), ("group_size", 1025), ("group_size", [4]), ("group_size", 2.5),
        ("group_size", "8"), ("learning_rate", float("nan")), ("learning_rate", [0.1]),
        ("learning_rate", "fast"), ("num_steps", -1), ("num_steps", 1.5), ("num_steps", None),
        ("seed", -1), ("seed", 0.5), ("seed", True), ("rule", "gpro"), ("rule", 3),
        ("options", {"kl": 1}), ("threads", 0), ("threads", 1.5), ("snapshot_every", -1),
        ("snapshot_every", 0.5), ("number", 0), ("number", [1, 2]),
    ],
)  # fmt: skip
def test_all_simulations_refuse_the_same(kind: str, name: str, bad: Any) -> None:
    number = {"bernoulli": "num_chains"}.get(kind, "num_models") if name == "number" else name
    more = SHARED | {number: bad}
    calls: dict[str, Any] = {
        "bernoulli": lambda: simulate_bernoulli(0.3, **more),
        "softmax": lambda: simulate_softmax([0.0, 1.0], [True, False], **more),
        "prefix": lambda: simulate_prefix([[0.0, 1.0]], [True, False], **more),
    }
    with pytest.raises(ValueError, match=number):
        calls[kind]()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("optimiser", "adamw"), ("kl_form", "k4"), ("kl_form", ["k1"]), ("replay", 1.0),
        ("replay", "often"), ("staleness", -1), ("staleness", 0.5), ("cut_right", 1.1),
        ("cut_wrong", float("nan")), ("mask_cut", 1), ("importance", None), ("beta1", 1.0),
        ("p_ref", 0.0), ("p_ref", "half"), ("inner_epochs", 0), ("max_tries", 1.5),
        ("pressure", float("inf")), ("weight_decay", -1), ("kl", [0.1]), ("outage", None),
    ],
)  # fmt: skip
def test_options_name_what_is_wrong(name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: bad})
