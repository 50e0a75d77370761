"""The trial's runner: seeds from the protocol, resumed after a kill, one file per design."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.study.runner import run_jobs
from grpolab.validate.study.tasks import make_task
from grpolab.validate.study.trial import main
from grpolab.validate.study.trial import protocol as module
from grpolab.validate.study.trial.counts import read_design
from grpolab.validate.study.trial.main import run_trial
from grpolab.validate.study.trial.protocol import PROTOCOL, PROTOCOL_SHA256, parse, protocol
from grpolab.validate.study.trial.work import TrialJob, held_out, mixed, plan, run_trial_job

PAGE = Path(__file__).parents[3] / "docs/preregistration.md"


def test_protocol_is_the_recorded_one() -> None:
    assert hashlib.sha256(PROTOCOL.read_bytes()).hexdigest() == PROTOCOL_SHA256
    assert PROTOCOL_SHA256 in PAGE.read_text(encoding="utf-8")


def test_a_changed_protocol_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "protocol.json"
    other.write_bytes(PROTOCOL.read_bytes() + b"\n")
    monkeypatch.setattr(module, "PROTOCOL", other)
    protocol.cache_clear()
    try:
        with pytest.raises(UserError, match="not the protocol that was fixed"):
            protocol()
    finally:
        protocol.cache_clear()


def test_designs_are_what_the_issue_of_the_trial_asks() -> None:
    fixed = protocol()
    designs = fixed.designs
    assert len(designs) >= 24
    assert len({d.name for d in designs}) == len(designs)
    assert all(len(d.depths) == 5 for d in designs)
    assert fixed.sft_seeds == fixed.rl_seeds == 2
    assert max(d.steps for d in designs) >= 8 * min(d.steps for d in designs)
    assert {d.sft for d in designs} == {"plain", "smooth", "pear"}
    assert len({d.task for d in designs} - {"countdown", "programs", "coins"}) >= 2
    low = [d for d in designs if d.low_p]
    assert len(low) >= 4
    assert {d.first_share > 0 for d in low} == {True, False}
    assert any(0 in d.depths for d in designs)
    assert all(d.ladder.depths and d.grpo.steps == d.steps and d.model.hidden for d in designs)
    for field in ("lr", "group_size", "noise", "hidden", "data"):
        assert len({getattr(d, field) for d in designs}) >= 3


def test_seeds_depend_on_every_part() -> None:
    fixed = protocol()
    seeds = {
        fixed.seed(d.name, "rl", s, depth, r)
        for d in fixed.designs for s in (0, 1) for depth in d.depths for r in (0, 1)
    }  # fmt: skip
    assert len(seeds) == 20 * len(fixed.designs)
    changed = parse(fixed.words, sha256="0" * 64)
    assert changed.seed("a") != fixed.seed("a")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_mixed_prompts_have_their_share_everywhere(share: float) -> None:
    task = make_task("countdown", seed=1)
    found = mixed(task.prompts("eval"), task, first_share=share, size=128)
    first = np.array([p.label == task.classes[0] for p in found])
    assert len({p.id for p in found}) == 128
    assert first.sum() == round(128 * share)
    assert abs(first[:64].mean() - share) < 0.02
    trained = mixed(task.prompts("rl"), task, first_share=share)
    assert len(trained) >= 1400
    with pytest.raises(ValueError, match="too few prompts"):
        mixed(task.prompts("eval"), task, first_share=share, size=1200)


TINY = {
    **protocol().words,
    "sizes": {
        "held_out_prompts": 12, "samples_before_and_after": 16, "samples_during": 4,
        "schedule": [0, 25], "sft_seeds": 1, "rl_seeds": 2,
    },
    "defaults": {
        "noise": 0.4, "hidden": 32, "layers": 1, "base_steps": 3, "sft": "plain",
        "depths": [0, 2], "lr": 1e-4, "group_size": 4, "prompts_per_step": 4,
    },
    "designs": [
        {"name": "one", "task": "labels", "data": "narrow", "first_share": 0.5, "steps": 26},
        {"name": "two", "task": "routes", "data": "narrow", "first_share": 0.0, "steps": 1},
    ],
}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> module.Protocol:
    found = parse(TINY, sha256=hashlib.sha256(json.dumps(TINY).encode()).hexdigest())
    monkeypatch.setattr(main, "protocol", lambda: found)
    return found


@pytest.mark.usefixtures("in_this_process")
def test_runs_stops_and_goes_on(tmp_path: Path, tiny: module.Protocol) -> None:
    one, two = tiny.designs
    assert run_trial(tmp_path, workers=1, minutes=0)["left"] == 5
    done = run_trial(tmp_path, designs=["one"], workers=1)
    assert (done["done"], done["left"]) == (1, 0)
    counts = read_design(tiny, one, tmp_path)
    assert counts.before.shape == (1, 2, 12)
    assert counts.end.shape == (1, 2, 2, 12)
    assert sorted(counts.curve) == [0, 25]
    assert counts.train_correct.shape == (1, 2, 2, 26)
    assert counts.before.max() <= 16
    assert set(counts.measures) == {"nll", "nll-first", "entropy", "dormant", "rank"}
    assert not (tmp_path / ".work" / "one").exists()
    said = json.loads((tmp_path / "result.json").read_text())
    assert said["done"] == ["one"]
    assert {v["verdict"] for v in said["verdicts"]} == {"not decided yet"}
    # a fresh clone has the two files of the design and nothing else
    clone = tmp_path / "clone"
    clone.mkdir()
    for path in tmp_path.glob("*.parquet"):
        (clone / path.name).write_bytes(path.read_bytes())
    assert run_trial(clone, designs=["one"], minutes=0)["left"] == 0
    assert run_trial(clone, designs=["two"], minutes=0)["left"] == 5
    with pytest.raises(UserError, match="unknown design 'three'"):
        run_trial(clone, designs=["three"])
    other = parse(TINY, sha256="f" * 64)
    with pytest.raises(UserError, match="another protocol"):
        read_design(other, one, clone)
    with pytest.raises(UserError, match="no such file"):
        read_design(tiny, two, clone)


@pytest.mark.slow
def test_a_cluster_gives_the_same_counts(tmp_path: Path, tiny: module.Protocol) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip("distributed")
    design = tiny.designs[1]
    jobs = plan(tiny, design)
    found = []
    for name, backend in (("here", "local"), ("there", "dask")):
        root = tmp_path / name
        root.mkdir()
        left = run_jobs(
            functools.partial(run_trial_job, tiny), jobs, root=root, workers=2,
            backend=backend,  # type: ignore[arg-type]
        )  # fmt: skip
        assert left == 0
        found.append([(root / job.key / "result.json").read_text() for job in jobs])
    assert found[0] == found[1]


def test_held_out_prompts_are_never_trained_on(tiny: module.Protocol) -> None:
    for design in tiny.designs:
        task = make_task(design.task, seed=3)
        asked = {p.id for p in held_out(tiny, design, task)}
        trained = {p.id for split in ("base", "sft", "rl") for p in task.prompts(split)}
        assert not asked & trained
    assert TrialJob(tiny.designs[0], 0, 2, 1).key == "one/rl/sft0/depth2/rl1"
