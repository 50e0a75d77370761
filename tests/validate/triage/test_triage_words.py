"""One number is the same in sentences, tables, page and JSON of a triage, on odd inputs too."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grpolab.figures.words import estimate, percent, percent_interval, text
from grpolab.theory.groups import Provenance
from grpolab.validate.estimate.contrasts import contrasts, paired_gap
from grpolab.validate.rollouts import Rollouts
from grpolab.validate.triage.advice import advise_triage
from grpolab.validate.triage.page import write_triage
from grpolab.validate.triage.ranking import Triage, triage
from grpolab.validate.triage.tables import tables

LAW = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
NAMES = "abcdefgh"


def rollouts(rates: np.ndarray, samples: int, seed: int) -> Rollouts:
    rng = np.random.default_rng(seed)
    reward = (rng.random((len(rates), samples)) < rates[:, None]).astype(float).ravel()
    rows = len(reward)
    return Rollouts(
        prompt_id=np.repeat(np.arange(len(rates)), samples), group=np.zeros(rows, np.int64),
        reward=reward, num_tokens=np.full(rows, 3), truncated=np.zeros(rows, bool),
        entropy=np.full(rows, 0.5), logprob=np.full(rows, math.nan),
        text_hash=rng.integers(0, 2**40, rows),
        provenance=Provenance(source="made", sampling=LAW),
    )  # fmt: skip


def generated(case: int) -> Triage:
    """One to five checkpoints on 2, 9 or 25 prompts: alike, apart, all wrong, all right, equal."""
    rng = np.random.default_rng(case)
    prompts, samples = (2, 9, 25)[case % 3], (4, 8, 16)[case // 3 % 3]
    rates = rng.beta(0.5, 0.8, prompts)
    each = [
        [rates] * 3, [rates * 0.1, rates], [np.zeros(prompts)] * 2, [np.ones(prompts)] * 2,
        [np.zeros(prompts), np.ones(prompts)], [rates], [np.clip(rates, 0.3, 0.7)] * 5,
        [rates * (0.2 + 0.2 * i) for i in range(4)],
    ][case % 8]  # fmt: skip
    runs = {NAMES[i]: rollouts(p, samples, 10 * case + i) for i, p in enumerate(each)}
    if case == 8:  # one checkpoint under two names
        runs["b"] = runs["a"]
    if case == 7:  # verdicts missing here and there
        gone = np.random.default_rng(0).random(len(runs["a"].reward)) < 0.2
        runs["a"] = replace(runs["a"], reward=np.where(gone, np.nan, runs["a"].reward))
    return triage(runs, task="t", group_size=4, rng=0, num_resamples=40)


@pytest.fixture(scope="module", params=range(12))
def found(request: pytest.FixtureRequest) -> Triage:
    return generated(request.param)


def test_one_number_has_one_interval_in_all_tables_and_in_json(found: Triage) -> None:
    record, shown = found.as_dict(), {table.title.split(",")[0]: table for table in tables(found)}
    ranking, rules = shown["Checkpoints"], shown["Rules for the outcome of RL"]
    groups = shown["Groups without a signal"]
    for i, (c, one) in enumerate(zip(found.checkpoints, record["checkpoints"], strict=True)):
        score, plan = one["pass_at_1"], one["zero_std"]
        known = (score["value"], score["low"], score["high"])
        assert ranking.rows[i][2] == pytest.approx(known, abs=1e-9)
        assert rules.rows[i][1] == pytest.approx(known, abs=1e-9)
        for rule in record["outcomes"][:1]:
            assert (rule["scores"][i]["low"], rule["scores"][i]["high"]) == known[1:]
        share = (plan["predicted"], plan["low"], plan["high"])
        assert groups.rows[i][1] == share
        mixed = ranking.rows[i][4]
        assert mixed == pytest.approx((1 - share[0], 1 - share[2], 1 - share[1]))
        assert c.signal[:3] == ranking.rows[i][6]
        for value, low, high in (share, c.signal[:3], *groups.rows[i][2:4]):
            assert low <= value <= high
            assert low < high


def test_the_first_sentence_is_true_of_the_numbers(found: Triage) -> None:
    said, best = advise_triage(found)[0], found.checkpoints[0]
    plan, top = best.audit.plans[4].prediction, best.signal.value
    level = [c.label for c in found.checkpoints if math.isclose(c.signal.value, top)]
    if top == 0:
        assert "no signal at g=4 was seen" in said
        assert "up to" in said
        return
    assert estimate(best.signal[:3]) in said
    share = percent_interval(1 - plan.high, 1 - plan.low)
    assert f"{percent(1 - plan.zero_std)} ({share}) of the groups are mixed" in said
    assert ("has the most signal" in said) == (len(found.checkpoints) > 1 and len(level) == 1)
    assert ("have the same signal" in said) == (len(level) > 1)


def test_no_pair_is_settled_by_nothing(found: Triage) -> None:
    """What is not settled needs more than there is, and what is settled needs no more."""
    for pair in found.pairs:
        settled = pair.decided or pair.equal
        assert math.isnan(pair.prompts_needed) == settled
        if not settled:
            assert pair.prompts_needed > found.num_prompts
            assert not pair.samples_needed <= found.samples_per_prompt
    told = " ".join(advise_triage(found))
    assert not re.search(r"\b(0|1) more (prompts|samples)", told.replace("11 more", ""))


def test_ranks_and_chances_are_those_of_the_signals(found: Triage) -> None:
    said = advise_triage(found)
    signal = {c.label: c.signal.value for c in found.checkpoints}
    for sentence in said:
        if usual := re.match(r"Pass@1 alone would pick (\w+):", sentence):
            assert signal[usual.group(1)] < max(signal.values())
    for rule in found.outcomes:
        for i, j in itertools.combinations(range(len(signal)), 2):
            counts = [found.checkpoints[k].audit.counts.num_correct for k in (i, j)]
            if rule.best is not None and np.array_equal(*counts):
                assert rule.best[i] == pytest.approx(rule.best[j])
    names = {name for table in tables(found) for name in table.columns}
    assert len(signal) > 1 or "best" not in {getattr(n, "name", n) for n in names}


def test_the_page_says_the_sentences_of_the_terminal(found: Triage, tmp_path: Path) -> None:
    if found.num_prompts > 2:
        return
    write_triage(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    for sentence in advise_triage(found):
        assert text(sentence) in page


def test_one_checkpoint_under_two_names_is_said() -> None:
    found = generated(8)
    assert found.as_dict()["same_completions"] == [["a", "b"]]
    assert any("a and b have the same completions" in s for s in advise_triage(found))
    first, second = (c.as_dict(4) for c in found.checkpoints[:2])
    assert str({**first, "label": ""}) == str({**second, "label": ""})


def test_samples_that_differ_are_said_to_differ() -> None:
    found = generated(7)
    sizes = [c.audit.counts.by_prompt().num_samples for c in found.checkpoints]
    least, most = min(s.min() for s in sizes), max(s.max() for s in sizes)
    assert least < most
    assert f"{least} to {most} samples each" in found.headline


def test_a_number_of_prompts_that_would_settle_a_pair_does() -> None:
    """Of pairs that cannot be told apart about four in five are settled with that many prompts."""
    rng, settled = np.random.default_rng(1), []
    while len(settled) < 150:
        few = rng.normal(rng.choice([0.0, 0.04, 0.1]), 0.15, 20)
        (one,) = contrasts([paired_gap(few, margin=0.05)], margin=0.05)
        if one.decided or one.equal or not one.prompts_needed < 3000:
            continue
        many = rng.normal(few.mean(), few.std(ddof=1), math.ceil(one.prompts_needed) - 20)
        (later,) = contrasts([paired_gap(np.concatenate([few, many]), margin=0.05)], margin=0.05)
        settled.append(later.decided or later.equal)
    assert 0.7 < np.mean(settled) < 0.99
