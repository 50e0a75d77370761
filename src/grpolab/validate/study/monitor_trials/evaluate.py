"""Judge the monitor on real tiny runs that are all trained to their end.

``python -m grpolab.validate.study.monitor_trials.evaluate --out FILE``.

Every run is trained to its end; which ones were doomed is read off held-out prompts, not off the
scenario. Each rule is then replayed on the steps of every run.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from grpolab.store import write_json
from grpolab.validate.monitor.monitor import SignalMonitor
from grpolab.validate.study.monitor_trials.rules import RULES
from grpolab.validate.study.monitor_trials.runs import (
    GROUP_SIZE,
    PROMPTS_PER_STEP,
    TASK,
    TrialRun,
    build_starts,
    run_trial,
    scenarios,
)

_EXAMPLES = ("plain", "rate rises too high", "outage", "grader rejects all")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the start points, run everything, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--starts", type=Path, help="seed*/depth* checkpoints, kept between calls")
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)  # the models are tiny, and the numbers depend on it
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.starts or Path(scratch)
        runs = _run_all(root, seeds=options.seeds, steps=options.steps)
    spent = time.process_time() - begin
    write_json(options.out, {**summarise(runs, steps=options.steps), **_setting(options, spent)})


def _run_all(root: Path, *, seeds: int, steps: int) -> list[TrialRun]:
    kinds = scenarios(steps=steps)
    runs = []
    for seed in range(seeds):
        build_starts(root, seed=seed, depths=sorted({kind.depth for kind in kinds}))
        for kind in kinds:
            runs.append(run_trial(root, kind, seed=seed, steps=steps))
            sys.stderr.write(f"seed {seed}: {kind.name}, depth {kind.depth}\n")
    return runs


def _setting(options: argparse.Namespace, spent: float) -> dict[str, Any]:
    import torch
    import transformers

    return {
        "setting": {
            "task": TASK, "steps": options.steps, "seeds": options.seeds,
            "prompts_per_step": PROMPTS_PER_STEP, "group_size": GROUP_SIZE,
            "python": platform.python_version(), "torch": torch.__version__,
            "transformers": transformers.__version__, "cpu_seconds": round(spent),
        }
    }  # fmt: skip


def summarise(runs: Sequence[TrialRun], *, steps: int) -> dict[str, Any]:
    """Every run with the step at which each rule stops it, and what each rule is worth."""
    stops = [{name: rule(run.views) for name, rule in RULES.items()} for run in runs]
    return {
        "rules": {
            name: rule_value([s[name] for s in stops], [r.doomed for r in runs], steps=steps)
            for name in RULES
        },
        "runs": [_row(run, stop) for run, stop in zip(runs, stops, strict=True)],
        "examples": {name: _example(runs, name) for name in _EXAMPLES},
    }


def rule_value(
    stops: Sequence[int | None], doomed: Sequence[bool], *, steps: int
) -> dict[str, Any]:
    """What a rule catches, what it stops wrongly, and the share of rollouts that it saves.

    ``saved``: of the rollouts of doomed runs, those never drawn; ``lost``: the same of good runs.

    >>> rule_value([50, None, 150], [True, True, False], steps=200)["saved"]
    0.375
    """
    bad = [s for s, d in zip(stops, doomed, strict=True) if d]
    good = [s for s, d in zip(stops, doomed, strict=True) if not d]

    def share(part: list[int | None]) -> float | None:
        return sum(steps - s for s in part if s) / (steps * len(part)) if part else None

    caught = [s for s in bad if s]
    return {
        "doomed": len(bad),
        "caught": len(caught),
        "median_step": median(caught) if caught else None,
        "good": len(good),
        "false_stops": sum(s is not None for s in good),
        "saved": share(bad),
        "lost": share(good),
    }


def _row(run: TrialRun, stops: dict[str, int | None]) -> dict[str, Any]:
    kind = run.scenario
    return {
        "name": kind.name, "depth": kind.depth, "prompts": kind.prompts, "lr": kind.lr,
        "entropy_coef": kind.entropy_coef, "seed": run.seed, "before": round(run.before, 4),
        "gain": round(run.gain, 4), "gain_low": round(run.gain_low, 4), "doomed": run.doomed,
        "frac_informative": [round(x, 3) for x in _thirds(run)], "stops": stops,
    }  # fmt: skip


def _thirds(run: TrialRun) -> list[float]:
    """Share of informative groups in the first, second and last third of a run."""
    out = []
    for i in range(3):
        part = run.views[i * len(run.views) // 3 : (i + 1) * len(run.views) // 3]
        groups = [v.groups for v in part if v.groups is not None]
        total = sum(g.num_groups for g in groups)
        out.append(sum(g.num_informative for g in groups) / total if total else float("nan"))
    return out


def _example(runs: Sequence[TrialRun], name: str) -> dict[str, Any]:
    """The series of the first run of a scenario, for the figure."""
    run = next(r for r in runs if r.scenario.name == name)
    monitor, evidence, stop = SignalMonitor(), [], None
    for view in run.views:
        alarms = monitor.observe(view)
        if stop is None and any(a.name == "no-signal" for a in alarms):
            stop = view.step
        evidence.append(float(f"{monitor.evidence:.4g}"))
    return {
        "step": [v.step for v in run.views],
        "num_groups": [v.groups.num_groups if v.groups else 0 for v in run.views],
        "num_informative": [v.groups.num_informative if v.groups else 0 for v in run.views],
        "evidence": evidence,
        "stop": stop,
    }


if __name__ == "__main__":
    main()
