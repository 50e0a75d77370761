"""Tasks that a model can be trained on from scratch: every problem has known right answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from grpolab.errors import UserError
from grpolab.streams import generator
from grpolab.validate.tasks.base import Prompt, Task

Style = Literal["canonical", "random", "short", "long"]
"""Which right answer is shown: always the same one, any known one, any of the shortest (in words),
any of the longest."""


class StudyTask(Task):
    """A task with demonstrations and a corpus, so that a model can be trained on it from scratch.

    Prompts and completions are words of ``vocabulary`` joined by single spaces; special tokens
    belong to the tokenizer and appear in neither. Prompts fall into ``classes``, of which narrow
    SFT shows the first.
    """

    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]

    @abstractmethod
    def demonstrations(
        self, prompts: Sequence[Prompt], *, style: Style, rng: np.random.Generator
    ) -> list[str]:
        """One right completion per prompt, see `Style`; ``canonical`` does not touch ``rng``."""

    @abstractmethod
    def corpus(self, size: int, *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Pairs (prompt text, completion) for pre-training: broad, and partly wrong."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: ``template`` has the place ``{}`` where the target, a number or a word, goes.

    ``solutions`` holds right completions, without repeats and the canonical one first.
    """

    template: str
    target: int | str
    label: str
    solutions: tuple[str, ...]

    @property
    def text(self) -> str:
        """The prompt."""
        return self.template.format(self.target)


class SplitSizes(NamedTuple):
    """Problems per split; ``eval``, ``sft_broad`` and ``rl`` are half of each class."""

    eval: int = 1000
    sft: int = 512
    rl: int = 2800


class ProblemTask(StudyTask):
    """A task given by all its problems, in two classes, and by a seed that draws the splits.

    Splits: ``eval`` (held out from all others), ``sft`` (first class only), ``sft_broad`` (both
    classes; its first-class half lies inside ``sft``: the two are alternatives), ``rl`` (disjoint
    from both), and ``base`` (everything but ``eval``). Mixed splits alternate between the classes,
    so that every even-sized beginning is half and half.
    """

    def __init__(
        self,
        name: str,
        problems: Sequence[Problem],
        *,
        classes: tuple[str, str],
        vocabulary: Sequence[str],
        noise: float,
        seed: int,
        sizes: SplitSizes | None = None,
    ) -> None:
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must lie in [0, 1], got {noise}")
        self.name = name
        self.classes = classes
        self.vocabulary = tuple(vocabulary)
        self.noise = noise
        self._problems = tuple(problems)
        self._prompts = tuple(Prompt(i, p.text, p.label) for i, p in enumerate(problems))
        self._targets = np.unique([p.target for p in problems])
        answers = chain.from_iterable(p.solutions for p in problems)
        self.max_new_tokens = 1 + max(map(_words, answers))
        order = generator(seed, "splits")
        self._splits = self._draw_splits(sizes or SplitSizes(), order)
        self._held_out = frozenset(prompt.text for prompt in self._splits["eval"])

    def _draw_splits(
        self, sizes: SplitSizes, rng: np.random.Generator
    ) -> Mapping[str, tuple[Prompt, ...]]:
        labels = np.array([prompt.label for prompt in self._prompts])
        first, second = (rng.permutation(np.flatnonzero(labels == c)) for c in self.classes)
        held, broad, mixed = sizes.eval // 2, sizes.sft // 2, sizes.rl // 2
        if held + sizes.sft + mixed > len(first) or held + broad + mixed > len(second):
            raise ValueError(f"sizes must fit {len(first)} and {len(second)} problems, got {sizes}")
        rl_start = (held + sizes.sft, held + broad)
        ids = {
            "eval": _alternate(first[:held], second[:held]),
            "sft": first[held : held + sizes.sft],
            "sft_broad": _alternate(first[held : held + broad], second[held : held + broad]),
            "rl": _alternate(
                first[rl_start[0] : rl_start[0] + mixed], second[rl_start[1] : rl_start[1] + mixed]
            ),
        }
        ids["base"] = np.setdiff1d(np.arange(len(labels)), ids["eval"])
        return {split: tuple(self._prompts[i] for i in rows) for split, rows in ids.items()}

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of a split, always in the same order; UserError when there is no such split."""
        if split not in self._splits:
            known = ", ".join(sorted(self._splits))
            raise UserError(f"task {self.name} has no split {split!r}; it has {known}")
        return self._splits[split]

    def solutions(self, prompt: Prompt) -> tuple[str, ...]:
        """Known right completions, the canonical one first; ValueError for a foreign prompt."""
        self._check(prompt)
        return self._problems[prompt.id].solutions

    def _check(self, prompt: Prompt) -> None:
        if not 0 <= prompt.id < len(self._prompts) or self._prompts[prompt.id] != prompt:
            raise ValueError(f"prompt must be one of task {self.name}, got {prompt}")

    def demonstrations(
        self, prompts: Sequence[Prompt], *, style: Style, rng: np.random.Generator
    ) -> list[str]:
        """One right completion per prompt, see `Style`; ``canonical`` does not touch ``rng``."""
        answers = [self._shown(prompt, style) for prompt in prompts]
        if style == "canonical":
            return [options[0] for options in answers]
        return _choose(answers, rng)

    def _shown(self, prompt: Prompt, style: Style) -> Sequence[str]:
        """The answers that demonstrations of a style are drawn from."""
        if style not in get_args(Style):
            raise ValueError(f"style must be one of {', '.join(get_args(Style))}, got {style!r}")
        known = self.solutions(prompt)
        if style == "random":
            return known
        if style == "canonical":
            return known[:1]
        words = (min if style == "short" else max)(map(_words, known))
        return [text for text in known if _words(text) == words]

    def corpus(self, size: int, *, rng: np.random.Generator) -> list[tuple[str, str]]:
        """Pairs (prompt text, completion) for pre-training: broad, and partly wrong.

        A random solution of a random ``base`` problem; with probability ``noise`` the target in the
        prompt is replaced by a random one. No prompt of ``eval`` ever appears.
        """
        base = self._splits["base"]
        rows = [base[i].id for i in rng.integers(len(base), size=size)]
        answers = _choose([self._problems[row].solutions for row in rows], rng)
        noisy = rng.random(size) < self.noise
        shown = np.array([self._problems[row].target for row in rows], dtype=self._targets.dtype)
        shown[noisy] = rng.choice(self._targets, size=int(noisy.sum()))
        texts = [self._problems[r].template.format(t) for r, t in zip(rows, shown, strict=True)]
        for i in range(size):
            while texts[i] in self._held_out:
                texts[i] = self._problems[rows[i]].template.format(rng.choice(self._targets))
        return list(zip(texts, answers, strict=True))


def _words(text: str) -> int:
    return text.count(" ") + 1


def _alternate(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([a, b], axis=1).ravel()


def _choose(options: Sequence[Sequence[str]], rng: np.random.Generator) -> list[str]:
    """One of each, uniformly."""
    picks = (rng.random(len(options)) * [len(o) for o in options]).astype(np.int64)
    return [o[i] for o, i in zip(options, picks.tolist(), strict=True)]


class EnumeratedTask(ProblemTask):
    """A `ProblemTask` whose problems list every right completion; all others are wrong."""

    @cached_property
    def _right(self) -> tuple[frozenset[str], ...]:
        return tuple(frozenset(problem.solutions) for problem in self._problems)

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether a completion, end token removed, is right; any string is allowed.

        Exact to the character. Raises ValueError for a prompt of another task.
        """
        self._check(prompt)
        return completion in self._right[prompt.id]
