"""A task of one word and an untrained model: rewards of both kinds from the first step on."""

import pytest

from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.tasks import Prompt, Task

torch = pytest.importorskip("torch")


class Words(Task):
    """The answer is the word of the prompt's number, alone or followed by anything."""

    name, classes = "words", ("all",)
    vocabulary = ("q", "r", "s", "a", "b", "c")
    max_new_tokens = 4

    def prompts(self, split="rl"):
        texts = ["q", "q r", "r", "r s q", "s", "s s", "q q", "r r", "s q", "q s", "s r", "r q"]
        return tuple(Prompt(10 + i, text, "all") for i, text in enumerate(texts))

    def verify(self, prompt, completion):
        return completion.split()[:1] == ["abc"[prompt.id % 3]]


class Flaky(Words):
    """No verdict on completions that start with b."""

    def verify(self, prompt, completion):
        return None if completion.startswith("b") else super().verify(prompt, completion)


@pytest.fixture(scope="session")
def words():
    return Words()


@pytest.fixture(scope="session")
def flaky():
    return Flaky()


@pytest.fixture(scope="session")
def folders(tmp_path_factory, words):
    """Two checkpoints of one architecture: the start, and another one to be pulled towards."""
    root = tmp_path_factory.mktemp("models")
    for name, seed in (("start", 0), ("other", 1)):
        model, tokenizer = build_model(
            words.vocabulary, TinyConfig(hidden=32, layers=1, max_positions=32), seed=seed
        )
        with torch.no_grad():  # an untrained model is close to uniform; make it opinionated
            model.lm_head.weight.mul_(8)
        save_model(model, tokenizer, root / name)
    return root
