"""A given checkpoint in a study: what of its tokenizer a task has to be fitted to.

The tasks speak in words with single spaces between them, which the tiny models have one token
each for. A pretrained tokenizer needs more tokens for a word, puts a space in front of an answer,
and may not know a word at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.streams import generator
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.tasks import StudyTask, Style, make_task
from grpolab.validate.tasks import Prompt
from grpolab.validate.tasks.base import TaskReport, Verdict

_ANSWERS = 200
"""Answers of each task that are looked at."""


def fitted(config: StudyConfig, tokenizer: Any, *, model: str) -> StudyConfig:
    """The study with room for the answers in the tokens of a checkpoint.

    The length of a completion grows by the most tokens that a word of an answer takes. UserError
    where the tokenizer does not know the words of a task: all its answers would be one unknown
    token, and right ones could not be told from wrong ones.
    """
    length = 0
    for name in config.tasks:
        task = make_task(name, seed=config.seeds[0])
        pairs = list(_pairs(task))
        unknown = tokenizer.unk_token_id
        ids = [tokenizer(f" {a}", add_special_tokens=False)["input_ids"] for _, a in pairs]
        asked = [tokenizer(p, add_special_tokens=False)["input_ids"] for p, _ in pairs]
        if unknown is not None and any(unknown in row for row in (*ids, *asked)):
            raise UserError(
                f"{model}: its tokenizer does not know the words of task {name}: give a model of"
                " that task, or another --task"
            )
        grows = max(len(row) / len(a.split()) for row, (_, a) in zip(ids, pairs, strict=True))
        length = max(length, 1 + math.ceil((task.max_new_tokens - 1) * grows))
    if config.grpo.max_new_tokens >= length:
        return config
    grpo = dataclasses.replace(config.grpo, max_new_tokens=length)
    return dataclasses.replace(config, grpo=grpo)


def _pairs(task: StudyTask) -> Iterator[tuple[str, str]]:
    """Prompts of a task with a right answer each."""
    prompts = task.prompts("eval")
    step = max(1, len(prompts) // _ANSWERS)
    some = prompts[::step]
    answers = task.demonstrations(some, style="random", rng=generator(0, "answers"))
    return zip((prompt.text for prompt in some), answers, strict=True)


class Trimmed(StudyTask):
    """A task that forgives white space around a completion."""

    def __init__(self, task: StudyTask) -> None:
        self._task = task
        self.name, self.max_new_tokens = task.name, task.max_new_tokens
        self.classes, self.vocabulary = task.classes, task.vocabulary

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Those of the task."""
        return self._task.prompts(split)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion without the white space around it is right."""
        return self._task.verify(prompt, completion.strip())

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[Verdict] | None:
        """The task's verdicts, the white space taken off."""
        return self._task.verify_many(prompts, [text.strip() for text in completions])

    def demonstrations(
        self, prompts: Sequence[Prompt], *, style: Style, rng: np.random.Generator
    ) -> list[str]:
        """Those of the task."""
        return self._task.demonstrations(prompts, style=style, rng=rng)

    def corpus(self, size: int, *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """That of the task."""
        return self._task.corpus(size, rng=rng)

    def report(self) -> TaskReport:
        """That of the task."""
        return self._task.report()

    def close(self) -> None:
        """Close the task."""
        self._task.close()
