"""Words spelled backward: a generator of the package reasoning-gym as a task of the study."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from grpolab.errors import require
from grpolab.validate.study.tasks.problems import Problem, ProblemTask, SplitSizes
from grpolab.validate.tasks.base import Prompt
from grpolab.validate.tasks.reasoning_gym import ReasoningGymTask

CLASSES = ("three", "four")
_LETTERS = {"three": 3, "four": 4}
_DRAWN = 1500  # problems drawn of each class; repeats are left out


class _Pool(NamedTuple):
    """The problems of both classes, and per problem its grader and the grader's prompt."""

    problems: tuple[Problem, ...]
    graders: tuple[tuple[ReasoningGymTask, Prompt], ...]


class SpellingTask(ProblemTask):
    """A `ProblemTask` of ``spell_backward``, judged by reasoning-gym's own grader.

    White space around an answer is forgiven; pretrained tokenizers put some.
    """

    def __init__(self, pool: _Pool, **options: Any) -> None:
        super().__init__("spelling", pool.problems, **options)
        self._graders = pool.graders

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether the grader gives the completion its full score."""
        self._check(prompt)
        grader, asked = self._graders[prompt.id]
        return grader.verify(asked, completion)


def spelling(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> SpellingTask:
    """Prompts "Spell this word backward (example: sun -> nus): dud" and completions "dud".

    Class ``three``: words of three letters; ``four``: of four. Needs the extra ``reasoning-gym``;
    UserError where it is missing.
    """
    require("reasoning_gym", extra="reasoning-gym")
    pool = _pool()
    words = {word for problem in pool.problems for word in problem.text.split()}
    words.update(answer for problem in pool.problems for answer in problem.solutions)
    return SpellingTask(
        pool,
        classes=CLASSES,
        vocabulary=sorted(words),
        noise=noise,
        seed=seed,
        sizes=sizes or SplitSizes(eval=128, sft=192, rl=288),
    )


@cache
def _pool() -> _Pool:
    problems, graders = [], []
    for label in CLASSES:
        letters = _LETTERS[label]
        spec = f"reasoning-gym:spell_backward?min_word_len={letters}&max_word_len={letters}"
        grader = ReasoningGymTask(f"{spec}&size={_DRAWN}", seed=0)
        seen: set[str] = set()
        for prompt in grader.prompts("train"):
            head, _, word = prompt.text.rpartition(" ")
            if word in seen:
                continue
            seen.add(word)
            problems.append(Problem(f"{head} {{}}", word, label, (word[::-1],)))
            graders.append((grader, prompt))
    return _Pool(tuple(problems), tuple(graders))
