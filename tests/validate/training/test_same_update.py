"""The own loop and TRL's GRPOTrainer: one gradient and one set of advantages."""

import copy
import dataclasses

import numpy as np
import pytest

from grpolab.theory.advantage import DR_GRPO, TRL
from grpolab.validate.models import load_model
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.grpo import draw_groups, update
from grpolab.validate.training.rundir import RunDir
from grpolab.validate.training.trl_grpo import TrlOptions, make_trainer

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
CONFIG = GRPOConfig(
    steps=2, prompts_per_step=6, group_size=4, lr=1e-3, warmup=1, max_grad_norm=1e9,
)  # fmt: skip
LOSSES = {
    "grpo": {"aggregation": "sequence", "rule": TRL},
    "dr_grpo": {"aggregation": "constant", "rule": DR_GRPO},
    "dapo": {"aggregation": "token", "rule": TRL},
}


class Pair:
    """One start in both trainers, and the same rollouts for both."""

    def __init__(self, config, task, folders, out):
        self.config, self.task = config, task
        self.model, self.tokenizer = load_model(folders / "start")
        self.reference, _ = load_model(folders / "other")
        self.trainer = make_trainer(
            copy.deepcopy(self.model), self.tokenizer, run=RunDir(out), task=task,
            prompts=task.prompts(), config=config, seed=0, options=TrlOptions(),
            reference=str(folders / "other"),
        )  # fmt: skip
        self.trainer.model.train()
        self.trainer.current_gradient_accumulation_steps = 1  # set by train(), which is not called
        engine = HFEngine.of(self.model, self.tokenizer)
        groups = draw_groups(engine, task=task, prompts=task.prompts()[:6], config=config, seed=3)
        self.batch, self.advantage = groups.batch(engine), groups.advantages(config.rule)

    def own(self, config=None, *, lr=0.0):
        """Gradient of the last inner epoch, and the parts of its loss."""
        config = config or self.config
        model = copy.deepcopy(self.model)
        parts, _ = update(
            model, torch.optim.SGD(model.parameters(), lr=lr), batch=self.batch,
            advantage=self.advantage, config=config, max_new_tokens=self.task.max_new_tokens,
            reference=self.reference,
        )  # fmt: skip
        return gradients(model), parts

    def moved(self, *, lr):
        """The weights after the first inner epoch."""
        model = copy.deepcopy(self.model)
        first = dataclasses.replace(self.config, inner_epochs=1)
        update(model, torch.optim.SGD(model.parameters(), lr=lr), batch=self.batch,
               advantage=self.advantage, config=first, max_new_tokens=self.task.max_new_tokens,
               reference=self.reference)  # fmt: skip
        return model.state_dict()

    def trl(self, weights=None):
        """TRL's gradient on the same rollouts, at the start or after a first inner epoch."""
        model, batch = self.trainer.model, self.batch
        model.load_state_dict(self.model.state_dict())
        inputs = {
            "prompt_ids": batch.prompt_ids, "prompt_mask": batch.prompt_mask,
            "completion_ids": batch.tokens, "completion_mask": batch.mask.long(),
            "advantages": torch.tensor(self.advantage, dtype=torch.float32),
            "num_items_in_batch": batch.mask.sum(),
        }  # fmt: skip
        ids = torch.cat([batch.prompt_ids, batch.tokens], 1)
        seen = torch.cat([batch.prompt_mask, batch.mask.long()], 1)
        score = self.trainer._get_per_token_logps_and_entropies
        with torch.no_grad():
            if self.config.beta:
                inputs["ref_per_token_logps"] = score(
                    self.trainer.ref_model, ids, seen, batch.tokens.shape[1]
                )[0]
            if weights is not None:
                inputs["old_per_token_logps"] = score(model, ids, seen, batch.tokens.shape[1])[0]
                model.load_state_dict(weights)
        model.zero_grad()
        self.trainer._compute_loss(model, inputs).backward()
        return gradients(model)


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def distance(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("beta", [0.0, 0.3], ids=["no-kl", "kl"])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_gradient_from_the_same_rollouts(loss, beta, words, folders, tmp_path):
    config = dataclasses.replace(CONFIG, beta=beta, **LOSSES[loss])
    pair = Pair(config, words, folders, tmp_path)
    theirs = pair.trl()
    ours, parts = pair.own()
    assert distance(ours, theirs) < 1e-5
    assert (float(parts.kl) > 0.01) == (beta > 0)
    for other in set(LOSSES) - {loss}:  # another loss type on the same rollouts is another update
        wrong, _ = pair.own(dataclasses.replace(config, aggregation=LOSSES[other]["aggregation"]))
        assert distance(wrong, theirs) > 1e-2


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", pytest.param("dapo", marks=pytest.mark.slow)])
def test_one_gradient_in_the_second_inner_epoch(loss, words, folders, tmp_path):
    """Ratios beyond both clip bounds, an entropy bonus, and KL with and without correction."""
    config = dataclasses.replace(
        CONFIG, inner_epochs=2, clip_low=0.1, clip_high=3.1, entropy_coef=0.02, beta=0.1,
        temperature=0.8, kl_correction=loss != "grpo", **LOSSES[loss],
    )  # fmt: skip
    pair = Pair(config, words, folders, tmp_path)
    lr = 0.2 if loss == "dr_grpo" else 0.1  # ratios on both sides of both bounds
    theirs = pair.trl(pair.moved(lr=lr))
    ours, parts = pair.own(lr=lr)
    assert min(float(parts.clip_low), float(parts.clip_high)) > 0
    assert distance(ours, theirs) < 1e-5
    for wrong in (
        {"clip_high": 0.1},
        {"clip_high": 99.0},
        {"entropy_coef": 0.0},
        {"kl_correction": loss == "grpo"},
    ):
        other, _ = pair.own(dataclasses.replace(config, **wrong), lr=lr)
        assert distance(other, theirs) > 1e-4, wrong


@pytest.mark.parametrize("rule", [TRL, DR_GRPO], ids=lambda rule: rule.name)
def test_advantages_of_the_same_verdicts(rule, flaky, folders, tmp_path):
    """TRL samples and scores; a completion without a verdict leaves the group in both."""
    config = dataclasses.replace(CONFIG, rule=rule, prompts_per_step=12, group_size=8)
    pair = Pair(config, flaky, folders, tmp_path)
    seen = []
    inner = pair.trainer.reward_funcs[0]

    def spy(**kw):
        seen.append(inner(**kw))
        return seen[-1]

    pair.trainer.reward_funcs[0] = spy
    torch.manual_seed(0)
    rows = [row for row in pair.trainer.train_dataset.select(range(12)) for _ in range(8)]
    scored = pair.trainer._generate_and_score_completions(rows)
    reward = np.array([np.nan if r is None else r for r in seen[0]]).reshape(-1, 8)
    correct, size = np.nansum(reward, 1).astype(int), (~np.isnan(reward)).sum(1)
    value = rule.advantages(correct, np.maximum(size, 1))
    ours = np.where(reward == 1, value.correct[:, None], value.wrong[:, None])
    ours = np.where(np.isnan(reward), 0.0, ours).reshape(-1)
    np.testing.assert_allclose(scored["advantages"].numpy(), ours, atol=1e-6)
    assert np.isnan(reward).any()
    assert (ours != 0).sum() > 10


def test_wrong_mask_of_missing_verdicts_would_be_seen():
    """Control of the test above: counting a missing verdict as wrong changes the advantages."""
    counted, left_out = TRL.advantages(2, 8).correct, TRL.advantages(2, 6).correct
    assert abs(counted - left_out) > 0.1
