"""Every advantage rule against the same computation on the raw reward vector."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.theory.advantage import GRPO, NEMO_RL, PRESETS, RLOO, TRL, VERL, AdvantageRule

SMALL = [(k, g) for g in range(1, 11) for k in range(g + 1)]


def spread(rewards: list[float], ddof: int) -> float | None:
    """Standard deviation by the book; None where it is not defined."""
    if len(rewards) <= ddof:
        return None
    mean = sum(rewards) / len(rewards)
    squares = sum((reward - mean) ** 2 for reward in rewards)
    return float((squares / (len(rewards) - ddof)) ** 0.5)


def direct(name: str, rewards: list[float], i: int) -> float:
    """Advantage of rollout i, written out trainer by trainer."""
    own, others = rewards[i], rewards[:i] + rewards[i + 1 :]
    mean = sum(rewards) / len(rewards)
    rest = sum(others) / len(others) if others else 0.0
    if name in ("dr-grpo", "prime-rl"):
        return own - mean
    if name == "rloo":
        return own - rest
    if name == "sign":
        return 2 * own - 1
    if name == "maxrl":
        return own / mean if mean > 0 else 0.0
    if name == "nemo-rl":
        std = spread(others, 1)
        return (own - rest) / (std + 1e-6) if std else own - rest
    ddof = 0 if name in ("grpo", "open-instruct") else 1
    eps = {"grpo": 0.0, "trl": 1e-4, "verl": 1e-6, "skyrl": 1e-6, "openrlhf": 1e-9}
    std = spread(rewards, ddof)
    centred = own - mean
    return centred / (std + eps.get(name, 1e-8)) if std and centred else 0.0


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_against_the_raw_rewards(name: str) -> None:
    rule = PRESETS[name]
    assert rule.name == name
    for k, g in SMALL:
        rewards = [1.0] * k + [0.0] * (g - k)
        got = rule.advantages(k, g)
        want = [direct(name, rewards, i) for i in range(g)]
        if k > 0:
            assert got.correct == pytest.approx(want[0], rel=1e-12, abs=1e-12), (k, g)
        if k < g:
            assert got.wrong == pytest.approx(want[-1], rel=1e-12, abs=1e-12), (k, g)


@pytest.mark.parametrize("name", ["dr-grpo", "grpo", "open-instruct", "prime-rl", "rloo", "trl"])
def test_centred_rules_sum_to_zero(name: str) -> None:
    for k, g in SMALL:
        if 0 < k < g:
            both = PRESETS[name].advantages(k, g)
            assert k * both.correct + (g - k) * both.wrong == pytest.approx(0.0, abs=1e-12)


def test_squares_of_a_mixed_group_do_not_depend_on_k() -> None:
    for k, g in SMALL:
        if 0 < k < g:
            for ddof in (0, 1):
                both = AdvantageRule("x", ddof=ddof).advantages(k, g)
                total = k * both.correct**2 + (g - k) * both.wrong**2
                assert total == pytest.approx(g - ddof, rel=1e-12)


def test_rloo_is_dr_grpo_rescaled() -> None:
    for k, g in SMALL:
        if 0 < k < g:
            loo, centred = RLOO.advantages(k, g), PRESETS["dr-grpo"].advantages(k, g)
            assert loo.correct == pytest.approx(centred.correct * g / (g - 1), rel=1e-12)
            assert loo.wrong == pytest.approx(centred.wrong * g / (g - 1), rel=1e-12)


def test_zero_std_groups_give_zero() -> None:
    for name in ("grpo", "dr-grpo", "trl", "verl", "openrlhf", "open-instruct", "nemo-rl", "rloo"):
        for g in (2, 3, 8):
            assert PRESETS[name].advantages(0, g).wrong == 0.0
            assert PRESETS[name].advantages(g, g).correct == 0.0
    assert PRESETS["maxrl"].advantages(4, 4).correct == 1.0  # no baseline: this one still pushes
    assert PRESETS["sign"].advantages(0, 4).wrong == -1.0


def test_groups_of_one() -> None:
    for name in ("grpo", "dr-grpo", "trl", "verl", "openrlhf"):
        assert PRESETS[name].advantages([0, 1], 1).wrong[0] == 0.0
        assert PRESETS[name].advantages([0, 1], 1).correct[1] == 0.0
    for name in ("rloo", "nemo-rl"):
        assert PRESETS[name].advantages(1, 1).correct == 1.0
        assert PRESETS[name].advantages(0, 1).wrong == 0.0


def test_groups_of_two_have_no_spread_of_the_others() -> None:
    assert NEMO_RL.advantages(1, 2).correct == 1.0
    assert NEMO_RL.advantages(1, 2).wrong == -1.0


def test_ddof_and_eps_are_told_apart() -> None:
    assert float(GRPO.advantages(1, 2).correct) == 1.0
    assert float(VERL.advantages(1, 2).correct) == pytest.approx(0.5 / (0.5**0.5 + 1e-6))
    assert float(TRL.advantages(1, 2).correct) == pytest.approx(0.5 / (0.5**0.5 + 1e-4))


def test_shapes_broadcast() -> None:
    both = GRPO.advantages(np.arange(1, 4)[:, None], np.array([4, 8]))
    assert both.correct.shape == both.wrong.shape == (3, 2)
    assert both.correct[1, 0] == GRPO.advantages(2, 4).correct


@pytest.mark.parametrize(("k", "g"), [(-1, 4), (5, 4), (0, 0)])
def test_bad_counts(k: int, g: int) -> None:
    with pytest.raises(ValueError, match="num_correct must lie in"):
        GRPO.advantages(k, g)
