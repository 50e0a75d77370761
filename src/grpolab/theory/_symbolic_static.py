"""Derivations in sympy: statistics of a group, thresholds, dependence, pass@k."""

from __future__ import annotations

import itertools

import sympy as sp

from grpolab.theory._symbolic_base import (
    Derivation,
    Notes,
    a,
    b,
    g,
    k,
    m,
    p,
    prove,
    prove_ratio,
    rho,
    t,
)

K = sp.Symbol("K", nonnegative=True, integer=True)


def binomial_mean(value: sp.Expr, size: int, chance: sp.Expr = p) -> sp.Expr:
    """E[value(K)] for K ~ Bin(size, chance), summed term by term."""
    return sum(
        sp.binomial(size, j) * chance**j * (1 - chance) ** (size - j) * value.subs(K, j)
        for j in range(size + 1)
    )


def factorial_moments(value: sp.Expr, moment: list[sp.Expr]) -> sp.Expr:
    """E[value(K)] for a polynomial in K, given E[K(K-1)...(K-r+1)] for r = 0, 1, ..."""
    rest, total = sp.Poly(value, K), sp.Integer(0)
    while not rest.is_zero:
        degree, lead = rest.degree(), rest.LC()
        total += lead * moment[degree]
        rest -= sp.Poly(lead * sp.expand_func(sp.ff(K, degree)), K)
    return total


def advantage_variance() -> Derivation:
    """E[sigma^2] for any exchangeable law."""
    notes = Notes()
    notes.add("Two rewards of a group are both right with chance m^2 + rho m(1-m), so E[K(K-1)] is",
              pairs := g * (g - 1) * (m**2 + rho * m * (1 - m)))  # fmt: skip
    spread = K * (g - K) / g**2
    notes.add("The ddof-0 variance of a group with K right is", spread)
    mean = factorial_moments(sp.expand(spread), [sp.Integer(1), g * m, pairs])
    result = m * (1 - m) * (1 - rho) * (g - 1) / g
    prove(mean, result)
    return notes.done("advantage_variance", "Mean reward variance of a group", result)


def variance_of_variance() -> Derivation:
    """Var(s^2) for iid rewards."""
    notes = Notes()
    moments = [sp.expand_func(sp.ff(g, r)) * p**r for r in range(5)]
    notes.add("Factorial moments of a binomial", sp.Eq(sp.Symbol("E[K(K-1)(K-2)]"), moments[3]))
    spread = K * (g - K) / (g * (g - 1))
    notes.add("The ddof-1 variance is", spread)
    mean = factorial_moments(sp.expand(spread), moments)
    prove(mean, p * (1 - p))
    square = factorial_moments(sp.expand(spread**2), moments)
    pq = p * (1 - p)
    result = pq / g * ((1 - 4 * pq) + 2 * pq / (g - 1))
    prove(square - mean**2, result)
    return notes.done("variance_of_variance", "Variance of the reward variance (ddof 1)", result)


def snr() -> Derivation:
    """Signal-to-noise ratio of the RLOO gradient."""
    notes = Notes()
    pq = p * (1 - p)
    mean, variance = pq, variance_of_variance().result
    notes.add("The gradient of one logit is s^2, with mean", mean)
    notes.add("and variance", variance)
    result = g * pq / ((1 - 4 * pq) + 2 * pq / (g - 1))
    prove(mean**2 / variance, result)
    middle = sp.simplify((result / (4 * g * pq)).subs(p, sp.Rational(1, 2)))
    prove(middle, (g - 1) / 2)
    notes.add("At p = 1/2, in units of 4 g pq, it is", middle)
    return notes.done("snr", "Signal-to-noise ratio of one group", result)


def update_weight() -> Derivation:
    """w_g, and its value at p = 0 for g = 2..6."""
    notes = Notes()
    for size in range(2, 7):
        sigma = sp.sqrt(K * (size - K)) / size
        weight = sp.cancel(sp.expand(binomial_mean(sigma, size) / (p * (1 - p))))
        shifted = binomial_mean((size - 1) / sp.sqrt((K + 1) * (size - 1 - K)), size - 2)
        prove(weight, shifted)
        prove(weight.subs(p, 0), sp.sqrt(size - 1))
        notes.add(f"E[sigma]/(pq) at g = {size}", sp.factor(sp.expand(shifted)))
    counted = (g - 1) * sp.binomial(g - 2, K - 1)
    prove_ratio(sp.binomial(g, K) * K * (g - K) / g, counted)
    notes.add("For any g, term by term, C(g, K) K(g - K)/g is", counted)
    total = sp.Sum(sp.binomial(g - 2, K) * p**K * (1 - p) ** (g - 2 - K)
                   / sp.sqrt((K + 1) * (g - 1 - K)), (K, 0, g - 2))  # fmt: skip
    return notes.done("update_weight", "Weight of the std-normalised update", (g - 1) * total)


def zero_std_convex() -> Derivation:
    """d_g is convex."""
    notes = Notes()
    share = p**g + (1 - p) ** g
    notes.add("Share of zero-std groups", share)
    result = g * (g - 1) * (p ** (g - 2) + (1 - p) ** (g - 2))
    prove(sp.diff(p**g, p, 2), g * (g - 1) * p ** (g - 2))
    for size in range(2, 7):
        prove(sp.diff(share.subs(g, size), p, 2), result.subs(g, size))
    notes.add("(p^g)'' and, by the chain rule, the same at 1 - p", sp.diff(p**g, p, 2))
    return notes.done("zero_std_convex", "Second derivative of the zero-std share, g >= 2", result,
                      scope="The term in 1 - p was checked at g = 2 to 6")  # fmt: skip


def critical_p_all_wrong() -> Derivation:
    """p* of the all-wrong event."""
    notes = Notes()
    f = sp.Symbol("f", positive=True)
    notes.add("Solve for p", sp.Eq((1 - p) ** g, f))
    result = 1 - f ** (1 / g)
    prove((1 - result) ** g, f)
    notes.add("For large g", sp.series(1 - sp.exp(sp.log(f) * t), t, 0, 2).removeO().subs(t, 1 / g))
    return notes.done("critical_p_all_wrong", "Threshold of all-wrong groups", result)


def critical_p_identical() -> Derivation:
    """p* of identical groups at g = 2 (a tangency) and g = 3."""
    notes = Notes()
    half = sp.Rational(1, 2)
    two = sp.factor(p**2 + (1 - p) ** 2 - half)
    notes.add("g = 2: a square, so the share touches 1/2 and never falls below", two)
    prove(two, 2 * (p - half) ** 2)
    roots = sp.solve(p**3 + (1 - p) ** 3 - half, p)
    result = (1 - 1 / sp.sqrt(3)) / 2
    if not any(sp.simplify(root - result) == 0 for root in roots):
        raise ArithmeticError("no such root at g = 3")
    notes.add("g = 3: the roots are", sp.FiniteSet(*roots))
    return notes.done("critical_p_identical", "Threshold of identical groups at g = 3", result)


def informative_per_rollout() -> Derivation:
    """(1 - d_g)/g equals pq at g = 2 and 3 only."""
    notes = Notes()
    pq = p * (1 - p)
    for size in (2, 3, 4, 5):
        per = (1 - p**size - (1 - p) ** size) / size
        gap = sp.factor(sp.expand(pq - per))
        notes.add(f"pq - (1 - d_g)/g at g = {size}", gap)
        if size < 4:
            prove(gap, 0)
    return notes.done("informative_per_rollout", "Mixed groups per rollout at g = 2, 3", pq)


def rollouts_until_mixed() -> Derivation:
    """Expected rollouts until both rewards were seen."""
    notes = Notes()
    n = sp.Symbol("n", integer=True, positive=True)
    x = sp.Symbol("x", positive=True)
    tail = sp.summation(x**n, (n, 1, sp.oo)).args[0][0]
    notes.add("P(more than n) = p^n + q^n; summed over n >= 1, with x for p and for q", tail)
    result = 1 / p + 1 / (1 - p) - 1
    prove(1 + tail.subs(x, p) + tail.subs(x, 1 - p), result)
    prove(result, 1 / (p * (1 - p)) - 1)
    return notes.done("rollouts_until_mixed", "Rollouts until both rewards were seen", result)


def rate_given_mixed() -> Derivation:
    """E[K/g | mixed]."""
    notes = Notes()
    share = 1 - p**g - (1 - p) ** g
    notes.add("P(mixed)", share)
    result = (p - p**g) / share
    for size in (2, 3, 5):
        inside = binomial_mean(K / sp.Integer(size), size) - p**size
        prove(inside / share.subs(g, size), result.subs(g, size))
    notes.add("at p -> 0", sp.Eq(sp.Symbol("limit"), 1 / g))
    for size in (3, 8):
        prove(sp.limit(result.subs(g, size), p, 0), sp.Rational(1, size))
    return notes.done("rate_given_mixed", "Success rate seen through mixed groups", result,
                      scope="Proved at g = 2, 3, 5, the limit at g = 3, 8; for any g it is the mean"
                      " p less the all-right groups")  # fmt: skip


def sandwich() -> Derivation:
    """Bounds of sigma^2 in a mixed group."""
    notes = Notes()
    spread = K * (g - K) / g**2
    notes.add("sigma^2 is concave in K: least at K = 1 and K = g - 1", spread.subs(K, 1))
    prove(spread.subs(K, 1), spread.subs(K, g - 1))
    prove(sp.diff(spread, K, 2), -2 / g**2)
    notes.add("greatest at K = g/2", spread.subs(K, g / 2))
    prove(spread.subs(K, g / 2), sp.Rational(1, 4))
    return notes.done("sandwich", "Least variance of a mixed group", (g - 1) / g**2)


def beta_binomial() -> Derivation:
    """P(all wrong) of the beta-binomial."""
    notes = Notes()
    ratio = sp.gamma(b + g) * sp.gamma(a + b) / (sp.gamma(b) * sp.gamma(a + b + g))
    notes.add("The Beta integral of (1-p)^g", ratio)
    for size in (1, 2, 4):
        product = sp.prod([(b + j) / (a + b + j) for j in range(size)])
        prove(sp.gammasimp(ratio.subs(g, size)), product)
    correlation = sp.simplify(
        (a * (a + 1) / ((a + b) * (a + b + 1)) - (a / (a + b)) ** 2) / (a * b / (a + b) ** 2)
    )
    prove(correlation, 1 / (1 + a + b))
    notes.add("Correlation of two rewards", correlation)
    return notes.done("beta_binomial", "All-wrong share of the beta-binomial", ratio,
                      scope="The Beta integral is taken as known; its product form was checked at"
                      " g = 1, 2, 4")  # fmt: skip


def common_source() -> Derivation:
    """Correlation of the common-source model."""
    notes = Notes()
    both = m * (t + (1 - t) * m) ** 2 + (1 - m) * ((1 - t) * m) ** 2
    notes.add("Both of two rewards right", both)
    prove((both - m**2) / (m * (1 - m)), t**2)
    return notes.done("common_source", "Correlation of the common-source model", t**2)


def failure_shock() -> Derivation:
    """The shock that gives a wanted correlation."""
    notes = Notes()
    s = sp.Symbol("s", positive=True)
    rate = m / (1 - s)
    correlation = sp.simplify(((1 - s) * rate**2 - m**2) / (m * (1 - m)))
    notes.add("Correlation of two rewards", correlation)
    prove(correlation, m * s / ((1 - s) * (1 - m)))
    result = rho * (1 - m) / (m + rho * (1 - m))
    prove(correlation.subs(s, result), rho)
    return notes.done(
        "failure_shock", "Share of struck groups that gives a correlation rho", result
    )


def copy_critical_rho() -> Derivation:
    """rho_c of the copy model."""
    notes = Notes()
    half = sp.Rational(1, 2)
    least = rho + (1 - rho) * 2 * half**g
    notes.add("Least share of zero-std groups, at m = 1/2", least)
    result = (half - 2 ** (1 - g)) / (1 - 2 ** (1 - g))
    prove(least.subs(rho, result), half)
    return notes.done(
        "copy_critical_rho", "Largest correlation with a threshold, copy model", result
    )


def entropy_icc() -> Derivation:
    """Correlation = collision probability for random labels."""
    notes = Notes()
    c = sp.Symbol("C", positive=True)
    both = c * m + (1 - c) * m**2
    notes.add("Two rollouts coincide with chance C and share a label, else labels are independent",
              both)  # fmt: skip
    prove((both - m**2) / (m * (1 - m)), c)
    return notes.done("entropy_icc", "Correlation of two rewards", c,
                      scope="Labels of distinct responses are drawn independently of each other"
                      " and of the policy's weights")  # fmt: skip


def dirichlet_entropy() -> Derivation:
    """Expected entropy under a Dirichlet process."""
    notes = Notes()
    alpha, s = sp.symbols("alpha s", positive=True)
    moment = sp.gamma(1 + s) * sp.gamma(1 + alpha) / sp.gamma(1 + s + alpha)
    notes.add("A response drawn from pi has weight v ~ Beta(1, alpha), so E[v^s] is", moment)
    result = sp.digamma(1 + alpha) + sp.EulerGamma
    prove(-sp.diff(moment, s).subs(s, 0), result)
    collision = sp.simplify(moment.subs(s, 1))
    prove(sp.gammasimp(collision), 1 / (1 + alpha))
    notes.add("E[H] = -E[log v]; and s = 1 gives the collision chance", sp.gammasimp(collision))
    prove(sp.series(result, alpha, 0, 2).removeO(), sp.pi**2 / 6 * alpha)
    return notes.done("dirichlet_entropy", "Mean entropy at concentration alpha", result,
                      scope="Over prompts the policy is a Dirichlet process of one concentration"
                      " whose base measure has no atoms; the mean is over prompts")  # fmt: skip


def unequal_variance() -> Derivation:
    """Mean reward variance of a group whose members have unequal chances."""
    notes = Notes()
    size = 3
    chances = sp.symbols("p_1:4", positive=True)
    mean = sum(chances) / size
    total: sp.Expr = sp.Integer(0)
    for rewards in itertools.product((0, 1), repeat=size):
        weight = sp.prod([c if r else 1 - c for c, r in zip(chances, rewards, strict=True)])
        right = sum(rewards)
        total += weight * sp.Rational(right * (size - right), size**2)
    inner = sum(c * (1 - c) for c in chances) / size
    spread = sum((c - mean) ** 2 for c in chances) / size
    prove(total, sp.Rational(size - 1, size) * inner + spread)
    notes.add("E[sigma^2] at g = 3, over all rewards", sp.factor(sp.expand(total)))
    inside, between = sp.symbols("M_pq V_p", positive=True)
    return notes.done("unequal_variance", "Reward variance where members have chances p_i",
                      inside * (g - 1) / g + between,
                      scope="Proved at g = 3. M_pq is the mean of p_i (1 - p_i), V_p the variance"
                      " of the p_i inside the group")  # fmt: skip


def mode_missed() -> Derivation:
    """A mixed group that does not hold a mode of the right answers."""
    notes = Notes()
    tau = sp.Symbol("tau", positive=True)
    for size in (2, 5):
        total = sum(
            sp.binomial(size, right) * (p - tau) ** right * (1 - p) ** (size - right)
            for right in range(1, size)
        )
        prove(sp.expand(total), sp.expand((1 - tau) ** size - (1 - p) ** size - (p - tau) ** size))
    notes.add("No member of the mode", (1 - tau) ** g)
    same = sp.Tuple((1 - p) ** g, (p - tau) ** g)
    notes.add("of these all are wrong, or all are right without it", same)
    return notes.done("mode_missed", "A mixed group without a mode of chance tau",
                      (1 - tau) ** g - (1 - p) ** g - (p - tau) ** g,
                      scope="Summed over the number correct and proved at g = 2, 5")  # fmt: skip


def pass_at_k() -> Derivation:
    """The estimator is unbiased."""
    notes = Notes()
    for n, order in ((4, 2), (5, 3)):
        fail = sp.Rational(1, sp.binomial(n, order)) * sum(
            sp.binomial(n, c) * p**c * (1 - p) ** (n - c) * sp.binomial(n - c, order)
            for c in range(n + 1)
        )
        prove(fail, (1 - p) ** order)
        notes.add(f"E[C(n-c, k)/C(n, k)] at n = {n}, k = {order}", (1 - p) ** order)
    n, c = sp.symbols("n c", positive=True, integer=True)
    chance = sp.binomial(n, c) * sp.binomial(n - c, k) / sp.binomial(n, k)
    prove_ratio(chance, sp.binomial(n - k, c))
    notes.add("For any n and k, C(n, c) C(n-c, k)/C(n, k) is the weight of c among n - k samples,"
              " which sum to 1", sp.binomial(n - k, c))  # fmt: skip
    return notes.done("pass_at_k", "Mean of the estimator", 1 - (1 - p) ** k)


def beta_tail() -> Derivation:
    """Power law of 1 - pass@k."""
    notes = Notes()
    fail = sp.gamma(b + k) * sp.gamma(a + b) / (sp.gamma(b) * sp.gamma(a + b + k))
    notes.add("1 - pass@k", fail)
    result = sp.gamma(a + b) / sp.gamma(b) * k ** (-a)
    for order in (1, 2, 3):
        prove(sp.limit(sp.gammasimp((fail / result).subs(a, order)), k, sp.oo), 1)
    return notes.done("beta_tail", "1 - pass@k for p ~ Beta(a, b), leading order in 1/k", result,
                      scope="The limit was proved at a = 1, 2, 3")  # fmt: skip


STATIC = (
    advantage_variance, variance_of_variance, snr, update_weight, rate_given_mixed,
    zero_std_convex, critical_p_all_wrong, critical_p_identical, informative_per_rollout,
    rollouts_until_mixed, sandwich, beta_binomial, common_source, failure_shock,
    copy_critical_rho, unequal_variance, mode_missed, entropy_icc, dirichlet_entropy, pass_at_k,
    beta_tail,
)  # fmt: skip
