"""Compiled loop of policies over tokens: one softmax table per prefix (theory/autoregressive.py).

The cache of machine code looks at this file alone: after a change in a module whose functions are
inlined here, remove ``__pycache__`` once.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from grpolab.simulate._kernels_options import NO_KL, clipped, kl_weight
from grpolab.simulate._kernels_softmax import (
    draw_responses,
    log_softmax,
    mark,
    note_group,
    note_policy,
    update,
)


@njit(cache=True, nogil=True, error_model="numpy")
def response_logs(log_pi, length, out):
    """Log-probabilities of all responses, out [V^L], from those of tokens, log_pi [N, V]."""
    tokens = log_pi.shape[1]
    out[0] = 0.0
    size, offset = 1, 0
    for _ in range(length):
        for j in range(size - 1, -1, -1):  # from behind: place j is read before it is written
            base = out[j]
            for v in range(tokens):
                out[j * tokens + v] = base + log_pi[offset + j, v]
        offset += size
        size *= tokens


@njit(cache=True, nogil=True, error_model="numpy")
def add_token_gradients(
    log_pi, log_old, log_ref, length, responses, verdicts, marked, right, wrong, plan, out
):
    """Gradient of the surrogate, summed over tokens, with respect to the logits; out [N, V]."""
    g, tokens = len(responses), log_pi.shape[1]
    out[:] = 0.0
    total = np.zeros(len(log_pi))
    for i in range(g):
        y = responses[i]
        group = right[marked] if verdicts[i] else wrong[marked]
        block, offset, size = tokens**length, 0, 1
        for _ in range(length):
            prefix = offset + y // block
            block //= tokens
            token = y // block % tokens
            advantage = group
            if plan.inner_epochs > 1:
                ratio = math.exp(log_pi[prefix, token] - log_old[prefix, token])
                advantage = clipped(group, ratio, plan)
            if plan.kl_form != NO_KL:
                gap = log_ref[prefix, token] - log_pi[prefix, token]
                advantage -= plan.kl * kl_weight(gap, plan.kl_form)
            out[prefix, token] += advantage / g
            total[prefix] += advantage / g
            offset += size
            size *= tokens
    for prefix in range(len(log_pi)):
        if total[prefix] != 0.0:
            for v in range(tokens):
                out[prefix, v] -= total[prefix] * math.exp(log_pi[prefix, v])


@njit(cache=True, nogil=True, error_model="numpy")
def prefix_models(
    weights, velocity, square, reference, correct, length, first, k0, k1, start, right, wrong, plan,
    stats, moments, block,
):  # fmt: skip
    """Advance models of their own: weights [S, N, V], reference [N, V], correct [V^L]."""
    prefixes, tokens = weights.shape[1], weights.shape[2]
    log_pi, log_old = np.empty((prefixes, tokens)), np.empty((prefixes, tokens))
    gradient = np.empty((prefixes, tokens))
    logs = np.empty(len(correct))
    responses = np.empty(plan.group_size, np.int64)
    verdicts = np.empty(plan.group_size, np.int64)
    for s in range(len(weights)):
        chain = first + np.uint64(s)
        for t in range(len(stats)):
            step = start + np.uint64(t)
            for n in range(prefixes):
                log_softmax(weights[s, n], log_old[n])
            response_logs(log_old, length, logs)
            note_policy(logs, correct, s % block == 0, moments[s // block, t])
            marked = np.int64(0)
            for attempt in range(plan.max_tries):
                a = np.uint64(attempt)
                draw_responses(logs, a, step, chain, k0, k1, responses)
                marked = mark(responses, correct, a, step, chain, k0, k1, plan, verdicts)
                note_group(responses, marked, stats[t])
                if 0 < marked < plan.group_size:
                    break
            for epoch in range(plan.inner_epochs):
                for n in range(prefixes):
                    log_softmax(weights[s, n], log_pi[n])
                add_token_gradients(
                    log_pi, log_old, reference, length, responses, verdicts, marked, right, wrong,
                    plan, gradient,
                )  # fmt: skip
                count = np.int64(step) * plan.inner_epochs + epoch + 1
                update(weights[s], gradient, velocity[s], square[s], count, plan)
