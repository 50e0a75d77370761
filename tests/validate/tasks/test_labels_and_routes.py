"""The two tasks of the trial, judged by their rules from the text alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from grpolab.streams import generator
from grpolab.validate.study.tasks import EnumeratedTask, make_task
from grpolab.validate.study.tasks.labels import TOPICS, WORDS
from grpolab.validate.tasks import Prompt

MOVES = {"up": (0, 1), "down": (0, -1), "left": (-1, 0), "right": (1, 0)}


def right_labels(prompt: str, completion: str) -> bool:
    topics = {WORDS[word] for word in prompt.split()[1:]}
    given = completion.split(" ")
    return len(given) == len(set(given)) and set(given) == topics


def right_route(prompt: str, completion: str) -> bool:
    _, start, _, goal, _, blocked = prompt.split()
    place = ["abcde".index(start[0]), int(start[1]) - 1]
    target = ["abcde".index(goal[0]), int(goal[1]) - 1]
    shortest = abs(place[0] - target[0]) + abs(place[1] - target[1])
    words = completion.split(" ")
    if len(words) != shortest or not set(words) <= MOVES.keys():
        return False
    for word in words:
        place = [place[0] + MOVES[word][0], place[1] + MOVES[word][1]]
        if not 0 <= min(place) <= max(place) < 5:
            return False
        if f"{'abcde'[place[0]]}{place[1] + 1}" == blocked:
            return False
    return place == target


RULES = {"labels": right_labels, "routes": right_route}


@pytest.fixture(params=sorted(RULES), scope="module")
def task(request: pytest.FixtureRequest) -> EnumeratedTask:
    found = make_task(request.param, seed=3)
    assert isinstance(found, EnumeratedTask)
    return found


def candidates(task: EnumeratedTask, prompt: Prompt, rng: np.random.Generator) -> list[str]:
    """Right answers, those of other prompts, and answers with a word changed."""
    found = list(task.solutions(prompt))
    others = task.prompts("rl")
    found += [task.solutions(others[i])[0] for i in rng.integers(len(others), size=5)]
    words = found[0].split(" ")
    words[int(rng.integers(len(words)))] = str(rng.choice(task.vocabulary))
    return [*found, " ".join(words), "", found[0] + " ", " ".join(found[0].split(" ")[:-1])]


def test_verdicts_follow_the_rules(task: EnumeratedTask) -> None:
    rng = np.random.default_rng(0)
    for prompt in task.prompts("eval")[:150]:
        for text in candidates(task, prompt, rng):
            assert task.verify(prompt, text) == RULES[task.name](prompt.text, text), (prompt, text)


def test_classes_and_lengths(task: EnumeratedTask) -> None:
    for prompt in task.prompts("eval")[:300]:
        answers = task.solutions(prompt)
        assert len(set(answers)) == len(answers)
        assert max(len(a.split(" ")) for a in answers) < task.max_new_tokens
        if task.name == "labels":
            topics = len(answers[0].split(" "))
            assert prompt.label == ("many" if topics > 2 else "few")
            assert len(answers) == len(list(permutations(range(topics))))


def test_every_word_is_in_the_vocabulary_and_no_corpus_row_is_cut(task: EnumeratedTask) -> None:
    known = set(task.vocabulary)
    assert len(known) == len(task.vocabulary)
    held_out = {p.text for p in task.prompts("eval")}
    for prompt, answer in task.corpus(2000, rng=generator(0, "corpus")):
        assert set(prompt.split()) | set(answer.split()) <= known
        assert prompt not in held_out


def test_topics_have_eight_words_each_and_share_none() -> None:
    assert {len(words.split()) for words in TOPICS.values()} == {8}
    assert len(WORDS) == 64
    assert not set(WORDS) & set(TOPICS)
