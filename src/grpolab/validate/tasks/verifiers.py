"""Verifiers of short answers, and adapters for functions that others wrote."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from grpolab.errors import UserError, load_object, require
from grpolab.validate.tasks.base import NoVerdict
from grpolab.validate.tasks.numbers import stated_number
from grpolab.validate.tasks.reply import final_reply

Verifier = Callable[[str, Mapping[str, Any]], object]
"""(completion, row) -> True or False, 1 or 0; None or NaN where there is no verdict."""


def as_verdict(value: object) -> bool | None:
    """A verifier's answer as True, False or None (no verdict); TypeError for anything else.

    >>> as_verdict(1.0), as_verdict(False), as_verdict(float("nan"))
    (True, False, None)
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise TypeError(f"a binary reward is 0 or 1, or None for no verdict; got {value!r}")


def exact(completion: str, row: Mapping[str, Any], *, answer: str = "answer") -> bool:
    """Equal up to runs of white space.

    >>> exact(" a  b", {"answer": "a b"})
    True
    """
    return completion.split() == str(row[answer]).split()


def numeric(
    completion: str, row: Mapping[str, Any], *, answer: str = "answer", tolerance: float = 1e-6
) -> bool:
    """The number that the completion states is the one that the answer states.

    What that is, of several numbers, is said in `grpolab.validate.tasks.numbers`.

    >>> numeric("that makes $1,200.", {"answer": "30 * 40 #### 1200"})
    True
    """
    expected = stated_number(str(row[answer]))
    if expected is None:
        raise NoVerdict(f"the answer {row[answer]!r} holds no number")
    got = stated_number(completion)
    if got is None or not math.isfinite(got):
        return False
    return math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)


def regex(completion: str, row: Mapping[str, Any], *, answer: str = "answer") -> bool:
    """The whole stripped completion matches the pattern in the answer.

    >>> regex(" 42 ", {"answer": "4[0-9]"})
    True
    """
    return re.fullmatch(str(row[answer]), completion.strip(), re.DOTALL) is not None


def math_equal(completion: str, row: Mapping[str, Any], *, answer: str = "answer") -> bool:
    """Mathematically equal, by math-verify (extra ``math``)."""
    require("math_verify", extra="math")
    math_verify: Any = importlib.import_module("math_verify")
    gold = math_verify.parse(str(row[answer]))
    if not gold:
        raise NoVerdict(f"math-verify cannot read the answer {row[answer]!r}")
    return bool(math_verify.verify(gold, math_verify.parse(completion)))


VERIFIERS: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {"exact": exact, "math": math_equal, "numeric": numeric, "regex": regex}
)
"""Verifiers by name."""


def make_verifier(
    name: str, *, answer: str = "answer", extract: str | None = None
) -> Callable[[str, Mapping[str, Any]], bool]:
    r"""The verifier of that name, on column ``answer``.

    What is judged is the reply without reasoning and chat tokens (see `final_reply`). ``extract``
    is a pattern with one group: its last match in the whole completion is judged instead, and a
    completion without a match is wrong.

    >>> check = make_verifier("exact", extract=r"\\boxed\{(.*?)\}")
    >>> check(r"so \boxed{7}", {"answer": "7"}), check("7", {"answer": "7"})
    (True, False)
    """
    if name not in VERIFIERS:
        raise UserError(f"unknown verifier {name!r}; known verifiers: {', '.join(VERIFIERS)}")
    if name == "math":
        require("math_verify", extra="math")
    try:
        pattern = None if extract is None else re.compile(extract, re.DOTALL)
    except re.error as err:
        raise UserError(f"extract={extract!r} is no pattern: {err}") from err
    if pattern is not None and pattern.groups != 1:
        raise UserError(f"extract={extract!r} must have one group, has {pattern.groups}")

    def verifier(completion: str, row: Mapping[str, Any]) -> bool:
        if pattern is None:
            completion = final_reply(completion)
        else:
            found = pattern.findall(completion)
            if not found:
                return False
            completion = found[-1]
        return VERIFIERS[name](completion, row, answer=answer)

    return verifier


class TrlReward:
    """A reward function in TRL's form: ``reward(prompts=, completions=, **columns)`` -> a list.

    Every column of the rows is passed as a list. Rewards must be 0 or 1 unless ``threshold`` says
    from where on a completion counts as right; None is no verdict. With ``conversational``
    completions are passed as a list of one assistant message each, as TRL does with chats.
    """

    def __init__(
        self,
        function: Callable[..., Sequence[float | None]],
        *,
        threshold: float | None = None,
        conversational: bool = False,
    ) -> None:
        self._function = function
        self._threshold = threshold
        self._conversational = conversational

    def judge(
        self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> list[bool | None]:
        """One verdict per completion."""
        shown: Sequence[Any] = completions
        if self._conversational:
            shown = [[{"role": "assistant", "content": text}] for text in completions]
        columns = {key: [row[key] for row in rows] for key in rows[0] if key != "prompt"}
        rewards = self._function(prompts=list(prompts), completions=list(shown), **columns)
        if len(rewards) != len(completions):
            raise TypeError(f"{len(rewards)} rewards for {len(completions)} completions")
        return [self._verdict(reward) for reward in rewards]

    def _verdict(self, reward: float | None) -> bool | None:
        if self._threshold is None or reward is None or math.isnan(reward):
            return as_verdict(reward)
        return bool(reward >= self._threshold)


def load_function(place: str) -> Verifier | TrlReward:
    """The function at ``FILE.py:NAME``; one with a parameter ``completions`` is a reward of TRL's.

    UserError where there is no such file or function, or the file cannot be run.
    """
    function = load_object(place, kind="function ")
    if not callable(function):
        file, _, name = place.rpartition(":")
        raise UserError(f"{place}: {file} has no function {name!r}")
    is_trl = "completions" in inspect.signature(function).parameters
    found: Verifier | TrlReward = TrlReward(function) if is_trl else function
    return found
