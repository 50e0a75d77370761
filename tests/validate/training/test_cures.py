"""pass@k as objective, updates until the first success, restarts, L2 to the start, plasticity."""

import copy
import dataclasses
from itertools import combinations

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.theory.objective import expected_update
from grpolab.theory.rules import VARIANTS
from grpolab.theory.subsets import PassAtKGradient, PassAtKTraining
from grpolab.validate.models import TinyConfig, build_model, load_model
from grpolab.validate.rollouts.engine import Draws
from grpolab.validate.training.config import GRPOConfig, interventions
from grpolab.validate.training.grpo import Groups, GRPOLoop
from grpolab.validate.training.job import TrainJob, check_job, manifest, run_job
from grpolab.validate.training.plasticity import plasticity
from grpolab.validate.training.restart import PERTURB, SHRINK, last_block, restart
from grpolab.validate.training.rundir import open_run
from grpolab.validate.training.sft import KIND, SFTConfig, train_ladder
from grpolab.validate.training.sft_data import Example
from grpolab.validate.training.trl_config import check_expressible

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # those of trainers
CONFIG = GRPOConfig(steps=3, prompts_per_step=12, group_size=4, lr=5e-3, warmup=0)


def groups(reward):
    reward = np.array(reward, dtype=float)
    rows = reward.size
    empty = Draws(np.zeros((rows, 1), dtype=np.int64), *[np.zeros((rows, 1))] * 2,
                  np.zeros(rows, dtype=bool))  # fmt: skip
    return Groups([None] * len(reward), [[]] * len(reward), empty, [""] * rows, reward)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_pass_at_k_advantages_are_means_over_subsets(k):
    """Centred: over the subsets that hold a sample, best of them - best without the sample."""
    for correct in range(6):
        reward = np.array([1] * correct + [0] * (5 - correct))
        found = groups([reward]).advantages(PassAtKGradient(k, centred=True))
        for i in range(5):
            others = [j for j in range(5) if j != i]
            gains = [
                max(reward[i], *(reward[list(rest)] if rest else [0]), 0)
                - max([0, *reward[list(rest)]])
                for rest in combinations(others, k - 1)
            ]
            assert found[i] == pytest.approx(k * np.mean(gains))


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_the_baseline_leaves_the_expected_update_as_it_is(k):
    p = np.array([0.0, 0.05, 0.4, 0.9, 1.0])
    plain, centred = (
        expected_update(PassAtKGradient(k, centred=c), p, group_size=8) for c in (False, True)
    )
    np.testing.assert_allclose(centred, plain, atol=1e-12)
    np.testing.assert_allclose(centred, k * (1 - p) ** (k - 1), atol=1e-12)


def test_the_loop_uses_the_rule_of_the_configuration():
    config = dataclasses.replace(CONFIG, objective="pass-at-k:2")
    assert config.advantage == PassAtKGradient(2, centred=True)
    config = dataclasses.replace(CONFIG, objective="pass-at-k-training:4")
    assert config.advantage == PassAtKTraining(4)
    config = dataclasses.replace(CONFIG, objective="focal")
    assert config.advantage == VARIANTS["focal"]
    assert interventions(config)["advantage"].startswith("rule focal: Focal(")
    found = groups([[1, 0, 0, 0], [1, 1, 1, 1]]).advantages(config.advantage)
    assert found.round(3).tolist() == [1.299, -0.433, -0.433, -0.433, 0, 0, 0, 0]
    config = dataclasses.replace(CONFIG, objective="pass-at-k-training:4")
    reward = [[1, 0, 0, 0], [1, 1, 1, 0], [1, 0, np.nan, np.nan], [np.nan] * 4]
    found = groups(reward).advantages(PassAtKTraining(3)).reshape(4, 4)
    value = PassAtKTraining(3).advantages(1, 4)
    np.testing.assert_allclose(found[0], [value.correct, *[value.wrong] * 3])
    assert not found[1:].any()  # every subset of 3 holds a correct one; too few verdicts
    assert "2508.10751" in interventions(config)["advantage"]
    with pytest.raises(ValueError, match="needs groups of at least 5"):
        dataclasses.replace(CONFIG, objective="pass-at-k:5")
    for wrong in ("pass-at-k", "pass-at-k:0", "pass-at-k:x", "pass-at-k:1.5", "best:2"):
        with pytest.raises(ValueError, match="objective must be"):
            dataclasses.replace(CONFIG, objective=wrong)
    for name, value, said in (
        ("objective", "pass-at-k:2", "advantage"), ("only_unsolved", True, "only_unsolved"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            check_expressible(dataclasses.replace(CONFIG, **{name: value}))


def loop_on(folders, words, **changes):
    model, tokenizer = load_model(folders / "start")
    config = dataclasses.replace(CONFIG, **changes)
    return GRPOLoop(model, tokenizer, task=words, prompts=words.prompts(), config=config, seed=1)


def test_a_prompt_moves_the_weights_until_its_first_success(folders, words):
    loop = loop_on(folders, words, only_unsolved=True)
    seen: set[int] = set()
    acted = []
    for _ in range(3):
        kept = []
        plain = loop._advantages

        def watch(drawn, plain=plain, kept=kept):
            kept.append((drawn, plain(drawn)))
            return kept[-1][1]

        loop._advantages = watch
        loop.advance()
        loop._advantages = plain
        ((drawn, advantage),) = kept
        rows = advantage.reshape(len(drawn.prompts), -1)
        for prompt, correct, row, spread in zip(
            drawn.prompts, drawn.num_correct, rows, drawn.has_spread, strict=True
        ):
            assert row.any() == (bool(spread) and prompt.id not in seen)
            seen |= {prompt.id} if correct else set()
        acted.append(int(rows.any(axis=1).sum()))
    assert acted[0] > acted[-1]
    again = loop_on(folders, words, only_unsolved=True)
    again.load_state_dict(loop.state_dict())
    assert again._solved == seen
    old = {k: v for k, v in loop.state_dict().items() if k != "solved"}
    again.load_state_dict(old)  # of an earlier version


@pytest.mark.parametrize("arch", ["llama", "gpt-neox"])
def test_restarts_change_what_they_say(arch):
    shape = TinyConfig(hidden=32, layers=2, arch=arch)
    model, _ = build_model(["a", "b"], shape, seed=0)
    state = torch.get_rng_state()
    shrunk, again, other = (copy.deepcopy(model) for _ in range(3))
    restart(shrunk, "shrink-perturb", seed=5)
    restart(again, "shrink-perturb", seed=5)
    restart(other, "shrink-perturb", seed=6)
    assert torch.equal(torch.get_rng_state(), state)
    for new, same, different, old in zip(
        *(m.parameters() for m in (shrunk, again, other, model)), strict=True
    ):
        assert torch.equal(new, same)
        fresh = (new - SHRINK * old) / PERTURB
        assert float(fresh.detach().abs().max()) < 1.5  # an initialisation, norms at 1
        if old.std() > 0:
            assert not torch.equal(new, different)
    reset = copy.deepcopy(model)
    restart(reset, "reset-last-block", seed=5)
    inside = {id(p) for p in last_block(reset).parameters()}
    for new, old in zip(reset.parameters(), model.parameters(), strict=True):
        if id(new) not in inside:
            assert torch.equal(new, old)
        elif old.std() > 0:
            assert not torch.equal(new, old)
    restart(reset, "", seed=0)
    with pytest.raises(ValueError, match="restart must be one of"):
        restart(reset, "sleep", seed=0)


def test_the_last_block_is_none_of_the_experts_in_a_block():
    """A mixture has more experts than blocks, and a model with a tower has other lists deeper."""
    nn = torch.nn

    def block(experts):
        return nn.ModuleDict({"experts": nn.ModuleList(nn.Linear(1, 1) for _ in range(experts))})

    tower = nn.ModuleDict({"encoder": nn.ModuleDict({"layers": nn.ModuleList([block(9)])})})
    layers = nn.ModuleList(block(8) for _ in range(3))
    model = nn.ModuleDict({"tower": tower, "model": nn.ModuleDict({"layers": layers})})
    assert last_block(model) is layers[2]


def test_a_run_restarts_once_and_says_so(folders, words, tmp_path):
    job = TrainJob(str(folders / "start"), "own", words, words.prompts(),
                   dataclasses.replace(CONFIG, lr=0.0, steps=2), 1, restart="reset-last-block",
                   save_every=1)  # fmt: skip
    check_job(job)
    found = manifest(job, task={"name": "words"})
    assert "last block" in found["interventions"]["restart"]
    short = dataclasses.replace(job, config=dataclasses.replace(job.config, steps=1))
    for part in (short, job):
        run = open_run(tmp_path / "run", manifest(part, task={"name": "words"}))
        run_job(part, run, progress=lambda share: None)
    start, _ = load_model(folders / "start")
    restart(start, "reset-last-block", seed=1)
    final, _ = load_model(run.final)
    for ours, theirs in zip(final.parameters(), start.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(UserError, match="drop one"):
        check_job(dataclasses.replace(job, lora_rank=2))
    with pytest.raises(UserError, match="--restart must be"):
        check_job(dataclasses.replace(job, restart="sleep"))


@pytest.mark.slow  # four runs of SFT: four seconds
def test_l2_pulls_towards_the_start_of_sft(folders, tmp_path):
    rows = [Example([1, 5 + i % 4, 6, 2], [-100, -100, 6, 2]) for i in range(16)]
    moved, first = {}, {}
    start, _ = load_model(folders / "start")
    for strength, rows_at_once in ((0.0, 0), (1.0, 0), (1.0, 4), (100.0, 0)):
        out = tmp_path / f"{strength}-{rows_at_once}"
        model, tokenizer = load_model(folders / "start")
        config = SFTConfig(depths=(1, 12), unit="steps", batch_size=8, lr=1e-2, max_grad_norm=1e9,
                           l2_start=strength)  # fmt: skip
        train_ladder(model, tokenizer, run=open_run(out, {"kind": KIND}), train=rows, held_out=(),
                     config=config, seed=0, batch_rows=rows_at_once)  # fmt: skip
        ends = [load_model(out / f"depth-{depth}")[0] for depth in (1, 12)]
        first[strength, rows_at_once], moved[strength, rows_at_once] = (
            sum(
                float((a - b).detach().square().sum())
                for a, b in zip(end.parameters(), start.parameters(), strict=True)
            )
            for end in ends
        )
    # at the start the penalty has no gradient
    assert first[1.0, 0] == pytest.approx(first[0.0, 0], rel=1e-4)
    assert moved[100.0, 0] < moved[1.0, 0] < moved[0.0, 0]
    # in two parts the penalty counts once
    assert moved[1.0, 4] == pytest.approx(moved[1.0, 0], rel=1e-3)
    with pytest.raises(ValueError, match="l2_start"):
        SFTConfig(l2_start=-1.0)


@pytest.mark.parametrize("arch", ["llama", "gpt-neox"])
def test_dormant_units_and_effective_rank_by_hand(arch):
    model, tokenizer = build_model(list("abcdefgh"), TinyConfig(hidden=32, arch=arch), seed=0)
    prompts = [tokenizer(t)["input_ids"] for t in ("a b c", "d", "e f", "g h a b", "c c")]
    pad = tokenizer.pad_token_id
    before = plasticity(model.eval(), prompts, pad=pad)
    assert before.dormant == 0
    assert 1 < before.effective_rank <= 5
    assert plasticity(model, prompts, pad=pad, rows=2).effective_rank == pytest.approx(
        before.effective_rank, rel=1e-4
    )
    name = "up_proj" if arch == "llama" else "dense_h_to_4h"
    silent = next(m for n, m in model.named_modules() if n.endswith(name))
    with torch.no_grad():  # 16 of the 64 units of one of two layers
        silent.weight[:16] = 0.0
        if silent.bias is not None:
            silent.bias[:16] = 0.0
    assert plasticity(model, prompts, pad=pad).dormant == pytest.approx(16 / 128)
    assert plasticity(model, prompts[:1] * 4, pad=pad).effective_rank == pytest.approx(1, abs=1e-2)
    with pytest.raises(ValueError, match="at least one prompt"):
        plasticity(model, [], pad=pad)
