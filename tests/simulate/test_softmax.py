"""Tabular softmax policies: equal to autograd, in the limit to Bernoulli chains, monotone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab import theory
from grpolab.simulate import (
    Options,
    simulate_bernoulli,
    simulate_softmax,
)
from grpolab.simulate import _kernels_softmax as kernels
from grpolab.simulate import _models as module
from grpolab.simulate._philox import stream_key
from grpolab.simulate.softmax import softmax

KW: dict[str, Any] = {"group_size": 8, "learning_rate": 0.3, "num_steps": 6, "seed": 5}
START = np.array([[0.5, 0.0, -1.0, 0.3, 0.1], [2.0, -1.0, 0.0, 0.0, 1.0], [0.0] * 5])
RIGHT = np.array(
    [[True, True, False, False, False], [False] * 4 + [True], [True] * 2 + [False] * 3]
)
FEATURES = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.3, 0.3, 0.0]])
FULL = Options(
    optimiser="adam",
    weight_decay=0.05,
    kl=0.1,
    kl_form="k3",
    inner_epochs=3,
    clip_high=0.3,
    max_tries=3,
    true_positive=0.9,
    false_positive=0.1,
    outage=0.05,
)


def groups(state: Any, step: int, seed: int, size: int) -> np.ndarray:
    """The responses that the kernel draws at a step, [chains, g], first attempt."""
    log_pi = np.log(state.probs).reshape(-1, state.base.shape[2])
    out = np.empty((len(log_pi), size), np.int64)
    key = stream_key(seed, "softmax models")
    for chain, row in enumerate(log_pi):
        kernels.draw_responses(
            row, np.uint64(0), np.uint64(step), np.uint64(chain), *key, out[chain]
        )
    return out


class TestAgainstAutograd:
    """The step = what torch computes from the same logits, responses and optimiser."""

    @pytest.mark.parametrize("rule", [theory.GRPO, theory.DR_GRPO, theory.SIGN, theory.MAXRL])
    @pytest.mark.parametrize(
        "options",
        [
            Options(),
            Options(inner_epochs=4, clip_low=0.05, clip_high=0.1),
            Options(kl=0.2, kl_form="k3"),
            Options(kl=0.2, kl_form="k2", inner_epochs=2),
            Options(optimiser="adam", weight_decay=0.1, inner_epochs=2),
            Options(optimiser="momentum"),
        ],
        ids=["plain", "clip", "k3", "k2", "adamw", "momentum"],
    )
    def test_steps(self, rule: Any, options: Options) -> None:
        torch = pytest.importorskip("torch")
        logits = torch.tensor(START, dtype=torch.float64, requires_grad=True)
        rate = KW["learning_rate"]
        if options.optimiser == "adam":
            opt = torch.optim.AdamW(
                [logits], lr=rate, weight_decay=options.weight_decay, eps=options.adam_eps
            )
        else:
            momentum = options.beta1 if options.optimiser == "momentum" else 0.0
            opt = torch.optim.SGD([logits], lr=rate, momentum=momentum)
        anchor = START + 0.3 * RIGHT
        reference = torch.log_softmax(torch.tensor(anchor), -1)
        base = np.zeros_like(START)
        run = simulate_softmax(START, RIGHT, **(KW | {"num_steps": 0}), base=base, reference=anchor)
        for step in range(4):
            drawn = torch.tensor(groups(run.state, step, KW["seed"], 8))
            self.torch_step(torch, logits, drawn, opt, rule, options, reference)
            run = simulate_softmax(run.state, **(KW | {"num_steps": 1}), rule=rule, options=options)
            gap = np.abs(run.state.logits[:, 0] - logits.detach().numpy()).max()
            assert gap < 1e-8, step  # Adam divides rounding by rounding where a gradient is 0
        assert np.abs(run.state.logits[:, 0] - START).max() > 1e-2

    @staticmethod
    def torch_step(
        torch: Any, logits: Any, drawn: Any, opt: Any, rule: Any, options: Options, reference: Any
    ) -> None:
        rewards = torch.tensor(RIGHT).gather(1, drawn).double()
        two = rule.advantages(rewards.sum(1).numpy(), drawn.shape[1])
        advantage = torch.where(
            rewards > 0, torch.tensor(two.correct)[:, None], torch.tensor(two.wrong)[:, None]
        )
        old = torch.log_softmax(logits, -1).detach().gather(1, drawn)
        for _ in range(options.inner_epochs):
            opt.zero_grad()
            now = torch.log_softmax(logits, -1).gather(1, drawn)
            ratio = torch.exp(now - old)
            bound = torch.clamp(ratio, 1 - options.clip_low, 1 + options.clip_high)
            surrogate = torch.minimum(ratio * advantage, bound * advantage)
            gap = reference.gather(1, drawn) - now
            penalty = gap.square() / 2 if options.kl_form == "k2" else torch.exp(gap) - gap - 1
            loss = -(surrogate - options.kl * penalty).mean(dim=1).sum()
            loss.backward()
            opt.step()


class TestReproducible:
    @pytest.mark.parametrize("features", [None, FEATURES])
    @pytest.mark.parametrize("options", [Options(), FULL])
    def test_threads(
        self, features: Any, options: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = simulate_softmax(
            START, RIGHT, **KW, features=features, num_models=7, options=options, threads=1
        )
        monkeypatch.setattr(module, "_PARALLEL_WORK", 0)
        monkeypatch.setattr(module, "_SUM_BYTES", 1)
        many = simulate_softmax(
            START, RIGHT, **KW, features=features, num_models=7, options=options, threads=3
        )
        assert np.array_equal(one.state.weights, many.state.weights)
        assert np.array_equal(one.mean_entropy, many.mean_entropy)

    def test_continued(self) -> None:
        long = simulate_softmax(START, RIGHT, **KW, options=FULL, num_models=3)
        part = simulate_softmax(START, RIGHT, **(KW | {"num_steps": 4}), options=FULL, num_models=3)
        rest = simulate_softmax(part.state, **(KW | {"num_steps": 2}), options=FULL)
        assert np.array_equal(rest.state.weights, long.state.weights)
        assert rest.state.step == 6

    def test_plain_python_twin(self) -> None:
        twin = getattr(kernels.softmax_models, "py_func", None)
        if twin is None:
            pytest.skip("kernels are not compiled here")
        options = Options(staleness=1, replay=0.5, cut_right=0.3, cut_wrong=0.1, mask_cut=True)
        kw = {"features": FEATURES, "options": options}
        run = simulate_softmax(START, RIGHT, **(KW | {"num_steps": 4}), **kw)
        state = simulate_softmax(START, RIGHT, **(KW | {"num_steps": 0}), **kw).state
        weights = state.weights.copy()
        advantage = theory.GRPO.advantages(np.arange(9), 8)
        stats = np.zeros((4, kernels.COLUMNS), np.int64)
        moments = np.zeros((1, 4, kernels.MOMENTS))
        zero, key = np.uint64(0), stream_key(5, "softmax models")
        twin(
            weights, state.velocity.copy(), state.square.copy(),
            *module.memory(weights, options, (3, 4, 8), (3, 5)), state.base, state.features,
            state.reference, state.correct, zero, *key, zero,
            advantage.correct, advantage.wrong, options.plan(8, 0.3), stats, moments, 1,
        )  # fmt: skip
        assert np.array_equal(weights, run.state.weights)

    def test_models_of_their_own(self) -> None:
        table = np.stack([START, START + RIGHT])
        both = simulate_softmax(table, np.stack([RIGHT, RIGHT]), **KW, features=FEATURES)
        first = simulate_softmax(START, RIGHT, **KW, features=FEATURES)
        assert np.array_equal(both.state.weights[:1], first.state.weights)
        assert both.state.p.shape == (2, 3)


class TestLimits:
    def test_two_responses_are_the_bernoulli_chain(self, scale: float) -> None:
        """Two logits move in opposite directions, so their difference moves twice as fast."""
        models = int(8000 * scale)
        kw: dict[str, Any] = {"group_size": 8, "num_steps": 30, "seed": 1}
        soft = simulate_softmax(
            [0.0, 2.0], [True, False], **kw, learning_rate=0.1, num_models=models
        )
        chain = simulate_bernoulli(
            1 / (1 + math.exp(2)), **kw, learning_rate=0.2, num_chains=models
        )
        assert soft.mean_p[0] == pytest.approx(chain.mean_p[0], abs=1e-10)
        error = math.hypot(soft.std_p[-1], chain.std_p[-1]) / math.sqrt(models)
        assert abs(soft.mean_p[-1] - chain.mean_p[-1]) < 4 * error

    def test_own_features_are_no_features(self) -> None:
        apart = simulate_softmax(START, RIGHT, **KW, options=Options(optimiser="adam"))
        shared = simulate_softmax(
            START, RIGHT, **KW, options=Options(optimiser="adam"), features=np.eye(3)
        )
        np.testing.assert_allclose(
            shared.state.logits[0], apart.state.logits[:, 0], rtol=0, atol=1e-12
        )

    def test_shared_steps_are_those_of_the_gram_matrix(self) -> None:
        """One plain step: logits move by Phi Phi^T times the steps that prompts take alone."""
        kw = KW | {"num_steps": 1}
        alone = simulate_softmax(START, RIGHT, **kw).state.logits[:, 0] - START
        shared = simulate_softmax(START, RIGHT, **kw, features=FEATURES).state.logits[0] - START
        np.testing.assert_allclose(shared, FEATURES @ FEATURES.T @ alone, atol=1e-12)
        assert np.abs(shared - alone).max() > 0.01

    def test_responses_that_agree_are_one(self) -> None:
        """All responses right: nothing to learn."""
        run = simulate_softmax(START, np.ones_like(RIGHT), **KW)
        assert np.array_equal(run.state.logits[:, 0], START)
        assert np.all(run.frac_zero_std == 1.0)


class TestTheory:
    def test_first_groups(self, scale: float) -> None:
        models = int(30_000 * scale)
        kw = KW | {"num_steps": 1, "learning_rate": 0.0}
        run = simulate_softmax(START[0], RIGHT[0], **kw, num_models=models)
        chance = softmax(START[0])
        p = float(chance[RIGHT[0]].sum())
        assert run.mean_p[0] == pytest.approx(p, abs=1e-11)
        assert run.mean_entropy[0] == pytest.approx(-chance @ np.log(chance), abs=1e-11)
        assert run.mean_collision[0] == pytest.approx(chance @ chance, abs=1e-11)
        d = float(theory.prob_zero_std(p, 8))
        assert abs(run.frac_zero_std[0] - d) < 4 * math.sqrt(d / models)
        # duplicates do not break independence: equal pairs occur as often as the policy says
        assert abs(run.frac_equal_pairs[0] - chance @ chance) < 4 * 0.2 / math.sqrt(models)
        distinct = float(np.sum(1 - (1 - chance) ** 8))
        assert abs(run.mean_distinct[0] - distinct) < 4 / math.sqrt(models)

    @pytest.mark.parametrize("gap", [2.0, -2.0])
    def test_dynamic_sampling(self, gap: float, scale: float) -> None:
        models = int(8000 * scale)
        run = simulate_softmax(
            [0.0, gap], [True, False], group_size=8, learning_rate=0.3, num_steps=1, seed=1,
            num_models=models, options=Options(max_tries=500),
        )  # fmt: skip
        d = float(theory.prob_zero_std(1 / (1 + math.exp(gap)), 8))
        assert np.all(run.state.p[:, 0] > 1 / (1 + math.exp(gap)))
        error = math.sqrt(d) / (1 - d) / math.sqrt(models)
        assert abs(run.mean_groups_drawn[0] - 1 / (1 - d)) < 4 * error

    def test_expected_step(self, scale: float) -> None:
        """E[d theta] = eta w(p) grad p, whatever the number of responses."""
        models = int(20_000 * scale)
        kw = KW | {"num_steps": 1}
        run = simulate_softmax(START[0], RIGHT[0], **kw, num_models=models)
        moved = run.state.logits[:, 0] - START[0]
        chance = softmax(START[0])
        p = float(chance[RIGHT[0]].sum())
        slope = chance * (RIGHT[0] - p)
        expected = 0.3 * float(theory.expected_update(theory.GRPO, p, group_size=8)) * slope
        error = moved.std(axis=0) / math.sqrt(models)
        assert np.all(np.abs(moved.mean(axis=0) - expected) < 4 * error)

    def test_winner_takes_all_within_the_correct_responses(self) -> None:
        run = simulate_softmax(
            [0.3, 0.0, 0.0, 1.0], [True, True, True, False], group_size=8, learning_rate=0.5,
            num_steps=150, seed=2, num_models=40,
        )  # fmt: skip
        share = run.state.probs[:, 0, :3] / run.state.p
        assert run.mean_entropy[-1] < run.mean_entropy[0]
        assert np.mean(share.max(axis=1)) > 0.6
        assert np.mean(share[:, 0]) > np.mean(share[:, 1])


class TestMonotone:
    """Sum-zero advantages, one on-policy update: p never falls; each force that breaks it does."""

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(
        logits=st.lists(st.floats(-8, 8), min_size=2, max_size=7),
        right=st.integers(1, 60),
        rate=st.floats(0, 20),
        rule=st.sampled_from([theory.GRPO, theory.DR_GRPO, theory.RLOO, theory.PRESETS["trl"]]),
        optimiser=st.sampled_from(["sgd", "momentum", "adam"]),
        seed=st.integers(0, 999),
    )
    def test_p_never_falls(
        self, logits: Any, right: int, rate: float, rule: Any, optimiser: Any, seed: int
    ) -> None:
        mask = [bool(right >> y & 1) for y in range(len(logits))]
        run = simulate_softmax(
            logits, mask, group_size=5, learning_rate=rate, num_steps=6, seed=seed, rule=rule,
            options=Options(optimiser=optimiser), snapshot_every=1, num_models=2,
        )  # fmt: skip
        path = np.concatenate([run.mean_p[:1].repeat(2).reshape(1, 2, 1), run.snapshot_p])
        assert np.diff(path, axis=0).min() > -1e-9

    start = (1.0, 1.0, 0.0, 0.0, 0.5, -0.5)
    mask = (True, True, True, False, False, False)

    def worst(self, **kw: Any) -> float:
        run = simulate_softmax(
            self.start, self.mask, snapshot_every=1,
            **({"group_size": 8, "learning_rate": 0.5, "num_steps": 20, "seed": 3,
                "num_models": 100} | kw),
        )  # fmt: skip
        return float(np.diff(run.snapshot_p, axis=0).min())

    def test_baseline_case(self) -> None:
        assert self.worst() >= -1e-12

    def test_no_baseline(self) -> None:
        assert self.worst(rule=theory.MAXRL) < -1e-3

    def test_inner_epochs(self) -> None:
        """Off policy the weighted advantages do not sum to zero: unseen correct responses pay."""
        logits = np.linspace(-1, 1, 20)
        mask = np.arange(20) % 2 == 0
        kw: dict[str, Any] = {
            "group_size": 4, "learning_rate": 1.0, "num_steps": 20, "seed": 3,
            "num_models": 100, "snapshot_every": 1,
        }  # fmt: skip
        once = simulate_softmax(logits, mask, **kw)
        often = simulate_softmax(logits, mask, **kw, options=Options(inner_epochs=10))
        assert np.diff(once.snapshot_p, axis=0).min() >= -1e-12
        assert np.diff(often.snapshot_p, axis=0).min() < -1e-3

    def test_weight_decay(self) -> None:
        assert self.worst(options=Options(weight_decay=0.2), base=(0.0,) * 5 + (3.0,)) < -1e-3

    def test_kl_to_a_worse_reference(self) -> None:
        assert self.worst(options=Options(kl=0.5), reference=(0.0,) * 5 + (4.0,)) < -1e-3

    def test_wrong_verifier(self) -> None:
        assert self.worst(options=Options(true_positive=0.2, false_positive=0.8)) < -1e-3

    def test_shared_parameters(self) -> None:
        logits = np.zeros((2, 4))
        mask = np.array([[True, False, False, False], [False, True, False, False]])
        kw: dict[str, Any] = {
            "group_size": 8, "learning_rate": 0.5, "num_steps": 20, "seed": 3,
            "num_models": 20, "snapshot_every": 1,
        }  # fmt: skip
        apart = simulate_softmax(logits, mask, **kw, features=np.eye(2))
        together = simulate_softmax(logits, mask, **kw, features=[[1.0, 0.0], [0.8, 0.6]])
        assert np.diff(apart.snapshot_p, axis=0).min() >= -1e-12
        assert np.diff(together.snapshot_p, axis=0).min() < -1e-3


class TestBadInput:
    @pytest.mark.parametrize(
        ("kw", "words"),
        [
            ({"group_size": 0}, "group_size must"),
            ({"learning_rate": float("inf")}, "learning_rate must"),
            ({"num_models": 0}, "num_models must"),
            ({"num_steps": -1}, "num_steps must"),
            ({"options": Options(pressure=0.1)}, "pressure has no meaning"),
            ({"features": [[1.0]]}, "features must"),
            ({"features": np.eye(3), "base": START}, "base must not"),
            ({"base": [[0.0]]}, "base must have the shape"),
            ({"reference": [[0.0]]}, "reference must have the shape"),
        ],
    )
    def test_arguments(self, kw: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            simulate_softmax(START, RIGHT, **(KW | kw))

    def test_tables(self) -> None:
        with pytest.raises(ValueError, match="logits must be finite"):
            simulate_softmax([np.nan, 0.0], [True, False], **KW)
        with pytest.raises(ValueError, match="correct must be"):
            simulate_softmax([0.0, 0.0], [True], **KW)
        with pytest.raises(ValueError, match="correct must be"):
            simulate_softmax([0.0, 0.0], [1, 0], **KW)
