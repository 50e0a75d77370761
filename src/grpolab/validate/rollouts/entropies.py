"""Entropies of rollouts, each named for what it is: they differ, and only one is the paper's."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from grpolab.theory.groups import FloatArray
from grpolab.validate.rollouts.table import Rollouts


class Entropies(NamedTuple):
    """Entropies in nats, of the law that was sampled.

    ``token_entropy``: mean over drawn tokens of the entropy of the full next-token distribution;
    NaN where the engine did not give it. ``token_surprisal``: mean over drawn tokens of
    -log p(token), which estimates the same number from log-probabilities alone (the two sums have
    one expectation, by the chain rule; the quotient by the token count is consistent).
    ``sequence_entropy``: mean over completions of -log p(completion), unbiased for the mean over
    prompts of the entropy of a whole completion. ``answer_entropy``: mean over prompts of the
    entropy of the completion's text, estimated from repeats among the n samples; a lower bound on
    average that cannot exceed psi(n) - psi(1), about log n + 0.58. ``collision_rate``: chance that
    two completions of a prompt are the same text, sum_y pi(y)^2, unbiased; NaN without two samples.
    """

    token_entropy: float
    token_surprisal: float
    sequence_entropy: float
    answer_entropy: float
    collision_rate: float


def entropies(table: Rollouts) -> Entropies:
    """All entropies of a table; a prompt counts as much as any other where samples are equal."""
    size = table.num_tokens.astype(float)
    multiple = int(np.unique(table.prompt_id, return_counts=True)[1].max()) > 1
    return Entropies(
        token_entropy=float((table.entropy * size).sum() / size.sum()),
        token_surprisal=float(-table.logprob.sum() / size.sum()),
        sequence_entropy=float(-table.logprob.mean()),
        answer_entropy=float(answer_entropies(table).mean()) if multiple else math.nan,
        collision_rate=table.collision_rate() if multiple else math.nan,
    )


def answer_entropies(table: Rollouts) -> FloatArray:
    """Entropy of the text per prompt, shape [P], from multiplicities m_i of n samples.

    ``psi(n) - 1/n sum_i m_i psi(m_i)`` is unbiased for ``sum_y pi_y sum_{v<n} (1 - pi_y)^v / v``,
    the entropy but for the terms v >= n of its series (Zhang 2012, Neural Computation 24): a lower
    bound on average, 0 for a single repeated text.
    """
    keys = np.stack([table.prompt_id, table.text_hash])
    keys, times = np.unique(keys, axis=1, return_counts=True)
    prompts, row = np.unique(keys[0], return_inverse=True)
    total = np.bincount(row, weights=times, minlength=len(prompts))
    inner = np.bincount(row, weights=times * digamma(times), minlength=len(prompts))
    found = digamma(total) - inner / total
    return np.asarray(np.maximum(found, 0.0))  # rounding may leave -1e-16
