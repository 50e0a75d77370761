"""``grpolab group``: what a group of one prompt holds, and what every rule makes of it."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from grpolab.cli._options import OneOf, expanded
from grpolab.cli._output import JsonFlag, print_json, print_table
from grpolab.errors import UserError, input_errors
from grpolab.figures.tables import Column, Table
from grpolab.figures.words import percent, significant
from grpolab.theory.rules import RULE_NAMES, rule_named

_RULES = ("grpo", "dr-grpo", "rloo", "maxrl")
_REWARDS = "Rewards"
_LARGEST_SUM = 128  # group size up to which E[sigma] of four rewards is summed


@expanded
def group(
    group_size: Annotated[
        list[int], typer.Option("-g", "--group-size", help="Rollouts per group; repeatable.")
    ],
    p: Annotated[list[float], typer.Option("-p", help="Success rate of the prompt; repeatable.")],
    rule: Annotated[
        list[str] | None,
        OneOf(RULE_NAMES, own=True),
        typer.Option("--rule", help="Advantage rule; repeatable; four of them if not given."),
    ] = None,
    mode: Annotated[
        float | None,
        typer.Option(help="Chance per rollout of a rare way of being right, at most -p."),
    ] = None,
    true_positive: Annotated[
        float,
        typer.Option(help="Chance that the grader passes a right one.", rich_help_panel=_REWARDS),
    ] = 1.0,
    false_positive: Annotated[
        float,
        typer.Option(help="Chance that it passes a wrong one.", rich_help_panel=_REWARDS),
    ] = 0.0,
    beside: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="CHANCE WEIGHT",
            help="A second reward WEIGHT, independent and met with this CHANCE, such as a format.",
            rich_help_panel=_REWARDS,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a group of one prompt holds, and how sure a step is, for every rule.

    Shares of groups without a signal, the spread of rewards, rare right answers that
    a mixed group misses; then the drift of one step, its signal to noise and its
    gradient masses, with a grader that errs or a second reward where given.

    Example: grpolab group -g 8 -g 32 -p 0.1 --mode 0.01
    """
    errs = {"true_positive": true_positive, "false_positive": false_positive}
    if beside is not None and not (0 <= beside[0] <= 1 and math.isfinite(beside[1])):
        raise UserError(
            "--beside: CHANCE must lie in [0, 1] and WEIGHT be finite,"
            f" got {beside[0]:g} {beside[1]:g}"
        )
    cells = [(g, chance) for g in group_size for chance in p]
    with input_errors():
        groups = [_group(g, chance, mode, errs, beside) for g, chance in cells]
        steps = [_step(name, g, chance, errs) for name in rule or _RULES for g, chance in cells]
    if as_json:
        asked = {"grader": errs, "mode": mode, "beside": beside}
        print_json({**asked, "groups": groups, "steps": steps})
        return
    _show(groups, steps, mode, errs, beside)


def _group(
    g: int, p: float, mode: float | None, errs: dict[str, float],
    beside: tuple[float, float] | None,
) -> dict[str, Any]:  # fmt: skip
    """What groups of g hold: shares of marks, of modes, and of sums of rewards."""
    from grpolab import theory

    seen = float(theory.seen_rate(p, **errs))
    found: dict[str, Any] = {
        "group_size": g,
        "p": p,
        "seen": seen,
        "all_wrong": float(theory.prob_all_wrong(seen, g)),
        "all_right": float(theory.prob_all_right(seen, g)),
        "zero_std": float(theory.prob_zero_std(seen, g)),
        "expected_std": float(theory.expected_std(seen, g)),
        "mode": None,
        "beside": None,
    }
    if mode is not None:
        if errs != {"true_positive": 1.0, "false_positive": 0.0}:
            raise UserError("--mode needs a grader that does not err: what it passes has no mode")
        inside = 0 < mode < p < 1
        found["mode"] = {
            "missed": float(theory.prob_mode_missed(p, mode, g)),
            "held_if_mixed": float(theory.mode_share_of_signal(p, mode, g)),
            "worst_group_size": float(theory.most_missed_group_size(p, mode)) if inside else None,
        }
    if beside is not None:
        chance, weight = beside
        law = theory.sum_of_components(
            theory.reward_law([0.0, 1.0], [1.0 - seen, seen]),
            theory.reward_law([0.0, weight], [1.0 - chance, chance]),
        )
        found["beside"] = {
            "zero_std": theory.graded_zero_std(law, g),
            "expected_std": theory.graded_std(law, g) if g <= _LARGEST_SUM else None,
        }
    return found


def _step(name: str, g: int, p: float, errs: dict[str, float]) -> dict[str, Any]:
    """One step on one group of g: what moves the logit of p, per unit of learning rate."""
    from grpolab import theory

    law = rule_named(name)
    noise = theory.step_noise(law, p, group_size=g, **errs)
    mass = theory.gradient_mass(law, float(theory.seen_rate(p, **errs)), group_size=g)
    ratio = float(noise.snr)
    return {
        "rule": name,
        "group_size": g,
        "p": p,
        "drift": float(noise.mean),
        "std": math.sqrt(float(noise.variance)),
        "snr": None if math.isnan(ratio) else ratio,
        "groups_for_snr_1": math.ceil(1.0 / ratio) if ratio > 0 and math.isfinite(ratio) else None,
        "mass_right": float(mass.right),
        "mass_wrong": float(mass.wrong),
    }


def _show(
    groups: list[dict[str, Any]], steps: list[dict[str, Any]], mode: float | None,
    errs: dict[str, float], beside: tuple[float, float] | None,
) -> None:  # fmt: skip
    noisy = errs != {"true_positive": 1.0, "false_positive": 0.0}
    chosen: list[tuple[Column, Any]] = [
        (Column("g"), lambda row: row["group_size"]),
        (Column("p", significant), lambda row: row["p"]),
    ]
    if noisy:
        chosen.append((Column("rate that is seen", significant), lambda row: row["seen"]))
    chosen += [
        (Column("all wrong", percent), lambda row: row["all_wrong"]),
        (Column("all right", percent), lambda row: row["all_right"]),
        (Column("no signal", percent), lambda row: row["zero_std"]),
        (Column("mean std", significant), lambda row: row["expected_std"]),
    ]
    notes = []
    if mode is not None:
        chosen += [
            (Column("mixed, mode missed", percent), lambda row: row["mode"]["missed"]),
            (Column("mode held if mixed", percent), lambda row: row["mode"]["held_if_mixed"]),
            (Column("missed most at g", significant), lambda row: row["mode"]["worst_group_size"]),
        ]
        notes.append(f"The mode is a way of being right that {mode:g} of the rollouts take.")
    if beside is not None:
        chosen += [
            (Column("no signal, both", percent), lambda row: row["beside"]["zero_std"]),
            (Column("mean std, both", significant), lambda row: row["beside"]["expected_std"]),
        ]
        notes.append(f"Both: with a second reward of {beside[1]:g}, met with chance {beside[0]:g}.")
        if max(row["group_size"] for row in groups) > _LARGEST_SUM:
            notes.append(f"Its mean std is summed up to g = {_LARGEST_SUM}.")
    title = "Groups of one prompt"
    if noisy:
        title += " with a grader that errs: shares are those of its verdicts"
    rows = [[pick(row) for _, pick in chosen] for row in groups]
    print_table(Table([column for column, _ in chosen], rows, " ".join(notes), title=title))
    kept = ("rule", "group_size", "p", "drift", "std", "snr", "groups_for_snr_1", "mass_right",
            "mass_wrong")  # fmt: skip
    heads = (
        Column("rule", words=True), "g", Column("p", significant), Column("drift", significant),
        Column("std", significant), Column("signal to noise", significant),
        "groups for 1", Column("mass right", significant), Column("mass wrong", significant),
    )  # fmt: skip
    caption = (
        "Drift and std: of the logit of p by one group, per unit of learning rate. Signal to noise:"
        " drift squared over std squared; it grows with the number of groups that a step averages."
        " Masses: what right rollouts gain and wrong ones lose. A dash: there is none."
    )
    lines = [[step[name] for name in kept] for step in steps]
    print_table(Table(heads, lines, caption, title="One step"))
