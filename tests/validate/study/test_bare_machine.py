"""The gpu preset where torch, transformers and accelerate are, and no TRL, datasets, peft, gguf."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grpolab.store import read_json

pytest.importorskip("torch")

STUDY = """
import dataclasses
import sys

# absent, in the workers too: they import this file
sys.modules.update(dict.fromkeys(("trl", "datasets", "peft", "gguf", "vllm")))

from pathlib import Path

from grpolab.validate.models import TinyConfig
from grpolab.validate.study import preset
from grpolab.validate.study.base import BaseConfig
from grpolab.validate.study.main import run

if __name__ == "__main__":
    config = preset("gpu")
    assert (config.device, config.dtype) == ("cuda", "bfloat16")
    small = dataclasses.replace(
        config,
        device="cpu",
        families=("countdown/shift",),
        model=TinyConfig(hidden=32, layers=1),
        base=BaseConfig(steps=40, batch_size=64, lr=1e-2),
        sft=dataclasses.replace(config.sft, depths=(2, 8), batch_size=16),
        grpo=dataclasses.replace(config.grpo, steps=2, prompts_per_step=8, eval_every=2),
        eval_prompts=16, num_samples=16, quick_samples=10, train_prompts=24, train_samples=8,
        simulated_groups=0,
    )
    left = run(small, out=Path(sys.argv[1]), workers=1, minutes=1e-9)
    assert left["left"] == left["jobs"]
    print(sorted(run(small, out=Path(sys.argv[1]), workers=1)))
"""


@pytest.mark.slow
def test_the_gpu_preset_needs_no_installation(tmp_path):
    script, out = tmp_path / "study.py", tmp_path / "run"
    script.write_text(STUDY)
    source = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(out)],
        env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['findings', 'out', 'report']\n"
    told = read_json(out / "manifest.json")
    assert {"torch", "transformers", "grpolab"} <= set(told["versions"])
    assert set(told["hardware"]) == {"machine", "cores", "gpu"}
    assert (out / "summary.json").is_file()
    assert (out / "checkpoints.parquet").is_file()
