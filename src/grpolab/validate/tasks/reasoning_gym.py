"""Tasks of the package reasoning-gym: any of its generators, judged by its own graders."""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import warnings
from typing import Any
from urllib.parse import parse_qsl

from grpolab.errors import UserError, first_line, require
from grpolab.streams import stream_seed
from grpolab.validate.tasks.base import Prompt, Task, TaskReport
from grpolab.validate.tasks.identity import VerifierId, verifier_id
from grpolab.validate.tasks.verifiers import check_pattern, extracted

PREFIX = "reasoning-gym:"
"""How the name of such a task begins: ``reasoning-gym:chain_sum?max_digits=2&size=200``."""
_SIZE = 500
_SPLITS = ("eval", "train")


class ReasoningGymTask(Task):
    """Problems of one generator: ``size`` (500) per split, ``eval`` and ``train``.

    A completion is right where the generator's grader gives it the full score 1, or ``threshold``;
    a lower score is wrong. What ``extract`` finds is graded; without it what stands between
    ``<answer>`` and ``</answer>``, or the whole completion where there are no such tags, without
    white space around it. A grader that raises on a completion cannot read it: wrong, and counted
    in ``report``. Each reference answer must score 1.
    """

    def __init__(
        self, spec: str, *, seed: int, threshold: float | None = None, extract: str | None = None
    ) -> None:
        check_pattern(extract)
        self._threshold, self._extract = 1.0 if threshold is None else threshold, extract
        require("reasoning_gym", extra="reasoning-gym")
        name, _, settings = spec.removeprefix(PREFIX).partition("?")
        options = {key: _literal(value) for key, value in parse_qsl(settings, True)}
        size = options.pop("size", _SIZE)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{spec}: size must be a whole number of at least 1, got {size!r}")
        if "seed" in options:
            raise UserError(f"{spec}: the seed is an option of the command, --task-seed")
        self.name = spec
        self._data = {
            split: _create(
                spec, name, size=size, seed=stream_seed(seed, "reasoning-gym", split, bits=31),
                **options,
            )
            for split in _SPLITS
        }  # fmt: skip
        self._size, self._unread = size, 0
        self._entries: dict[str, list[Any]] = {}

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """Prompts of ``eval`` or ``train``; ids of the two do not overlap."""
        if split not in self._data:
            raise UserError(f"{self.name} has the splits {' and '.join(_SPLITS)}, not {split!r}")
        first = _SPLITS.index(split) * self._size
        return tuple(
            Prompt(first + i, str(entry["question"]), "all")
            for i, entry in enumerate(self._of(split))
        )

    def _of(self, split: str) -> list[Any]:
        """The entries of a split, made at the first call."""
        if split not in self._entries:
            data = self._data[split]
            with _quiet():
                found = [data[i] for i in range(self._size)]
                for entry in found:
                    answer = entry["answer"]
                    if answer is not None and data.score_answer(answer, entry) != 1:
                        raise UserError(
                            f"{self.name}: its grader gives its own answer {answer!r} less than 1"
                        )
            self._entries[split] = found
        return self._entries[split]

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Whether the grader gives the answer its full score."""
        split = _SPLITS[prompt.id // self._size]
        entry = self._of(split)[prompt.id % self._size]
        answer = _answer(completion)
        if self._extract is not None:
            found = extracted(completion, self._extract)
            if found is None:
                return False
            answer = found
        try:
            with _quiet():
                return bool(self._data[split].score_answer(answer, entry) >= self._threshold)
        except Exception:  # graders raise anything on what they cannot parse
            self._unread += 1
            return False

    def report(self) -> TaskReport:
        """How many completions a grader could not read."""
        return TaskReport("", {"unreadable for the grader": self._unread} if self._unread else {})

    @property
    def verifier(self) -> VerifierId:
        """The generator's grader by its source, and what is made of its score."""
        return verifier_id("reasoning-gym", self._data["eval"].score_answer, self.name,
                           self._threshold, self._extract)  # fmt: skip


def _answer(completion: str) -> str:
    """What stands between the last pair of answer tags, else everything.

    >>> _answer("I think <answer> 7 </answer>."), _answer(" 7")
    ('7', '7')
    """
    _, opened, rest = completion.rpartition("<answer>")
    return (rest.partition("</answer>")[0] if opened else completion).strip()


def _create(spec: str, name: str, **options: Any) -> Any:
    """The generator; UserError for an unknown name or a setting that it refuses."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"reasoning-gym has {len(DATASETS)} generators, none named {name!r}{hint}")
    try:
        with _quiet():
            return reasoning_gym.create_dataset(name, **options)
    except Exception as err:  # assertions, type errors, value errors
        raise UserError(f"{spec}: reasoning-gym refuses it ({first_line(err)})") from err


def _literal(text: str) -> Any:
    """A number, a truth value, a list; else the text.

    >>> _literal("3"), _literal("[1, 2]"), _literal("easy")
    (3, [1, 2], 'easy')
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@contextlib.contextmanager
def _quiet() -> Any:
    """Generators and graders print and warn; neither says anything about the answer."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
