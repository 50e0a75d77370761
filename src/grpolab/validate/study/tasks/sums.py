"""Sums of two numbers, for models that were pretrained on text: "12 + 7 =" and "19"."""

from __future__ import annotations

from functools import cache
from itertools import product

from grpolab.validate.study.tasks.problems import EnumeratedTask, Problem, SplitSizes
from grpolab.validate.tasks.base import Prompt

SMALLEST, MIDDLE, LARGEST = 1, 20, 40
CLASSES = ("small", "large")


class SumTask(EnumeratedTask):
    """An `EnumeratedTask` that forgives white space around the answer, which tokenizers put."""

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion is the sum and nothing else but white space."""
        return super().verify(prompt, completion.strip())


def sums(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> SumTask:
    """Prompts "12 + 7 =", completions "19"; terms 1..40.

    Class ``small``: both terms at most 20 (400 problems); ``large``: one of them larger (1200).

    >>> task = sums(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [1472, 192, 192, 288, 128]
    """
    numbers = [str(n) for n in range(SMALLEST, 2 * LARGEST + 1)]
    return SumTask(
        "sums",
        _problems(),
        classes=CLASSES,
        vocabulary=[*numbers, "+", "="],
        noise=noise,
        seed=seed,
        sizes=sizes or SplitSizes(eval=128, sft=192, rl=288),
    )


@cache
def _problems() -> tuple[Problem, ...]:
    terms = range(SMALLEST, LARGEST + 1)
    return tuple(
        Problem(f"{a} + {{}} =", b, CLASSES[max(a, b) > MIDDLE], (str(a + b),))
        for a, b in product(terms, terms)
    )
