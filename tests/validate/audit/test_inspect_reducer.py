"""The reducer of inspect_ai gives the number of `grpolab audit` on the same log."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from grpolab import audit, read, thin_zero_std
from grpolab.validate.audit import inspect_reducer
from grpolab.validate.audit.inspect_reducer import NAME, share_equal, zero_std


def test_of_binary_rewards_it_is_thinning() -> None:
    for correct in range(9):
        rewards = [1.0] * correct + [0.0] * (8 - correct)
        for k in (2, 3, 8):
            wanted = float(thin_zero_std(8, correct, k))
            assert share_equal(rewards, k) == pytest.approx(wanted, abs=1e-15)


def test_equal_but_for_rounding_is_equal() -> None:
    assert share_equal([0.1 + 0.2, 0.3, 0.3], 3) == 1.0
    assert share_equal([0.3, 0.3001, 0.3], 3) == 0.0
    assert math.isnan(share_equal([1.0], 2))


def test_a_group_has_two_members() -> None:
    with pytest.raises(ValueError, match="k must be >= 2, got 1"):
        zero_std(1)


RUN = """
import json, random
from inspect_ai import Epochs, Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from grpolab.validate.audit.inspect_reducer import zero_std

chance = random.Random(0)
outputs = [ModelOutput.from_content("mockllm/model", chance.choice("ab")) for _ in range(48)]
for output in outputs:  # a stated usage keeps inspect_ai from fetching a tokenizer
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
(log,) = eval(
    Task(
        dataset=[Sample(id=i, input=str(i), target="a") for i in range(8)], scorer=match(),
        epochs=Epochs(6, ["mean", zero_std(3), "grpolab/zero_std_4"]),
    ),
    model=get_model("mockllm/model", custom_outputs=outputs), log_dir=".", display="none",
    max_connections=1, max_samples=1,
)
assert log.status == "success", log.error
print(json.dumps({s.reducer: s.metrics["accuracy"].value for s in log.results.scores}))
"""


def test_it_equals_the_audit_of_the_log(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (log,) = tmp_path.glob("*.eval")
    reading = read(log)
    assert reading.counts.group_size.tolist() == [6] * 8
    plans = audit(reading.counts, rng=0, group_sizes=[3, 4]).plans
    for size in (3, 4):
        predicted = plans[size].prediction.zero_std
        assert 0 < predicted < 1
        assert found[f"{NAME}_{size}"] == pytest.approx(predicted, abs=1e-12)


def test_the_entry_point_is_the_module_that_registers_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["inspect_ai"]
    assert points == {NAME.partition("/")[0]: inspect_reducer.__name__}
