"""vLLM serves what ``grpolab train`` writes: weights of the own loop, an adapter of TRL's.

Needs an environment with vLLM, and trained models from one with TRL (tests/vllm/run.sh).
"""

import os
from pathlib import Path

import numpy as np
import pytest

from grpolab.validate.models import load_model
from grpolab.validate.rollouts import SamplingLaw
from grpolab.validate.rollouts.law import score
from grpolab.validate.rollouts.prompts import encode
from grpolab.validate.rollouts.vllm import VLLMEngine
from grpolab.validate.study.tasks import make_task

pytest.importorskip("vllm")
pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own
LAW = SamplingLaw(max_new_tokens=8)


@pytest.fixture(scope="module")
def root():
    folder = os.environ.get("GRPOLAB_TRAINED")
    if not folder:
        pytest.skip("GRPOLAB_TRAINED names no folder of trained models")
    return Path(folder)


@pytest.mark.parametrize(
    ("served", "adapter", "same"),
    [("own/final", "", "own/final"), ("start", "trl/final", "merged")],
)
def test_vllm_gives_the_probabilities_of_the_trained_model(root, served, adapter, same):
    engine = VLLMEngine(root / served, adapter=str(root / adapter) if adapter else "")
    prompts = make_task("coins", seed=0).prompts("eval")[:4]
    ids = encode(engine.tokenizer, prompts)
    draws = engine.draw(ids, num_samples=16, law=LAW, seed=0)
    rows = [row[row >= 0].tolist() for row in draws.tokens]
    asked = [prompt for prompt in ids for _ in range(16)]
    gaps = {}
    for name in (same, "start"):
        model, _ = load_model(root / name)
        logprob, _ = score(model, asked, rows, law=LAW)
        gaps[name] = np.abs(logprob.numpy() - draws.logprob[:, : logprob.shape[1]]).max()
    assert gaps[same] < 1e-4
    assert gaps["start"] > 1e-2  # training has moved it
