"""The report's section on starts that differ in their SFT data alone, and the sentences on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpolab.figures import page
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.summary import OUTCOMES, label

_BEFORE = ("pass_at_1", "greedy", "pass_at_10", "pass_at_64", "pass_at_256", "token_entropy",
           "held_out_nll", "signal", "icc")  # fmt: skip
_AFTER = ("final_pass_at_1", "final_pass_at_10", "final_pass_at_64", "gain_pass_at_1")


def sections(results: Mapping[str, Any]) -> list[str]:
    """One section per task: the starts, what RL made of them, and who picks the best one."""
    return [_section(task, found) for task, found in results.get("starts", {}).items()]


def _section(task: str, found: Mapping[str, Any]) -> str:
    starts = page.table(
        ["start", "what", *map(label, (*_BEFORE, *_AFTER))],
        [
            [e["start"], REGIMES[e["start"]].summary, *(e.get(m) for m in (*_BEFORE, *_AFTER))]
            for e in found["by_start"]
        ],
        caption="Same number of SFT steps for all. Means over seeds; log-likelihoods in nats per"
        " canonical answer.",
    )
    regret = page.table(
        ["choose by", "picks", *map(label, OUTCOMES[:4])],
        [[label(e["predictor"]), e["picks"], *(e[o] for o in OUTCOMES[:4])]
         for e in found["regret"]],
        caption="What choosing the start by each predictor costs against the best one.",
    )  # fmt: skip
    return page.section(f"Starts that differ in their SFT data ({task})", starts, regret)


def findings(results: Mapping[str, Any]) -> list[str]:
    """Each data-level claim of arXiv 2510.01624, and what happened here."""
    out = []
    for task, found in results.get("starts", {}).items():
        for claim in found["claims"]:
            one, two = claim["better"], claim["worse"]
            parts = [
                f"{name} {when} RL {_pair(claim[f'{key}_{when}'])}"
                for key, name in (("pass_at_1", "pass@1"), ("pass_at_10", "pass@10"))
                for when in ("before", "after")
            ]
            out.append(
                f"**{_verdict(claim['pass_at_1_after'])} on {task}: {REGIMES[one].summary} end"
                f" better after RL than {REGIMES[two].summary}** (data-level claim of arXiv"
                f" 2510.01624). Difference in {', '.join(parts)} (95 % over prompts and seeds)."
            )
        cost = {e["predictor"]: e["final_pass_at_1"] for e in found["regret"]}
        best = ", ".join(f"{label(k)} {v:.3f}" for k, v in sorted(cost.items(), key=lambda x: x[1]))
        out.append(f"Choosing among these starts costs, in final pass@1: {best}.")
    return out


def _verdict(pair: Mapping[str, float]) -> str:
    if pair["low"] > 0:
        return "Confirmed"
    return "Reversed" if pair["high"] < 0 else "Not distinguishable"


def _pair(pair: Mapping[str, float]) -> str:
    return f"{pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]"
