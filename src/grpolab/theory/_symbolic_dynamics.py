"""Derivations in sympy: updates, flows, tabular softmax, KL, entropy, optimisers."""

from __future__ import annotations

import sympy as sp

from grpolab.theory._symbolic_base import (
    Derivation,
    Notes,
    beta,
    eta,
    g,
    p,
    prove,
    prove_ratio,
    t,
    z,
)
from grpolab.theory._symbolic_static import K, binomial_mean

SIGMOID = 1 / (1 + sp.exp(-z))


def expected_update() -> Derivation:
    """w(p) of a two-valued rule by setting one member apart."""
    notes = Notes()
    size = 4
    right = [sp.Symbol(f"A^+_{j}") for j in range(size + 1)]
    wrong = [sp.Symbol(f"A^-_{j}") for j in range(size + 1)]
    total = sum(
        sp.binomial(size, j) * p**j * (1 - p) ** (size - j)
        * (j * right[j] / p - (size - j) * wrong[j] / (1 - p)) / size
        for j in range(size + 1)
    )  # fmt: skip
    rest = sum(
        sp.binomial(size - 1, j) * p**j * (1 - p) ** (size - 1 - j) * (right[j + 1] - wrong[j])
        for j in range(size)
    )
    notes.add("d log pi/dp is 1/p for a right rollout and -1/q for a wrong one; at g = 4", total)
    prove(sp.expand(sp.cancel(total)), sp.expand(rest))
    notes.add("which is the mean over the other g - 1 members", rest)
    prove_ratio(sp.binomial(g, K) * K / g, sp.binomial(g - 1, K - 1))
    prove_ratio(sp.binomial(g, K) * (g - K) / g, sp.binomial(g - 1, K))
    notes.add("For any g, C(g, K) K/g and C(g, K) (g - K)/g count the others", sp.Tuple(
        sp.binomial(g - 1, K - 1), sp.binomial(g - 1, K)))  # fmt: skip
    plus, minus = sp.Function("A^+"), sp.Function("A^-")
    result = sp.Sum(sp.binomial(g - 1, K) * p**K * (1 - p) ** (g - 1 - K)
                    * (plus(K + 1) - minus(K)), (K, 0, g - 1))  # fmt: skip
    return notes.done("expected_update", "Expected update of any two-valued rule", result)


def estimator_weights() -> Derivation:
    """w(p) of RLOO, Dr. GRPO, MaxRL, sign and pass@k at g = 5."""
    notes = Notes()
    size, pulls = 5, {}
    pulls["RLOO"] = (sp.Integer(1), sp.Integer(1))
    pulls["Dr. GRPO"] = (sp.Rational(size - 1, size), sp.Rational(size - 1, size))
    pulls["sign"] = (sp.Integer(2), sp.Integer(2))
    pulls["MaxRL"] = (size / (K + 1), (1 - (1 - p) ** size) / p)
    order = 3
    miss = sp.binomial(size - 1 - K, order - 1) / sp.binomial(size - 1, order - 1)
    pulls["pass@3"] = (order * miss, order * (1 - p) ** (order - 1))
    for name, (pull, weight) in pulls.items():
        prove(sp.cancel(sp.expand(binomial_mean(pull, size - 1))), sp.cancel(sp.expand(weight)))
        notes.add(f"{name} at g = {size}: A+(K+1) - A-(K), and its mean", sp.Tuple(pull, weight))
    series = sum((1 - (1 - p) ** j) / sp.Integer(j) for j in range(1, size + 1))
    prove(sp.expand(sp.diff(series, p)), sp.expand(sp.cancel(pulls["MaxRL"][1])))
    prove_ratio(sp.binomial(g - 1, K) * g / (K + 1), sp.binomial(g, K + 1))
    n = sp.Symbol("n", integer=True, positive=True)
    result = sp.Sum((1 - (1 - p) ** n) / n, (n, 1, g))
    return notes.done("estimator_weights", "Objective of MaxRL", result,
                      scope="The pulls A+(K+1) - A-(K) follow from the rules by hand; the means and"
                      " the derivative of the objective were proved at g = 5")  # fmt: skip


def contrast() -> Derivation:
    """The group-standard-deviation identity."""
    notes = Notes()
    right, wrong = sp.symbols("s_+ s_-")
    rate = K / g
    total = (K * (1 - rate) * right - (g - K) * rate * wrong) / g
    notes.add("(1/g) sum (R_i - K/g) s_i with the mean scores of right and wrong rollouts", total)
    prove(total, rate * (1 - rate) * (right - wrong))
    result = sp.sqrt(rate * (1 - rate)) * (right - wrong)
    prove(total / sp.sqrt(rate * (1 - rate)), result)
    return notes.done("contrast", "Std-normalised update of one group", result)


def flows() -> Derivation:
    """Closed forms of the mean field for large groups."""
    notes = Notes()
    rate = SIGMOID * (1 - SIGMOID)
    forms = {
        "std scaling, vanilla": (sp.sinh(z / 2), sp.sqrt(rate), sp.Rational(1, 4)),
        "no scaling, vanilla": (sp.sinh(z) + z, rate, sp.Rational(1, 2)),
        "MaxRL, vanilla": (sp.exp(z) + z, 1 - SIGMOID, sp.Integer(1)),
        "std scaling, natural": (sp.atan(sp.exp(z / 2)), 1 / sp.sqrt(rate), sp.Rational(1, 2)),
        "MaxRL, natural": (sp.log(1 + sp.exp(z)), 1 / SIGMOID, sp.Integer(1)),
    }
    for name, (left, speed, slope) in forms.items():
        along = (sp.diff(left, z) * speed).rewrite(sp.exp)
        prove(sp.simplify(along**2), slope**2)
        notes.add(f"{name}: dz/dt, and what rises linearly in eta t", sp.Tuple(speed, left))
    z0 = sp.Symbol("z_0")
    result = 2 * sp.asinh(sp.sinh(z0 / 2) + eta * t / 4)
    return notes.done("flows", "Std-scaled GRPO, large groups, after time t", result)


def one_step() -> Derivation:
    """Change of the logit from one group."""
    notes = Notes()
    rate = K / g
    change = (K * (1 - rate) * (1 - p) + (g - K) * rate * p) / g
    notes.add("(1/g) sum (R_i - K/g)(R_i - p)", change)
    prove(change, rate * (1 - rate))
    return notes.done("one_step", "Change of z, unnormalised advantages", rate * (1 - rate))


def tabular_drift() -> Derivation:
    """D logit p/dt of a tabular softmax policy."""
    notes = Notes()
    theta = sp.symbols("theta_1:5", real=True)
    total = sum(sp.exp(x) for x in theta)
    pi = [sp.exp(x) / total for x in theta]
    rate = pi[0] + pi[1]
    odds = sp.log(sp.exp(theta[0]) + sp.exp(theta[1])) - sp.log(sp.exp(theta[2]) + sp.exp(theta[3]))
    step = [sp.diff(rate, x) for x in theta]
    drift = sum(sp.diff(odds, x) * move for x, move in zip(theta, step, strict=True))
    inside = (pi[0] ** 2 + pi[1] ** 2) / rate**2 + (pi[2] ** 2 + pi[3] ** 2) / (1 - rate) ** 2
    prove(sp.factor(drift), sp.factor(rate * (1 - rate) * inside))
    share = sp.exp(theta[0]) / (sp.exp(theta[0]) + sp.exp(theta[1]))
    move = sum(sp.diff(share, x) * s for x, s in zip(theta, step, strict=True))
    purity = share**2 + (1 - share) ** 2
    prove(sp.factor(move), sp.factor(rate * (1 - rate) * share * (share - purity)))
    notes.add("Two right and two wrong responses; gradient of p in the logits", sp.Tuple(*(
        sp.Symbol(f"pi_{i}") * (sp.Integer(int(i < 3)) - p) for i in range(1, 5))))  # fmt: skip
    notes.add("Share s of a right response moves by", sp.Symbol("m_g") * sp.Symbol("s")
              * (sp.Symbol("s") - sp.Symbol("C_c")))  # fmt: skip
    result = sp.Symbol("m_g") * (sp.Symbol("C_c") + sp.Symbol("C_i"))
    return notes.done("tabular_drift", "Drift of logit p, tabular softmax", result,
                      scope="m_g is E[sigma]; C_c and C_i are the sums of squared shares inside the"
                      " right and the wrong responses. Proved with two of each")  # fmt: skip


def entropy_drift() -> Derivation:
    """DH is minus a covariance."""
    notes = Notes()
    theta = sp.symbols("theta_1:4", real=True)
    step = sp.symbols("d_1:4", real=True)
    total = sum(sp.exp(x) for x in theta)
    pi = [sp.exp(x) / total for x in theta]
    entropy = -sum(w * sp.log(w) for w in pi)
    change = sum(sp.diff(entropy, x) * d for x, d in zip(theta, step, strict=True))
    mean_step = sum(w * d for w, d in zip(pi, step, strict=True))
    covariance = sum(w * sp.log(w) * (d - mean_step) for w, d in zip(pi, step, strict=True))
    prove(sp.simplify(change), sp.simplify(-covariance))
    log_pi, move = sp.Symbol("log pi"), sp.Symbol("d theta")
    notes.add("Checked with three responses and any step of the logits", sp.Tuple(*step))
    return notes.done(
        "entropy_drift", "First-order change of entropy", -sp.Function("Cov")(log_pi, move)
    )


def kl_optimum() -> Derivation:
    """The KL-regularised optimum and its divergence."""
    notes = Notes()
    w, odds = sp.symbols("w o", positive=True)
    ref = odds / (1 + odds)
    x = sp.Symbol("x", positive=True)
    value = w * x - beta * (x * sp.log(x / ref) + (1 - x) * sp.log((1 - x) / (1 - ref)))
    notes.add(
        "Maximise over x the linearised objective minus beta KL(x || p_ref), o the odds of p_ref",
        value,
    )
    tilted = odds * sp.exp(w / beta)
    best = tilted / (1 + tilted)
    slope = sp.diff(value, x).subs(x, best)
    prove(sp.expand_log(sp.simplify(sp.expand_log(slope, force=True)), force=True), 0)
    notes.add("The slope vanishes where the odds are", sp.simplify(best / (1 - best)))
    s = sp.Symbol("s", positive=True)
    kl = sp.log(1 - p + p * sp.exp(s)) - p * s
    second = sp.series(kl, s, 0, 3).removeO()
    prove(second, p * (1 - p) / 2 * s**2)
    notes.add("KL(p_ref || optimum) for w = 1, s = 1/beta, to second order", sp.factor(second))
    return notes.done("kl_optimum", "Optimum under an exact reverse KL", best,
                      scope="w is the update weight at the optimum and o the odds of p_ref. A"
                      " sampled KL term has this optimum if its gradient is that of the reverse KL:"
                      " k3 with the importance ratio does, k3 alone pulls along the forward KL, and"
                      " k1 alone does not pull at all")  # fmt: skip


def adam_rare_gain() -> Derivation:
    """Total move of one lone gradient under Adam."""
    notes = Notes()
    b1, b2 = sp.symbols("beta_1 beta_2", positive=True)
    n = sp.Symbol("n", integer=True, nonnegative=True)
    term = (1 - b1) * b1**n / sp.sqrt((1 - b2) * b2**n)
    notes.add("Step n after a lone unit gradient, in learning rates", term)
    x = sp.Symbol("x", positive=True)
    series = sp.summation(x**n, (n, 0, sp.oo)).args[0][0]
    prove(sp.simplify(term / (b1 / sp.sqrt(b2)) ** n), (1 - b1) / sp.sqrt(1 - b2))
    result = (1 - b1) / sp.sqrt(1 - b2) * series.subs(x, b1 / sp.sqrt(b2))
    return notes.done("adam_rare_gain", "Total move of one lone gradient", result)


def stale_drift() -> Derivation:
    """Drift of a policy with chance p by a group that one with chance b drew."""
    notes = Notes()
    size = 3
    b = sp.Symbol("b", positive=True)
    up, down = sp.Function("A^+"), sp.Function("A^-")
    pull: sp.Expr = sp.Integer(0)
    for right in range(size + 1):
        weight = sp.binomial(size, right) * b**right * (1 - b) ** (size - right)
        good = right * up(right) * (p / b) * (1 - p)
        bad = (size - right) * down(right) * ((1 - p) / (1 - b)) * p
        pull += weight * (good - bad) / size
    others = sum(
        sp.binomial(size - 1, j) * b**j * (1 - b) ** (size - 1 - j) * (up(j + 1) - down(j))
        for j in range(size)
    )
    prove(sp.expand(sp.simplify(pull)), sp.expand(p * (1 - p) * others))
    notes.add("With ratios p/b and (1-p)/(1-b), over K ~ Bin(3, b)", p * (1 - p) * others)
    weight_b = sp.Function("w")(b)
    notes.add(
        "without ratios, advantages that sum to zero leave E[K A^+_K]/g", b * (1 - b) * weight_b
    )
    return notes.done("stale_drift", "Drift by a stale group, with importance ratios",
                      p * (1 - p) * weight_b,
                      scope="Proved at g = 3; w is the update weight at the chance b of the policy"
                      " that drew, p the chance of the one that is trained; no"
                      " clipping")  # fmt: skip


def small_p() -> Derivation:
    """Drift near p = 0 and the escape time that follows."""
    notes = Notes()
    for size in (2, 5, 8):
        std = binomial_mean(sp.sqrt(K * (size - K)) / size, size)
        prove(sp.diff(std, p).subs(p, 0), sp.sqrt(size - 1))
        flat = binomial_mean(K * (size - K) / sp.Integer(size) ** 2, size)
        prove(sp.diff(flat, p).subs(p, 0), sp.Rational(size - 1, size))
    notes.add(
        "E[sigma] and E[sigma^2] to first order", sp.Tuple(p * sp.sqrt(g - 1), p * (g - 1) / g)
    )
    start = sp.Symbol("z_0", real=True)
    time = sp.integrate(1 / (eta * sp.sqrt(g - 1) * sp.exp(z)), (z, start, sp.oo))
    result = sp.exp(-start) / (eta * sp.sqrt(g - 1))
    prove(time, result)
    return notes.done("small_p", "Escape time, std scaling: leading order in small p_0 = exp(z_0)",
                      result,
                      scope="The drift near 0 was proved at g = 2, 5, 8. It is the mean field. The"
                      " exact chain jumps by eta A+(1)/g after 1/(g p) updates, so its mean time"
                      " is 1/(g p_0 (1 - exp(-eta A+(1)/g))): 1.17 times as long at g = 8 and"
                      " eta = 1, 1.02 at eta = 0.1; see `hitting_time_small_p` and"
                      " `verify escape-small-p`")  # fmt: skip


DYNAMICS = (
    expected_update, estimator_weights, contrast, one_step, stale_drift, flows, small_p,
    tabular_drift, entropy_drift, kl_optimum, adam_rare_gain,
)  # fmt: skip
