"""What the arms made of a checkpoint, against the plain run of the same depth and seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grpolab.validate.study.arms import Arm
from grpolab.validate.study.families import Family
from grpolab.validate.study.measure import pass_rates
from grpolab.validate.study.record import ForceRun, Record, Run, RunKey
from grpolab.validate.study.results import ArmRow, Change, ForceRow, Lead
from grpolab.validate.study.summary import over_seeds, scores

KS = (1, 10, 64)
"""The k of the outcomes pass@k in which an arm is compared with the plain run."""
FIRST = 10
"""Steps over which the zero-std share at the start of RL is counted."""


def arm_table(record: Record) -> tuple[ArmRow, ...]:
    """One row per family, arm and depth: means over seeds, and differences from the plain run.

    Differences in final pass@k are paired by held-out prompt and seed, with 95% intervals over
    both.
    """
    config = record.config
    return tuple(
        _row(record, family, arm, depth)
        for family in config.parsed
        for arm in config.arms
        for depth in config.depths_of(arm)
    )


def _row(record: Record, family: Family, arm: Arm, depth: int) -> ArmRow:
    def run_of(seed: int, name: str) -> Run:
        return record.runs[RunKey(family.task, family.regime, seed, depth, name)]

    seeds = record.config.seeds
    runs = [run_of(seed, arm.name) for seed in seeds]
    plain = [] if arm.name == "plain" else [run_of(seed, "plain") for seed in seeds]
    steps = [run.steps for run in runs]
    start = [pass_rates(run.evals.select(run.evals.step == 0)) for run in runs]
    end = [pass_rates(run.eval.counts()) for run in runs]
    first, second = record.classes[family.task][:2]
    by_class = {
        name: [run.eval.of([label]).counts().by_prompt().rate.mean() for run in runs]
        for name, label in (("first_class", first), ("second_class", second))
        if label in runs[0].eval.label
    }
    against = {f"pass_at_{k}": _against(runs, plain, k) for k in KS
               if plain and f"pass_at_{k}" in end[0]}  # fmt: skip
    return ArmRow(
        family=family.name, arm=arm.name, question=arm.question, summary=arm.summary, depth=depth,
        temperature=_mean([run.settings.temperature for run in runs]),
        lr=_mean([run.settings.lr for run in runs]),
        num_prompts=_mean([run.settings.num_prompts for run in runs]),
        start_pass_at_1=_mean([rates["pass_at_1"] for rates in start]),
        start_pass_at_10=_mean([rates["pass_at_10"] for rates in start]),
        start_entropy=_mean([run.settings.eval_entropy[0] for run in runs]),
        start_zero_std=_mean(
            [run.groups.select(run.groups.step < FIRST).frac_zero_std for run in runs]
        ),
        zero_std=_mean([1 - s.num_informative.sum() / s.num_groups.sum() for s in steps]),
        rollouts=_mean([float(s.num_samples.sum()) for s in steps]),
        informative_groups=_mean([float(s.num_informative.sum()) for s in steps]),
        train_pass_at_1=_mean([run.train.counts().mean_reward for run in runs]),
        final_entropy=_mean([run.eval.mean_token_entropy() for run in runs]),
        clip_high=_mean([float(s.clip_high.mean()) for s in steps]),
        clip_low=_mean([float(s.clip_low.mean()) for s in steps]),
        kl=_mean([float(s.kl.mean()) for s in steps]),
        final={name: _mean([rates[name] for rates in end]) for name in end[0]},
        final_by_class={name: _mean(values) for name, values in by_class.items()},
        against_plain={name: found[0] for name, found in against.items()},
        p_values={name: found[1] for name, found in against.items()},
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _against(runs: Sequence[Run], plain: Sequence[Run], k: int) -> tuple[Lead, float]:
    """Mean difference in pass@k with its 95% interval, and the p-value of no difference."""
    table = []
    for one, other in zip(runs, plain, strict=True):
        mine, theirs = scores(one.eval, k), scores(other.eval, k)
        table.append([mine[i] - theirs[i] for i in mine])
    return over_seeds(np.array(table))


def force_table(record: Record) -> tuple[ForceRow, ...]:
    """One row per family, depth and force: how far p moved on watched prompts, over the seeds.

    ``change`` is the mean over seeds, ``stderr`` that of the mean: prompts within seeds.
    """
    table = []
    for family in record.config.parsed:
        for depth in record.config.depths:
            runs = [
                run
                for seed in record.config.seeds
                for run in record.forces[
                    RunKey(family.task, family.regime, seed, depth, "force")
                ].runs
            ]
            for name in dict.fromkeys(run.force for run in runs):
                mine = [run for run in runs if run.force == name]
                table.append(
                    ForceRow(
                        family=family.name, depth=depth, force=name, trains_on=mine[0].trains_on,
                        frac_zero_std=_mean([run.frac_zero_std for run in mine]),
                        mean_grad_norm=_mean([run.mean_grad_norm for run in mine]),
                        moved=_moved(mine),
                    )
                )  # fmt: skip
    return tuple(table)


def _moved(runs: Sequence[ForceRun]) -> dict[str, Change]:
    found = {}
    for kind in ("never", "always", "others"):
        cells = [run.moved[kind] for run in runs if kind in run.moved]
        if cells:
            found[kind] = Change(
                before=_mean([c.before for c in cells]),
                after=_mean([c.after for c in cells]),
                change=_mean([c.after - c.before for c in cells]),
                stderr=float(np.sqrt(sum(c.stderr**2 for c in cells)) / len(cells)),
                num_prompts=float(sum(c.num_prompts for c in cells)),
            )
    return found
