from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from grpolab.theory import (
    DR_GRPO,
    GRPO,
    MAXRL,
    BetaBinomial,
    CommonSource,
    FailureShock,
    adam_rare_gain,
    collision_rho,
    contrast_coefficient,
    critical_p,
    critical_rho,
    escape_time_small_p,
    expected_entropy,
    expected_objective,
    expected_pass_at_k,
    expected_rate_given_mixed,
    expected_rollouts_until_mixed,
    expected_update,
    expected_variance,
    flow,
    kl_step,
    one_step,
    pass_at_k_tail,
    prob_mode_missed,
    prob_zero_std,
    snr,
    stale_drift,
    unequal_variance,
    update_weight,
    variance_of_variance,
)
from grpolab.theory._symbolic_base import a, b, beta, eta, g, k, m, p, prove, rho, t
from grpolab.theory._symbolic_static import K
from grpolab.theory.symbolic import NAMES, derive, handbook

MEMBERS = np.array([0.1, 0.4, 0.4, 0.2, 0.9, 0.5, 0.3])
P, M, R, G, A, B = 0.23, 0.3, 0.17, 7, 0.8, 2.5
AT = {p: P, m: M, rho: R, g: G, a: A, b: B, k: 5, t: 0.9, eta: 0.1, beta: 0.4, K: 3}


def number(expression, **more):
    extra = {s: more[s.name] for s in expression.free_symbols if s.name in more}
    return float(sp.N(expression.subs({**AT, **extra}).doit()))


def second_difference(function, x, h=1e-4):
    return (function(x + h) - 2 * function(x) + function(x - h)) / h**2


def adapt(rule):
    """The summand of expected_update with the rule's own advantages."""
    plus, minus = sp.Function("A^+"), sp.Function("A^-")
    weight = derive("expected_update").result.subs({p: P, g: G}).doit()
    for j in range(G + 1):
        right, wrong = rule.advantages(j, G)
        weight = weight.subs({plus(j): float(right), minus(j): float(wrong)})
    return float(weight)


NUMERIC = {
    "advantage_variance": lambda e: (number(e), expected_variance(M, G, rho=R)),
    "variance_of_variance": lambda e: (number(e), variance_of_variance(P, G, ddof=1)),
    "snr": lambda e: (number(e), snr(P, G)),
    "update_weight": lambda e: (number(e), update_weight(P, G)),
    "rate_given_mixed": lambda e: (number(e), expected_rate_given_mixed(P, G)),
    "zero_std_convex": lambda e: (number(e), second_difference(lambda x: prob_zero_std(x, G), P)),
    "critical_p_all_wrong": lambda e: (
        number(e, f=0.4), critical_p(G, event="all-wrong", frac=0.4)),
    "critical_p_identical": lambda e: (number(e), critical_p(3)),
    "informative_per_rollout": lambda e: (number(e), (1 - prob_zero_std(P, 3)) / 3),
    "rollouts_until_mixed": lambda e: (number(e), expected_rollouts_until_mixed(P)),
    "sandwich": lambda e: (number(e), (G - 1) / G**2),
    "beta_binomial": lambda e: (number(e), BetaBinomial.from_ab(A, B).prob_all_wrong(G)),
    "common_source": lambda e: (number(e), CommonSource(mean=M, rho=0.81).share ** 2),
    "failure_shock": lambda e: (number(e), FailureShock(mean=M, rho=R).shock),
    "copy_critical_rho": lambda e: (number(e), critical_rho(G, model="copy")),
    "entropy_icc": lambda e: (number(e, C=0.38), collision_rho([0.5, 0.3, 0.2])),
    "dirichlet_entropy": lambda e: (number(e, alpha=1.7), expected_entropy(1.7)),
    "unequal_variance": lambda e: (
        number(e, M_pq=float(np.mean(MEMBERS * (1 - MEMBERS))), V_p=float(np.var(MEMBERS))),
        unequal_variance(MEMBERS)),
    "mode_missed": lambda e: (number(e, tau=0.05), prob_mode_missed(P, 0.05, G)),
    "stale_drift": lambda e: (
        float(e.subs({p: P, sp.Function("w")(sp.Symbol("b", positive=True)): float(
            expected_update(GRPO, 0.4, group_size=G))})),
        stale_drift(GRPO, P, behaviour=[0.4] * G, importance=True)),
    "pass_at_k": lambda e: (number(e), expected_pass_at_k(P, 5)),
    "beta_tail": lambda e: (number(e), pass_at_k_tail(A, B, k=5)),
    "expected_update": lambda e: (adapt(GRPO), expected_update(GRPO, P, group_size=G)),
    "estimator_weights": lambda e: (number(e), expected_objective(MAXRL, P, group_size=G)),
    "contrast": lambda e: (
        number(e, **{"s_+": 1.0, "s_-": 0.0}), contrast_coefficient(GRPO, 3, group_size=G)),
    "one_step": lambda e: (
        number(e), one_step(DR_GRPO, P, group_size=G).change[3]),
    "flows": lambda e: (number(e, z_0=-1.2), flow(-1.2, 0.09)),
    "small_p": lambda e: (
        number(e, z_0=float(np.log(1e-3))),
        escape_time_small_p(1e-3, group_size=G, learning_rate=0.1)),
    "kl_optimum": lambda e: (
        number(e, o=P / (1 - P), w=float(update_weight(P, G))),
        kl_step(GRPO, P, p_ref=P, beta=0.4, group_size=G)),
    "adam_rare_gain": lambda e: (number(e, beta_1=0.9, beta_2=0.99), adam_rare_gain(0.9, 0.99)),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_derivation_runs_and_agrees_with_the_code(name):
    got = derive(name)
    assert got.name == name
    assert got.steps
    assert got.latex in got.markdown()
    if name in NUMERIC:
        symbolic, code = NUMERIC[name](got.result)
        assert symbolic == pytest.approx(
            float(code), rel=1e-6 if name == "zero_std_convex" else 1e-9
        )
    else:  # statements about whole policies: proved in the derivation, computed in test_tabular
        assert name in ("tabular_drift", "entropy_drift")


def test_prove_refuses_what_is_not_equal():
    # forget (1 - rho), or the ddof: sympy does not let it pass
    right = derive("advantage_variance").result
    for wrong in (m * (1 - m) * (g - 1) / g, m * (1 - m) * (1 - rho)):
        with pytest.raises(ArithmeticError, match="not equal"):
            prove(right, wrong)


def test_unknown_name():
    with pytest.raises(ValueError, match="name must be one of advantage_variance"):
        derive("everything")


def test_page_is_up_to_date():
    # rewrite it with: python -c "from grpolab.theory.symbolic import handbook;
    # open('docs/theory.md', 'w').write(handbook())"
    page = Path(__file__).parents[2] / "docs" / "theory.md"
    assert page.read_text(encoding="utf-8") == handbook()
