"""A study on a given checkpoint: depth 0 is the model as it is, and few minutes are kept to."""

import dataclasses

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.study import PRESETS, preset
from grpolab.validate.study.config import Pretrained
from grpolab.validate.study.jobs import base_key, checkpoint_key, plan, rl_key
from grpolab.validate.study.main import configure, run
from grpolab.validate.study.pretrained import Trimmed, fitted
from grpolab.validate.study.results import Results
from grpolab.validate.study.tasks import TASKS, make_task

pytest.importorskip("torch")


def small(path):
    """The real preset on one seed with little of everything."""
    config = preset("real")
    return dataclasses.replace(
        config,
        pretrained=Pretrained(str(path)),
        seeds=(0,),
        sft=dataclasses.replace(config.sft, depths=(2, 8), lr=1e-2),
        grpo=dataclasses.replace(config.grpo, steps=4, prompts_per_step=8, eval_every=2),
        eval_prompts=32,
        num_samples=16,
        quick_samples=10,
        train_prompts=32,
        train_samples=8,
    )


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    path = tmp_path_factory.mktemp("shipped") / "model"
    task = make_task("sums", seed=0)
    save_model(*build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0), path)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_study_of_a_given_checkpoint(shipped, tmp_path):
    config, out = small(shipped), tmp_path / "run"
    jobs = plan(config)
    waiting = run(config, out=out, minutes=1e-9)
    assert waiting == {"out": str(out), "left": len(jobs), "jobs": len(jobs)}
    run(config, out=out)
    base = out / base_key("sums", 0) / "model"
    assert base.resolve() == shipped.resolve()
    assert checkpoint_key("sums", "narrow", 0, 0) == base_key("sums", 0) + "/model"
    results = Results.read(out / "results.json")
    assert [row.depth for row in results.rows] == [0, 2, 8] * 2
    start, *_, deep = (r.before.measured for r in results.rows if r.regime == "shift")
    assert start.held_out_nll > deep.held_out_nll  # the random model learned something
    family = next(f for f in config.parsed if f.regime == "shift")
    assert not (out / rl_key(family, 0, 0, "plain") / "model").exists()
    page = (out / "report.html").read_text()
    assert "pretrained model model" in page
    assert "Depth 0" in page


def test_the_real_preset_asks_for_a_model():
    with pytest.raises(UserError, match="grpolab model smollm2"):
        configure("real", task=None)
    with pytest.raises(UserError, match="no such"):
        configure("real", task=None, model="./nowhere")


def test_white_space_around_a_sum_is_forgiven():
    task = make_task("sums", seed=0)
    prompt = task.prompts("eval")[0]
    right = task.solutions(prompt)[0]
    assert task.verify(prompt, f" {right}\n")
    assert not task.verify(prompt, f" {right}.")
    assert not task.verify(prompt, f" {right} {right}")


def test_a_tokenizer_that_does_not_know_the_words_is_refused(shipped):
    with pytest.raises(UserError, match="does not know the words of task countdown"):
        configure("micro", task=None, model=str(shipped))


class Letters:
    """A tokenizer with one token per letter, and none that is unknown."""

    unk_token_id = None

    def __call__(self, text, *, add_special_tokens):
        return {"input_ids": [ord(letter) for letter in text]}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_takes_a_model_and_makes_room_for_its_tokens(name, shipped):
    config = preset(name)
    found = fitted(config, Letters(), model="letters")
    for task in (make_task(t, seed=config.seeds[0]) for t in config.tasks):
        answers = task.demonstrations(
            task.prompts("eval")[:50], style="long", rng=np.random.default_rng(0)
        )
        assert max(map(len, answers)) < found.grpo.max_new_tokens
    _, own = build_model(make_task("sums", seed=0).vocabulary, TinyConfig(hidden=32), seed=0)
    moved = preset(name, task="sums")
    assert fitted(moved, own, model="own").grpo.max_new_tokens in (moved.grpo.max_new_tokens, 2)
    given = dataclasses.replace(found, pretrained=Pretrained(str(shipped)))
    assert [job.key for job in plan(given)] == [job.key for job in plan(config)]


def test_white_space_is_forgiven_in_every_task_of_a_given_model():
    for name in sorted(TASKS.keys() - {"spelling"}):
        task = Trimmed(make_task(name, seed=0))
        prompts = task.prompts("eval")[:2]
        answers = task.demonstrations(prompts, style="canonical", rng=np.random.default_rng(0))
        found = judge(task, prompts, [f" {answer}\n" for answer in answers])
        task.close()
        assert found == [True, True]
