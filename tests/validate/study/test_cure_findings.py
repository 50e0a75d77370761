"""What is said of attempts to save a start: corrected for their number, and either way."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.figures.ladder import Rung
from grpolab.validate.study import cures
from grpolab.validate.study.results import ArmRow, FamilySummary, Lead, Results
from grpolab.validate.study.summary import over_seeds


def row(arm: str, depth: int, gain: float = 0.0, p: float = 1.0, *, family: str = "one") -> ArmRow:
    plain = arm == "plain"
    numbers = dict.fromkeys(
        ("temperature", "lr", "num_prompts", "start_pass_at_1", "start_pass_at_10",
         "start_entropy", "start_zero_std", "zero_std", "rollouts", "informative_groups",
         "train_pass_at_1", "final_entropy", "clip_high", "clip_low", "kl"), 0.5,
    )  # fmt: skip
    against = (
        {} if plain else {o: Lead(gain, gain - 0.01, gain + 0.01, 100) for o in cures.OUTCOMES}
    )
    return ArmRow(
        family=family, arm=arm, question="plain" if plain else "rescue", summary=f"what {arm} does",
        depth=depth, final=dict.fromkeys(cures.OUTCOMES, 0.5 + gain), final_by_class={},
        against_plain=against, p_values=dict.fromkeys(against, p), **numbers,
    )  # type: ignore[arg-type]  # fmt: skip


def family(gain: float) -> FamilySummary:
    def rung(depth: int) -> Rung:
        mean = {"pass_at_1": 0.3, "final_pass_at_1": 0.3 + gain, "dormant": 0.01, "greedy_gap": 0.1}
        return Rung(depth=depth, num_seeds=3, mean=mean, sd={})

    return FamilySummary("countdown", "shift", (rung(8), rung(2048)), None, {}, ())  # type: ignore[arg-type]


def said(rows: list[ArmRow]) -> dict[str, str]:
    families = {name: family(0.1) for name in dict.fromkeys(r.family for r in rows)}
    found = cures.cure_findings(Results({}, "0", arms=tuple(rows), families=families))
    return {finding.name: finding.text for finding in found}


def test_p_values_are_corrected_over_all_attempts_of_a_family_and_of_no_other() -> None:
    rows = [row("plain", 8), row("a", 8, 0.1, 0.02), row("b", 2048, 0.1, 0.04),
            row("a", 8, 0.1, 0.02, family="two")]  # fmt: skip
    found = cures.adjusted(rows)
    assert found["one", 8, "a", "pass_at_1"] == pytest.approx(0.04)
    assert found["one", 2048, "b", "pass_at_10"] == pytest.approx(0.04)
    assert found["two", 8, "a", "pass_at_64"] == pytest.approx(0.02)


def test_what_is_beyond_chance_is_named_with_its_sign() -> None:
    rows = [row("plain", 8), row("up", 8, 0.1, 0.001), row("down", 8, -0.1, 0.001),
            row("chance", 8, 0.3, 0.06)]  # fmt: skip
    text = said(rows)["rescue one"]
    assert "pass@1 higher 1 (what up does +0.100)" in text
    assert "lower 1 (what down does" in text
    assert "what chance does" not in text
    assert "what chance does" in cures.attempts(rows).markdown()


@pytest.mark.parametrize(("p", "verdict"), [(0.001, "1 of 1 restarts"), (0.5, "not supported")])
def test_remedies_for_lost_plasticity_decide_either_way(p: float, verdict: str) -> None:
    found = said([row("plain", 2048), row("reset-block", 2048, 0.05, p)])
    assert verdict in found["plasticity one"]
    assert "plasticity one" not in said([row("plain", 2048), row("other", 2048, 0.05, p)])
    # what changes SFT itself makes another start, and is no proof
    pulled = [row("plain", 2048), row("reset-block", 2048), row("sft-l2-start", 2048, 0.2, 1e-6)]
    text = said(pulled)["plasticity one"]
    assert "not supported" in text
    assert "it makes another start" in text


def test_a_part_of_the_seeds_is_said_to_be_one() -> None:
    found = Results({"seeds": [0]}, "0")
    assert cures.state(found, 1) == ""
    assert "Interim: 1 seed of 3" in cures.state(found, 3)
    assert "not seen" not in cures.state(Results({"seeds": [0, 1]}, "0"), 3)


def test_strengths_stand_in_their_order_and_only_where_all_are_there() -> None:
    names = ("kl-start-0.01", "kl-start-0.05", "kl-start-0.5")
    rows = [row(name, 2048, gain) for name, gain in zip(names, (0.01, 0.02, 0.03), strict=True)]
    text = said(rows)["strength one"]
    assert text.index("+0.010") < text.index("+0.020") < text.index("+0.030")
    assert "strength one" not in said(rows[:2])


def test_only_what_is_beyond_chance_in_every_family_is_said_of_all() -> None:
    both = [row("a", 8, 0.1, 0.001, family=f) for f in ("one", "two")]
    half = [row("b", 8, 0.1, 0.001), row("b", 8, 0.1, 0.9, family="two")]
    text = said([*both, *half])["everywhere"]
    assert "what a does (depth 8)" in text
    assert "what b does" not in text
    assert "everywhere" not in said(half[:1])


def test_an_interval_over_seeds_reckons_with_runs_that_move_all_prompts() -> None:
    """Two arms that are the same: few of the claims are false, where pooled prompts make many."""
    rng = np.random.default_rng(0)
    wrong = pooled = 0
    for _ in range(300):
        table = rng.normal(0, 0.0113 * np.sqrt(2), (3, 1)) + rng.normal(0, 0.1, (3, 200))
        lead, p_value = over_seeds(table)
        assert (p_value < 0.05) == (not lead.low <= 0 <= lead.high)
        wrong += p_value < 0.05
        pooled += abs(table.mean()) > 1.96 * table.std() / table.size**0.5
    assert wrong < 0.09 * 300 < pooled
    same, p_value = over_seeds(np.zeros((3, 200)))
    assert same.low < 0 < same.high
    assert p_value == 1.0
