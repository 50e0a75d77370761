"""Triage: the ranking, its uncertainty and its advice, on checkpoints whose truth is known."""

import dataclasses
import html.parser

import numpy as np
import pytest
from scipy import stats

from grpolab.theory import expected_std
from grpolab.theory.groups import Provenance
from grpolab.validate.audit.summary import audit
from grpolab.validate.rollouts import Rollouts
from grpolab.validate.triage import ranking
from grpolab.validate.triage.advice import advise_triage
from grpolab.validate.triage.page import write_triage
from grpolab.validate.triage.pairs import CheckpointPair, sampling_variance, signals
from grpolab.validate.triage.ranking import TAU_H, triage

LAW = {"max_new_tokens": 4, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "engine": "made up"}


def rollouts(chance, *, num_samples=32, seed=0, entropy=0.3, law=None, group_size=8):
    """Completions of a policy with 40 texts per prompt, the even ones right with the chance given.

    Log-probabilities are exact, so the test of duplicates has what it needs.
    """
    rng = np.random.default_rng(seed)
    chance = np.asarray(chance)
    prompts = len(chance)
    weight = rng.dirichlet(np.full(20, 0.5), size=(prompts, 2))
    right = rng.random((prompts, num_samples)) < chance[:, None]
    side = (~right).astype(int)
    row = np.arange(prompts)[:, None]
    edges = np.cumsum(weight, axis=2)[row, side]
    pick = np.minimum((rng.random((prompts, num_samples, 1)) >= edges).sum(axis=2), 19)
    mass = np.where(right, chance[:, None], 1 - chance[:, None]) * weight[row, side, pick]
    n = prompts * num_samples
    return Rollouts(
        prompt_id=np.repeat(np.arange(prompts), num_samples),
        group=np.tile(np.arange(num_samples) // group_size, prompts),
        reward=right.astype(float).ravel(),
        num_tokens=np.full(n, 3),
        truncated=np.zeros(n, bool),
        entropy=np.full(n, entropy),
        logprob=np.log(np.maximum(mass, 1e-300)).ravel(),
        text_hash=(20 * side + pick).ravel(),
        provenance=Provenance(source="made", sampling=law or LAW),
    )


def chances(prompts, mean, seed=0, spread=1.0):
    return np.random.default_rng(seed).beta(spread * mean, spread * (1 - mean), prompts)


@pytest.fixture(scope="module")
def found():
    p = chances(120, 0.4)
    runs = {
        "sure": rollouts(np.where(p > 0.5, 0.995, 0.005), entropy=0.05, seed=1),
        "open": rollouts(np.clip(p, 0.2, 0.8), seed=2),
        "twin": rollouts(np.clip(p, 0.2, 0.8), seed=3),
    }
    return triage(runs, task="made", group_size=8, rng=0)


def test_ranking_and_its_uncertainty(found):
    assert found.checkpoints[-1].label == "sure"
    by_name = {frozenset((p.first, p.second)): p for p in found.pairs}
    assert by_name[frozenset(("open", "sure"))].decided
    assert by_name[frozenset(("open", "sure"))].prob_more > 0.99
    twins = by_name[frozenset(("open", "twin"))]
    assert not twins.decided
    assert 0.5 <= twins.prob_more < 0.9
    assert twins.low < 0 < twins.high
    assert sum(c.signal.prob_best for c in found.checkpoints) == pytest.approx(1)
    assert found.suspects == []


def test_signal_is_the_expected_std_of_a_group():
    p = chances(3000, 0.3)
    one = triage({"a": rollouts(p)}, task="t", group_size=8, rng=0).checkpoints[0]
    truth = float(expected_std(p, 8).mean())
    assert abs(one.signal.value - truth) < 0.005
    assert one.signal.low < truth < one.signal.high
    assert one.signal.prob_best == 1


@pytest.fixture
def signals_only(monkeypatch):
    """One audit serves all triages; it takes most of their time and no pair depends on it."""
    first = []

    def audit_once(counts, **options):
        if not first:
            first.append(audit(counts, **options))
        return dataclasses.replace(first[0], label=options["label"])

    monkeypatch.setattr(ranking, "audit", audit_once)
    monkeypatch.setattr(ranking, "compare_all", lambda *args, **options: ())
    monkeypatch.setattr(ranking, "outcome_rules", lambda *args, **options: ())


@pytest.mark.slow
@pytest.mark.usefixtures("signals_only")
def test_interval_covers_and_pairs_are_not_decided_by_chance():
    """Twins over 60 draws: coverage near 95%, decided pairs near 5%."""
    p, covered, decided = chances(5000, 0.4), 0, 0
    truth = float(expected_std(p, 4).mean())
    for seed in range(60):
        rng = np.random.default_rng(seed)
        some = rng.choice(p, 60)
        runs = {
            name: rollouts(some, num_samples=8, seed=1000 * i + seed, group_size=4)
            for i, name in enumerate("ab")
        }
        result = triage(runs, task="t", group_size=4, rng=seed, num_resamples=400)
        signal = result.checkpoints[0].signal if seed % 2 else result.checkpoints[1].signal
        covered += signal.low <= truth <= signal.high
        decided += result.pairs[0].decided
    assert stats.binomtest(covered, 60, 0.95).pvalue > 1e-3
    assert stats.binomtest(decided, 60, 0.05).pvalue > 1e-3


def test_sampling_variance_is_that_of_repeated_sampling():
    """The jackknife errs upwards: by a quarter where n = 2 g, by next to nothing where n = 8 g."""
    for group_size, num_samples, low, high in ((8, 16, 1.0, 1.4), (4, 32, 0.95, 1.1)):
        counts = rollouts(np.full(4000, 0.3), num_samples=num_samples).counts()
        measured = float(np.var(signals(counts, group_size)))
        assert low < sampling_variance(counts, group_size).mean() / measured < high
    few = rollouts(np.full(5, 0.3), num_samples=8).counts()
    assert np.isnan(sampling_variance(few, 8)).all()


@pytest.mark.slow
@pytest.mark.usefixtures("signals_only")
def test_equal_checkpoints_seldom_have_a_winner():
    """Five equal checkpoints, ten pairs: a winner in 5% of the triages at most."""
    winners = 0
    for seed in range(50):
        p = chances(40, 0.4, seed=seed)
        runs = {
            name: rollouts(p, num_samples=8, seed=10 * seed + i, group_size=4)
            for i, name in enumerate("abcde")
        }
        found = triage(runs, task="t", group_size=4, rng=seed, num_resamples=50)
        winners += any(pair.decided for pair in found.pairs)
    assert stats.binomtest(winners, 50, 0.05, alternative="greater").pvalue > 1e-3


def test_missing_verdicts_and_thin_prompts_are_left_out_everywhere():
    p = chances(40, 0.5)
    a, b = rollouts(p, seed=1), rollouts(p, seed=2)
    reward = b.reward.copy()
    reward[:30] = np.nan  # prompt 0 keeps 2 verdicts, fewer than a group
    reward[32:36] = np.nan
    b = dataclasses.replace(b, reward=reward)
    result = triage({"a": a, "b": b}, task="t", group_size=8, rng=0)
    assert result.num_prompts == 39
    assert result.samples_per_prompt == 28
    by_label = {c.label: c for c in result.checkpoints}
    assert by_label["b"].num_missing == 4
    assert any("1 of 40 prompts left out" in w for w in by_label["a"].audit.warnings)
    assert any("count as unobserved" in s for s in advise_triage(result))


def test_dependent_draws_are_suspect():
    p = chances(80, 0.5)
    good = rollouts(p)
    copied = good.reward.reshape(80, 4, 8)[:, :, :1].repeat(8, axis=2).ravel()
    texts = good.text_hash.reshape(80, 4, 8)[:, :, :1].repeat(8, axis=2).ravel()
    logs = good.logprob.reshape(80, 4, 8)[:, :, :1].repeat(8, axis=2).ravel()
    bad = dataclasses.replace(good, reward=copied, text_hash=texts, logprob=logs)
    result = triage({"good": good, "bad": bad}, task="t", group_size=8, rng=0)
    assert {s.label for s in result.suspects} == {"bad"}
    assert {s.test for s in result.suspects} >= {"groups", "duplicates", "texts"}
    assert advise_triage(result)[0].startswith("**Do not trust the numbers of bad**")


def test_shared_noise_between_prompts_is_suspect():
    shared = np.tile(np.random.default_rng(0).random(32), (80, 1))
    good = rollouts(np.full(80, 0.5))
    bad = dataclasses.replace(good, reward=(shared < 0.5).astype(float).ravel())
    result = triage({"bad": bad}, task="t", group_size=8, rng=0)
    assert "positions" in {s.test for s in result.suspects}


def test_advice_names_what_the_usual_rule_would_pick(found):
    sentences = advise_triage(found)
    assert sentences[0].startswith(f"**{found.checkpoints[0].label}** has the most signal")
    assert any(s.startswith(("Equal within 0.02: ", "Cannot tell yet: ")) for s in sentences)
    (entropy,) = [s for s in sentences if str(TAU_H) in s]
    assert "sure" in entropy
    assert "one model family" in entropy


def test_advice_says_what_would_settle_a_pair(found):
    open_pair = CheckpointPair(
        "open", "twin", 0.02, -0.01, 0.05, 0.3, 0.5, 0.9, False, False, 301.0, np.inf
    )
    (told,) = [
        s
        for s in advise_triage(dataclasses.replace(found, pairs=(open_pair,)))
        if s.startswith("Cannot tell yet")
    ]
    assert "(difference +0.020, -0.010 to +0.050), 90% that open has more" in told
    assert "About 190 more prompts (now 120) would show" in told
    assert "more samples of the same prompts would not" in told


def test_no_signal_at_all():
    result = triage({"a": rollouts(np.zeros(20))}, task="t", group_size=8, rng=0)
    assert any("no signal at g=8" in s for s in advise_triage(result))
    assert result.checkpoints[0].signal.value == 0


def test_json_and_page(found, tmp_path):
    plain = found.as_dict()
    assert plain["ranking"] == [c.label for c in found.checkpoints]
    last = plain["checkpoints"][-1]
    assert (last["below_tau_h"], plain["checkpoints"][0]["below_tau_h"]) == (True, False)
    assert last["pass_at_g"]["k"] == 8
    write_triage(tmp_path / "t.html", found)
    page = (tmp_path / "t.html").read_text()
    html.parser.HTMLParser().feed(page)
    assert page.count("<svg") == 1
    assert all(c.label in page for c in found.checkpoints)
    assert 'src="http' not in page
    assert "<link" not in page


@pytest.mark.parametrize(
    ("runs", "group_size", "message"),
    [
        ({}, 8, "at least one table"),
        ({"a": rollouts([0.5] * 4)}, 1, "group_size must be >= 2"),
        ({"a": rollouts([0.5] * 4)}, 64, "at least 2 prompts with group_size=64 verdicts"),
        ({"a": rollouts([0.5] * 4), "b": rollouts([0.5] * 5)}, 8, "over the same prompts"),
        (
            {"a": rollouts([0.5] * 4), "b": rollouts([0.5] * 4, law={**LAW, "temperature": 0.5})},
            8,
            "share one sampling law",
        ),
    ],
)
def test_bad_input_is_named(runs, group_size, message):
    with pytest.raises(ValueError, match=message):
        triage(runs, task="t", group_size=group_size, rng=0)


@pytest.mark.parametrize(
    "chance", [[0.0] * 30, [1.0] * 30, [0.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0] * 29 + [0.5]]
)
def test_every_interval_has_a_floor(chance):
    """Checkpoints that show no spread over prompts: the prompts are a sample all the same."""
    runs = {"a": rollouts(chance, seed=1), "b": rollouts(chance, seed=2)}
    found = triage(runs, task="x", group_size=8, rng=0, num_resamples=200)
    missed = 1.0 - 0.025 ** (1.0 / len(chance))
    for one in found.checkpoints:
        signal = one.signal
        assert signal.low <= signal.value <= signal.high
        assert signal.high - signal.low > 0.2 * min(missed, 0.5)
        share = one.audit.plans[8].prediction
        assert share.low < share.high
    for pair in found.pairs:
        assert pair.low < pair.high
