"""Verdicts: a verifier that fails costs its verdict and nothing else."""

import re

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.rollouts import judge_all
from grpolab.validate.rollouts.judge import Watched
from grpolab.validate.tasks import NoVerdict, Prompt, Task

PROMPTS = [Prompt(0, "a", ""), Prompt(1, "b", "")]


class Picky(Task):
    """Right when the completion is the prompt; fails in several ways."""

    name = "picky"

    def prompts(self, split):
        return ()

    def __init__(self):
        self.asked = []

    def verify(self, prompt, completion):
        self.asked.append((prompt.id, completion))
        if completion == "raise":
            raise RuntimeError("no verifier today")
        if completion == "undecided":
            raise NoVerdict("sandbox is gone")
        special = {
            "none": None,
            "nan": float("nan"),
            "half": 0.5,
            "words": "yes",
            "one": 1,
            "numpy": np.True_,
        }
        return special.get(completion, completion == prompt.text)


def test_no_verdict_is_none_and_never_wrong():
    texts = ["a", "raise", "none", "nan", "words", "one", "b", "numpy", "a", "raise"]
    judged = judge_all(Picky(), PROMPTS, texts)
    assert judged.verdicts[:5] == [True, None, None, None, None]
    assert judged.verdicts[5:] == [True, True, True, False, None]
    assert judged.num_errors == 3  # two raised, one returned words
    assert re.fullmatch(
        r"RuntimeError: no verifier today \(test_judge.py:\d+\)", judged.first_error
    )
    reward = np.array(judged.verdicts, dtype=float)
    assert np.isnan(reward).sum() == 5


def test_a_score_is_refused_and_not_left_out():
    """Left out it would be left out of the wrong completions alone."""
    for texts in (["a", "half"], ["half", "a", "b", "a"]):
        with pytest.raises(UserError, match=r"score 0\.5, .* --threshold"):
            judge_all(Picky(), PROMPTS[:1], texts)


def test_a_verifier_that_keeps_failing_ends_a_run_of_many_steps():
    task = Watched(Picky())
    assert (task.verifier, task.name) == (Picky().verifier, "picky")
    for _ in range(19):
        judge_all(task, PROMPTS[:1], ["raise"])
    with pytest.raises(UserError, match="raised on 20 of 20 completions, last RuntimeError"):
        judge_all(task, PROMPTS[:1], ["raise"])
    seldom = Watched(Picky())
    for i in range(30):
        judge_all(seldom, PROMPTS[:1], [*(f"{i} {j}" for j in range(20)), "raise"])


def test_equal_texts_of_a_prompt_are_judged_once():
    task = Picky()
    judge_all(task, PROMPTS, ["a", "a", "b", "a", "a", "a"])
    assert task.asked == [(0, "a"), (0, "b"), (1, "a")]


class Many(Picky):
    """Judges all at once; ``answers`` changes what it hands back."""

    def __init__(self, answers=lambda found: found):
        super().__init__()
        self.answers = answers
        self.batches = []

    def verify_many(self, prompts, completions):
        self.batches.append(len(completions))
        pairs = zip(prompts, completions, strict=True)
        return self.answers([p.text == c if c != "none" else None for p, c in pairs])


def test_verify_many_gets_all_distinct_completions_at_once():
    task = Many()
    assert judge_all(task, PROMPTS, ["a", "none", "b", "b"]).verdicts == [True, None, True, True]
    assert task.batches == [3]
    assert task.asked == []


@pytest.mark.parametrize("answers", [lambda found: found[:1], lambda found: 1 / 0])
def test_verify_many_that_fails_is_replaced_by_verify(answers):
    task = Many(answers)
    assert judge_all(task, PROMPTS, ["a", "raise", "b", "a"]).verdicts == [True, None, True, False]
    assert len(task.asked) == 4


def test_no_verdict_is_no_error():
    judged = judge_all(Picky(), PROMPTS[:1], ["undecided", "a"])
    assert judged.verdicts == [None, True]
    assert (judged.num_errors, judged.first_error) == (0, "")


def test_a_broken_set_up_stops_the_run():
    class NoSandbox(Picky):
        def verify_many(self, prompts, completions):
            raise UserError("no sandbox here")

    with pytest.raises(UserError, match="no sandbox here"):
        judge_all(NoSandbox(), PROMPTS[:1], ["a"])


def test_interrupts_are_not_swallowed():
    class Stopped(Picky):
        def verify(self, prompt, completion):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_all(Stopped(), PROMPTS, ["a", "b"])


def test_texts_must_divide_among_prompts():
    with pytest.raises(ValueError, match="must divide among 2 prompts, got 3"):
        judge_all(Picky(), PROMPTS, ["a", "b", "c"])
