"""Checks of what the loop does besides one fresh group: replay, budgets of tokens, schedules."""

from __future__ import annotations

import math

import numpy as np

from grpolab import theory
from grpolab.simulate import Options, Phase, simulate_bernoulli, simulate_phases
from grpolab.theory.groups import BoolArray, FloatArray
from grpolab.theory.rules import advantage_table
from grpolab.validate.verify.registry import REGISTRY, Evidence, Size, add_both, add_counts

_P0 = 0.2


@REGISTRY.register(
    "replay",
    claim="P(step t draws) = 1 - r (1 - d^t); a group taken again moves z by its old advantages",
    wrong="1 - r, a mixed group always at hand; the second step as fresh as the first",
)
def _replay(size: Size) -> Evidence:
    evidence = Evidence([], [])
    share = 0.6
    for g in (2, 8):
        still = simulate_bernoulli(
            _P0, group_size=g, learning_rate=0.0, num_steps=5, num_chains=size.chains,
            seed=size.cell_seed("draws", g), options=Options(replay=share),
        )  # fmt: skip
        none = float(theory.prob_zero_std(_P0, g))
        for t in (1, 2, 4):
            seen = float(still.mean_groups_drawn[t])
            right = 1 - share * (1 - none**t)
            count = round(seen * size.chains)
            add_counts(evidence, f"draws g={g} step {t}", count, size.chains, right, 1 - share)
        for importance in (False, True):
            options = Options(replay=share, importance=importance, clip_low=1.0, clip_high=1e9)
            run = simulate_bernoulli(
                _P0, group_size=g, learning_rate=_RATE, num_steps=2, num_chains=size.chains,
                seed=size.cell_seed("moves", g, importance), options=options,
            )  # fmt: skip
            moved = run.state.logit - _Z0
            right, wrong = (_two_steps(g, chance, importance) for chance in (share, 0.0))
            name = f"moves g={g}, {'with' if importance else 'without'} ratios"
            error = float(moved.std()) / math.sqrt(len(moved))
            add_both(evidence, name, float(moved.mean()), right, wrong, error)
    return evidence


_RATE = 2.0
_Z0 = math.log(_P0 / (1 - _P0))


def _two_steps(group_size: int, share: float, importance: bool) -> float:
    """E[z] - z0 after two steps of GRPO, over all pairs of groups."""
    up, down = advantage_table(theory.GRPO, group_size)
    k = np.arange(group_size + 1)

    def move(p: FloatArray, older: FloatArray) -> FloatArray:
        """Change of z at p by a group that was drawn at ``older``."""
        ratios = (p / older, (1 - p) / (1 - older)) if importance else (1.0, 1.0)
        gained, lost = k * up * ratios[0] * (1 - p), (group_size - k) * down * ratios[1] * p
        return np.asarray(_RATE * (gained - lost) / group_size)

    start = np.full(len(k), _P0)
    first = move(start, start)
    after = 1 / (1 + np.exp(-(_Z0 + first)))
    again = np.where((k > 0) & (k < group_size), share, 0.0)
    fresh = _RATE * theory.expected_drift(theory.GRPO, after, group_size=group_size)
    law = theory.count_pmf(_P0, group_size)
    return float(law @ (first + again * move(after, start) + (1 - again) * fresh))


@REGISTRY.register(
    "token-budget",
    claim="cut rollouts count as wrong: zero std at r = (1-a) p, and the drift of both maskings",
    wrong="the budget left out; a masked loss for a counted one, and the reverse",
)
def _token_budget(size: Size) -> Evidence:
    evidence = Evidence([], [])
    length, budget = 300.0, 400
    late, lost = (1 - 1 / length) ** budget, (1 - 1 / (2 * length)) ** budget
    for rule in (theory.GRPO, theory.RLOO, theory.MAXRL):
        for masked in (False, True):
            run = simulate_bernoulli(
                _P0, group_size=8, learning_rate=1.0, rule=rule, num_steps=1,
                num_chains=4 * size.chains, seed=size.cell_seed(rule.name, masked),
                options=Options(cut_right=late, cut_wrong=lost, mask_cut=masked),
            )  # fmt: skip
            moved = run.state.logit - _Z0
            right, wrong = (
                float(
                    theory.cut_drift(
                        rule, _P0, group_size=8, cut_right=late, cut_wrong=lost, masked=one
                    )
                )
                for one in (masked, not masked)
            )
            name = f"{rule.name}, {'masked' if masked else 'counted as wrong'}"
            error = float(moved.std()) / math.sqrt(len(moved))
            add_both(evidence, name, float(moved.mean()), right, wrong, error)
            seen = float(run.frac_zero_std[0])
            marked, plain = (float(theory.prob_zero_std(p, 8)) for p in (_P0 * (1 - late), _P0))
            trials = 4 * size.chains
            count = round(seen * trials)
            add_counts(evidence, f"zero std, {name}", count, trials, marked, plain)
    return evidence


@REGISTRY.register(
    "schedule",
    claim="group sizes and a curriculum in phases: mean p and rollouts over all paths of counts",
    wrong="the mean group size in every phase; every prompt trains",
)
def _schedule(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for sizes in ((2, 4, 8), (8, 4, 2)):
        for band in (None, (0.1, 0.4)):
            phases = [_phase(g, band) for g in sizes]
            run = simulate_phases(
                _P0, phases, num_chains=2 * size.chains, seed=size.cell_seed(*sizes, band)
            )
            even = [round(sum(sizes) / len(sizes))] * len(sizes)
            right = _paths(sizes, band)
            wrong = _paths(even, None)
            name = f"g={sizes}, {'all prompts' if band is None else f'p in {band}'}"
            error = float(run.p.std()) / math.sqrt(len(run.p))
            add_both(evidence, f"p, {name}", float(run.mean_p[-1]), right[0], wrong[0], error)
            if band is not None:
                error = right[2] / math.sqrt(len(run.p))
                add_both(evidence, f"rollouts, {name}", float(run.rollouts[-1]), *(
                    right[1], float(sum(sizes))), error)  # fmt: skip
    return evidence


def _phase(group_size: int, band: tuple[float, float] | None) -> Phase:
    def inside(p: FloatArray) -> BoolArray:
        assert band is not None
        return (p > band[0]) & (p < band[1])

    trains = None if band is None else inside
    return Phase(num_steps=1, group_size=group_size, learning_rate=_RATE, trains=trains)


def _paths(
    sizes: tuple[int, ...] | list[int], band: tuple[float, float] | None
) -> tuple[float, float, float]:
    """Mean of p, and mean and std of a prompt's rollouts, over all paths of counts."""
    z, weight, spent = np.array([_Z0]), np.ones(1), np.zeros(1)
    for g in sizes:
        p = 1 / (1 + np.exp(-z))
        trains = np.ones(len(p), np.bool_) if band is None else (p > band[0]) & (p < band[1])
        k = np.arange(g + 1)
        move = _RATE * np.sqrt(k * (g - k)) / g
        law = theory.count_pmf(p[trains], g)
        z = np.concatenate([z[~trains], (z[trains][:, None] + move).ravel()])
        spent = np.concatenate([spent[~trains], np.repeat(spent[trains] + g, g + 1)])
        weight = np.concatenate([weight[~trains], (weight[trains][:, None] * law).ravel()])
    mean = float(weight @ spent)
    spread = math.sqrt(max(float(weight @ (spent - mean) ** 2), 0.0))
    return float(weight @ (1 / (1 + np.exp(-z)))), mean, spread
