import json
import re

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.advice_pairs import advise_comparison
from grpolab.validate.audit.compare import Difference, compare
from grpolab.validate.audit.page import write_audit
from grpolab.validate.audit.summary import audit
from grpolab.validate.readers import read


def table(a=0.5, b=1.5, *, prompts=300, samples=16, seed=0, unsolvable=0.0, names=False):
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(prompts) < unsolvable, 0.0, rng.beta(a, b, prompts))
    known = {i: f"task/{i}" for i in range(prompts)} if names else None
    return GroupCounts(rng.binomial(samples, p), samples, prompt_names=known)


def test_the_dictionary_has_the_documented_keys_and_plain_types():
    found = audit(table(), rng=0, group_sizes=[8, 32], num_resamples=50).as_dict()
    for key in ("num_prompts", "num_samples", "pass_at_k", "icc", "beta_binomial", "zero_std",
                "independence", "warnings"):  # fmt: skip
        assert key in found
    assert set(found["icc"]) >= {"estimate", "low", "high", "method"}
    assert set(found["beta_binomial"]) >= {"a", "b", "loglik"}
    wanted = {"predicted", "low", "high", "iid_mean_p", "all_wrong", "all_right"}
    assert set(found["zero_std"][8]) >= wanted
    assert found["zero_std"][8]["method"] == "thinning"
    assert found["zero_std"][32]["method"] == "smoothed mixture"
    assert list(found["pass_at_k"]) == [1, 2, 4, 8, 16]
    assert found["prompts"]["never_solved"] + found["prompts"]["sometimes_solved"] <= 300


def test_numbers_agree_with_the_estimators():
    from grpolab.validate.estimate.icc import icc
    from grpolab.validate.forecast.zero_std import predict_zero_std

    counts = table()
    found = audit(counts, rng=0, group_sizes=[8], num_resamples=20)
    assert found.icc.estimate == icc(counts)
    prediction = predict_zero_std(counts, 8, rng=0, num_resamples=20)
    assert found.plans[8].prediction.zero_std == prediction.zero_std
    plan = found.plans[8]
    assert plan.bound_low < prediction.zero_std < plan.bound_high
    assert plan.critical_p_prompt == pytest.approx(0.082996, abs=1e-6)
    assert plan.critical_p > plan.critical_p_prompt


def test_one_seed_gives_one_answer():
    first, again = (audit(table(), rng=5, num_resamples=50).as_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(again)


def test_one_sample_per_prompt_says_what_it_cannot_say():
    found = audit(GroupCounts([0, 1, 1, 0], 1), rng=0)
    assert (found.icc, found.beta_binomial, found.plans) == (None, None, {})
    assert found.pass_at_k[1].value == 0.5
    assert any("one sample per prompt" in w for w in found.warnings)
    assert advise(found)[-1].startswith("Cannot tell")


@pytest.mark.parametrize("value", [0, 8])
def test_one_common_outcome(value):
    found = audit(GroupCounts([value] * 40, 8), rng=0, group_sizes=[8, 16])
    assert found.plans[8].prediction.zero_std == 1.0
    assert any("No mixed group was seen" in s for s in advise(found))


def test_filtered_dumps_get_the_truncated_fit_and_nothing_else():
    counts = table(1.0, 2.0, prompts=2000, samples=8)
    kept = ~(counts.all_wrong | counts.all_right)
    mixed = counts.select(kept)
    filtered = GroupCounts(mixed.num_correct, 8, provenance=Provenance(filtered=True))
    found = audit(filtered, rng=0)
    assert (found.pass_at_k, found.icc, found.plans) == ({}, None, {})
    assert found.truncated.frac_kept == pytest.approx(kept.mean(), abs=0.1)
    assert any("after dynamic sampling" in w for w in found.warnings)
    assert "Only mixed groups were kept" in advise(found)[0]
    small = GroupCounts([1, 2], 3, provenance=Provenance(filtered=True))
    assert audit(small, rng=0).truncated is None
    assert advise(audit(small, rng=0))[0].startswith("Cannot tell")


def test_a_filtered_flag_on_unfiltered_groups_is_not_followed_blindly():
    counts = GroupCounts([0, 1, 2, 3, 4], 4, provenance=Provenance(filtered=True))
    found = audit(counts, rng=0)
    assert any("2 groups without spread were left out" in w for w in found.warnings)
    assert found.truncated is not None


def test_steps_are_reported():
    counts = GroupCounts([1, 2, 3], 4, step=[1, 5, 9])
    assert any("steps 1 to 9" in w for w in audit(counts, rng=0, group_sizes=[4]).warnings)


def test_advice_states_heterogeneity_cost_and_what_is_open():
    found = audit(table(unsolvable=0.4, prompts=60, samples=10), rng=0, group_sizes=[8, 16])
    text = " ".join(advise(found))
    assert "The mean success rate alone would have promised" in text
    assert "Dynamic sampling would have to draw" in text
    assert re.search(r"prompts never solved \(\d+%\)", text)
    assert "extrapolated by a smoothed mixture" in text
    assert re.search(r"about \d+ prompts would", text)
    assert "Cannot tell whether rollouts of a prompt are independent" in text


def test_advice_finds_shared_seeds_when_groups_repeat():
    rng = np.random.default_rng(0)
    p = np.repeat(rng.beta(2, 2, 200), 2)
    stuck = rng.random(400) < 0.3
    correct = np.where(stuck, 8 * rng.binomial(1, p), rng.binomial(8, p))
    counts = GroupCounts(correct, 8, prompt_id=np.repeat(np.arange(200), 2))
    assert any("correlated beyond the prompt" in s for s in advise(audit(counts, rng=0)))
    fair = GroupCounts(rng.binomial(8, p), 8, prompt_id=np.repeat(np.arange(200), 2))
    assert any("No sign that rollouts" in s for s in advise(audit(fair, rng=0)))


def test_the_question_of_half_is_not_asked_at_two():
    # at g = 2 at least half of the groups have zero std whatever p is
    found = audit(table(5.0, 5.0, prompts=40, samples=4), rng=0, group_sizes=[2])
    assert not any("more than half of the groups at g=2" in s for s in advise(found))


def test_bad_group_sizes():
    for sizes in ([], [1, 4]):
        with pytest.raises(ValueError, match="group_sizes must be >= 2"):
            audit(table(), rng=0, group_sizes=sizes)


def test_what_read_returns_is_audited_with_its_format_and_notes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "problem,num_correct,num_samples\n" + "".join(f"p{i},{i % 5},4\n" for i in range(40))
    )
    found = read(path)
    one, same = audit(found, group_sizes=[4]), audit(found.counts, rng=0, group_sizes=[4])
    assert one.plans[4].prediction == same.plans[4].prediction
    assert (one.format, same.format) == (found.format, "")
    assert repr(found).startswith(f"<Reading: {found.format}, 40 groups of 4")
    path.write_text("problem,correct\na,1\na,0\nb,1\nb,1\n")
    assert repr(read(path).samples) == "<Samples: rows=4, prompts=2>"
    with pytest.raises(ValueError, match="counts must come from read, or be GroupCounts"):
        audit(str(path))


def test_pairing_takes_the_difficulty_out_of_a_comparison():
    rng = np.random.default_rng(1)
    p = rng.beta(0.5, 0.5, 200)
    names = {i: f"task/{i}" for i in range(200)}
    better = 1 - (1 - p) ** 1.15
    tables = [
        GroupCounts(rng.binomial(32, q), 32, prompt_names=n)
        for n in (names, {})
        for q in (p, better)
    ]
    first, second, bare_first, bare_second = (
        audit(t, rng=0, label=f"ckpt-{i}", group_sizes=[8], num_resamples=20)
        for i, t in enumerate(tables)
    )
    paired = compare(first, second)
    loose = compare(bare_first, bare_second)
    assert [d.quantity for d in paired] == ["pass@1", "mixed groups at g=8"]
    assert paired[0].paired
    assert not loose[0].paired
    assert paired[0].high - paired[0].low < 0.4 * (loose[0].high - loose[0].low)
    assert paired[0].decided
    assert not loose[0].decided
    assert "ckpt-1 is above ckpt-0" in advise_comparison(paired)[0]
    assert "cannot tell ckpt-2 and ckpt-3 apart" in advise_comparison(loose)[0]


def test_of_a_training_run_the_last_steps_count():
    """Half of the prompts are learned in the middle of 100 steps of 30 groups."""
    rng = np.random.default_rng(0)
    step = np.repeat(np.arange(100), 30)
    p = np.where(step < 50, 0.5, 1.0)
    counts = GroupCounts(rng.binomial(8, p), 8, prompt_id=np.tile(np.arange(30), 100), step=step)
    found = audit(counts, rng=0, group_sizes=[8], num_resamples=50)
    assert found.plans[8].prediction.zero_std == 1.0
    assert np.unique(found.counts.step).tolist() == list(range(90, 100))
    (note,) = [w for w in found.warnings if "span" in w]
    assert "span steps 0 to 99; numbers are those of steps 90 to 99. Groups as drawn" in note
    assert f"{100 * counts.frac_zero_std:.0f}%, of these steps 100%" in note


def test_of_few_groups_all_count():
    step = np.repeat(np.arange(4), 10)
    counts = GroupCounts(np.tile([0, 8], 20), 8, prompt_id=np.tile(np.arange(10), 4), step=step)
    found = audit(counts, rng=0, group_sizes=[8], num_resamples=50)
    assert len(found.counts) == 40
    (note,) = [w for w in found.warnings if "span" in w]
    assert "prompts are pooled over it. Groups as drawn, without a signal: 100%" in note


def test_group_sizes_that_agree_share_a_sentence():
    def difference(quantity, low, high):
        decided = low > 0 or high < 0
        p_value, needed = (0.01, np.nan) if decided else (0.4, 99.0)
        return Difference("a", "b", quantity, (low + high) / 2, low, high, True, 40, p_value, 1.0,
                          decided, False, 0.02, needed)  # fmt: skip

    told = advise_comparison(
        [
            difference("pass@1", -0.3, -0.1),
            difference("mixed groups at g=4", 0.1, 0.2),
            difference("mixed groups at g=8", 0.15, 0.3),
            difference("mixed groups at g=16", -0.1, 0.3),
        ]
    )
    assert told[:2] == [
        "pass@1: b is above a by 20.0 (10.0 to 30.0) points, paired over 40 prompts.",
        "mixed groups at g=4, 8: a is above b by 15.0 (10.0 to 20.0), 22.5 (15.0 to 30.0)"
        " points, paired over 40 prompts.",
    ]
    assert told[2].startswith(
        "mixed groups at g=16: cannot tell a and b apart yet (+10.0, 95% -10.0 to"
    )
    assert "about 59 more prompts would show" in told[2]
    assert len(told) == 3


def test_comparison_is_antisymmetric():
    a, b = (audit(table(seed=s, names=True), rng=0, label=str(s), num_resamples=20) for s in (1, 2))
    for one, two in zip(compare(a, b), compare(b, a), strict=True):
        assert one.difference == pytest.approx(-two.difference)
        assert one.low == pytest.approx(-two.high)


def test_the_page_stands_alone_and_escapes_names(tmp_path):
    audits = [
        audit(table(seed=s), rng=0, label=f"<b>{s}</b>", num_resamples=20, group_sizes=[4, 32])
        for s in (0, 1)
    ]
    audits.append(audit(GroupCounts([0, 1], 1), rng=0, label="single"))
    path = tmp_path / "audit.html"
    write_audit(path, audits, compare(audits[0], audits[1]))
    page = path.read_text()
    assert "<b>0</b>" not in page
    assert "&lt;b&gt;0&lt;/b&gt;" in page
    assert page.count("<svg") == 9
    assert not re.search(r"(src|href)=\"?https?:", page)
    for sentence in ("Where will the groups carry a signal?", "Side by side", "Groups without"):
        assert sentence in page
