import numpy as np
import pytest

from grpolab.theory import pass_at_k
from grpolab.validate.study.peak import corrected_peak


def runs(path, *, repeats, n=20, k=1, over="prompts", seed=0):
    """Naive and corrected peaks of simulated evaluations of the success rates [E, P]."""
    rng = np.random.default_rng(seed)
    found = [
        corrected_peak(rng.binomial(n, path), n, k=k, rng=rng, over=over, num_splits=4)
        for _ in range(repeats)
    ]
    return np.array([[p.naive, p.corrected] for p in found])


@pytest.mark.parametrize("over", ["prompts", "samples"])
@pytest.mark.parametrize("k", [1, 10])
def test_a_policy_that_never_changes_has_no_peak(over, k):
    p = np.random.default_rng(1).beta(0.3, 0.6, 120)
    truth = float(np.mean(1 - (1 - p) ** k))
    naive, corrected = (runs(np.tile(p, (15, 1)), repeats=80, k=k, over=over) - truth).T
    error = corrected.std(ddof=1) / 80**0.5
    assert naive.mean() > 0.008
    assert naive.min() > 0.0
    assert abs(corrected.mean()) < 4 * error < 0.6 * naive.mean()


@pytest.mark.parametrize("over", ["prompts", "samples"])
def test_a_peak_that_stands_out_is_found_at_its_value(over):
    rng = np.random.default_rng(2)
    p = np.tile(rng.beta(1.0, 3.0, 120), (12, 1))
    p[5] = np.minimum(p[5] + 0.2, 1.0)
    found = runs(p, repeats=60, over=over)
    assert found[:, 1].mean() == pytest.approx(p[5].mean(), abs=0.003)
    peak = corrected_peak(rng.binomial(20, p), 20, k=1, rng=0, over=over, steps=np.arange(12) * 25)
    assert peak.step == 125
    assert peak.frac_chosen[5] == 1.0


def test_folds_are_scored_where_the_other_folds_peak():
    c = np.array([[4, 0, 4, 0], [0, 3, 0, 3]])
    peak = corrected_peak(c, 4, k=1, rng=0, num_folds=4, num_splits=3)
    # without a prompt that likes evaluation 0, evaluation 1 leads, and the other way round
    assert peak.corrected == 0.0
    assert peak.naive == 0.5
    assert peak.frac_chosen.tolist() == [0.5, 0.5]


def test_stderr_and_naive_are_those_of_the_scores():
    rng = np.random.default_rng(3)
    c = rng.binomial(8, np.full((1, 50), 0.4))
    peak = corrected_peak(c, 8, k=2, rng=0)
    values = pass_at_k(8, c[0], 2)
    assert peak.naive == peak.corrected == pytest.approx(values.mean())
    assert peak.stderr == pytest.approx(values.std(ddof=1) / 50**0.5)


def test_ragged_samples_and_the_seed():
    rng = np.random.default_rng(4)
    n = rng.integers(10, 20, (6, 30))
    c = rng.binomial(n, 0.3)
    first, second = (corrected_peak(c, n, k=3, rng=7, over="samples") for _ in range(2))
    assert first.corrected == second.corrected
    assert 0 < first.corrected < 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "k must be >= 1"),
        ({"k": 9}, "k must not exceed"),
        ({"k": 5, "over": "samples"}, "k must not exceed the samples that are scored"),
        ({"over": "steps"}, "over must be"),
        ({"num_folds": 1}, "num_folds must lie in 2..6"),
        ({"num_folds": 7}, "num_folds must lie in 2..6"),
        ({"num_splits": 0}, "num_splits must be >= 1"),
        ({"steps": [1]}, "steps must have shape"),
    ],
)
def test_bad_arguments(change, words):
    kept = {"k": 1, "rng": 0, "num_folds": 3, **change}
    with pytest.raises(ValueError, match=words):
        corrected_peak(np.ones((2, 6), int), 8, **kept)


def test_counts_must_be_evaluations_by_prompts():
    with pytest.raises(ValueError, match="num_correct must have shape"):
        corrected_peak([1, 2, 3], 8, k=1, rng=0)
    with pytest.raises(ValueError, match="num_correct"):
        corrected_peak([[9, 2], [3, 1]], 8, k=1, rng=0, num_folds=2)
