"""Each entropy estimates what its name says, on policies whose entropies are known."""

import itertools

import numpy as np
import pytest

from grpolab.validate.rollouts import Rollouts
from grpolab.validate.rollouts.table import answer_entropies, entropies


def table(texts, *, prompt_id, logprob=None, entropy=None, num_tokens=None):
    n = len(texts)
    zeros = np.zeros(n)
    return Rollouts(
        prompt_id=np.asarray(prompt_id), group=np.zeros(n, np.int64), reward=zeros,
        num_tokens=np.ones(n, np.int64) if num_tokens is None else np.asarray(num_tokens),
        truncated=np.zeros(n, bool), entropy=zeros if entropy is None else np.asarray(entropy),
        logprob=zeros if logprob is None else np.asarray(logprob), text_hash=np.asarray(texts),
    )  # fmt: skip


def test_averages_weigh_tokens_and_completions_as_named():
    found = entropies(
        table([1, 2], prompt_id=[0, 0], logprob=[-3.0, -1.0], entropy=[0.5, 0.1], num_tokens=[4, 1])
    )
    assert found.token_entropy == pytest.approx((4 * 0.5 + 0.1) / 5)
    assert found.token_surprisal == pytest.approx(4 / 5)
    assert found.sequence_entropy == pytest.approx(2.0)
    assert found.collision_rate == 0


def test_what_the_engine_does_not_know_is_nan():
    found = entropies(table([1], prompt_id=[0], entropy=[np.nan], logprob=[-1.0]))
    assert np.isnan(found.token_entropy)
    assert found.token_surprisal == 1.0
    assert np.isnan(found.answer_entropy)
    assert np.isnan(found.collision_rate)


def test_answer_entropy_by_enumeration():
    """All 4^5 samples of a policy: the mean is the entropy but for its terms from n on."""
    policy, n = np.array([0.5, 0.3, 0.15, 0.05]), 5
    samples = np.array(list(itertools.product(range(4), repeat=n)))
    rows = table(samples.ravel(), prompt_id=np.repeat(np.arange(len(samples)), n))
    mean = policy[samples].prod(axis=1) @ answer_entropies(rows)
    v = np.arange(1, n)
    truncated = (policy[:, None] * (1 - policy[:, None]) ** v / v).sum()
    assert mean == pytest.approx(truncated, rel=1e-12)
    entropy = -(policy * np.log(policy)).sum()
    share = np.stack([(samples == y).mean(axis=1) for y in range(4)], axis=1)
    plug_in = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    assert policy[samples].prod(axis=1) @ plug_in < mean < entropy


def test_answer_entropy_of_extremes():
    assert answer_entropies(table([7] * 9, prompt_id=[0] * 9)).tolist() == [0.0]
    alone = answer_entropies(table(range(9), prompt_id=[0] * 9))
    assert alone[0] == pytest.approx(sum(1 / k for k in range(1, 9)))
