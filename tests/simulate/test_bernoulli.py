"""Chains of Bernoulli policies: the same to the bit, right in law, options by their formulas."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab import theory
from grpolab.simulate import (
    Options,
    Trajectory,
    bernoulli,
    simulate_bernoulli,
    simulate_escape,
    simulate_softmax,
)
from grpolab.simulate import _kernels as kernels
from grpolab.simulate.trajectory import NUM_SUMS, Sums
from grpolab.theory.drift import one_step

KW: dict[str, Any] = {"group_size": 8, "learning_rate": 0.1, "num_steps": 7, "seed": 3}
OPTIONS = {
    "plain": Options(),
    "adam": Options(optimiser="adam"),
    "everything": Options(
        optimiser="momentum",
        weight_decay=0.01,
        kl=0.05,
        p_ref=0.2,
        inner_epochs=3,
        max_tries=4,
        true_positive=0.9,
        false_positive=0.05,
        outage=0.1,
        pressure=-0.01,
    ),
}
CENTRED = [theory.GRPO, theory.DR_GRPO, theory.RLOO, theory.PRESETS["trl"]]


def same(a: Trajectory, b: Trajectory) -> bool:
    columns = ("mean_p", "std_p", "frac_all_wrong", "mean_variance", "first_move", "escape_step")
    return all(np.array_equal(getattr(a, c), getattr(b, c)) for c in columns) and np.array_equal(
        a.state.odds, b.state.odds
    )


def logit(p: Any) -> Any:
    return np.log(p) - np.log1p(-np.asarray(p))


class TestReproducible:
    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
    @pytest.mark.parametrize("block", [64, 512])
    def test_threads_and_chunks(
        self, options: Options, block: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        p0 = np.linspace(0.01, 0.9, 70)
        whole = simulate_bernoulli(p0, **KW, options=options, escape_p=0.5, threads=1)
        monkeypatch.setattr(bernoulli, "_LARGEST_CHUNK", block)
        monkeypatch.setattr(bernoulli, "_SUM_BYTES", 1)
        assert same(whole, simulate_bernoulli(p0, **KW, options=options, escape_p=0.5, threads=3))

    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
    @pytest.mark.parametrize("first", [1, 4])
    def test_a_continued_run_is_the_long_run(self, options: Options, first: int) -> None:
        long = simulate_bernoulli(0.1, **KW, options=options, num_chains=40)
        part = simulate_bernoulli(
            0.1, **(KW | {"num_steps": first}), options=options, num_chains=40
        )
        rest = KW | {"num_steps": KW["num_steps"] - first}
        end = simulate_bernoulli(part.state, **rest, options=options)
        assert np.array_equal(end.state.odds, long.state.odds)
        assert np.array_equal(end.mean_p, long.mean_p[first:])
        assert end.step.tolist() == list(range(first, KW["num_steps"] + 1))

    def test_a_chain_is_replayed_alone(self) -> None:
        many = simulate_bernoulli(0.1, **KW, num_chains=50)
        one = simulate_bernoulli(0.1, **KW, first_chain=37)
        assert one.state.odds[0] == many.state.odds[37]

    def test_seeds_and_chains_differ(self) -> None:
        a = simulate_bernoulli(0.3, **KW, num_chains=50)
        b = simulate_bernoulli(0.3, **(KW | {"seed": 4}), num_chains=50)
        assert not np.array_equal(a.state.odds, b.state.odds)
        assert len(np.unique(a.state.odds)) > 10

    def test_kernel_equals_its_plain_python_twin(self) -> None:
        odds = np.geomspace(1e-3, 1e3, 21)
        key = (np.uint64(1), np.uint64(2))
        ratio = np.array([3.0, 1.0, 1 / 3, 0.0])
        factor = np.exp([0.0, 0.1, 0.1, 0.0])[[0, 1, 2, 0]]
        results = []
        for run in (kernels.plain_chains, getattr(kernels.plain_chains, "py_func", None)):
            if run is None:
                pytest.skip("kernels are not compiled here")
            state, stats = odds.copy(), np.zeros((5, 3), np.int64)
            moments = np.zeros((1, 5, 3))
            times = np.full((2, 21), kernels.NEVER)
            run(state, np.uint64(7), *key, np.uint64(1), ratio, factor, stats, moments,
                2.0, *times)  # fmt: skip
            results.append((state, stats, moments, times))
        for compiled, plain in zip(*results, strict=True):
            assert np.array_equal(compiled, plain)

    def test_options_kernel_equals_its_plain_python_twin(self) -> None:
        from grpolab.simulate._kernels_options import option_chains

        if not hasattr(option_chains, "py_func"):
            pytest.skip("kernels are not compiled here")
        advantage = theory.PRESETS["trl"].advantages(np.arange(9), 8)
        results = []
        for run in (option_chains, option_chains.py_func):
            odds, velocity, square = np.geomspace(0.01, 9, 7), np.zeros(7), np.zeros(7)
            stats, times = np.zeros((6, 4), np.int64), np.full((2, 7), kernels.NEVER)
            moments, history = np.zeros((1, 6, 3)), np.repeat(odds[:, None], 2, axis=1)
            options = replace(OPTIONS["everything"], staleness=2, replay=0.5, cut_right=0.2)
            kept_odds, kept = np.zeros(7), np.zeros((7, 4), np.int64)
            run(
                odds, velocity, square, history, kept_odds, kept, np.full(7, 0.3), np.uint64(4),
                np.uint64(1), np.uint64(2), np.uint64(0), advantage.correct, advantage.wrong,
                options.plan(8, 0.1), stats, moments, 2.0, *times,
            )  # fmt: skip
            results.append(
                (odds, velocity, square, history, kept, kept_odds, stats, moments, times)
            )
        for compiled, plain in zip(*results, strict=True):
            assert np.array_equal(compiled, plain)

    @pytest.mark.parametrize("pressure", [0.0, -0.03])
    def test_plain_and_general_kernels_agree(self, pressure: float) -> None:
        fast, general = Options(pressure=pressure), Options(pressure=pressure, weight_decay=1e-300)
        a = simulate_bernoulli(0.1, **KW, num_chains=200, options=fast)
        b = simulate_bernoulli(0.1, **KW, num_chains=200, options=general)
        assert np.array_equal(a.mean_variance, b.mean_variance)
        np.testing.assert_allclose(a.state.odds, b.state.odds, rtol=1e-12)


class TestLaw:
    @pytest.mark.parametrize("rule", theory.PRESETS.values(), ids=theory.PRESETS)
    def test_first_step_is_a_value_of_the_exact_law(self, rule: theory.AdvantageRule) -> None:
        run = simulate_bernoulli(0.3, **(KW | {"num_steps": 1}), rule=rule, num_chains=60)
        law = one_step(rule, 0.3, group_size=8)
        moved = (run.state.logit - logit(0.3)) / KW["learning_rate"]
        gap = np.abs(moved[:, None] - law.change).min(axis=1)
        assert gap.max() < 1e-12

    @pytest.mark.parametrize("size", [2, 5, 8, 33])
    def test_group_statistics_at_a_fixed_chance(self, size: int, scale: float) -> None:
        chains = int(40_000 * scale)
        run = simulate_bernoulli(
            0.1, group_size=size, learning_rate=0.0, num_steps=3, seed=1, num_chains=chains
        )
        d = float(theory.prob_zero_std(0.1, size))
        error = math.sqrt(d * (1 - d) / chains / 3)
        assert abs(run.frac_zero_std.mean() - d) < 4 * error
        spread = float(theory.variance_of_variance(0.1, size, ddof=0)) ** 0.5
        wanted = float(theory.expected_variance(0.1, size))
        assert abs(run.mean_variance.mean() - wanted) < 4 * spread / math.sqrt(3 * chains)
        assert run.mean_p == pytest.approx(0.1, abs=1e-11)
        assert run.std_p == pytest.approx(0.0, abs=1e-6)

    def test_moments_of_p(self) -> None:
        p0 = np.array([0.1, 0.5, 0.9])
        run = simulate_bernoulli(p0, **KW, num_chains=2)
        assert run.mean_p[0] == pytest.approx(0.5, abs=1e-11)
        assert run.std_p[0] == pytest.approx(p0.std(), abs=1e-9)
        assert run.mean_p[-1] == pytest.approx(run.state.p.mean())

    def test_group_of_one_has_no_spread(self) -> None:
        run = simulate_bernoulli(0.4, **(KW | {"group_size": 1}), num_chains=30)
        assert np.all(run.frac_zero_std == 1.0)
        assert np.all(run.mean_variance == 0.0)

    def test_odds_stay_finite(self) -> None:
        run = simulate_bernoulli(0.5, **(KW | {"learning_rate": 1e3}), num_chains=20)
        assert np.all(np.isfinite(run.state.odds))
        assert np.all(run.state.p <= 1.0)

    def test_times(self) -> None:
        kw = KW | {"num_steps": 40}
        run = simulate_bernoulli(0.3, **kw, num_chains=30, escape_p=0.5, snapshot_every=1)
        path = np.vstack([np.full(30, run.mean_p[0]), run.snapshot_p])
        for chain in range(30):
            moved = np.flatnonzero(np.abs(np.diff(path[:, chain])) > 1e-12)
            above = np.flatnonzero(path[:, chain] >= 0.5)
            assert run.first_move[chain] == (moved[0] + 1 if moved.size else -1)
            assert run.escape_step[chain] == (above[0] if above.size else -1)

    def test_snapshots(self, tmp_path: Path) -> None:
        run = simulate_bernoulli(0.3, **KW, num_chains=4, snapshot_every=3)
        assert run.snapshot_step.tolist() == [3, 6]
        early = simulate_bernoulli(0.3, **(KW | {"num_steps": 3}), num_chains=4)
        assert np.array_equal(run.snapshot_p[0], early.state.p)


class TestMemory:
    @pytest.mark.usefixtures("compiled")
    def test_does_not_grow_with_chains_times_steps(self) -> None:
        tracemalloc.start()
        simulate_bernoulli(
            0.1, group_size=2, learning_rate=0.01, num_steps=3000, seed=0, num_chains=20_000
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8e6  # all of p would take 480 MB

    def test_totals_do_not_overflow(self) -> None:
        sums = Sums(1)
        large = np.full((1, NUM_SUMS), 2**62, np.int64)
        for _ in range(50):
            sums.add(0, [large])
        assert sums.column(0)[0] == 50 * 2.0**62


class TestMonotone:
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        p=st.floats(1e-6, 1 - 1e-6),
        size=st.integers(1, 40),
        rate=st.floats(0, 50),
        rule=st.sampled_from(CENTRED),
        optimiser=st.sampled_from(["sgd", "momentum", "adam"]),
        seed=st.integers(0, 1000),
    )
    def test_p_never_falls(
        self, p: float, size: int, rate: float, rule: Any, optimiser: Any, seed: int
    ) -> None:
        run = simulate_bernoulli(
            p, group_size=size, learning_rate=rate, rule=rule, num_steps=5, seed=seed,
            options=Options(optimiser=optimiser), num_chains=3, snapshot_every=1, threads=1,
        )  # fmt: skip
        path = np.vstack([np.full(3, p), run.snapshot_p])
        assert np.diff(path, axis=0).min() >= -1e-15

    @pytest.mark.parametrize(
        "options",
        [
            Options(pressure=-0.05),
            Options(weight_decay=0.5, p_prior=0.01),
            Options(kl=0.5, kl_form="k3", p_ref=0.01),
            Options(false_positive=0.3, true_positive=0.3),
            Options(false_positive=0.5, true_positive=0.1),
        ],
    )
    def test_forces_that_make_it_fall(self, options: Options) -> None:
        run = simulate_bernoulli(0.2, **KW, num_chains=50, options=options, snapshot_every=1)
        assert np.diff(run.snapshot_p, axis=0).min() < -1e-4


class TestOptions:
    """Each option alone, at chances so small that no group ever carries a signal."""

    def end(self, options: Options) -> float:
        run = simulate_bernoulli(
            1e-12, group_size=4, learning_rate=0.1, num_steps=30, seed=0, options=options
        )
        return float(run.state.logit[0])

    def test_weight_decay_is_geometric(self) -> None:
        options = Options(weight_decay=0.3, p_prior=1e-9)
        start, prior = logit(1e-12), logit(1e-9)
        assert self.end(options) == pytest.approx(prior + (start - prior) * 0.97**30)

    def test_momentum_sums_a_constant_push(self) -> None:
        options = Options(optimiser="momentum", beta1=0.8, pressure=-0.01)
        pushes = sum((1 - 0.8**t) / 0.2 for t in range(1, 31))
        assert self.end(options) == pytest.approx(logit(1e-12) - 0.1 * 0.01 * pushes)

    def test_adam_moves_by_the_learning_rate_under_a_constant_push(self) -> None:
        options = Options(optimiser="adam", pressure=-0.01, adam_eps=0.0)
        assert self.end(options) == pytest.approx(logit(1e-12) - 0.1 * 30)

    def test_adam_amplifies_one_rare_gradient(self) -> None:
        """One unit gradient late moves z by lr (1-b1)/sqrt(1-b2) / (1 - b1/sqrt(b2))."""
        from grpolab.simulate._kernels_options import optimiser_step

        plan = Options(optimiser="adam", adam_eps=1e-30).plan(4, 1.0)
        velocity, square = np.zeros(1), np.zeros(1)
        late = 20_000
        steps = [
            optimiser_step(1.0 if t == 0 else 0.0, 0, late + t, velocity, square, plan)
            for t in range(600)
        ]
        b1, b2 = 0.9, 0.999
        assert sum(steps) == pytest.approx(
            (1 - b1) / math.sqrt(1 - b2) / (1 - b1 / math.sqrt(b2)), rel=1e-4
        )
        assert sum(steps) == pytest.approx(31.8, abs=0.1)

    @pytest.mark.parametrize("form", ["k1", "k2", "k3"])
    def test_kl_gradient_in_expectation(self, form: Any, scale: float) -> None:
        p, ref, beta = 0.3, 0.6, 0.5
        chains = int(20_000 * scale)
        kw = KW | {"num_steps": 1, "num_chains": chains}
        with_kl = simulate_bernoulli(p, **kw, options=Options(kl=beta, kl_form=form, p_ref=ref))
        moved = (with_kl.state.logit - simulate_bernoulli(p, **kw).state.logit) / 0.1
        expected = {
            "k1": 0.0,
            "k2": -beta * p * (1 - p) * (logit(p) - logit(ref)),
            "k3": -beta * (p - ref),
        }[form]
        assert abs(moved.mean() - expected) < 4 * moved.std() / math.sqrt(chains)
        assert moved.std() > 0

    def test_no_kl_at_the_reference(self) -> None:
        kw = KW | {"num_steps": 1, "num_chains": 40}
        free = simulate_bernoulli(0.3, **kw)
        for form in ("k2", "k3"):
            held = simulate_bernoulli(0.3, **kw, options=Options(kl=9.0, kl_form=form))
            np.testing.assert_allclose(held.state.odds, free.state.odds, rtol=1e-12)

    def test_clip_stops_the_gradient(self) -> None:
        options = Options(inner_epochs=4000, clip_low=0.2, clip_high=0.2)
        kw = KW | {"num_steps": 1, "learning_rate": 0.01}
        run = simulate_bernoulli(0.3, **kw, options=options, num_chains=3)
        ratio_wrong = (1 - run.state.p) / 0.7
        moved = run.first_move.size == 0 and run.state.p > 0.3
        assert np.any(moved)
        # both sides must be past their bounds; the wrong side is the last here
        assert np.all(np.abs(ratio_wrong[moved] - 0.8) < 0.002)

    def test_first_epoch_is_on_policy(self) -> None:
        kw = KW | {"num_steps": 1, "num_chains": 30}
        one = simulate_bernoulli(0.3, **kw)
        tight = simulate_bernoulli(
            0.3, **kw, options=Options(inner_epochs=2, clip_low=0.0, clip_high=0.0)
        )
        np.testing.assert_allclose(one.state.odds, tight.state.odds, rtol=1e-12)

    def test_outage(self, scale: float) -> None:
        chains = int(20_000 * scale)
        run = simulate_bernoulli(
            0.3, **(KW | {"num_steps": 1}), options=Options(outage=0.4), num_chains=chains
        )
        wanted = 0.4 + 0.6 * 0.7**8
        assert abs(run.frac_all_wrong[0] - wanted) < 4 * math.sqrt(wanted / chains)

    def test_noise_changes_the_observed_rate(self, scale: float) -> None:
        chains = int(20_000 * scale)
        options = Options(true_positive=0.7, false_positive=0.2)
        run = simulate_bernoulli(0.3, **(KW | {"num_steps": 1}), options=options, num_chains=chains)
        seen = 0.2 + 0.5 * 0.3
        assert abs(run.frac_all_wrong[0] - (1 - seen) ** 8) < 4 * math.sqrt(0.05 / chains)

    @pytest.mark.parametrize("p", [0.1, 0.9])
    def test_dynamic_sampling_draws_until_mixed(self, p: float, scale: float) -> None:
        chains = int(20_000 * scale)
        kw = KW | {"num_steps": 1, "num_chains": chains}
        run = simulate_bernoulli(p, **kw, options=Options(max_tries=1000))
        d = float(theory.prob_zero_std(p, 8))
        assert np.all(run.state.odds != p / (1 - p))
        error = math.sqrt(d) / (1 - d) / math.sqrt(chains)
        assert abs(run.mean_groups_drawn[0] - 1 / (1 - d)) < 4 * error
        assert abs(run.frac_zero_std[0] - d) < 5 * error


class TestBadInput:
    @pytest.mark.parametrize(
        ("kw", "words"),
        [
            ({"group_size": 0}, "group_size must lie"),
            ({"learning_rate": float("nan")}, "learning_rate must be finite"),
            ({"num_steps": -1}, "num_steps must be"),
            ({"num_chains": 0}, "num_chains must be"),
            ({"snapshot_every": -1}, "snapshot_every must be"),
            ({"first_chain": -1}, "first_chain must be"),
            ({"escape_p": 1.0}, "escape_p must lie"),
            ({"seed": -3}, "seed must be"),
        ],
    )
    def test_arguments(self, kw: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            simulate_bernoulli(0.5, **(KW | kw))

    @pytest.mark.parametrize("p0", [0.0, 1.0, -1.0, [], [[0.5]], float("nan")])
    def test_chances(self, p0: Any) -> None:
        with pytest.raises(ValueError, match="p0 must be"):
            simulate_bernoulli(p0, **KW)

    @pytest.mark.parametrize(
        "kw",
        [
            {"optimiser": "sgdm"},
            {"kl_form": "k4"},
            {"outage": 1.5},
            {"beta1": 1.0},
            {"p_prior": 0.0},
            {"kl": -1.0},
            {"inner_epochs": 0},
            {"max_tries": 1.5},
            {"pressure": float("inf")},
        ],
    )
    def test_options(self, kw: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"{next(iter(kw))} must"):
            Options(**kw)

    def test_state_must_fit_the_options(self) -> None:
        state = simulate_bernoulli(0.5, **KW).state
        with pytest.raises(ValueError, match="no memory"):
            simulate_bernoulli(state, **KW, options=Options(optimiser="adam"))
        with pytest.raises(ValueError, match="p_ref must be given"):
            simulate_bernoulli(state, **KW, options=Options(kl=0.1))


class TestMoments:
    """Mean and spread of p keep their digits whatever p is, and whatever the threads."""

    @pytest.mark.parametrize("p0", [1e-300, 1e-30, 1e-12, 1e-6, 1e-3, 0.5, 1 - 1e-9])
    @pytest.mark.parametrize(
        "options", [Options(), Options(inner_epochs=2)], ids=["plain", "inner"]
    )
    def test_means_and_spreads_are_those_of_the_chains(
        self, p0: float, options: Options, scale: float
    ) -> None:
        number = max(100, int(1500 * scale))
        run = simulate_bernoulli(
            p0, group_size=8, learning_rate=1.0, num_steps=40, seed=0, num_chains=number,
            snapshot_every=1, options=options,
        )  # fmt: skip
        p = run.snapshot_p
        np.testing.assert_allclose(run.mean_p[1:], p.mean(axis=1), rtol=1e-13)
        np.testing.assert_allclose(run.std_p[1:], p.std(axis=1), rtol=1e-9, atol=1e-15 * p0)
        np.testing.assert_allclose(run.stderr_p, run.std_p / np.sqrt(number - 1), rtol=1e-14)

    def test_a_small_spread_around_a_large_mean(self) -> None:
        run = simulate_bernoulli(
            0.5, group_size=8, learning_rate=1e-9, num_steps=3, seed=0, num_chains=700,
            snapshot_every=1,
        )  # fmt: skip
        np.testing.assert_allclose(run.std_p[1:], run.snapshot_p.std(axis=1), rtol=1e-5)
        assert 0 < run.std_p[1] < 1e-9

    def test_softmax_tables_too(self) -> None:
        run = simulate_softmax(
            np.array([-30.0, 0.0]), np.array([True, False]), group_size=4, learning_rate=1.0,
            num_steps=3, seed=0, num_models=600, snapshot_every=1,
        )  # fmt: skip
        p = np.append([np.full((600, 1), np.exp(-30) / (1 + np.exp(-30)))], run.snapshot_p, axis=0)
        np.testing.assert_allclose(run.mean_p, p.mean(axis=(1, 2)), rtol=1e-12)
        np.testing.assert_allclose(run.std_p, p.std(axis=(1, 2)), rtol=1e-6, atol=1e-25)
        # -p log p of the rare response: 2.9e-12, three units of 2^-40
        assert run.mean_entropy[0] == pytest.approx(float(p[0, 0, 0]) * 31, rel=1e-6)


class TestRulesOfOnesOwn:
    @pytest.mark.parametrize("rule", theory.PRESETS)
    def test_escape_of_every_preset(self, rule: str, scale: float) -> None:
        number = max(100, int(2000 * scale))
        found = simulate_escape(
            0.2, rule=rule, group_size=8, learning_rate=0.3, num_chains=number, seed=0
        )
        assert abs(found.mean - found.exact) < 5 * found.stderr + 2e-3 * found.exact

    def test_a_rule_that_can_lower_p_has_no_exact_time(self) -> None:
        found = simulate_escape(
            0.2, rule=theory.PassAtKGradient(2), group_size=4, learning_rate=0.2, num_chains=500,
            seed=0,
        )  # fmt: skip
        assert np.isnan(found.exact)
        assert found.mean == pytest.approx(found.mean_field, rel=0.1)

    @pytest.mark.parametrize(
        ("kw", "words"),
        [
            ({"group_size": 8.5}, "group_size must be a whole number"),
            ({"group_size": [4, 8]}, "group_size must be a single whole number"),
            ({"learning_rate": [0.1, 0.2]}, "learning_rate must be a single number"),
            ({"learning_rate": float("nan")}, "learning_rate must be finite"),
            ({"num_steps": 2.5}, "num_steps must be a whole number"),
            ({"num_chains": 2.5}, "num_chains must be a whole number"),
            ({"escape_p": [0.1, 0.2]}, "escape_p must be a single number"),
            ({"p0": "half"}, "p0 must be a number"),
        ],
    )
    def test_numbers(self, kw: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            simulate_bernoulli(**({"p0": 0.1} | KW | kw))
