"""Verifiers of short answers, and adapters for functions that others wrote."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from grpolab.errors import UserError, load_object, require
from grpolab.validate.tasks import numbers, reply
from grpolab.validate.tasks.base import NoVerdict
from grpolab.validate.tasks.identity import VerifierId, verifier_id
from grpolab.validate.tasks.numbers import stated_number
from grpolab.validate.tasks.reply import final_reply

Verifier = Callable[[str, Mapping[str, Any]], object]
"""(completion, row) -> True or False, 1 or 0; None or NaN where there is no verdict."""


def as_verdict(value: object, *, threshold: float | None = None) -> bool | None:
    """A verifier's answer as True, False or None (no verdict); TypeError for what is no number.

    With a ``threshold`` a number from there on is right. Without one a number that is neither 0
    nor 1 is a UserError: left out, it would be left out of the wrong completions alone.

    >>> as_verdict(1.0), as_verdict(False), as_verdict(float("nan")), as_verdict(0.7, threshold=0.5)
    (True, False, None, True)
    """
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, bool | int | float):
        raise TypeError(f"a binary reward is 0 or 1, or None for no verdict; got {value!r}")
    if threshold is not None:
        return value >= threshold
    if value not in (0, 1):
        raise UserError(
            f"the verifier gave the score {value!r}, and a binary reward is 0 or 1: say by"
            " --threshold from which score on a completion is right"
        )
    return bool(value)


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
    {"exact": exact, "numeric": numeric, "regex": regex, "math": math_equal}
)
"""Verifiers by name."""


@dataclass(frozen=True, slots=True)
class NamedVerifier:
    """A verifier of `VERIFIERS` on column ``answer``, made by `make_verifier`."""

    name: str
    answer: str
    extract: str | None

    def __call__(self, completion: str, row: Mapping[str, Any]) -> bool:
        """Whether the completion agrees with the answer of the row."""
        if self.extract is None:
            judged: str | None = final_reply(completion)
        else:
            judged = extracted(completion, self.extract)
        return judged is not None and VERIFIERS[self.name](judged, row, answer=self.answer)


def make_verifier(
    name: str, *, answer: str = "answer", extract: str | None = None
) -> NamedVerifier:
    r"""The verifier of that name, on column ``answer``.

    What is judged is the reply without reasoning and chat tokens (see `final_reply`). ``extract``
    is a pattern with one group: its last match in the whole completion is judged instead, and a
    completion without a match is wrong.

    >>> check = make_verifier("exact", extract=r"\\boxed\{(.*?)\}")
    >>> check(r"so \boxed{7}", {"answer": "7"}), check("7", {"answer": "7"})
    (True, False)
    """
    if name not in VERIFIERS:
        raise UserError(
            f"unknown verifier {name!r}; known verifiers: {', '.join(VERIFIERS)}, or FILE.py:NAME"
        )
    if name == "math":
        require("math_verify", extra="math")
    check_pattern(extract)
    return NamedVerifier(name, answer, extract)


def check_pattern(extract: str | None) -> None:
    """UserError unless ``extract`` is None or a pattern with one group."""
    if extract is None:
        return
    try:
        groups = re.compile(extract, re.DOTALL).groups
    except re.error as err:
        raise UserError(f"extract={extract!r} is no pattern: {err}") from err
    if groups != 1:
        raise UserError(f"extract={extract!r} must have one group, has {groups}")


def extracted(completion: str, pattern: str) -> str | None:
    r"""The group of the last match in a completion, None where there is none.

    >>> extracted("1 then [2] then [3]", r"\[(.)\]")
    '3'
    """
    found = re.findall(pattern, completion, re.DOTALL)
    return found[-1] if found else None


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
        return [as_verdict(reward, threshold=self._threshold) for reward in rewards]

    @property
    def verifier(self) -> VerifierId:
        """The function, and what becomes of its rewards."""
        name = getattr(self._function, "__qualname__", type(self._function).__qualname__)
        return verifier_id(name, self._function, self._threshold, self._conversational)


@dataclass(frozen=True, slots=True)
class Graded:
    """A function (completion, row) -> score: right from ``threshold`` on, where one is given.

    With ``extract`` the function gets the last match in the completion; none is wrong.
    """

    function: Verifier
    threshold: float | None = None
    extract: str | None = None

    def __call__(self, completion: str, row: Mapping[str, Any]) -> bool | None:
        """The verdict on a completion."""
        if self.extract is not None:
            found = extracted(completion, self.extract)
            if found is None:
                return False
            completion = found
        return as_verdict(self.function(completion, row), threshold=self.threshold)


def identify(verifier: Verifier | TrlReward) -> VerifierId:
    """Name and hash of a verifier, see `verifier_id`."""
    if isinstance(verifier, TrlReward):
        return verifier.verifier
    if isinstance(verifier, NamedVerifier):
        rule = VERIFIERS[verifier.name]
        return verifier_id(verifier.name, repr(verifier), rule, numbers.stated_number,
                           reply.final_reply)  # fmt: skip
    if isinstance(verifier, Graded):
        inner = identify(verifier.function)
        return verifier_id(inner.name, inner.hash, verifier.threshold, verifier.extract)
    return verifier_id(getattr(verifier, "__qualname__", type(verifier).__qualname__), verifier)


def load_function(
    place: str, *, threshold: float | None = None, extract: str | None = None
) -> Verifier | TrlReward:
    """The function at ``FILE.py:NAME``; one with a parameter ``completions`` is a reward of TRL's.

    ``threshold`` and ``extract`` as in `Graded`. UserError where there is no such file or
    function, or the file cannot be run.
    """
    function = load_object(place, kind="function ")
    if not callable(function):
        file, _, name = place.rpartition(":")
        raise UserError(f"{place}: {file} has no function {name!r}")
    check_pattern(extract)
    if "completions" not in inspect.signature(function).parameters:
        return Graded(function, threshold, extract)
    if extract is not None:
        raise UserError(f"{place}: --extract is for a function of (completion, row)")
    return TrlReward(function, threshold=threshold)
