"""`grpolab group`: every number against the enumeration of all groups, marks and rewards."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from grpolab import theory
from grpolab.cli.group import group
from grpolab.errors import UserError

app = typer.Typer()
app.command()(group)
P, G = 0.3, 4


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def found(*words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run("-g", str(G), "-p", str(P), "--json", *words))
    return answer


def enumerated(rule: str, high: float, low: float) -> tuple[float, float, float]:
    """Share of equal marks, and mean and variance of the change of the logit of p."""
    law = theory.rule_of(rule)
    equal = first = second = 0.0
    for right in product((0, 1), repeat=G):
        for mark in product((0, 1), repeat=G):
            pairs = list(zip(right, mark, strict=True))
            chance = float(
                np.prod(
                    [
                        (P if r else 1 - P)
                        * ((high if r else low) if m else 1 - (high if r else low))
                        for r, m in pairs
                    ]
                )
            )
            if chance == 0:
                continue
            k = sum(mark)
            up, down = (float(a) for a in law.advantages(k, G))
            step = sum((up if m else down) * (r - P) for r, m in pairs) / G
            equal += chance * (k in (0, G))
            first += chance * step
            second += chance * step**2
    return equal, first, second - first**2


@pytest.mark.parametrize("rule", ["grpo", "focal", "zero-variance", "pass-at-k:2"])
@pytest.mark.parametrize("errs", [(1.0, 0.0), (0.8, 0.1)])
def test_shares_and_steps_are_those_of_all_groups(rule: str, errs: tuple[float, float]) -> None:
    high, low = errs
    got = found("--rule", rule, "--true-positive", str(high), "--false-positive", str(low))
    equal, mean, variance = enumerated(rule, high, low)
    (shares,), (step,) = got["groups"], got["steps"]
    assert shares["zero_std"] == pytest.approx(equal)
    assert (step["drift"], step["std"]) == pytest.approx((mean, variance**0.5))
    assert step["snr"] == pytest.approx(mean**2 / variance)
    assert step["groups_for_snr_1"] == int(np.ceil(variance / mean**2))


def test_a_mode_and_a_second_reward() -> None:
    tau, chance, weight = 0.1, 0.2, 0.5
    got = found("--mode", str(tau), "--beside", str(chance), str(weight))["groups"][0]
    missed = mixed = equal = spread = 0.0
    kinds = {"mode": (tau, 1), "other": (P - tau, 1), "wrong": (1 - P, 0)}
    for members in product(kinds, repeat=G):
        share = float(np.prod([kinds[m][0] for m in members]))
        k = sum(kinds[m][1] for m in members)
        mixed += share * (0 < k < G)
        missed += share * (0 < k < G and "mode" not in members)
    for right in product((0, 1), repeat=G):
        for tidy in product((0, 1), repeat=G):
            share = float(np.prod([P if r else 1 - P for r in right]))
            share *= float(np.prod([chance if t else 1 - chance for t in tidy]))
            total = np.array(right) + weight * np.array(tidy)
            equal += share * (np.ptp(total) == 0)
            spread += share * total.std()
    assert got["mode"]["missed"] == pytest.approx(missed)
    assert got["mode"]["held_if_mixed"] == pytest.approx(1 - missed / mixed)
    assert got["beside"]["zero_std"] == pytest.approx(equal)
    assert got["beside"]["expected_std"] == pytest.approx(spread)


def test_every_rule_and_every_pair_has_a_row() -> None:
    names = [name.replace(":K", ":2") for name in theory.RULE_NAMES]
    words = [part for name in names for part in ("--rule", name)]
    got = json.loads(run("-g", "2", "-g", "8", "-p", "0", "-p", "0.2", "--json", *words))
    assert len(got["groups"]) == 4
    assert [step["rule"] for step in got["steps"]] == [name for name in names for _ in range(4)]
    assert got["groups"][0]["zero_std"] == 1.0
    assert {s["snr"] for s in got["steps"] if s["rule"] == "grpo" and s["p"] == 0} == {None}
    shown = run("-g", "8", "-p", "0.1", "--mode", "0.01", "--beside", "0.1", "0.5")
    assert "mixed, mode missed" in shown
    assert "no signal, both" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "2"), "p must lie in"),
        (("-p", "0.1", "--mode", "0.2"), "mode must be at most p"),
        (("-p", "0.1", "--beside", "1.5", "1"), "--beside: CHANCE must lie in"),
        (("-p", "0.1", "--beside", "0.5", "nan"), "--beside: CHANCE must lie in"),
        (("-p", "0.1", "--rule", "pass-at-k:9"), "group_size must be"),
        (("-p", "0.3", "--mode", "0.1", "--true-positive", "0.9"), "--mode needs a grader"),
    ],
)
def test_refusals_name_the_argument(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        run("-g", "8", *words)


def test_large_groups_have_all_but_the_sum_over_their_compositions() -> None:
    got = json.loads(run("-g", "400", "-p", "0.1", "--beside", "0.1", "0.5", "--json"))
    (cell,) = got["groups"]
    assert cell["beside"]["expected_std"] is None
    assert 0 < cell["beside"]["zero_std"] < cell["zero_std"]
    assert "summed up to g = 128" in run("-g", "400", "-p", "0.1", "--beside", "0.1", "0.5")
