"""Every arm that the literature names runs, and what it changes is what it says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from grpolab.validate.models import TinyConfig
from grpolab.validate.study import preset, selection
from grpolab.validate.study.arms import PLAIN, SFT_VARIANTS, cures
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.jobs import StudyJob, plan
from grpolab.validate.study.main import RECORD, run
from grpolab.validate.study.record import Record, Start
from grpolab.validate.study.results import Results
from grpolab.validate.tasks import Prompt
from grpolab.validate.training.restart import RESTARTS

pytest.importorskip("torch")


def small():
    config = preset("cures")
    return dataclasses.replace(
        config,
        seeds=(0,),
        families=("countdown/shift",),
        model=TinyConfig(hidden=32, layers=1, arch="gpt-neox"),
        base=BaseConfig(steps=60, batch_size=64, lr=1e-2),
        sft=dataclasses.replace(config.sft, depths=(2, 8), batch_size=16),
        grpo=dataclasses.replace(config.grpo, steps=2, prompts_per_step=8, eval_every=2),
        arms=(PLAIN, *cures(2, 8)),
        eval_prompts=16,
        num_samples=16,
        quick_samples=10,
        train_prompts=24,
        train_samples=8,
    )


def test_the_arms_name_what_there_is():
    arms = cures(8, 2048)
    assert len({arm.name for arm in arms}) == len(arms)
    assert {arm.sft for arm in arms} <= set(SFT_VARIANTS)
    assert {arm.restart for arm in arms} - {""} == set(RESTARTS)
    config = preset("cures")
    for arm in arms:
        config.grpo_of(arm)
        config.sft_of(arm.sft)
    betas = [dict(arm.changes)["beta"] for arm in arms if "beta" in dict(arm.changes)]
    assert betas == [0.01, 0.05, 0.5]
    smooth = {dict(SFT_VARIANTS[arm.sft]).get("label_smoothing") for arm in arms} - {None}
    assert smooth == {0.05, 0.1, 0.2}
    assert len(config.families) == 2
    assert len(config.seeds) == 3


def test_too_few_unsolved_prompts_are_filled_up_from_the_hardest(monkeypatch):
    prompts = [Prompt(i, str(i), "add") for i in range(6)]
    rate = np.array([0.5, 0.0, 0.1, 0.9, 0.0, 0.3])
    monkeypatch.setattr(selection, "prompt_rates", lambda *a, **k: (prompts, rate))
    arm = next(arm for arm in cures(8, 2048) if arm.prompts == "unsolved")
    for least, chosen in ((2, [1, 4]), (4, [1, 4, 2, 5])):
        config = small()
        grpo = dataclasses.replace(config.grpo, prompts_per_step=least)
        config = dataclasses.replace(config, grpo=grpo)
        job = StudyJob("key", "rl", (), 1.0, "countdown", arm=arm)
        found = selection.select_prompts(config, job, prompts, root=Path())
        assert [prompt.id for prompt in found] == chosen


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_every_arm_runs_and_plasticity_is_kept_at_every_depth(tmp_path):
    config = small()
    run(config, out=tmp_path / "run")
    record = Record.read(tmp_path / "run" / RECORD)
    assert len(record.runs) == sum(1 for job in plan(config) if job.kind == "rl")
    assert set(record.plasticity) == {Start("countdown", "narrow", 0, d) for d in (2, 8)}
    results = Results.read(tmp_path / "run" / "results.json")
    for row in results.rows:
        assert row.before.plasticity is not None
        assert 0 <= row.before.plasticity.dormant <= 1
        assert 1 <= row.before.plasticity.effective_rank <= 16
        assert np.isfinite(row.after.first_grad_norm)
    assert {row.arm for row in results.arms} == {arm.name for arm in config.arms}
