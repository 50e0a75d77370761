"""Checks of the formulas for training: simulated chains against theory."""

from __future__ import annotations

import math

import numpy as np

from grpolab import theory
from grpolab.simulate import (
    KLForm,
    Options,
    Trajectory,
    draw_members,
    simulate_bernoulli,
    simulate_first_passage,
    tally_groups,
)
from grpolab.theory.drift import noisy_drift, one_step
from grpolab.theory.escape import chain_law, expected_hitting_time
from grpolab.validate.verify.registry import REGISTRY, Check, Evidence, Size, add_both

_STARTS = (0.02, 0.083, 0.5)
_RATE = 0.1


@REGISTRY.register(
    "critical-p",
    claim="half the groups have zero std at the mean p*(g, rho)",
    wrong="the threshold of independent rewards, rho left out",
)
def _critical_p(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for name, at in size.models.items():
        for g, rho in ((8, 0.2), (16, 0.1)):
            right = float(theory.critical_p(g, rho=rho, model=at))
            wrong = float(theory.critical_p(g))
            law = at(mean=[right, wrong], rho=rho)
            if not np.all(law.has_law) or abs(float(law.prob_zero_std(g)[0]) - 0.5) > 1e-9:
                continue  # a family of one's own may have no law there, or no crossing
            for mean, into in (
                (right, evidence.checks),
                (wrong, evidence.controls),
            ):
                tally = tally_groups(
                    at(mean=mean, rho=rho),
                    group_size=g,
                    num_groups=size.groups,
                    seed=size.cell_seed("critical-p", name, g, rho, mean),
                )
                into.append(
                    Check.from_count(
                        f"{name} g={g} rho={rho}",
                        successes=int(tally[0] + tally[-1]),
                        trials=size.groups,
                        predicted=0.5,
                        reference="arXiv 2606.18487 at rho = 0; derived here",
                    )
                )
    return evidence


@REGISTRY.register(
    "waiting",
    claim="the first informative group takes 1/(1 - d_g(p)) steps, 2 of them at p*",
    wrong="1/(1 - (1-p)^g), all-right groups taken for informative",
)
def _waiting(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for g in (3, 4, 8, 16):
        for p in (float(theory.critical_p(g)), 0.5):
            run = _run(size, p, g, steps=80, cell="waiting")
            waits = np.where(run.first_move < 0, 80, run.first_move)
            mixed = float(theory.prob_mixed(p, g))
            error = math.sqrt(1 - mixed) / mixed / math.sqrt(size.chains)
            wrong = 1 / (1 - float(theory.prob_all_wrong(p, g)))
            add_both(evidence, f"p={p:.3g} g={g}", float(waits.mean()), 1 / mixed, wrong, error)
    return evidence


@REGISTRY.register(
    "one-step",
    claim="E[dz] = eta p(1-p) w(p), for every trainer's rule",
    wrong="eta sqrt(p(1-p)), GRPO with infinitely large groups",
)
def _one_step(size: Size) -> Evidence:
    evidence = Evidence([], [])
    for name, rule in {**theory.PRESETS, **theory.VARIANTS}.items():
        for p in _STARTS:
            run = _run(size, p, 8, steps=1, cell=name, rule=rule)
            moved = float(np.mean(run.state.logit)) - math.log(p / (1 - p))
            law = one_step(rule, p, group_size=8)
            error = _RATE * math.sqrt(float(law.variance) / size.chains)
            wrong = _RATE * math.sqrt(p * (1 - p))
            add_both(evidence, f"{name} p={p}", moved, _RATE * float(law.mean), wrong, error)
    return evidence


@REGISTRY.register(
    "chain",
    claim="mean p after 12 steps = that of the exact Markov chain",
    wrong="the deterministic mean-field path",
)
def _chain(size: Size) -> Evidence:
    evidence = Evidence([], [])
    rate, steps = 0.5, 12
    for rule in (theory.GRPO, theory.DR_GRPO):
        for p in (0.05, 0.2):
            run = simulate_bernoulli(
                p, group_size=4, learning_rate=rate, rule=rule, num_steps=steps,
                num_chains=4 * size.chains, seed=size.cell_seed("chain", rule.name, p),
            )  # fmt: skip
            law = chain_law(rule, p, group_size=4, learning_rate=rate, steps=steps)
            chance = 1 / (1 + np.exp(-law.logit))
            spread = math.sqrt(float(law.prob @ (chance - law.mean_p) ** 2))
            path = _mean_field(rule, p, 4, rate, steps)
            error = spread / math.sqrt(run.num_chains)
            add_both(
                evidence, f"{rule.name} p0={p}", float(run.mean_p[-1]), law.mean_p, path, error
            )
    return evidence


@REGISTRY.register(
    "escape",
    claim="mean steps to p = 1/2: the exact first-step equations",
    wrong="1/(eta sqrt(g-1) p0), the leading order at small p0",
)
def _escape(size: Size) -> Evidence:
    evidence = Evidence([], [])
    bins = 2000 if size.chains < 100_000 else 20_000  # its error falls like 1/bins
    for p in (0.083, 0.2):
        run = _run(size, p, 8, steps=600, cell="escape")
        times = run.escape_step.astype(np.float64)
        if np.any(times < 0):
            raise RuntimeError("a chain did not escape within the simulated steps")
        right = expected_hitting_time(
            theory.GRPO, p, stop=0.5, group_size=8, learning_rate=_RATE, bins=bins
        )
        wrong = float(theory.escape_time_small_p(p, group_size=8, learning_rate=_RATE))
        error = float(times.std()) / math.sqrt(size.chains)
        add_both(evidence, f"p0={p}", float(times.mean()), right, wrong, error)
    return evidence


@REGISTRY.register(
    "escape-small-p",
    claim="hard prompts: 1/(g p0 (1 - exp(-eta A+(1)/g))) updates, the exact chain's limit",
    wrong="1/(eta sqrt(g-1) p0), the limit of the mean field",
)
def _escape_small_p(size: Size) -> Evidence:
    evidence = Evidence([], [])
    p, g, rate, chains = 1e-3, 8, 1.0, min(size.chains, 4096)
    right = float(theory.hitting_time_small_p(theory.GRPO, p, group_size=g, learning_rate=rate))
    wrong = float(theory.escape_time_small_p(p, group_size=g, learning_rate=rate))
    run = simulate_bernoulli(
        p, group_size=g, learning_rate=rate, num_steps=math.ceil(12 * right), num_chains=chains,
        seed=size.cell_seed(p, g), escape_p=0.5,
    )  # fmt: skip
    times = run.escape_step.astype(np.float64)
    if np.any(times < 0):
        raise RuntimeError("a chain did not escape within the simulated steps")
    # the limit is short by a share of order p
    error = math.hypot(float(times.std()) / math.sqrt(chains), 30 * p * right)
    add_both(evidence, f"p0={p} g={g}", float(times.mean()), right, wrong, error)
    p = 1e-9  # from one mixed group to the next
    right = float(theory.hitting_time_small_p(theory.GRPO, p, group_size=g, learning_rate=rate))
    wrong = float(theory.escape_time_small_p(p, group_size=g, learning_rate=rate))
    times = simulate_first_passage(
        p, stop=0.5, group_size=g, learning_rate=rate, num_chains=4 * size.chains,
        seed=size.cell_seed(p, g),
    ).step  # fmt: skip
    error = float(times.std()) / math.sqrt(len(times))
    add_both(evidence, f"p0={p} g={g}", float(times.mean()), right, wrong, error)
    return evidence


_STALE = (0.1, 0.1, 0.3, 0.3, 0.5, 0.5, 0.8, 0.8)  # chances of the members of a stale group


@REGISTRY.register(
    "staleness",
    claim="a stale group: E[dz] = p q mean w(b) with importance ratios, E[K A+]/g without",
    wrong="each formula for the other",
)
def _staleness(size: Size) -> Evidence:
    evidence = Evidence([], [])
    p = 0.2
    for rule in (theory.GRPO, theory.DR_GRPO, theory.MAXRL):
        for name, chances in (("equal", (0.4,) * 8), ("unequal", _STALE)):
            drawn = np.array(chances)
            reward = draw_members(
                drawn,
                num_groups=min(4 * size.chains, 1 << 20),
                seed=size.cell_seed(rule.name, name),
            )
            correct, wrong_one = rule.advantages(reward.sum(axis=1)[:, None], len(drawn))
            pull = np.where(reward, correct, wrong_one) * (reward - p)
            ratio = np.where(reward, p / drawn, (1 - p) / (1 - drawn))
            right = [
                float(theory.stale_drift(rule, p, behaviour=drawn, importance=i))
                for i in (True, False)
            ]
            for i, moves in enumerate(((pull * ratio).mean(axis=1), pull.mean(axis=1))):
                error = float(moves.std()) / math.sqrt(len(moves))
                label = f"{rule.name} {name} {('with', 'without')[i]} ratios"
                add_both(evidence, label, float(moves.mean()), right[i], right[1 - i], error)
    return evidence


@REGISTRY.register(
    "noisy-verifier",
    claim="E[dz] = eta J p(1-p) w(r), r = FPR + J p, J = TPR - FPR",
    wrong="J left out",
)
def _noisy(size: Size) -> Evidence:
    evidence = Evidence([], [])
    tpr, fpr = 0.8, 0.1
    for p in _STARTS:
        options = Options(true_positive=tpr, false_positive=fpr)
        run = _run(size, p, 8, steps=1, cell="noisy", options=options)
        moves = run.state.logit - math.log(p / (1 - p))
        right = _RATE * float(
            noisy_drift(theory.GRPO, p, group_size=8, true_positive=tpr, false_positive=fpr)
        )
        error = float(moves.std()) / math.sqrt(size.chains)
        add_both(evidence, f"p={p}", float(moves.mean()), right, right / (tpr - fpr), error)
    return evidence


@REGISTRY.register(
    "step-noise",
    claim="variance of a step for every rule, with an erring grader, too",
    wrong="Var(s^2) of the RLOO step, for every rule and grader",
)
def _step_noise(size: Size) -> Evidence:
    evidence = Evidence([], [])
    g = 8
    for rule in (theory.GRPO, theory.DR_GRPO, theory.MAXRL, theory.PRESETS["nemo-rl"]):
        for tpr, fpr in ((1.0, 0.0), (0.8, 0.1)):
            for p in _STARTS:
                options = Options(true_positive=tpr, false_positive=fpr)
                cell = f"step-noise {rule.name} {tpr}"
                run = _run(size, p, g, steps=1, cell=cell, rule=rule, options=options)
                moves = (run.state.logit - math.log(p / (1 - p))) / _RATE
                right = theory.step_noise(
                    rule, p, group_size=g, true_positive=tpr, false_positive=fpr
                )
                squares = (moves - float(right.mean)) ** 2
                error = float(squares.std()) / math.sqrt(size.chains)
                wrong = float(theory.variance_of_variance(p, g, ddof=1))
                label = f"{rule.name} p={p} TPR={tpr}"
                variance = float(right.variance)
                add_both(evidence, label, float(squares.mean()), variance, wrong, error)
    return evidence


@REGISTRY.register(
    "kl",
    claim="as a loss k1, k2, k3 pull by 0, p(1-p)(z - z_ref), p - p_ref",
    wrong="one form's pull taken for another's: k2's for k1 and k3, k3's for k2",
)
def _kl(size: Size) -> Evidence:
    evidence = Evidence([], [])
    beta = 2.0
    for p, ref in ((0.02, 0.3), (0.3, 0.02), (0.9, 0.5)):
        start = math.log(p / (1 - p))
        reverse = p * (1 - p) * (start - math.log(ref / (1 - ref)))
        forms: dict[KLForm, tuple[float, float]] = {
            "k1": (0.0, reverse), "k2": (reverse, p - ref), "k3": (p - ref, reverse)
        }  # fmt: skip
        drift = float(one_step(theory.GRPO, p, group_size=8).mean)
        for form, pulls in forms.items():
            options = Options(kl=beta, kl_form=form, p_ref=ref)
            run = _run(size, p, 8, steps=1, cell=f"kl {form}", options=options)
            moves = run.state.logit - start
            right, wrong = (_RATE * (drift - beta * pull) for pull in pulls)
            error = float(moves.std()) / math.sqrt(size.chains)
            name = f"{form} p={p} ref={ref}"
            add_both(evidence, name, float(moves.mean()), right, wrong, error)
    return evidence


@REGISTRY.register(
    "dynamic-sampling",
    claim="at most T draws: (1 - d^T)/(1 - d) groups per step",
    wrong="1/(1 - d), the limit on draws left out",
)
def _dynamic_sampling(size: Size) -> Evidence:
    evidence = Evidence([], [])
    tries = 3
    for p in _STARTS:
        run = _run(size, p, 4, steps=1, cell="dynamic", options=Options(max_tries=tries))
        d = float(theory.prob_zero_std(p, 4))
        chance = np.array([d**k * (1 - d) for k in range(tries - 1)] + [d ** (tries - 1)])
        draws = np.arange(1, tries + 1)
        mean = float(chance @ draws)
        error = math.sqrt(float(chance @ (draws - mean) ** 2) / size.chains)
        right = (1 - d**tries) / (1 - d)
        observed = float(run.mean_groups_drawn[0])
        add_both(evidence, f"p={p}", observed, right, 1 / (1 - d), error)
    return evidence


def _run(
    size: Size,
    p: float,
    group_size: int,
    *,
    steps: int,
    cell: str,
    rule: theory.TwoValued = theory.GRPO,
    options: Options | None = None,
) -> Trajectory:
    return simulate_bernoulli(
        p,
        group_size=group_size,
        learning_rate=_RATE,
        rule=rule,
        options=options,
        num_steps=steps,
        num_chains=size.chains,
        seed=size.cell_seed(cell, p, group_size),
        escape_p=0.5,
    )


def _mean_field(
    rule: theory.AdvantageRule, p: float, group_size: int, rate: float, steps: int
) -> float:
    """Chance after steps along the expected drift."""
    z = math.log(p / (1 - p))
    for _ in range(steps):
        p = 1 / (1 + math.exp(-z))
        z += rate * float(one_step(rule, p, group_size=group_size).mean)
    return 1 / (1 + math.exp(-z))
