"""Bad input is named, with its value and what is allowed; edges of the domain are accepted."""

import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest

import grpolab.theory as theory
from grpolab.theory import MODELS

P_AND_G = [
    theory.prob_all_wrong,
    theory.prob_all_right,
    theory.prob_zero_std,
    theory.prob_mixed,
    theory.expected_variance,
    theory.expected_std,
    theory.update_weight,
    theory.expected_squared_advantage,
    theory.variance_of_variance,
    theory.expected_rate_given_mixed,
    theory.snr,
    theory.expected_groups_until_mixed,
]


@pytest.mark.parametrize("function", P_AND_G, ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan"), float("inf")])
def test_p(function, bad):
    with pytest.raises(ValueError, match=rf"^p must lie in \[0, 1\], got {bad:g}$"):
        function([0.5, bad], 8)


@pytest.mark.parametrize("function", P_AND_G, ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", [0, -3, 2.5, float("nan"), float("inf")])
def test_group_size(function, bad):
    with pytest.raises(ValueError, match=rf"^group_size must be a whole number >= 1, got {bad:g}$"):
        function(0.5, bad)


@pytest.mark.parametrize("function", P_AND_G, ids=lambda f: f.__name__)
def test_whole_domain_and_shapes(function):
    p = np.array([0.0, 5e-324, 1e-300, 1e-12, 0.5, 1 - 1e-16, 1.0])
    g = np.array([[2], [3], [1024]])
    value = function(p, g)
    assert value.shape == (3, 7)
    assert not np.isnan(value).any()
    assert np.ndim(function(0.3, 8)) == 0
    for i, size in enumerate((2, 3, 1024)):
        np.testing.assert_allclose(function(p, size), value[i], rtol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_models(model):
    with pytest.raises(ValueError, match=r"^rho must lie in \[0, 1\], got -0.2$"):
        MODELS[model](mean=0.3, rho=-0.2)
    with pytest.raises(ValueError, match=r"^mean must lie in \[0, 1\], got nan$"):
        MODELS[model](mean=float("nan"), rho=0.2)
    with pytest.raises(ValueError, match=r"^group_size must be a whole number >= 1, got 0$"):
        MODELS[model](mean=0.3, rho=0.2).prob_zero_std(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.critical_p(8, frac=1.0), r"frac must lie in \(0, 1\), got 1"),
        (lambda: theory.critical_p(8, model="normal"), "model must be one of beta-binomial, copy"),
        (lambda: theory.critical_p(8, event="none"), "event must be one of identical, all-wrong"),
        (lambda: theory.critical_p(8, rho=2.0), r"rho must lie in \[0, 1\], got 2"),
        (lambda: theory.expected_std(0.5, 8, ddof=2), "ddof must be 0 or 1, got 2"),
        (lambda: theory.count_pmf(0.5, [2, 3]), "group_size must be a single whole number"),
        (
            lambda: theory.contrast_coefficient(theory.GRPO, 9, group_size=8),
            r"num_correct must lie in 0..group_size, got 9",
        ),
        (lambda: theory.expected_entropy(-1.0), r"alpha must lie in \[0, inf\], got -1"),
        (lambda: theory.rho_from_entropy(-1.0), r"entropy must lie in \[0, 700\], got -1"),
        (lambda: theory.entropy_from_rho(0.0), r"rho must lie in \(0, 1\], got 0"),
        (lambda: theory.collision_rho([0.5, 0.4]), "weights must sum to 1, got 0.9"),
        (lambda: theory.flow(0.0, -1.0), r"time must lie in \[0, inf\), got -1"),
        (lambda: theory.kl_gain_ceiling(8, beta=0.0), r"beta must lie in \(0, inf\), got 0"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_import_is_light():
    code = (
        "import sys, grpolab.theory;"
        "heavy = {'torch','numba','matplotlib','sympy','pyarrow','scipy.stats','scipy.optimize',"
        "'scipy.integrate'} & set(sys.modules);"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr.strip()) == ("[]", "")


def test_exports_are_sorted_and_documented():
    names = theory.__all__
    assert len(set(names)) == len(names)
    for name in names:
        value = getattr(theory, name)
        assert value.__doc__ or isinstance(value, Mapping)
