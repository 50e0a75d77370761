"""Every interval that is printed has a floor: it holds its number and is of no zero width."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.compare import compare_all
from grpolab.validate.audit.summary import audit
from grpolab.validate.audit.tables import facts

_ENDS = (("low", "high"), ("kept_low", "kept_high"), ("bound_low", "bound_high"))

EDGES = {
    "all wrong": ([0] * 30, 8),
    "all right": ([8] * 30, 8),
    "one prompt": ([3], 8),
    "one prompt, all wrong": ([0], 8),
    "two prompts": ([3, 5], 8),
    "two prompts, alike": ([3, 3], 8),
    "two prompts, one of each": ([0, 8], 8),
    "two prompts, all wrong": ([0, 0], 8),
    "each never or always": ([0] * 20 + [8] * 20, 8),
    "one prompt of 30": ([0] * 29 + [1], 8),
    "three samples": ([0, 0, 1, 3], 3),
    "one sample": ([0, 1] * 15, 1),
    "one sample, all right": ([1] * 30, 1),
    "short and long": ([2, 0, 5, 1, 1], [2, 8, 8, 1, 3]),
}  # fmt: skip


def intervals(node: object, place: str = "") -> Iterator[tuple[str, float, float]]:
    """Every pair of ends in a record of an audit; thresholds may be open and are left out."""
    if not isinstance(node, dict):
        return
    for low, high in _ENDS:
        if low in node:
            ends = node[low], node[high]
            for i, pair in enumerate(zip(*map(np.atleast_1d, ends), strict=True)):
                yield f"{place} {low} {i}", *pair
    for name, value in node.items():
        here = f"{place} {name}"
        if here.endswith("p_star_interval") or here.endswith("p_star_upper_interval"):
            continue
        if isinstance(value, list) and len(value) == 2 and ("interval" in here or "limits" in here):
            yield here, value[0], value[1]
        else:
            yield from intervals(value, here)


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("name", EDGES)
def test_no_interval_of_an_audit_has_zero_width(name, filtered):
    correct, size = EDGES[name]
    table = GroupCounts(correct, size, provenance=Provenance(source="x", filtered=filtered))
    found = audit(table, rng=0, group_sizes=[2, 8, 16], num_groups=16, num_resamples=60)
    spans = list(intervals(found.as_dict()))
    assert spans or filtered
    for place, low, high in spans:
        assert high - low > 0 or math.isnan(high), (place, low, high)
    for plan in found.plans.values():
        p = plan.prediction
        assert p.low <= p.zero_std <= p.high
        assert plan.bound_low <= p.zero_std <= plan.bound_high
    for score in found.pass_at_k.values():
        assert score.low <= score.value <= score.high
    assert advise(found)
    assert all(math.isfinite(high - low) for _, low, high in spans)


@pytest.mark.parametrize("first", ["all wrong", "all right", "each never or always"])
def test_differences_of_equal_tables_are_open(first):
    correct, size = EDGES[first]
    audits = [audit(GroupCounts(correct, size), rng=0, label=f"{i}", group_sizes=[4],
                    num_resamples=50) for i in range(2)]  # fmt: skip
    for one in compare_all(audits):
        assert one.low < one.difference < one.high
        assert not one.decided


def test_prompts_never_or_always_solved_leave_the_icc_open():
    """8 of 8 and 0 of 8 on forty prompts: 9% of them may be of another kind."""
    found = audit(GroupCounts([0] * 20 + [8] * 20, 8), rng=0, group_sizes=[8], num_resamples=50)
    assert found.icc.estimate == 1.0
    assert found.icc.low <= 0.025 ** (1 / 40)
    assert found.plans[8].bound_low < 1.0


def test_one_sample_per_prompt_still_limits_the_share():
    rng = np.random.default_rng(0)
    counts = GroupCounts(rng.binomial(1, 0.1, 200), 1)
    found = audit(counts, rng=0, group_sizes=[4, 8])
    low, high = found.limits[4].zero_std
    # all prompts alike at the upper end of the mean, or each always or never solved
    most = found.pass_at_k[1].high
    assert high == 1.0
    assert low == pytest.approx(most**4 + (1 - most) ** 4, abs=0.06)
    said = advise(found)
    assert any(line.startswith("g=4: between") and "100% of the groups" in line for line in said)
    assert "A second sample of each prompt gives the ICC" in said[-1]
    assert found.as_dict()["limits"][8]["zero_std"][1] == 1.0
    assert f"pass@1 {counts.mean_reward:.3f} (" in facts(found)[1]


def test_one_prompt_with_one_sample_is_no_ground_for_limits():
    found = audit(GroupCounts([1], 1), rng=0, group_sizes=[4])
    (said,) = advise(found)
    assert "one prompt says nothing of others" in said
