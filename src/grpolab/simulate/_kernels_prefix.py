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
    has_group,
    log_softmax,
    new_group,
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
    log_pi, log_old, log_ref, length, responses, verdicts, loss, marked, right, wrong, plan, out
):
    """Gradient of the surrogate, summed over tokens, with respect to the logits; out [N, V]."""
    g, tokens = len(responses), log_pi.shape[1]
    out[:] = 0.0
    total = np.zeros(len(log_pi))
    for i in range(g):
        if loss[i] == 0:
            continue
        y = responses[i]
        group = right[marked] if verdicts[i] else wrong[marked]
        block, offset, size = tokens**length, 0, 1
        for _ in range(length):
            prefix = offset + y // block
            block //= tokens
            token = y // block % tokens
            advantage = group
            if plan.inner_epochs > 1 or plan.importance:
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
    weights, velocity, square, history, kept, kept_log, reference, correct, length, first, k0, k1,
    start, right, wrong, plan, stats, moments, block,
):  # fmt: skip
    """Advance models of their own: weights [S, N, V], reference [N, V], correct [V^L].

    history [S, staleness, N, V], kept [S, 4, g] and kept_log [S, N, V] as in `softmax_models`.
    """
    prefixes, tokens = weights.shape[1], weights.shape[2]
    log_pi, log_old = np.empty((prefixes, tokens)), np.empty((prefixes, tokens))
    gradient = np.empty((prefixes, tokens))
    logs = np.empty(len(correct))
    group = np.empty((4, plan.group_size), np.int64)
    for s in range(len(weights)):
        chain = first + np.uint64(s)
        for t in range(len(stats)):
            step = start + np.uint64(t)
            place = np.int64(step) % max(plan.staleness, 1)
            token_logs(weights[s], log_pi)
            response_logs(log_pi, length, logs)
            note_policy(logs, correct, s % block == 0, moments[s // block, t])
            log_old[:] = log_pi
            if plan.staleness > 0:
                token_logs(history[s, place], log_old)
                response_logs(log_old, length, logs)
                history[s, place] = weights[s]
            if plan.replay > 0.0 and has_group(kept_log[s], step, chain, k0, k1, plan):
                group[:] = kept[s]
                log_old[:] = kept_log[s]
            else:
                new_group(logs, correct, step, chain, k0, k1, plan, group, stats[t])
                if plan.replay > 0.0 and 0 < group[3, 0] < plan.group_size:
                    kept[s] = group
                    kept_log[s] = log_old
            if not plan.importance:
                log_old[:] = log_pi  # ratios of inner epochs are to the policy of the step
            for epoch in range(plan.inner_epochs):
                token_logs(weights[s], log_pi)
                add_token_gradients(
                    log_pi, log_old, reference, length, group[0], group[1], group[2], group[3, 0],
                    right, wrong, plan, gradient,
                )  # fmt: skip
                count = np.int64(step) * plan.inner_epochs + epoch + 1
                update(weights[s], gradient, velocity[s], square[s], count, plan)


@njit(cache=True, nogil=True, error_model="numpy")
def token_logs(logits, out):
    """Log-probabilities of the tokens after every prefix, [N, V]."""
    for n in range(len(logits)):
        log_softmax(logits[n], out[n])
