"""TRL on two processes: groups lie on both, one of them writes."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("trl")


def launch(*args):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node",
               "2", "-m", "grpolab", *map(str, args)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_two_processes_train_one_run_and_go_on(folders, words, tmp_path):
    """3 groups of 4 on 2 processes: the second group is cut in two."""
    data = tmp_path / "words.jsonl"
    rows = [{"prompt": p.text, "answer": "abc"[p.id % 3]} for p in words.prompts()]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run"
    args = ("train", folders / "start", "--trainer", "trl", "--task", data, "--verifier", "exact",
            "--max-new-tokens", 2, "--prompts-per-step", 3, "-g", 4, "--lr", 1e-2, "--warmup", 1,
            "--save-every", 2, "--out", out, "--json")  # fmt: skip
    launch(*args, "--steps", 2)
    assert json.loads(launch(*args, "--steps", 4))["steps"] == 4  # one object: one process prints
    steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in steps] == [0, 1, 2, 3]
    assert all(row["group_size"] == [4, 4, 4] for row in steps)
    assert all(len(set(row["prompt_id"])) == 3 for row in steps)
    assert sum(sum(row["num_correct"]) for row in steps) > 0
    state = json.loads((out / "checkpoints" / "checkpoint-4" / "trainer_state.json").read_text())
    for row, log in zip(steps, state["log_history"], strict=False):  # what TRL itself gathered
        assert row["mean_reward"] == pytest.approx(log["reward"])
        assert row["frac_zero_std"] == pytest.approx(log["frac_reward_zero_std"])
    assert (out / "checkpoints" / "checkpoint-4" / "rng_state_1.pth").is_file()
