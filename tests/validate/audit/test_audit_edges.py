"""Audits at their edges: missing verdicts, few prompts, one outcome, sentences that must agree."""

import json
import math
import re

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.advice_pairs import advise_comparison
from grpolab.validate.audit.compare import compare
from grpolab.validate.audit.summary import audit


def two_values(*, prompts=300, samples=64, seed=0):
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(prompts) < 0.6, 0.05, 0.85)
    return rng.binomial(samples, p), np.full(prompts, samples)


def test_one_missing_verdict_changes_next_to_nothing():
    c, n = two_values()
    whole = audit(GroupCounts(c, n), rng=0, group_sizes=[8, 64], num_resamples=200)
    c[0], n[0] = c[0] * 7 // 64, 7
    short = audit(GroupCounts(c, n), rng=0, group_sizes=[8, 64], num_resamples=200)
    for g in (8, 64):
        a, b = (one.plans[g].prediction for one in (whole, short))
        assert (b.method, b.num_fitted) == ("thinning", 1)
        assert (b.zero_std, b.low, b.high) == pytest.approx((a.zero_std, a.low, a.high), abs=0.01)
    assert list(short.pass_at_k) == list(whole.pass_at_k)
    assert short.plans[64].signal == pytest.approx(whole.plans[64].signal, abs=0.01)
    assert "1 of 300 prompts by a fitted beta" in advise(short)[0]
    assert any("1 of 300 prompts with fewer than 64 verdicts" in w for w in short.warnings)
    assert short.as_dict()["missing"]["num_short"] == 1
    assert whole.missing is None


def test_verdicts_that_are_missing_by_success_are_reported():
    c, n = two_values(seed=1)
    hard = np.flatnonzero(c < 16)[:60]
    c[hard], n[hard] = c[hard] // 8, 8
    found = audit(GroupCounts(c, n), rng=0, group_sizes=[8], num_resamples=50)
    assert found.missing.p_value < 0.01
    assert any("missing by success" in w for w in found.warnings)


def test_a_missing_verdict_leaves_a_comparison_in_place():
    names = {i: f"task/{i}" for i in range(300)}
    tables = []
    for seed, gone in ((0, 3), (1, 5)):
        c, n = two_values(seed=seed)
        c[gone], n[gone] = min(c[gone], 2), 2
        tables.append(GroupCounts(c, n, prompt_names=names))
    found = [audit(t, rng=0, group_sizes=[8, 32], num_resamples=50) for t in tables]
    differences = compare(*found)
    assert [d.quantity for d in differences] == [
        "pass@1", "mixed groups at g=8", "mixed groups at g=32",
    ]  # fmt: skip
    assert [d.num_prompts for d in differences] == [300, 298, 298]


@pytest.mark.parametrize("prompts", [2, 8, 100])
@pytest.mark.parametrize("value", [0, 3, 8])
def test_no_interval_has_no_width(prompts, value):
    table = GroupCounts([value] * prompts, 8)
    found = audit(table, rng=0, group_sizes=[4, 8, 16], num_resamples=50)
    for plan in found.plans.values():
        p = plan.prediction
        assert p.low <= p.zero_std <= p.high
        assert p.high - p.low >= 0.5 * (1 - 0.025 ** (1 / prompts)) * max(p.zero_std, 0.5) or (
            p.method != "thinning"
        )
        assert plan.bound_low <= p.zero_std <= plan.bound_high
    for score in found.pass_at_k.values():
        assert score.low <= score.value <= score.high
        assert score.high - score.low > 0.01
    for d in compare(found, audit(table, rng=0, group_sizes=[4], num_resamples=50)):
        assert d.low < 0 < d.high
    if not found.refused:  # 3 of 8 in every one of 100 prompts is no independent draw
        assert "do not differ on these prompts" in advise_comparison(compare(found, found))[0]


def test_few_rare_groups_do_not_make_a_certain_forecast():
    # p near .3 at n = 64, g = 32: every prompt says next to nothing of a share of 1e-5
    rng = np.random.default_rng(0)
    share = 0.3**32 + 0.7**32
    for _ in range(5):
        table = GroupCounts(rng.binomial(64, np.full(100, 0.3)), 64)
        p = audit(table, rng=0, group_sizes=[32], num_resamples=100).plans[32].prediction
        assert p.low <= share <= p.high < 0.06


def test_one_prompt():
    found = audit(GroupCounts([3], 8), rng=0, group_sizes=[4])
    plan = found.plans[4]
    assert (plan.prediction.low, plan.prediction.high) == (0.0, 1.0)
    assert plan.bound_high - plan.bound_low > 0.5
    assert math.isnan(plan.critical_p)
    assert math.isnan(found.pass_at_k[1].stderr_total)
    assert any("only 1 prompt:" in w for w in found.warnings)


def test_the_share_lies_in_its_band_and_one_icc_gives_both():
    rng = np.random.default_rng(2)
    for a, b, samples in ((0.3, 0.4, 8), (5, 5, 4), (0.1, 2, 16), (30, 70, 8)):
        for prompts in (12, 150):
            table = GroupCounts(rng.binomial(samples, rng.beta(a, b, prompts)), samples)
            found = audit(table, rng=0, group_sizes=[4, 32], num_resamples=50)
            for plan in found.plans.values():
                assert plan.bound_low <= plan.prediction.zero_std <= plan.bound_high
                star, icc = plan.threshold, found.icc
                ends = [e for e in (star.low, star.value, star.high) if not math.isnan(e)]
                assert ends == sorted(ends)
                assert star.upper.value == pytest.approx(1 - star.value, nan_ok=True)
                assert icc.low <= icc.estimate <= icc.high


def test_both_thresholds_are_printed_where_the_mean_may_be_above_the_upper_one():
    rng = np.random.default_rng(4)
    easy = audit(GroupCounts(rng.binomial(8, rng.beta(9, 0.8, 200)), 8), rng=0, group_sizes=[8])
    said = next(s for s in advise(easy) if "p* =" in s)
    assert "and above" in said
    hard = audit(GroupCounts(rng.binomial(8, rng.beta(0.8, 9, 200)), 8), rng=0, group_sizes=[8])
    said = next(s for s in advise(hard) if "p* =" in s)
    assert "and above" not in said
    one = json.loads(json.dumps(hard.as_dict()))["zero_std"]["8"]
    assert one["p_star_interval"][0] < one["p_star"] < one["p_star_interval"][1]
    assert one["p_star_upper"] == pytest.approx(1 - one["p_star"])


def test_a_share_that_no_beta_allows_is_said():
    rng = np.random.default_rng(0)
    table = GroupCounts(rng.binomial(64, rng.choice([0.05, 0.95], 300)), 64)
    said = " ".join(advise(audit(table, rng=0, group_sizes=[32], num_resamples=50)))
    assert "p follows no beta here" in said


def test_a_file_of_best_and_worst_rollouts_is_suspected():
    found = audit(GroupCounts([1] * 80 + [2] * 15, 2, prompt_id=np.arange(95)), rng=0)
    assert found.refused
    assert "keeps the best and the worst" in advise(found)[0]


def random_table(rng):
    prompts = int(rng.choice([1, 2, 3, 8, 30, 100]))
    n = int(rng.choice([1, 2, 3, 4, 8, 16]))
    laws = (
        np.zeros(prompts), np.ones(prompts), np.full(prompts, 0.5), rng.beta(0.3, 0.5, prompts),
        rng.beta(5, 5, prompts), rng.choice([0.02, 0.98], prompts), rng.beta(0.1, 3, prompts),
    )  # fmt: skip
    p = laws[rng.integers(len(laws))]
    size = np.maximum(n - rng.binomial(n, rng.choice([0.0, 0.05, 0.5]), prompts), 1)
    twice = 1 + int(rng.random() < 0.3)
    size, ids = np.repeat(size, twice), np.repeat(np.arange(prompts), twice)
    names = {i: str(i) for i in range(prompts)} if rng.random() < 0.5 else None
    return GroupCounts(rng.binomial(size, p[ids]), size, prompt_id=ids, prompt_names=names)


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 25))]
)
def test_no_two_sentences_contradict(seed):
    rng = np.random.default_rng(seed)
    sizes = sorted(set(rng.choice([2, 3, 4, 8, 16, 32], int(rng.integers(1, 4))).tolist()))
    found = [
        audit(random_table(rng), rng=0, group_sizes=sizes, num_resamples=60, label=name)
        for name in ("a", "b")
    ]
    for one in found:
        text = " ".join(advise(one))
        assert not re.search(r"\b(nan|inf)\b", text)
        assert not ("next to no signal" in text and "as high as" in text)
        for needed in re.findall(r"about ([\d,]+) prompts", text):
            assert int(needed.replace(",", "")) > one.num_prompts
        if "every prompt has one sample" in text:
            assert int(one.counts.by_prompt().num_samples.max()) == 1
        for plan in one.plans.values():
            p = plan.prediction
            assert p.low <= p.zero_std <= p.high
            if f"About half of the groups at g={p.group_size} " in text:
                assert abs(p.zero_std - 0.5) < 0.03
    differences = compare(*found)
    for sentence in advise_comparison(differences):
        assert not re.search(r"\b(nan|inf)\b", sentence)
        for needed in re.findall(r"about ([\d,]+) prompts", sentence):
            least = min(d.num_prompts for d in differences)
            assert int(needed.replace(",", "")) >= least
    assert all(-1 <= d.low <= d.difference <= d.high <= 1 for d in differences)
