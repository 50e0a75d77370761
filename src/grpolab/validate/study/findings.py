"""Plain-language findings, every number and every verdict computed from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grpolab.validate.study import causes_report, shootout_report, starts_report
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES

_LEVEL = 0.05
_FEW = 2  # families that get a sentence each


def findings(config: StudyConfig, results: Mapping[str, Any]) -> list[str]:
    """Sentences for the head of the report, the most consequential first."""
    if "tuning" in results:
        return [_tuning(results["tuning"])]
    families: Mapping[str, Any] = results.get("families", {})
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    out = [_zero_std(rows, config), _variance(rows), _early(rows)]
    for part in (shootout_report, causes_report, starts_report):
        out += part.findings(results)
    if len(families) > _FEW:
        out.append(_inversions(families, results["shootout"]["truth"]))
    else:
        out += [ladder_text(name, family) for name, family in families.items()]
    out += [_independence(results["independence"])] if "independence" in results else []
    out += [_thresholds(results, config)] if "thresholds" in results else []
    return out


def _pct(value: float) -> str:
    """A share as a percentage, one decimal below 10 %.

    >>> _pct(0.834), _pct(0.021)
    ('83 %', '2.1 %')
    """
    return f"{100 * value:.0f} %" if abs(value) >= 0.0995 else f"{100 * value:.1f} %"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _interval(pair: Mapping[str, float]) -> str:
    return f"{_signed(pair['difference'])} [{_signed(pair['low'])}, {_signed(pair['high'])}]"


def _zero_std(rows: Sequence[Mapping[str, Any]], config: StudyConfig) -> str:
    error = {
        name: [abs(r["pre"]["predicted"][name]["zero_std"] - r["pre"]["observed"]["zero_std"])
               for r in rows]
        for name in ("mean-p", "beta-binomial", "thinning")
    }  # fmt: skip
    worst = rows[int(np.argmax(error["mean-p"]))]
    said = worst["pre"]["predicted"]["mean-p"]["zero_std"]
    seen = worst["pre"]["observed"]["zero_std"]
    mean = {name: float(np.mean(values)) for name, values in error.items()}
    verdict = "fails" if mean["mean-p"] > 0.05 else "holds"
    return (
        f"**The formula at the mean success rate {verdict} for groups without a signal.** Over"
        f" {len(rows)} checkpoints it misses their share by {mean['mean-p']:.3f} on average (worst:"
        f" {worst['family']}, depth {worst['depth']}: it says {_pct(said)}, {_pct(seen)} of the"
        f" groups of {config.grpo.group_size} have identical rewards). With the measured intraclass"
        f" correlation (ICC) the miss is {mean['beta-binomial']:.3f}; thinning a few earlier"
        f" rollouts per prompt misses by {mean['thinning']:.3f}."
    )


def _variance(rows: Sequence[Mapping[str, Any]]) -> str:
    seen = np.array([r["pre"]["observed"]["variance"] for r in rows])
    guess = np.array([r["pre"]["predicted"]["mean-p"]["variance"] for r in rows])
    fixed = np.array([r["pre"]["predicted"]["beta-binomial"]["variance"] for r in rows])
    if not seen.any():
        return "No group on any checkpoint held both rewards: there is nothing to learn from."
    ratio = guess[seen > 0] / seen[seen > 0]
    return (
        f"**The variance formula needs the factor 1 - ICC.** The within-group variance is"
        f" {ratio.min():.1f} to {ratio.max():.1f} times smaller than `p(1-p)(g-1)/g` at the mean p;"
        " multiplied by 1 - ICC the formula is right to"
        f" {float(np.abs(fixed - seen).max()):.4f} on every checkpoint, on independent draws."
    )


def _early(rows: Sequence[Mapping[str, Any]]) -> str:
    def miss(window: int, name: str) -> float:
        cells = [r["early"]["windows"][window]["zero_std"] for r in rows]
        return float(np.mean([abs(c[name]) for c in cells]))

    last = rows[0]["early"]["windows"][-1]
    final = len(rows[0]["early"]["windows"]) - 2
    late = rows[0]["early"]["windows"][final]
    return (
        f"**The first {last['to']} GRPO steps.** The formula misses the zero-std share by"
        f" {miss(-1, 'mean-p'):.3f} even when it is given each step's own mean reward. Thinned"
        f" rollouts from before RL miss it by {miss(0, 'thinning'):.3f} in the first 10 steps and"
        f" by {miss(final, 'thinning'):.3f} in steps {late['from']} to {late['to']}, as the policy"
        " moves on."
    )


def ladder_text(name: str, family: Mapping[str, Any]) -> str:
    """What pass@1 before RL picks in a family, what ends best, and what of its lead RL made."""
    found = family["inversion"]
    head = (
        f"**Family {name}** ({REGIMES[family['regime']].summary}): pass@1 before RL picks depth"
        f" {found['picked']}. "
    )
    verdicts = [_verdict(found, key, label) for key, label in _METRIC_NAMES]
    return head + " ".join(verdicts)


_METRIC_NAMES = (("pass_at_1", "pass@1"), ("pass_at_10", "pass@10"))


def _verdict(found: Mapping[str, Any], key: str, label: str) -> str:
    entry = found[key]
    if "after" not in entry:
        return f"That depth also ends best in {label}: no inversion."
    before, after = entry["before"], entry["after"]
    lead = (
        f"In {label} depth {entry['best']} ends best; its lead over depth {found['picked']} is"
        f" {_interval(before)} before RL and {_interval(after)} after it (95 % over prompts): "
    )
    if after["low"] <= 0:
        return lead + "no inversion that these prompts can tell from chance."
    if before["high"] < 0:
        return lead + "a rank inversion."
    if before["low"] > 0:
        there = before["difference"] / after["difference"]
        if there >= 1:
            return lead + "the whole lead was there before RL, which did not widen it."
        return lead + f"{_pct(there)} of the final lead was there before RL."
    return lead + "not distinguishable before RL, ahead after it."


def _inversions(families: Mapping[str, Any], truth: Sequence[Mapping[str, Any]]) -> str:
    """How often pass@1 before RL picks too deep, and what of the lead was there before RL."""
    parts = []
    for key, label in _METRIC_NAMES:
        mine = [row for row in truth if row["outcome"] == f"final_{key}"]
        yes = [row["family"] for row in mine if row["inverted"]]
        seeds = float(np.mean([row["in_seeds"] for row in mine]))
        leads = [f["inversion"][key] for f in families.values() if "after" in f["inversion"][key]]
        real = [lead for lead in leads if lead["after"]["low"] > 0]
        made = [lead for lead in real if lead["before"]["difference"] < lead["after"]["difference"]]
        parts.append(
            f"in final {label} in {len(yes)} of {len(mine)} families ({', '.join(yes) or 'none'};"
            f" {_pct(seeds)} of the ladders of single seeds), where another start than its pick"
            f" leads in {len(real)} families beyond chance, in {len(made)} by more than before RL"
        )
    return (
        "**How often does pass@1 pick too deep a start?** A shallower one ends better by more than"
        f" .02: {'; '.join(parts)}."
    )


def _independence(found: Mapping[str, Any]) -> str:
    icc = [row["icc"] for row in found["rows"]]
    verdict = found["verdict"]
    head = "is not rejected" if verdict["least_adjusted_p"] >= _LEVEL else "is rejected"
    return (
        f"**Independence of the rewards of a group, given the prompt, {head}** on"
        f" {verdict['num_tests']} checkpoints (exact permutation tests, smallest p"
        f" {verdict['least_p']:.3f}, {verdict['least_adjusted_p']:.2f} after Holm's correction;"
        f" mean correlation {verdict['mean_rho']:+.4f} with standard error"
        f" {verdict['mean_rho_stderr']:.4f}). Between prompts the rewards are far from independent:"
        f" ICC {min(icc):.2f} to {max(icc):.2f}."
    )


def _thresholds(results: Mapping[str, Any], config: StudyConfig) -> str:
    g = config.grpo.group_size
    cells = results["thresholds"]["rows"]
    mine = {r["rho"]: r for r in cells if r["event"] == "identical" and r["group_size"] == g}
    plain, spread = mine[0.0], mine[max(mine)]
    inside = sum(r["low"] <= r["predicted"] <= r["high"] for r in cells)
    lowest = min(r["pre"]["pass_at_1"] for r in results["rows"])
    most = max(r["pre"]["observed"]["zero_std"] for r in results["rows"])
    text = (
        f"**p*({g}) = {plain['predicted']:.4f}** is derived; simulation that does not use the"
        f" formula finds {plain['low']:.4f} to {plain['high']:.4f}. At ICC {max(mine):g} it is"
        f" {spread['predicted']:.3f} ({inside} of {len(cells)} simulated 99 % intervals hold the"
        f" derived value). The lowest mean of a checkpoint here is {lowest:.2f}, and up to"
        f" {_pct(most)} of the groups are without a signal"
    )
    if lowest > plain["predicted"]:
        return (
            text + ": p* is a property of a prompt, and being far above it on average is no"
            " sign of a signal."
        )
    return text + "."


def _tuning(found: Mapping[str, Any]) -> str:
    parts = [f"{e['lr']:g}: {e['mean_final_pass_at_1']:.3f}" for e in found["table"]]
    return (
        "Mean final pass@1 over all depths by learning rate: " + ", ".join(parts) + f". The rate"
        f" with the best mean is {found['chosen']:g}."
    )
