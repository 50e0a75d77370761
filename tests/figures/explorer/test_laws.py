"""The page's own formulas, run by a small JavaScript engine, against the library on a grid."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from grpolab.figures.explorer import data
from grpolab.theory import (
    MODELS,
    PRESETS,
    arcsine_weight,
    critical_p,
    critical_p_upper,
    escape_time,
    expected_update,
    expected_variance,
)

quickjs = pytest.importorskip("quickjs", reason="the explorer's formulas need quickjs-ng (dev)")

LAWS = files("grpolab.figures.explorer").joinpath("laws.js").read_text(encoding="utf-8")
SIZES = (2, 3, 8, 64)
MEANS = (0.0001, 0.02, 0.151, 0.5, 0.83, 0.9999)
RHOS = (0.0, 0.01, 0.2, 0.6, 0.97)
RATES = (0.0001, 0.02, 0.083, 0.3, 0.4999, 0.7, 0.9999)


def answer(code: str, source: str = LAWS) -> Any:
    """What an expression over ``laws`` and ``DATA`` gives."""
    context = quickjs.Context()
    context.eval(f"{source}\nconst DATA = {json.dumps(data())}; const laws = makeLaws(DATA);")
    return json.loads(context.eval(f"JSON.stringify({code})"))


def zero_std_grid(model: str, source: str = LAWS) -> np.ndarray:
    grid = np.stack(np.meshgrid(SIZES, MEANS, RHOS, indexing="ij"), axis=-1)
    code = (
        f"{json.dumps(grid.reshape(-1, 3).tolist())}.map(([g, m, rho]) => {{"
        f" const z = laws.zeroStd({model!r}, g, m, rho); return [z.wrong, z.right, z.total]; }})"
    )
    return np.array(answer(code, source)).reshape(grid.shape)


def library_grid(model: str) -> np.ndarray:
    g, m, rho = np.meshgrid(SIZES, MEANS, RHOS, indexing="ij")
    law = MODELS[model](mean=m, rho=rho)
    return np.stack([law.prob_all_wrong(g), law.prob_all_right(g), law.prob_zero_std(g)], axis=-1)


@pytest.mark.parametrize("model", MODELS)
def test_zero_std_shares(model: str) -> None:
    assert np.abs(zero_std_grid(model) - library_grid(model)).max() < 1e-9


def test_a_slip_in_the_script_is_seen() -> None:
    slip = LAWS.replace("(1 - m) * (1 - rho) + j * rho", "(1 - m) * (1 - rho) + (j - 1) * rho")
    assert slip != LAWS
    off = np.abs(zero_std_grid("beta-binomial", slip) - library_grid("beta-binomial"))
    assert off.max() > 1e-3


def test_independent_draws_ignore_the_correlation() -> None:
    assert answer("laws.zeroStd('iid', 8, 0.151, 0.7).wrong") == pytest.approx(0.849**8, abs=1e-15)


@pytest.mark.parametrize("model", MODELS)
def test_thresholds(model: str) -> None:
    sizes, rhos = np.meshgrid((2, 3, 8, 64, 1024), (0.0, 0.05, 0.2, 0.45, 0.7, 1.0), indexing="ij")
    pairs = json.dumps(list(zip(sizes.ravel().tolist(), rhos.ravel().tolist(), strict=True)))
    found = answer(f"{pairs}.map(([g, rho]) => laws.criticalP({model!r}, g, rho))")
    low = critical_p(sizes.ravel(), rho=rhos.ravel(), model=model)
    high = critical_p_upper(sizes.ravel(), rho=rhos.ravel(), model=model)
    assert [f is None for f in found] == np.isnan(low).tolist()
    assert 0 < sum(f is None for f in found) < len(found)
    for i, one in enumerate(found):
        # groups of 2 at rho = 0 touch 1/2 in a flat minimum, which a search finds to 1e-8 only
        close = 2e-8 if (sizes.flat[i], rhos.flat[i]) == (2, 0) else 1e-9
        if one is not None:
            assert one["low"] == pytest.approx(low[i], abs=close)
            assert one["high"] == pytest.approx(high[i], abs=close)


@pytest.mark.parametrize("rule", PRESETS)
def test_weight_and_escape_time(rule: str) -> None:
    js = f"DATA.rules[{rule!r}]"
    weights = answer(f"{json.dumps(SIZES)}.map(g => {json.dumps(RATES)}.map(laws.weight({js}, g)))")
    exact = expected_update(PRESETS[rule], RATES, group_size=np.array(SIZES)[:, None])
    np.testing.assert_allclose(weights, exact, rtol=1e-9)
    starts = [p for p in RATES if p < 0.5]
    for g in SIZES:
        times = answer(f"{json.dumps(RATES)}.map(p => laws.escapeTime({js}, {g}, p, 0.1))")
        wanted = escape_time(PRESETS[rule], starts, 0.5, group_size=g, learning_rate=0.1)
        np.testing.assert_allclose(times[: len(starts)], wanted, rtol=1e-9)
        assert times[len(starts) :] == [None] * (len(RATES) - len(starts))


def test_weight_in_the_limit_of_large_groups() -> None:
    found = answer("DATA.rules").keys()
    assert list(found) == list(PRESETS)
    p = [0.1, 0.5, 0.8]
    grpo = answer(f"{p}.map(p => laws.limitWeight(DATA.rules.grpo, p))")
    np.testing.assert_allclose(grpo, arcsine_weight(p), rtol=1e-12)
    for name, rule in PRESETS.items():
        limit = answer(f"{p}.map(p => laws.limitWeight(DATA.rules[{name!r}], p))")
        large = expected_update(rule, p, group_size=4096)
        np.testing.assert_allclose(limit, large, rtol=4e-3, err_msg=name)


def test_variance_inside_groups() -> None:
    found = answer("laws.variance(8, 0.151, 0.2)")
    assert found == pytest.approx(expected_variance(0.151, 8, rho=0.2).item(), rel=1e-12)


def test_rules_that_move_on_equal_rewards() -> None:
    silent = answer("Object.entries(DATA.rules).map(([n, r]) => [n, laws.silent(r, 8)])")
    loud = {name: found for name, found in silent if not (found["wrong"] and found["right"])}
    assert loud == {
        "maxrl": {"wrong": True, "right": False}, "sign": {"wrong": False, "right": False},
    }  # fmt: skip
