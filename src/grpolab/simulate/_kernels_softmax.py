"""Compiled loops of tabular softmax policies, with parameters of their own or shared by prompts.

A model holds weights W [D, V]; the logits of prompt x are base[x] + sum_d features[x, d] W[d].

The cache of machine code looks at this file alone: after a change in a module whose functions are
inlined here, remove ``__pycache__`` once.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from grpolab.simulate._kernels import note_chance, two_uniforms
from grpolab.simulate._kernels_options import (
    CUT,
    NO_KL,
    NOISE,
    OUTAGE,
    again,
    clipped,
    kl_weight,
    optimiser_step,
)

RESPONSE = np.uint64(8)
COLUMNS = 6  # groups all wrong, all right, K(g-K), groups, distinct responses, equal pairs
MOMENTS = 5  # shift, sum and sum of squares of p; entropy; collision probability
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(logits, out):
    """Log-probabilities of one prompt: logits [V], out [V]."""
    top = logits[0]
    for y in range(1, len(logits)):
        top = max(top, logits[y])
    total = 0.0
    for y in range(len(logits)):
        total += math.exp(logits[y] - top)
    norm = top + math.log(total)
    for y in range(len(logits)):
        out[y] = logits[y] - norm


@njit(cache=True, nogil=True, error_model="numpy")
def prompt_logits(base, features, weights, out):
    """Logits of one prompt: base [V], features [D], weights [D, V]."""
    for y in range(len(out)):
        out[y] = base[y]
    for d in range(len(features)):
        if features[d] != 0.0:
            for y in range(len(out)):
                out[y] += features[d] * weights[d, y]


@njit(cache=True, nogil=True, error_model="numpy")
def draw_responses(log_pi, attempt, step, chain, k0, k1, out):
    """Draw responses of one group by inverting the distribution function; out [g]."""
    first = attempt * np.uint64((len(out) + 1) // 2)
    u = w = 0.0
    for i in range(len(out)):
        if i % 2 == 0:
            u, w = two_uniforms(first + np.uint64(i // 2), step, chain, RESPONSE, k0, k1)
        left = w if i % 2 else u
        y = 0
        chance = math.exp(log_pi[0])
        while left >= chance and y < len(log_pi) - 1:
            left -= chance
            y += 1
            chance = math.exp(log_pi[y])
        out[i] = y


@njit(cache=True, nogil=True, error_model="numpy")
def mark(responses, correct, attempt, step, chain, k0, k1, plan, verdicts, loss):
    """Verdicts [g] of the verifier and which rollouts have a loss [g]; returns how many are right.

    A rollout beyond the budget of tokens counts as wrong.
    """
    g = len(responses)
    loss[:] = 1
    struck = 1.0
    if plan.outage > 0.0:
        struck, _ = two_uniforms(attempt, step, chain, OUTAGE, k0, k1)
    noisy = plan.true_positive < 1.0 or plan.false_positive > 0.0
    cutting = plan.cut_right > 0.0 or plan.cut_wrong > 0.0
    marked = 0
    for i in range(g):
        index = attempt * np.uint64(g) + np.uint64(i)
        truth = correct[responses[i]]
        verdict = truth
        if noisy:
            u, _ = two_uniforms(index, step, chain, NOISE, k0, k1)
            verdict = u < (plan.true_positive if truth else plan.false_positive)
        if cutting:
            u, _ = two_uniforms(index, step, chain, CUT, k0, k1)
            if u < (plan.cut_right if truth else plan.cut_wrong):
                verdict = False
                loss[i] = int(not plan.mask_cut)
        verdicts[i] = int(verdict and struck >= plan.outage)
        marked += verdicts[i]
    return marked


@njit(cache=True, nogil=True, error_model="numpy")
def add_gradient(
    log_pi, log_old, log_ref, responses, verdicts, loss, marked, right, wrong, plan, out
):
    """Add the gradient of the surrogate with respect to the logits of one prompt to out [V]."""
    g = len(responses)
    total = 0.0
    for i in range(g):
        if loss[i] == 0:
            continue
        y = responses[i]
        advantage = right[marked] if verdicts[i] else wrong[marked]
        if plan.inner_epochs > 1 or plan.importance:
            advantage = clipped(advantage, math.exp(log_pi[y] - log_old[y]), plan)
        if plan.kl_form != NO_KL:
            advantage -= plan.kl * kl_weight(log_ref[y] - log_pi[y], plan.kl_form)
        out[y] += advantage / g
        total += advantage / g
    if total != 0.0:
        for y in range(len(out)):
            out[y] -= total * math.exp(log_pi[y])


@njit(cache=True, nogil=True, error_model="numpy")
def note_policy(log_pi, correct, first, moments):
    """Add chance, entropy and collision probability of one prompt to those of its block."""
    p = entropy = collision = 0.0
    for y in range(len(log_pi)):
        chance = math.exp(log_pi[y])
        if correct[y]:
            p += chance
        if chance > 0.0:
            entropy -= chance * log_pi[y]
        collision += chance * chance
    note_chance(min(p, 1.0), first, moments)
    if first:
        moments[3] = 0.0
        moments[4] = 0.0
    moments[3] += entropy
    moments[4] += collision


@njit(cache=True, nogil=True, error_model="numpy")
def note_group(responses, marked, stats):
    """Add what one group shows: verdicts, distinct responses, pairs of equal ones."""
    g = len(responses)
    stats[0] += int(marked == 0)
    stats[1] += int(marked == g)
    stats[2] += marked * (g - marked)
    stats[3] += 1
    equal = 0
    for i in range(g):
        first = True
        for j in range(i):
            if responses[i] == responses[j]:
                equal += 1
                first = False
        stats[4] += int(first)
    stats[5] += equal


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_models(
    weights, velocity, square, history, kept, kept_log, base, features, reference, correct, first,
    k0, k1, start, right, wrong, plan, stats, moments, block,
):  # fmt: skip
    """Advance models: weights [S, D, V], base, reference, correct [S, P, V], stats [T, COLUMNS].

    moments [ceil(S/block), T, MOMENTS] are sums over blocks of models. history [S, staleness, D, V]
    holds older weights; kept [S, P, 4, g] the last mixed group (responses, verdicts, losses, number
    right) and kept_log [S, P, V] the policy that drew it, with nan where there is none; [0] if not
    needed.
    """
    prompts, size = base.shape[1], base.shape[2]
    logits, gradient = np.empty(size), np.empty(weights.shape[1:])
    log_now, log_old = np.empty((prompts, size)), np.empty((prompts, size))
    log_pi = np.empty(size)
    group = np.empty((prompts, 4, plan.group_size), np.int64)
    for s in range(len(weights)):
        for t in range(len(stats)):
            step = start + np.uint64(t)
            place = np.int64(step) % max(plan.staleness, 1)
            for x in range(prompts):
                chain = first + np.uint64(s * prompts + x)
                prompt_logits(base[s, x], features[x], weights[s], logits)
                log_softmax(logits, log_now[x])
                opens = x == 0 and s % block == 0
                note_policy(log_now[x], correct[s, x], opens, moments[s // block, t])
                log_old[x] = log_now[x]
                if plan.staleness > 0:
                    prompt_logits(base[s, x], features[x], history[s, place], logits)
                    log_softmax(logits, log_old[x])
                kind = group[x]
                if plan.replay > 0.0 and has_group(kept_log[s, x], step, chain, k0, k1, plan):
                    kind[:] = kept[s, x]
                    log_old[x] = kept_log[s, x]
                else:
                    new_group(log_old[x], correct[s, x], step, chain, k0, k1, plan, kind, stats[t])
                    if plan.replay > 0.0 and 0 < kind[3, 0] < plan.group_size:
                        kept[s, x] = kind
                        kept_log[s, x] = log_old[x]
            if plan.staleness > 0:
                history[s, place] = weights[s]
            if not plan.importance:
                log_old[:] = log_now  # ratios of inner epochs are to the policy of the step
            for epoch in range(plan.inner_epochs):
                gradient[:] = 0.0
                for x in range(prompts):
                    prompt_logits(base[s, x], features[x], weights[s], logits)
                    log_softmax(logits, log_pi)
                    logits[:] = 0.0
                    kind = group[x]
                    add_gradient(
                        log_pi, log_old[x], reference[s, x], kind[0], kind[1], kind[2], kind[3, 0],
                        right, wrong, plan, logits,
                    )  # fmt: skip
                    for d in range(len(gradient)):
                        if features[x, d] != 0.0:
                            for y in range(size):
                                gradient[d, y] += features[x, d] * logits[y]
                count = np.int64(step) * plan.inner_epochs + epoch + 1
                update(weights[s], gradient, velocity[s], square[s], count, plan)


@njit(cache=True, nogil=True, error_model="numpy")
def has_group(log_pi, step, chain, k0, k1, plan):
    """Whether a group was kept and is to be taken again; log_pi of any shape, nan for none."""
    return not math.isnan(log_pi.ravel()[0]) and again(step, chain, k0, k1, plan)


@njit(cache=True, nogil=True, error_model="numpy")
def new_group(log_pi, correct, step, chain, k0, k1, plan, group, stats):
    """Draw until the verdicts are mixed or the tries are spent; group [4, g] is written."""
    for attempt in range(plan.max_tries):
        a = np.uint64(attempt)
        draw_responses(log_pi, a, step, chain, k0, k1, group[0])
        group[3] = mark(group[0], correct, a, step, chain, k0, k1, plan, group[1], group[2])
        note_group(group[0], group[3, 0], stats)
        if 0 < group[3, 0] < plan.group_size:
            break


@njit(cache=True, nogil=True, error_model="numpy")
def update(weights, gradient, velocity, square, count, plan):
    """One optimiser step of all weights [D, V] of a model."""
    flat, grad = weights.ravel(), gradient.ravel()
    v, q = velocity.ravel(), square.ravel()
    for i in range(len(flat)):
        move = optimiser_step(grad[i], i, count, v, q, plan)
        flat[i] += move - plan.learning_rate * plan.weight_decay * flat[i]
