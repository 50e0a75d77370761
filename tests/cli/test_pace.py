"""What the progress of a training run says: step, reward, zero-std share and pace."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np

from grpolab.cli.train import _Doing
from grpolab.validate.training.log import StepLog, StepRecord
from grpolab.validate.training.rundir import last_step, step_row


def line(step: int, reward: float) -> str:
    one = np.array([1])
    log = StepLog(step, reward, 0.25, 0.4, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 4096)
    return json.dumps(step_row(StepRecord(log, one, one + 1, one))) + "\n"


def test_progress_says_how_the_run_is_doing(tmp_path: Path) -> None:
    pace = _Doing(tmp_path)
    assert pace.words() == ""  # no step yet
    steps = tmp_path / "steps.jsonl"
    steps.write_text(line(0, 0.5))
    assert pace.words() == "step 1, reward 0.500, 25% zero-std"  # no pace yet
    steps.write_text(line(0, 0.5) + line(1, 0.625))
    said = pace.words()
    pattern = r"step 2, reward 0\.625, 25% zero-std, [0-9.e+-]+ s/step, [0-9,]+ tokens/s"
    assert re.fullmatch(pattern, said), said
    steps.write_text(line(0, 0.5) + line(1, math.nan))
    assert pace.words().startswith("step 2, reward -, 25% zero-std")


def test_a_line_that_is_half_written_is_no_step(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text(line(0, 0.5) + line(1, 0.75)[:30])
    found = last_step(tmp_path)
    assert found is not None
    assert (found["step"], found["mean_reward"]) == (0, 0.5)
    assert last_step(tmp_path / "none") is None
