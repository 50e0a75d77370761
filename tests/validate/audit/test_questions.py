"""Questions on completions and on the order of prompts: asked where they should be, only there."""

import numpy as np
import pytest

from grpolab.theory.samples import rows_of
from grpolab.validate.audit.questions import questions
from grpolab.validate.readers.columns import texts_of
from grpolab.validate.readers.format import Samples

PROMPTS, SAMPLES = 40, 8


def policy(rng, words=30):
    """Texts [P][n] of words that differ, and verdicts [P, n]."""
    pick = rng.integers(0, 50, (PROMPTS, SAMPLES, words))
    texts = [[" ".join(f"w{j}" for j in sample) for sample in prompt] for prompt in pick]
    return texts, (rng.random((PROMPTS, SAMPLES)) < rng.beta(0.5, 0.8, (PROMPTS, 1))).astype(float)


def asked(right, texts=None):
    columns = {}
    if texts is not None:
        found = texts_of([one for prompt in texts for one in prompt])
        columns = {"text": found.code, "length": found.length, "starts": found.starts}
    prompt = np.repeat(np.arange(len(right)), right.shape[1])
    table = Samples(prompt=prompt, reward=right.ravel(), score=right.ravel(), **columns)
    return questions(rows_of(table), table.starts)


@pytest.fixture
def clean():
    return policy(np.random.default_rng(0))


def test_a_usual_file_is_asked_nothing(clean):
    texts, right = clean
    assert asked(right, texts) == asked(right) == []
    short = [[f"answer {i if hit else i + 1}" for hit in row] for i, row in enumerate(right)]
    assert asked(right, short) == []


def test_answers_before_which_all_say_the_same_are_no_prefix(clean):
    texts, right = clean
    same = [[f"Let us think step by step {one}" for one in prompt] for prompt in texts]
    assert asked(right, same) == []


@pytest.mark.parametrize("shared", [1, 3, 8])
def test_a_beginning_that_the_samples_of_a_prompt_share(clean, shared):
    texts, right = clean
    forced = [
        [" ".join(prompt[0].split()[:shared] + one.split()[shared:]) for one in prompt]
        for prompt in texts
    ]
    (question,) = asked(right, forced)
    assert f"share their first {shared} word" in question


def test_prompts_that_are_all_wrong_in_a_row(clean):
    texts, right = clean
    right[12:26] = 0
    for found in (asked(right), asked(right, texts)):
        (question,) = found
        assert question.startswith("prompts 13 to 26 of 40 in the order of the file are all wrong")
    order = np.argsort(-right.mean(axis=1), kind="stable")
    assert asked(right[order]) == []  # sorted by success: the last are wrong


def test_empty_completions_and_errors_are_named(clean):
    texts, right = clean
    failed = [5, 17, 30]
    right[failed] = 0
    empty = [[""] * SAMPLES if i in failed else prompt for i, prompt in enumerate(texts)]
    (question,) = asked(right, empty)
    assert question.startswith("24 completions are empty, all of 3 prompts among them,")
    error = "Error: upstream connect error"
    broken = [[error] * SAMPLES if i in failed else prompt for i, prompt in enumerate(texts)]
    (question,) = asked(right, broken)
    assert f'all samples of 3 prompts are one and the same text ("{error}")' in question


def test_verdicts_that_are_not_in_their_rows(clean):
    _, right = clean
    short = [[f"answer {i if hit else i + 1}" for hit in row] for i, row in enumerate(right)]
    rng = np.random.default_rng(1)
    for wrong in (rng.permuted(right, axis=1), np.roll(right, 1, axis=0)):
        (question,) = asked(wrong, short)
        assert "as many as if verdicts were dealt at random" in question
    (question,) = asked(np.abs(right - (rng.random(right.shape) < 0.1)), short)
    assert "the grader is not a function of the completion" in question


def test_one_verdict_for_all_samples_of_a_prompt(clean):
    texts, right = clean
    copied = np.repeat(right[:, :1], SAMPLES, axis=1)
    assert "was one verdict per prompt copied" in asked(copied)[0]
    assert "though its completions differ" in asked(copied, texts)[0]
    greedy = [[prompt[0]] * SAMPLES for prompt in texts]
    assert asked(copied, greedy) == []  # equal completions have equal verdicts


def test_a_part_of_the_samples_is_greedy(clean):
    texts, right = clean
    half = [[*prompt[:4], *[prompt[0]] * 4] for prompt in texts]
    half = [list(np.random.default_rng(i).permuted(row)) for i, row in enumerate(half)]
    assert any("one long completion comes 5.0 times of 8.0" in one for one in asked(right, half))
