"""PEAR weights by hand, at their limits, and in a gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.validate.training.pear import PearConfig, pear_weights

OPEN = (-math.inf, math.inf)


def weighted_nll(logp: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return -(weight * logp).sum() / mask.sum()


def mask_of(*lengths: int, width: int) -> torch.Tensor:
    return torch.tensor([[i < n for i in range(width)] for n in lengths])


def by_hand(
    ratio: list[float], *, level: str, size: int, gamma: float, clip: tuple[float, float]
) -> list[float]:
    """The definition, token by token."""
    total = len(ratio)
    weights = []
    for t in range(1, total + 1):
        if level == "sequence":
            log_weight = sum(ratio)
        else:
            b = size if level == "block" else 1
            end = min(math.ceil(t / b) * b, total)
            log_weight = (total - end) * math.log(gamma) + sum(ratio[end:])
        weights.append(math.exp(min(max(log_weight, clip[0]), clip[1])))
    return weights


def test_a_small_example() -> None:
    logp = torch.log(torch.tensor([[0.2, 0.5, 0.9, 0.4]], dtype=torch.float64))
    behaviour = torch.log(torch.tensor([[0.4, 0.5, 0.6, 0.8]], dtype=torch.float64))
    free = {"clip_ratio": OPEN, "clip_weight": OPEN, "discount": 0.5}
    mask = mask_of(4, width=4)
    token = pear_weights(logp, mask, behaviour=behaviour, config=PearConfig(**free))
    # ratios 1/2, 1, 3/2, 1/2: behind each token 3/4, 3/4, 1/2, 1, times 1/8, 1/4, 1/2, 1
    assert torch.allclose(token, torch.tensor([[3 / 32, 3 / 16, 1 / 4, 1.0]], dtype=torch.float64))
    block = PearConfig(level="block", block_size=3, **free)
    got = pear_weights(logp, mask, behaviour=behaviour, config=block)
    assert torch.allclose(got, torch.tensor([[0.25, 0.25, 0.25, 1.0]], dtype=torch.float64))
    sequence = PearConfig(level="sequence", **free)
    got = pear_weights(logp, mask, behaviour=behaviour, config=sequence)
    assert torch.allclose(got, torch.full((1, 4), 3 / 8, dtype=torch.float64))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(data=st.data())
def test_the_definition(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    width = max(lengths) + data.draw(st.integers(0, 2))
    seed = data.draw(st.integers(0, 10_000))
    level = data.draw(st.sampled_from(["token", "block", "sequence"]))
    size = data.draw(st.integers(1, 9))
    gamma = data.draw(st.sampled_from([1.0, 0.999, 0.7]))
    rng = np.random.default_rng(seed)
    logp = torch.tensor(-rng.exponential(size=(len(lengths), width)))
    behaviour = torch.tensor(-rng.exponential(size=(len(lengths), width)))
    config = PearConfig(level=level, block_size=size, discount=gamma, clip_weight=(-0.3, 0.2))
    got = pear_weights(logp, mask_of(*lengths, width=width), behaviour=behaviour, config=config)
    for row, n in enumerate(lengths):
        ratio = (logp - behaviour)[row, :n].clamp(-0.08, 0.3).tolist()
        want = by_hand(ratio, level=level, size=size, gamma=gamma, clip=(-0.3, 0.2))
        assert got[row].tolist() == pytest.approx([*want, *[0.0] * (width - n)], abs=1e-12)


@pytest.mark.parametrize("level", ["token", "block", "sequence"])
def test_data_as_likely_as_under_the_model_weigh_one(level: Any) -> None:
    logp = -torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    config = PearConfig(level=level, discount=1.0)
    got = pear_weights(logp, mask_of(5, 2, 4, width=5), behaviour=logp.clone(), config=config)
    assert torch.equal(got, mask_of(5, 2, 4, width=5).float())


def test_blocks_of_one_are_tokens_and_one_block_is_the_plain_loss() -> None:
    logp = -torch.rand(2, 6, generator=torch.Generator().manual_seed(1))
    mask = mask_of(6, 4, width=6)
    token = pear_weights(logp, mask, config=PearConfig())
    assert torch.equal(
        token, pear_weights(logp, mask, config=PearConfig(level="block", block_size=1))
    )
    assert not torch.equal(token, mask.float())
    whole = pear_weights(logp, mask, config=PearConfig(level="block", block_size=6))
    assert torch.equal(whole, mask.float())


def test_data_by_rule_weigh_at_most_one_and_bounds_hold() -> None:
    logp = -5 * torch.rand(8, 9, generator=torch.Generator().manual_seed(2))
    mask = mask_of(*[9] * 8, width=9)
    weight = pear_weights(logp, mask, config=PearConfig(discount=1.0))
    assert float(weight.max()) == 1.0
    assert float(weight.min()) >= math.exp(-0.08 * 8) - 1e-6
    assert float(weight.min()) == pytest.approx(math.exp(-0.64), rel=0.2)


def test_the_gradient_is_that_of_the_weighted_nll() -> None:
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    logits.requires_grad_(True)
    tokens = torch.randint(5, (3, 4), generator=torch.Generator().manual_seed(4))
    mask = mask_of(4, 2, 3, width=4)
    logp = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    weight = pear_weights(logp, mask, config=PearConfig(discount=0.8))
    other = pear_weights(logp, mask, behaviour=logp - 0.1)
    assert not weight.requires_grad
    assert not other.requires_grad
    weighted_nll(logp, mask, weight).backward()
    onehot = torch.nn.functional.one_hot(tokens, 5)
    want = weight[..., None] * (logits.detach().softmax(-1) - onehot) / 9
    assert torch.allclose(logits.grad, want)
    plain = torch.nn.functional.cross_entropy(logits[mask], tokens[mask])
    assert torch.allclose(weighted_nll(logp, mask, mask.double()), plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": "word"}, "level must be one of token, block, sequence"),
        ({"block_size": 0}, "block_size must be >= 1"),
        ({"discount": 0.0}, "discount must lie in"),
        ({"clip_ratio": (0.3, -0.08)}, "clip_ratio must be"),
    ],
)
def test_bad_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PearConfig(**change)


def test_bad_masks() -> None:
    logp = torch.zeros(1, 3)
    with pytest.raises(ValueError, match="mask must be bool"):
        pear_weights(logp, torch.ones(1, 3))
    with pytest.raises(ValueError, match="mask must be true up to some column"):
        pear_weights(logp, torch.tensor([[False, True, True]]))
