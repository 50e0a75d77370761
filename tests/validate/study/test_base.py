"""Pre-training from scratch on the corpus of a task."""

import numpy as np
import pytest

from grpolab.validate.models import TinyConfig, build_model
from grpolab.validate.study.base import BaseConfig, cross_entropy, train_base
from grpolab.validate.study.tasks import make_task

torch = pytest.importorskip("torch")


@pytest.mark.slow  # three trainings: three seconds
def test_base_training_lowers_the_loss_and_follows_its_seed():
    task = make_task("countdown", seed=0)
    weights = []
    shown = task.corpus(64, rng=np.random.default_rng(1))
    for seed in (0, 0, 1):
        model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
        before = float(cross_entropy(model, tokenizer, shown).detach())
        config = BaseConfig(steps=20, batch_size=64)
        train_base(model, tokenizer, task=task, config=config, seed=seed)
        assert float(cross_entropy(model, tokenizer, shown).detach()) < before
        weights.append(model.lm_head.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
