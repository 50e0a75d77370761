"""Rounds of a probe without a model: who runs again, when it stops, what is paired with what."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.theory import GroupCounts
from grpolab.validate.probe.probe import probe_runs, rank_starts, run_rounds
from grpolab.validate.probe.runs import Answers, ShortRun, common_step, score_runs
from grpolab.validate.probe.tables import sentences, write_probe

PROMPTS, SAMPLES = 150, 32


def made(label, seed, mean, *, drift=0.0, prompts=PROMPTS, named="h", samples=SAMPLES):
    """A short run whose prompts are right with chance ``mean`` after 50 steps."""
    rng = np.random.default_rng([seed, ord(label)])
    base = np.random.default_rng(0).uniform(-0.2, 0.2, prompts)
    chance = np.clip(base + mean + drift * seed, 0, 1)
    ids, size = np.arange(prompts), np.full(prompts, samples)
    evals = {
        step: Answers(step, ids, rng.binomial(samples, chance), size, named) for step in (0, 50)
    }
    return ShortRun(f"{label}/{seed}", label, label, seed, {}, evals, {0: 0, 50: 400}, 100)


def test_starts_that_fell_behind_get_no_further_run():
    asked = []
    means = {"a": 0.5, "b": 0.5, "c": 0.2}

    def short_run(label, r):
        asked.append((label, r))
        return made(label, r, means[label])

    runs, _, found, done = run_rounds("abc", short_run, step=50, k=1, rounds=3, margin=0.001)
    assert done == 3
    assert [len(runs[label]) for label in "abc"] == [3, 3, 1]
    assert len(asked) == len(set(asked)) == 7
    assert not found.settled


def test_it_stops_when_the_order_is_settled():
    _, _, found, done = run_rounds(
        "ab", lambda label, r: made(label, r, {"a": 0.6, "b": 0.3}[label]), step=50, k=1, rounds=5
    )
    assert (found.leader, found.settled, done) == ("a", True, 1)


def test_unequal_seeds_are_cut_to_what_can_be_paired():
    shared = {"a": [made("a", s, 0.5) for s in (0, 1, 2)], "b": [made("b", s, 0.5) for s in (1, 2)]}
    found = probe_runs(shared, outcome="pass@1", step=50)
    assert [run.seed for run in found.runs["a"]] == [1, 2]
    assert "1 runs have a seed" in found.notes[0]
    apart = {"a": [made("a", s, 0.5) for s in (0, 1)], "b": [made("b", 7, 0.5)]}
    found = probe_runs(apart, outcome="pass@10", step=50)
    assert found.k == 10
    assert "no seed is shared" in found.notes[0]
    assert any("left out" in line for line in sentences(found))
    assert "Claim E" in sentences(found)[-1]  # a probe for pass@10 has another verdict
    with pytest.raises(ValueError, match="at least 2 starts"):
        probe_runs({"a": shared["a"]}, outcome="pass@1", step=50)


def test_more_noise_between_seeds_than_assumed_is_said():
    noisy = {"a": [made("a", s, 0.4, drift=0.1) for s in range(4)],
             "b": [made("b", s, 0.4) for s in range(4)]}  # fmt: skip
    calm = {label: [made(label, s, 0.4) for s in range(4)] for label in "ab"}
    wide = probe_runs(noisy, outcome="pass@1", step=50)
    assert "give a larger --rl-noise" in wide.notes[-1]
    assert probe_runs(noisy, outcome="pass@1", step=50, rl_noise=0.2).notes == ()
    assert probe_runs(calm, outcome="pass@1", step=50).notes == ()


def test_scores_leave_out_prompts_without_enough_verdicts_everywhere():
    one, two = made("a", 0, 0.5), made("b", 0, 0.5)
    thin = two.evals[50]._replace(num_samples=np.r_[9, two.evals[50].num_samples[1:]],
                                  num_correct=np.r_[3, two.evals[50].num_correct[1:]])  # fmt: skip
    two = two._replace(evals={0: two.evals[0], 50: thin})
    found = score_runs({"a": [one], "b": [two]}, step=50, k=10)
    assert (found.num_prompts, found.left_out) == (PROMPTS - 1, 1)
    assert found.after["a"].shape == (1, PROMPTS - 1)
    with pytest.raises(UserError, match="different prompts"):
        score_runs({"a": [one], "b": [made("b", 0, 0.5, named="other")]}, step=50, k=1)
    with pytest.raises(UserError, match="at least 2 prompts"):
        score_runs({"a": [made("a", 0, 0.5, samples=4)]}, step=50, k=10)


def test_the_step_is_the_last_that_all_have():
    late = made("b", 0, 0.5)
    late = late._replace(evals={**late.evals, 100: late.evals[50]})
    assert common_step([made("a", 0, 0.5), late]) == 50
    with pytest.raises(UserError, match="no step after 0"):
        common_step([late, late._replace(evals={0: late.evals[0]})])


def test_the_ranking_says_who_was_left_out_by_chance():
    counts = {
        "low": GroupCounts(np.zeros(40, int), 16),
        "good": GroupCounts(np.full(40, 9), 16),
        "near": GroupCounts(np.r_[np.full(20, 8), np.full(19, 10), 8], 16),
    }
    found = rank_starts(counts, rule="pass@1", steps=50, k=1, top=1)
    assert [(r.label, r.kept, r.tied) for r in found] == [
        ("good", True, False), ("near", False, True), ("low", False, False)
    ]  # fmt: skip


def test_names_of_checkpoints_are_text_on_the_page(tmp_path):
    runs = {"<script>a\x1b[2J": [made("a", 0, 0.5)], "b|`*": [made("b", 0, 0.4)]}
    write_probe(tmp_path / "p.html", probe_runs(runs, outcome="pass@1", step=50))
    page = (tmp_path / "p.html").read_text()
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;a" in page
    assert page.count('role="img"') == 1
