"""Against mpmath at extreme arguments; the generator stands beside the data."""

import json
from pathlib import Path

import pytest

from grpolab.theory import (
    BetaBinomial,
    critical_p,
    expected_entropy,
    expected_rate_given_mixed,
    expected_std,
    pass_at_k,
    prob_all_wrong,
    prob_mixed,
)
from grpolab.theory.dependence import OneFactorProbit, reward_correlation

TABLE = json.loads(
    (Path(__file__).parents[1] / "reference" / "theory_extremes.json").read_text(encoding="utf-8")
)


def probit_all_wrong(mean, latent, size):
    import numpy as np

    rho = float(reward_correlation(np.array(mean), np.array(latent)))
    return OneFactorProbit(mean=mean, rho=rho).prob_all_wrong(size)


CODE = {  # function and relative accuracy
    "prob_mixed": (prob_mixed, 1e-13),
    "prob_all_wrong": (prob_all_wrong, 1e-13),
    "expected_std": (expected_std, 1e-12),
    "expected_rate_given_mixed": (expected_rate_given_mixed, 1e-13),
    "beta_binomial_all_wrong": (
        lambda m, r, g: BetaBinomial(mean=m, rho=r).prob_all_wrong(g),
        5e-13,
    ),
    "expected_entropy": (expected_entropy, 1e-13),
    "pass_at_k": (pass_at_k, 1e-12),
    "probit_all_wrong": (probit_all_wrong, 1e-10),
    "critical_p": (lambda g, frac: critical_p(g, frac=frac), 1e-9),
}


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [(name, row["arguments"], row["value"]) for name, rows in TABLE.items() for row in rows],
)
def test_extremes(name, arguments, value):
    function, accuracy = CODE[name]
    assert float(function(*arguments)) == pytest.approx(float(value), rel=accuracy, abs=0)
