"""The grid that measures intervals of the ICC."""

import numpy as np
import pytest

from grpolab.validate.verify import suite
from grpolab.validate.verify.grid_icc import DESIGNS, LAWS, Design, Spans, measure, over_best
from grpolab.validate.verify.laws import ROUGH, SMOOTH, points, real


@pytest.mark.parametrize("law", [SMOOTH[0], SMOOTH[1], ROUGH[2]], ids=lambda law: law.name)
def test_the_printed_interval_covers_and_is_not_wide(law):
    trials = 60
    found = measure(law, Design(50, 8), trials=trials, rng=np.random.default_rng(1))
    margin = 3.5 * (0.05 * 0.95 / trials) ** 0.5
    assert found["combined"].hits / trials > 0.95 - margin
    ratio = over_best(found)
    assert ratio is None or np.median(ratio) < 1.3


def test_the_profile_of_a_beta_misses_two_kinds_of_prompts():
    found = measure(ROUGH[2], Design(164, 64), trials=20, rng=np.random.default_rng(2))
    assert found["profile"].hits < 15  # some hold the truth because they hold the estimate
    assert not found["profile"].covers
    assert found["combined"].hits >= 17


def spans(*, width, hits, trials=100):
    """Intervals of one width around 0.5, of which ``hits`` hold it."""
    low = np.where(np.arange(trials) < hits, 0.5 - width / 2, 0.6)
    return Spans(np.stack([low, low + width], axis=1), 0.5)


def test_a_width_is_held_against_the_narrowest_method_that_covers():
    found = {
        "combined": spans(width=0.3, hits=96),
        "bootstrap": spans(width=0.1, hits=80),
        "profile": spans(width=0.25, hits=95),
    }
    assert over_best(found) == pytest.approx(1.2)
    found["bootstrap"] = spans(width=0.2, hits=93)
    assert over_best(found) == pytest.approx(1.5)
    found |= {name: spans(width=0.1, hits=92) for name in ("bootstrap", "profile")}
    assert over_best(found) is None


def test_one_rate_for_all_has_no_width_to_compare_with():
    found = {name: Spans(np.zeros((50, 2)), 0.0) for name in ("combined", "bootstrap", "profile")}
    assert over_best(found) is None


def test_it_is_part_of_every_run_and_a_full_one_has_all_laws():
    assert "icc-interval" in {entry.name for entry in suite.entries(full=False)}
    names = [law.name for law in LAWS]
    assert len(set(names)) == len(names) >= len(SMOOTH) + len(ROUGH) + len(real())
    assert {design.samples for design in DESIGNS} == {4, 8, 64}
    assert {design.prompts for design in DESIGNS} == {20, 164}


def test_a_far_prompt_that_few_prompts_show_is_reckoned_with():
    """Four of 20 prompts are far from the others, on average, and carry all of the variance."""
    law = points((0.98, 0.8), (0.2, 0.2))
    found = measure(law, Design(20, 64), trials=40, rng=np.random.default_rng(3))
    assert found["combined"].hits >= 38 > found["bootstrap"].hits


def test_where_most_prompts_carry_the_variance_it_is_as_wide_as_the_bootstrap():
    law = points((0.02, 0.5), (0.5, 0.5))
    found = measure(law, Design(20, 64), trials=30, rng=np.random.default_rng(4))
    assert found["combined"].hits >= 27
    assert np.median(found["combined"].widths / found["bootstrap"].widths) <= 1.3
