"""One number is the same in sentences, tables, page and JSON, whatever the counts are."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grpolab.figures import page as pages
from grpolab.figures.words import interval, number, percent, percent_interval, text
from grpolab.theory.groups import GroupCounts
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.page import write_audit
from grpolab.validate.audit.summary import Audit, audit
from grpolab.validate.audit.tables import facts, plans
from grpolab.validate.audit.unsolved import unsolved

SIZES = [4, 8, 16]


def generated(seed: int) -> Audit:
    """Few or many prompts, equal samples or not, rates of one of five kinds."""
    rng = np.random.default_rng(seed)
    prompts = int(rng.choice([1, 2, 5, 20, 60]))
    samples = rng.choice([2, 3, 8, 16], prompts) if seed % 3 == 0 else rng.choice([2, 4, 8, 16])
    rates = [
        rng.beta(0.3, 1.0, prompts), rng.beta(5.0, 0.5, prompts), np.zeros(prompts),
        np.full(prompts, 0.4), rng.choice([0.0, 1.0], prompts),
    ][seed % 5]  # fmt: skip
    counts = GroupCounts(rng.binomial(samples, rates), samples)
    return audit(counts, rng=0, label="a", group_sizes=SIZES, num_groups=16, num_resamples=30)


@pytest.fixture(scope="module", params=range(20))
def found(request: pytest.FixtureRequest) -> Audit:
    return generated(request.param)


@pytest.fixture(scope="module")
def said(found: Audit) -> list[str]:
    return advise(found)


def test_shares_in_sentences_and_table_are_those_of_json(found: Audit, said: list[str]) -> None:
    record, rows = found.as_dict()["zero_std"], plans(found).rows
    for g, row in zip(found.plans, rows, strict=True):
        share = record[g]
        (sentence,) = [s for s in said if s.startswith(f"g={g}: ")]
        assert sentence.startswith(f"g={g}: {percent(share['predicted'])} of the groups (")
        assert percent_interval(share["low"], share["high"]) in sentence
        assert list(row[:3]) == [g, share["predicted"], interval(share["low"], share["high"])]
        assert share["low"] <= share["predicted"] <= share["high"]
        assert share["predicted"] == pytest.approx(share["all_wrong"] + share["all_right"])
        first = share["first_groups"]
        assert interval(first["low"], first["high"]) in row
        assert any(
            s.startswith(f"The first 16 groups of {g} of a run will show"
                         f" {percent_interval(first['low'], first['high'])}")
            for s in said
        )  # fmt: skip


def test_scores_are_those_of_json(found: Audit) -> None:
    record, said = found.as_dict(), " ".join(facts(found))
    for k, value in record["pass_at_k"].items():
        low, high = record["pass_at_k_interval"][k]
        assert f"pass@{k} {number(value)} ({interval(low, high)})" in said
    assert list(record["pass_at_k"].values()) == sorted(record["pass_at_k"].values())
    assert (f"ICC {number(found.icc.estimate)}" in said) if found.icc else ("ICC" not in said)


def test_dynamic_sampling_follows_from_the_share_and_its_interval(
    found: Audit, said: list[str]
) -> None:
    said = [s for s in said if s.startswith("Dynamic sampling")]
    assert len(said) == bool(found.plans)
    for g, plan in found.plans.items():
        p = plan.prediction
        three = r"([^ ,]+|any number|more than 1000) \(([^()]*?) to ([^()]*)\)"
        match = re.search(rf"{three} at g={g}\b", said[0])
        assert match is not None
        for shown, share in zip(match.groups(), (p.zero_std, p.low, p.high), strict=True):
            if "num" not in shown and "1000" not in shown:
                assert float(shown) == pytest.approx(1 / (1 - share), abs=0.051)
            else:
                assert share > 0.998


def test_what_was_not_seen_keeps_the_limit_of_its_interval(found: Audit, said: list[str]) -> None:
    none = [s for s in said if s.startswith("No mixed group was seen")]
    shares = [plan.prediction.zero_std for plan in found.plans.values()]
    assert bool(none) == (bool(shares) and min(shares) == 1.0)
    for sentence in none:
        for g, plan in found.plans.items():
            assert f"{percent(1 - plan.prediction.low)} at g={g}" in sentence


def test_prompts_never_solved_have_one_posterior_in_sentence_and_table(
    found: Audit, said: list[str]
) -> None:
    (never,) = [s for s in said if s.startswith("The prompts never solved")] or [""]
    shown = re.search(r"will have (\S+) mixed groups at g=(\d+) on average", never)
    if shown is None:
        return
    table = unsolved(found.counts, int(shown.group(2)))
    assert table is not None
    many = np.array([row[1] for row in table.rows], dtype=float)
    mixed = np.array([row[4] for row in table.rows], dtype=float)
    assert shown.group(1) == percent(float(many @ mixed / many.sum()))


def test_beyond_the_samples_of_some_or_of_every_prompt(found: Audit, said: list[str]) -> None:
    sizes = found.counts.by_prompt().num_samples
    for g, plan in found.plans.items():
        beyond = " ".join(s for s in said if s.startswith(f"g={g} exceeds"))
        if plan.prediction.method == "thinning":
            assert not beyond
        else:
            which = "every prompt" if sizes.max() < g else "some prompts"
            assert beyond.startswith(f"g={g} exceeds the samples of {which}.")
            assert percent_interval(plan.bound_low, plan.bound_high) in beyond


def test_counts_that_no_law_explains_are_called_so() -> None:
    rng = np.random.default_rng(0)
    sizes = np.tile([2, 16], 60)  # the prompts of 16 samples are the hard ones
    counts = GroupCounts(rng.binomial(sizes, np.where(sizes == 16, 0.05, 0.9)), sizes)
    said = advise(audit(counts, rng=0, group_sizes=[16], num_resamples=20))
    assert any("prompts with more samples are easier or harder" in s for s in said)
    counts = GroupCounts(rng.binomial(8, rng.beta(0.5, 1.0, 60)), 8)
    fine = audit(counts, rng=0, group_sizes=[16], num_resamples=20)
    assert not any("No law" in s for s in advise(fine))
    assert fine.cover is not None
    none = replace(fine, cover=fine.cover._replace(low=np.full(7, np.nan)))
    assert any("counts: samples of a prompt are no independent" in s for s in advise(none))


@pytest.mark.parametrize("seed", [0, 6])
def test_the_page_says_the_sentences_of_the_terminal(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "figure", lambda draw, **words: "")
    found = generated(seed)
    write_audit(tmp_path / "page.html", [found], [])
    page = (tmp_path / "page.html").read_text()
    for sentence in advise(found):
        assert text(sentence) in page


def ends(found: Audit) -> list[tuple[str, float, float, float]]:
    """Every estimate of an audit with its interval."""
    record = found.as_dict()
    rows = [
        (f"pass@{k}", value, *record["pass_at_k_interval"][k])
        for k, value in record["pass_at_k"].items()
    ]
    for g, share in record["zero_std"].items():
        rows.append((f"g={g}", share["predicted"], share["low"], share["high"]))
        for name in ("all_wrong", "all_right"):
            rows.append((f"{name} at g={g}", share[name], *share[f"{name}_interval"]))
        rows.append((f"signal at g={g}", share["signal"], *share["signal_interval"]))
    for k, one in record["pass_at_k_beyond"].items():
        rows.append((f"pass@{k}", one["value"], one["low"], one["high"]))
    return rows


def test_every_estimate_lies_in_an_interval_of_some_width(found: Audit) -> None:
    for name, value, low, high in ends(found):
        if not np.isnan(value):
            assert low - 1e-9 <= value <= high + 1e-9, name
        assert high - low > 1e-6, name


def test_numbers_of_larger_groups_agree_with_those_of_smaller_ones(found: Audit) -> None:
    """No law of p lets a share without a signal grow with the group, or pass@k fall with k."""
    rows = {name: row for name, *row in ends(found)}
    for kind, sign in (("g=", -1), ("all_wrong at g=", -1), ("all_right at g=", -1), ("pass@", 1)):
        sizes = sorted(int(name.removeprefix(kind)) for name in rows if name.startswith(kind))
        for small, large in itertools.pairwise(sizes):
            if found.counts.by_prompt().num_samples.min() < small:
                continue  # prompts without so many samples are fitted
            for less, more in zip(rows[f"{kind}{small}"], rows[f"{kind}{large}"], strict=True):
                assert sign * (more - less) >= -0.02, (kind, small, large)


def test_pass_at_g_is_what_is_not_all_wrong(found: Audit) -> None:
    rows = {name: row for name, *row in ends(found)}
    for g in found.plans:
        value, low, high = rows[f"pass@{g}"]
        assert rows[f"all_wrong at g={g}"] == pytest.approx([1 - value, 1 - high, 1 - low])


def test_the_first_groups_vary_no_less_than_their_mean(found: Audit) -> None:
    for share in found.as_dict()["zero_std"].values():
        first, whole = share["first_groups"], 1 / 16
        assert 0 <= first["low"] < share["low"] + whole
        assert share["high"] - whole < first["high"] <= 1


def test_prompts_that_tell_nothing_of_the_spread_give_no_narrow_interval() -> None:
    """One of many prompts has more than one sample: it alone says how p is spread."""
    n = np.where(np.arange(2000) == 0, 8, 1)
    c = np.random.default_rng(0).binomial(n, 0.3)
    said = advise(audit(GroupCounts(c, n), rng=0, group_sizes=[8], num_resamples=30))
    (never,) = [s for s in said if s.startswith("The prompts never solved")]
    assert "(0% to 100%)" in never
    assert "failed in its one sample" in never


def test_where_no_prompt_was_solved_two_sentences_say_one_interval() -> None:
    said = advise(audit(GroupCounts([0] * 20, 2), rng=0, group_sizes=[16], num_resamples=30))
    (none,) = [s for s in said if s.startswith("No mixed group was seen")]
    (never,) = [s for s in said if s.startswith("The prompts never solved")]
    most = re.search(r"(\d+%) at g=16", none)
    assert most is not None
    assert f"(0% to {most.group(1)})" in never
