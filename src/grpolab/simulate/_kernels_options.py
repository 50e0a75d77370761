"""Compiled loops of chains with options: optimisers, KL, clipping, noise, shared parameters.

Random numbers are those of `_kernels`: with every option off, a chain meets the same groups here.

The cache of machine code looks at this file alone: after a change in a module whose functions are
inlined here, remove ``__pycache__`` once.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from grpolab.simulate._kernels import (
    BLOCK,
    GROUP,
    LEAST,
    MOST,
    NEVER,
    binomial,
    note_chance,
    two_uniforms,
)

SGD, MOMENTUM, ADAM = 0, 1, 2
NO_KL, K1, K2, K3 = 0, 1, 2, 3
NOISE = np.uint64(6)
OUTAGE = np.uint64(7)
CUT = np.uint64(9)  # 8 draws responses
REPLAY = np.uint64(10)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


class Plan(NamedTuple):
    """Options as plain numbers, for the kernels."""

    group_size: int
    learning_rate: float
    optimiser: int
    beta1: float
    beta2: float
    adam_eps: float
    weight_decay: float
    prior_logit: float
    kl: float
    kl_form: int
    inner_epochs: int
    clip_low: float
    clip_high: float
    max_tries: int
    true_positive: float
    false_positive: float
    outage: float
    pressure: float
    staleness: int
    replay: float
    importance: bool
    cut_right: float
    cut_wrong: float
    mask_cut: bool


class Cells(NamedTuple):
    """Rollouts of a group by truth and verdict; those without a loss are among the last two."""

    hit: int  # correct, marked right
    missed: int  # correct, marked wrong, with a loss
    fooled: int  # wrong, marked right
    refused: int  # wrong, marked wrong, with a loss


@njit(cache=True, nogil=True, error_model="numpy")
def draw_cells(p, attempt, step, chain, k0, k1, plan):
    """One group: who is correct, and what the verifier says."""
    g = plan.group_size
    u, w = two_uniforms(attempt, step >> _ONE, chain, GROUP, k0, k1)
    correct = binomial(w if step & _ONE else u, g, p)
    long_right = long_wrong = 0  # beyond the budget of tokens
    if plan.cut_right > 0.0 or plan.cut_wrong > 0.0:
        u, w = two_uniforms(attempt, step, chain, CUT, k0, k1)
        long_right = binomial(u, correct, plan.cut_right)
        long_wrong = binomial(w, g - correct, plan.cut_wrong)
    right, wrong = correct - long_right, g - correct - long_wrong
    if plan.mask_cut:
        long_right = long_wrong = 0
    if plan.outage > 0.0:
        struck, _ = two_uniforms(attempt, step, chain, OUTAGE, k0, k1)
        if struck < plan.outage:
            return Cells(0, right + long_right, 0, wrong + long_wrong)
    if plan.true_positive == 1.0 and plan.false_positive == 0.0:
        return Cells(right, long_right, 0, wrong + long_wrong)
    u, w = two_uniforms(attempt, step, chain, NOISE, k0, k1)
    hit = binomial(u, right, plan.true_positive)
    fooled = binomial(w, wrong, plan.false_positive)
    return Cells(hit, right - hit + long_right, fooled, wrong - fooled + long_wrong)


@njit(cache=True, nogil=True, error_model="numpy")
def sample_group(p, step, chain, k0, k1, plan, stats):
    """Draw until the verdicts are mixed or the tries are spent; count every group drawn."""
    g = plan.group_size
    attempt = _ZERO
    cells = draw_cells(p, attempt, step, chain, k0, k1, plan)
    while True:
        marked = cells.hit + cells.fooled
        stats[0] += int(marked == 0)
        stats[1] += int(marked == g)
        stats[2] += marked * (g - marked)
        stats[3] += 1
        attempt += _ONE
        if 0 < marked < g or attempt >= np.uint64(plan.max_tries):
            return cells
        cells = draw_cells(p, attempt, step, chain, k0, k1, plan)


@njit(cache=True, nogil=True, error_model="numpy")
def again(step, chain, k0, k1, plan):
    """Whether a step takes the group that was kept."""
    u, _ = two_uniforms(_ZERO, step, chain, REPLAY, k0, k1)
    return u < plan.replay


@njit(cache=True, nogil=True, error_model="numpy")
def clipped(advantage, ratio, plan):
    """Weight of the score in the gradient of PPO's clipped surrogate."""
    if advantage > 0.0 and ratio > 1.0 + plan.clip_high:
        return 0.0
    if advantage < 0.0 and ratio < 1.0 - plan.clip_low:
        return 0.0
    return advantage * ratio


@njit(cache=True, nogil=True, error_model="numpy")
def kl_weight(log_ratio, form):
    """Weight of the score in the gradient of the KL estimate; log_ratio = log(pi_ref / pi)."""
    if form == K1:
        return 1.0
    if form == K2:
        return -log_ratio
    return -math.expm1(log_ratio)


@njit(cache=True, nogil=True, error_model="numpy")
def logit_gradient(odds, old_odds, ref_odds, cells, right, wrong, plan):
    """(1/g) d/dz of the surrogate minus kl times its penalty, at the group in ``cells``."""
    q, old_q = 1.0 / (1.0 + odds), 1.0 / (1.0 + old_odds)
    p, old_p = odds * q, old_odds * old_q
    marked = cells.hit + cells.fooled
    up, down = right[marked], wrong[marked]
    if plan.inner_epochs > 1 or plan.importance:
        r1, r0 = p / old_p, q / old_q
        good = cells.hit * clipped(up, r1, plan) + cells.missed * clipped(down, r1, plan)
        bad = cells.fooled * clipped(up, r0, plan) + cells.refused * clipped(down, r0, plan)
    else:
        good = cells.hit * up + cells.missed * down
        bad = cells.fooled * up + cells.refused * down
    if plan.kl_form != NO_KL:
        ref_q = 1.0 / (1.0 + ref_odds)
        log_q = math.log(ref_q / q)
        log_p = log_q + math.log(ref_odds / odds)
        good -= plan.kl * (cells.hit + cells.missed) * kl_weight(log_p, plan.kl_form)
        bad -= plan.kl * (cells.fooled + cells.refused) * kl_weight(log_q, plan.kl_form)
    return (good * q - bad * p) / plan.group_size


@njit(cache=True, nogil=True, error_model="numpy")
def optimiser_step(gradient, i, count, velocity, square, plan):
    """Ascent step of parameter i; count is the number of the update, from 1."""
    if plan.optimiser == SGD:
        return plan.learning_rate * gradient
    if plan.optimiser == MOMENTUM:
        velocity[i] = plan.beta1 * velocity[i] + gradient
        return plan.learning_rate * velocity[i]
    velocity[i] = plan.beta1 * velocity[i] + (1.0 - plan.beta1) * gradient
    square[i] = plan.beta2 * square[i] + (1.0 - plan.beta2) * gradient * gradient
    mean = velocity[i] / (1.0 - plan.beta1**count)
    spread = math.sqrt(square[i] / (1.0 - plan.beta2**count))
    return plan.learning_rate * mean / (spread + plan.adam_eps)


@njit(cache=True, nogil=True, error_model="numpy")
def _inside(odds):
    return min(max(odds, LEAST), MOST)


@njit(cache=True, nogil=True, error_model="numpy")
def option_chains(
    odds, velocity, square, history, kept_odds, kept, reference, first, k0, k1, start, right, wrong,
    plan, stats, moments, threshold, moved, above,
):  # fmt: skip
    """Advance independent chains: odds [C], history [C, staleness] and reference [C] odds.

    kept_odds [C] and kept [C, 4] hold the last mixed group and the policy that drew it, 0: none.
    """
    for i in range(len(odds)):
        chain = first + np.uint64(i)
        x, origin = odds[i], odds[i]
        for t in range(len(stats)):
            step = start + np.uint64(t)
            p = x / (1.0 + x)
            note_chance(p, i % BLOCK == 0, moments[i // BLOCK, t])
            old = x  # odds of the policy that draws
            if plan.staleness > 0:
                place = np.int64(step) % plan.staleness
                old = history[i, place]
                history[i, place] = x
            if plan.replay > 0.0 and kept_odds[i] > 0.0 and again(step, chain, k0, k1, plan):
                old = kept_odds[i]
                cells = Cells(kept[i, 0], kept[i, 1], kept[i, 2], kept[i, 3])
            else:
                cells = sample_group(old / (1.0 + old), step, chain, k0, k1, plan, stats[t])
                if plan.replay > 0.0 and 0 < cells.hit + cells.fooled < plan.group_size:
                    kept_odds[i] = old
                    kept[i, 0], kept[i, 1] = cells.hit, cells.missed
                    kept[i, 2], kept[i, 3] = cells.fooled, cells.refused
            if not plan.importance:
                old = x  # ratios of inner epochs are to the policy of the step
            for epoch in range(plan.inner_epochs):
                grad = logit_gradient(x, old, reference[i], cells, right, wrong, plan)
                count = np.int64(step) * plan.inner_epochs + epoch + 1
                move = optimiser_step(grad + plan.pressure, i, count, velocity, square, plan)
                if plan.weight_decay > 0.0:
                    pull = plan.weight_decay * (math.log(x) - plan.prior_logit)
                    move -= plan.learning_rate * pull
                x = _inside(x * math.exp(move))
            if len(above) > 0:
                now = np.int64(step) + 1
                moved[i] = min(moved[i], now if x != origin else NEVER)
                above[i] = min(above[i], now if x >= threshold else NEVER)
        odds[i] = x
