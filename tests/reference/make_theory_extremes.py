"""Writes theory_extremes.json: formulas of theory at extreme arguments, in mpmath.

Each value comes from the definition (a sum over K, a ratio of gamma functions, an integral), with
60 digits and more, and never from the formula that the package uses. Run from the root:
``python tests/reference/make_theory_extremes.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 80


def mixed(p: float, g: int) -> mp.mpf:
    with mp.workdps(700):
        x = mp.mpf(p)
        return 1 - x**g - (1 - x) ** g


def all_wrong(p: float, g: int) -> mp.mpf:
    return (1 - mp.mpf(p)) ** g


def expected_std(p: float, g: int) -> mp.mpf:
    x = mp.mpf(p)
    return mp.fsum(
        mp.binomial(g, k) * x**k * (1 - x) ** (g - k) * mp.sqrt(k * (g - k)) / g
        for k in range(g + 1)
    )


def rate_given_mixed(p: float, g: int) -> mp.mpf:
    with mp.workdps(700):
        x = mp.mpf(p)
        return (x - x**g) / (1 - x**g - (1 - x) ** g)


def beta_binomial(mean: float, rho: float, g: int) -> mp.mpf:
    with mp.workdps(120):
        m, r = mp.mpf(mean), mp.mpf(rho)
        a, b = m * (1 - r) / r, (1 - m) * (1 - r) / r
        total = mp.loggamma(b + g) - mp.loggamma(b) + mp.loggamma(a + b) - mp.loggamma(a + b + g)
        return mp.exp(total)


def entropy(alpha: float) -> mp.mpf:
    with mp.workdps(700):
        return mp.digamma(1 + mp.mpf(alpha)) + mp.euler


def pass_at_k(n: int, c: int, k: int) -> mp.mpf:
    return 1 - mp.binomial(n - c, k) / mp.binomial(n, k)


def probit(mean: float, latent: float, g: int) -> mp.mpf:
    """P(all wrong) at a given correlation of the scores."""
    with mp.workdps(30):
        r, t = mp.mpf(latent), mp.sqrt(2) * mp.erfinv(2 * mp.mpf(mean) - 1)

        def integrand(z: mp.mpf) -> mp.mpf:
            return mp.npdf(z) * mp.ncdf(-(t + mp.sqrt(r) * z) / mp.sqrt(1 - r)) ** g

        return mp.quad(integrand, mp.linspace(-14, 14, 57))


def critical_p(g: int, frac: float) -> mp.mpf:
    """Root of p^g + q^g = frac in (0, 1/2)."""
    goal = mp.mpf(frac)
    start = 1 - goal ** (mp.mpf(1) / g)
    return mp.findroot(lambda p: p**g + (1 - p) ** g - goal, start)


CASES = {
    "prob_mixed": (mixed, [(1e-300, 2), (1e-300, 1000), (1e-12, 8), (1e-9, 10**6), (1 - 2**-50, 8),
                           (0.5, 3), (1e-5, 64)]),
    "prob_all_wrong": (all_wrong, [(1e-12, 10**6), (1e-5, 10**6), (0.3, 1000), (1 - 2**-50, 10)]),
    "expected_std": (expected_std, [(1e-300, 8), (1e-12, 64), (1e-3, 1024), (0.3, 1024),
                                    (1 - 2**-40, 8), (0.5, 2)]),
    "expected_rate_given_mixed": (rate_given_mixed, [(1e-300, 8), (1e-9, 64), (1 - 2**-50, 8),
                                                     (0.1, 8)]),
    "beta_binomial_all_wrong": (beta_binomial, [
        (0.3, 0.2, 8), (0.3, 1e-12, 300), (0.3, 1e-5, 10**6), (1e-12, 0.2, 10**6),
        (1e-5, 1e-12, 10**6), (0.3, 1 - 2**-40, 10**6), (1 - 2**-30, 1e-3, 20), (0.5, 0.5, 1000),
        (0.9, 0.05, 17), (0.9, 0.05, 16), (1e-300, 0.5, 8)]),
    "expected_entropy": (entropy, [(1e-300,), (1e-12,), (1e-3,), (0.0499,), (0.0501,), (1.0,),
                                   (1e6,), (1e300,)]),
    "pass_at_k": (pass_at_k, [(10**6, 1, 64), (10**6, 1000, 1000), (10**4, 5, 5000),
                              (200, 3, 100), (10**6, 500_000, 10)]),
    "probit_all_wrong": (probit, [(0.151, 0.3, 8), (0.01, 0.9, 64), (0.5, 0.999, 8),
                                  (1e-6, 0.5, 1000)]),
    "critical_p": (critical_p, [(3, 0.5), (8, 0.5), (10**6, 0.5), (8, 0.999999), (64, 1e-6)]),
}  # fmt: skip


def main() -> None:
    table = {
        name: [{"arguments": list(x), "value": mp.nstr(function(*x), 20)} for x in arguments]
        for name, (function, arguments) in CASES.items()
    }
    path = Path(__file__).with_name("theory_extremes.json")
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
