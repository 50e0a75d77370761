"""A few prompts with fewer verdicts than a planned group do not decide for all the others."""

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.pass_at_k import estimate_pass_at_k
from grpolab.validate.forecast.zero_std import predict_zero_std


def short_table(*, short, left, prompts=300, samples=64, seed=0):
    """Prompts of which the first ``short`` keep ``left`` of their samples."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 0.6, prompts)
    c = rng.binomial(samples, p)
    n = np.full(prompts, samples)
    c[:short] = rng.hypergeometric(c[:short], samples - c[:short], left)
    n[:short] = left
    return GroupCounts(c, n), GroupCounts(rng.binomial(samples, p), samples)


@pytest.mark.parametrize(
    ("short", "left", "g"), [(1, 7, 8), (1, 1, 64), (30, 3, 16), (140, 15, 16)]
)
def test_short_prompts_do_not_decide_the_method(short, left, g):
    table, other = short_table(short=short, left=left)
    found = predict_zero_std(table, g, rng=0)
    whole = predict_zero_std(other, g, rng=0)
    assert (found.method, found.num_fitted) == ("thinning", short)
    assert found.zero_std == pytest.approx(whole.zero_std, abs=0.04)
    assert found.high - found.low < 1.3 * (whole.high - whole.low)
    score = estimate_pass_at_k(table, g, rng=0)
    assert score.num_fitted == short
    assert score.value == pytest.approx(estimate_pass_at_k(other, g, rng=0).value, abs=0.04)
    law = fit_law(table)
    pmf, k = law.group_pmf(g), np.arange(g + 1)
    assert pmf.sum() == pytest.approx(1.0)
    assert pmf[0] + pmf[g] == pytest.approx(float(law.zero_std(g)))
    assert pmf @ np.sqrt(k * (g - k)) / g == pytest.approx(float(law.expected_std(g)))


def test_most_prompts_must_be_thinned():
    table, _ = short_table(short=150, left=7)
    assert predict_zero_std(table, 8, rng=0, num_resamples=5).method == "smoothed mixture"
