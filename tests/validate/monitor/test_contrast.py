"""What the trainer learns from against what the verdicts say, in files of TRL and verl."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.readers import ReadOptions

STEPS, GROUPS, SIZE = 60, 16, 4


def look(folder, **options):
    return Follower(find_source(folder), options=ReadOptions(**options)).look()


def trl(folder, rewards, advantage):
    """``rewards`` name -> f(rng) [G, g], ``advantage`` f(sum [G, g]) -> [G, g]."""
    rng = np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        values = {name: draw(rng) for name, draw in rewards.items()}
        total = sum(values.values())
        table = {
            "step": [step] * (GROUPS * SIZE),
            "prompt": [f"p{step}-{i}" for i in range(GROUPS) for _ in range(SIZE)],
            "completion": [f"completion {step} {i}" for i in range(GROUPS * SIZE)],
            **{name: np.asarray(v, float).ravel() for name, v in values.items()},
            "advantage": advantage(total).ravel(),
        }
        path = folder / "completions" / f"completions_{step:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path)
    return folder


def verl(folder, draw, text="text {step} {i} {j}"):
    rng = np.random.default_rng(0)
    for step in range(1, STEPS + 1):
        rows = [
            {"input": f"p{step}-{i}", "output": text.format(step=step, i=i, j=j), "score": s,
             "acc": float(s > 0.5), "step": step}
            for i, group in enumerate(draw(rng).tolist()) for j, s in enumerate(group)
        ]  # fmt: skip
        path = folder / f"{step}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(path, (path.stat().st_mtime - 500 + step,) * 2)
    return folder


def coins(rng):
    return (rng.random((GROUPS, SIZE)) < 0.5).astype(float)


def normalised(total):
    return (total - total.mean(1, keepdims=True)) / (total.std(1, ddof=1, keepdims=True) + 1e-4)


@pytest.mark.parametrize("options", [{"score": "score", "threshold": 0.5}, {"score": "acc"}, {}])
def test_graded_rewards_below_the_threshold_are_a_signal(tmp_path, options):
    """Every reward differs and none passes the threshold: the trainer learns."""
    folder = verl(tmp_path, lambda rng: rng.random((GROUPS, SIZE)) * 0.4)
    found = look(folder, **options)
    assert found.monitor.verdict == "healthy"
    assert any("all verdicts are equal and the rewards" in note for note in found.notes)


def test_two_rewards_that_cancel_are_no_signal(tmp_path):
    rng = np.random.default_rng(1)
    right = [coins(rng) for _ in range(STEPS)]
    first, second = iter(right), iter(right)
    rewards = {"accuracy": lambda _: next(first), "cost": lambda _: 1 - next(second)}
    folder = trl(tmp_path, rewards, normalised)
    found = look(folder, score="accuracy")
    assert (found.monitor.verdict, found.monitor.reason) == ("no-signal", "unknown")
    assert any("another reward cancels the one that is read" in note for note in found.notes)


def test_a_constant_reward_and_float32_leave_no_signal(tmp_path):
    def dusty(total):
        total = (np.float32(0.1) + total.astype(np.float32)).astype(np.float32)
        total[:, 0] += np.float32(6e-8)
        return normalised(total.astype(float))

    folder = trl(tmp_path, {"correct": lambda rng: np.zeros((GROUPS, SIZE))}, dusty)
    found = look(folder)
    assert (found.monitor.verdict, found.monitor.reason) == ("no-signal", "all wrong")


def test_small_unscaled_advantages_are_a_signal(tmp_path):
    folder = trl(tmp_path, {"score": lambda rng: 0.5 + 0.001 * rng.random((GROUPS, SIZE))},
                 lambda total: total - total.mean(1, keepdims=True))  # fmt: skip
    assert look(folder, threshold=0.9).monitor.verdict == "healthy"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_advantages_that_are_not_finite(tmp_path, value):
    folder = trl(tmp_path, {"correct": coins}, lambda total: np.full_like(total, value))
    found = look(folder)
    assert found.monitor.verdict == "not-finite"
    assert any("an advantage is NaN or infinite" in note for note in found.notes)


def test_copies_are_named(tmp_path):
    one = verl(tmp_path / "one", coins, text="the same words in all rollouts {step} {i}")
    found = look(one)
    copied = "all completions are the same text (1 distinct per group"
    assert any(copied in note for note in found.notes)
    short = verl(tmp_path / "short", coins, text="{i}")
    assert any("all completions are the same text" in note for note in look(short).notes)
    free = verl(tmp_path / "free", coins)
    assert not any("same text" in note for note in look(free).notes)


def test_two_different_completions_of_a_group_are_named(tmp_path):
    folder = verl(tmp_path, coins)
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for i, row in enumerate(rows):
            row["output"] = f"{row['input']}: " + f"variant {i % 2} " * 20
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any("at most half of the completions differ" in note for note in look(folder).notes)


def test_many_broken_files_are_one_note(tmp_path):
    folder = verl(tmp_path, coins)
    for step in range(10, 40):
        path = folder / f"{step}.jsonl"
        path.write_text(path.read_text().replace('"score"', '"points"').replace('"acc"', '"a"'))
        os.utime(path, (path.stat().st_mtime - 500 + step,) * 2)
    found = look(folder)
    assert len(found.notes) == 1
    assert any("and 29 more files alike" in note for note in found.notes)
    assert found.monitor.state.num_groups == 30 * GROUPS


def test_which_reward_makes_the_spread(tmp_path):
    rewards = {"correct": lambda rng: np.zeros((GROUPS, SIZE)), "format": coins}
    found = look(trl(tmp_path, rewards, normalised), score="correct")
    assert found.monitor.verdict == "healthy"
    (note,) = (n for n in found.notes if "each reward function varies" in n)
    assert "correct 0%, format 8" in note
    assert note.endswith("the spread is that of format, hardly any of correct")
