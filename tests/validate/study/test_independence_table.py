import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.theory import GroupCounts, critical_p, critical_p_band
from grpolab.validate.estimate.contrasts import holm
from grpolab.validate.estimate.icc import icc
from grpolab.validate.study.independence import independence_row, independence_verdict


def rollouts(seed, *, copied=0.0, prompts=60, groups=4):
    """Several groups of 8 per prompt; with probability ``copied`` a group repeats one reward."""
    rng = np.random.default_rng(seed)
    p = np.repeat(rng.beta(0.6, 1.4, prompts), groups)
    rewards = rng.random((len(p), 8)) < p[:, None]
    same = rng.random(len(p)) < copied
    rewards[same] = rewards[same, :1]
    return GroupCounts(rewards.sum(axis=1), 8, prompt_id=np.repeat(np.arange(prompts), groups))


def row(seed, label, **more):
    return independence_row(
        rollouts(seed, **more), group_size=8, label=label, rng=0, num_permutations=399,
        num_resamples=100,
    )  # fmt: skip


def test_a_row_holds_what_the_tests_say():
    counts = rollouts(0)
    found = row(0, "a")
    rho = icc(counts)
    assert found.icc == pytest.approx(rho)
    assert found.icc_low < rho < found.icc_high
    assert found.zero_std == counts.frac_zero_std
    assert found.zero_std_low <= found.zero_std <= found.zero_std_high
    assert found.zero_std_iid < found.zero_std_beta
    assert found.critical_p_iid == pytest.approx(float(critical_p(8)))
    band = critical_p_band(8, rho=rho)
    assert (found.critical_p_low, found.critical_p_high) == pytest.approx(
        tuple(map(float, band)), nan_ok=True
    )
    assert found.p_value > 0.05
    assert set(found.as_dict()) >= {"label", "mean", "rho", "icc", "critical_p"}


def test_independent_groups_pass_and_copied_ones_are_named():
    fair = [row(i, f"run {i}") for i in range(3)]
    verdict = independence_verdict(fair)
    assert (verdict.num_tests, verdict.num_rejected) == (3, 0)
    assert "nothing speaks against independence" in verdict.text
    assert abs(verdict.mean_rho) < 3 * verdict.mean_rho_stderr
    bad = independence_verdict([*fair, row(9, "broken", copied=0.3)])
    assert bad.num_rejected == 1
    assert "broken" in bad.text
    assert bad.least_adjusted_p == pytest.approx(4 * bad.least_p)


def test_precise_checkpoints_weigh_more():
    first = row(0, "a")._replace(rho=0.1, stderr=0.1)
    second = first._replace(label="b", rho=0.0, stderr=0.05)
    verdict = independence_verdict([first, second])
    assert verdict.mean_rho == pytest.approx(0.02)
    assert verdict.mean_rho_stderr == pytest.approx(500**-0.5)


def test_one_group_per_prompt_cannot_be_tested():
    counts = GroupCounts(np.random.default_rng(0).binomial(8, 0.5, 20), 8)
    found = independence_row(counts, group_size=8, label="a", rng=0, num_resamples=50)
    verdict = independence_verdict([found])
    assert np.isnan(found.p_value)
    assert verdict.num_tests == 0
    assert "cannot be tested" in verdict.text


def test_the_same_checkpoint_counts_once():
    one = row(0, "a")
    with pytest.raises(ValueError, match="a label is there twice"):
        independence_verdict([one, one])
    with pytest.raises(ValueError, match="at least one"):
        independence_verdict([])


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_holm_rejects_by_its_step_down_rule(p):
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for step, i in enumerate(np.argsort(p, kind="stable")):
            if p[i] * (len(p) - step) > level:
                break
            rejected.add(int(i))
        assert {i for i, a in enumerate(adjusted) if a <= level} == rejected
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
