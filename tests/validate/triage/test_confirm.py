"""An alarm of a sampler test stands only if a second, independent sample shows it, too."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from grpolab.theory.groups import Provenance
from grpolab.theory.samples import pack
from grpolab.validate.audit.alarms import alarm_sentence
from grpolab.validate.estimate.independence import pair_contrast
from grpolab.validate.rollouts import Rollouts
from grpolab.validate.triage.advice import advise_triage
from grpolab.validate.triage.confirm import FIRST, SECOND, rollout_evidence, suspect
from grpolab.validate.triage.page import page_findings
from grpolab.validate.triage.ranking import triage


def rollouts(seed, *, prompts=24, samples=8, shared=False):
    """A policy of 20 tokens, two of them right; with ``shared`` one seed for all requests."""
    rng = np.random.default_rng(seed)
    law = 0.5 * rng.dirichlet(np.full(20, 0.3)) + 0.5 * np.random.default_rng(9).dirichlet(
        np.full(20, 0.3), prompts
    )
    noise = rng.gumbel(size=(1 if shared else prompts, samples, 20))
    token = np.argmax(np.log(law)[:, None] + noise, axis=2)
    rows = prompts * samples
    flat = token.ravel()
    return Rollouts(
        prompt_id=np.repeat(np.arange(prompts), samples),
        group=np.tile(np.arange(samples) // 4, prompts),
        reward=(flat < 4).astype(float),
        num_tokens=np.full(rows, 2),
        truncated=np.zeros(rows, bool),
        entropy=np.full(rows, 0.4),
        logprob=np.log(np.take_along_axis(law, token, axis=1)).ravel(),
        text_hash=flat,
        start=pack(np.stack([flat, flat * 0 + 1, flat * 0 - 1], axis=1)),
        provenance=Provenance(source="made", sampling={"temperature": 1.0}),
    )


def evidence(table, rng):
    return rollout_evidence(table, pair_contrast(table.counts(), rng=rng), rng=rng)


def test_a_fault_is_confirmed_and_a_chance_alarm_is_not():
    rng = np.random.default_rng(0)
    faulty = {"a": evidence(rollouts(1, shared=True), rng)}
    asked = []

    def again(fault):
        def draw(label):
            asked.append(label)
            return rollouts(2, shared=fault)

        return draw

    stands = suspect(faulty, again(True), rng=0)
    assert asked == ["a"]
    assert {s.test for s in stands if s.stands} >= {"neighbours"}
    assert not any(s.stands for s in suspect(faulty, again(False), rng=0))
    assert all(s.stands and np.isnan(s.second_p) for s in suspect(faulty, rng=0))


def test_clean_rollouts_ask_seldom_for_a_second_sample():
    """The product of both levels is the rate of alarms that stand: 1 in 1,000."""
    assert pytest.approx(1e-3) == FIRST * SECOND
    rng, asked = np.random.default_rng(0), []

    def again(label):
        asked.append(label)
        return rollouts(1000 + len(asked))

    for seed in range(60):
        found = suspect({"a": evidence(rollouts(seed), rng)}, again, rng=seed)
        assert not any(one.stands for one in found)
    assert stats.binomtest(len(asked), 60, FIRST, alternative="greater").pvalue > 1e-3


def test_the_triage_says_which_alarm_a_second_sample_refutes():
    bad = {"x": rollouts(1, shared=True)}
    options = {"task": "t", "group_size": 4, "rng": 0, "num_resamples": 50}
    found = triage(bad, again=lambda label: rollouts(2), **options)
    assert found.suspects == []
    assert "did not confirm" in advise_triage(found)[0]
    assert found.as_dict()["not_confirmed"][0]["checkpoint"] == "x"
    found = triage(bad, again=lambda label: rollouts(2, shared=True), **options)
    assert advise_triage(found)[0].startswith("**Do not trust the numbers of x**")
    assert "A second, independent sample shows it, too" in advise_triage(found)[0]
    assert any("one seed for all requests" in alarm_sentence(s.alarm) for s in found.suspects)


def test_several_alarms_are_one_sentence_so_that_the_answer_is_seen():
    bad = {"x": rollouts(1, shared=True)}
    found = triage(bad, task="t", group_size=4, rng=0, num_resamples=50)
    one = found.suspicions[0]
    several = [one._replace(label=name) for name in "xyxzvw"]
    found = dataclasses.replace(found, suspicions=tuple(several))
    alarm, best, *rest = page_findings(found)
    assert alarm.startswith("**Do not trust the numbers of x, y, z and 2 more**")
    assert best.startswith("**x** at g=4: mean reward std")
    assert sorted([best, *rest]) == sorted(advise_triage(found))


def test_an_eval_file_has_no_log_probabilities_to_test():
    table = rollouts(1)
    blind = dataclasses.replace(table, logprob=np.full(len(table.reward), np.nan))
    rng = np.random.default_rng(0)
    assert "duplicates" in evidence(table, rng)
    assert "duplicates" not in evidence(blind, rng)
