"""Verdicts: right, wrong, or none, and a verifier that fails loses nothing but its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grpolab.errors import UserError
from grpolab.validate.tasks.base import NoVerdict, Prompt, Task, Verdict


class Judged(NamedTuple):
    """Verdicts of R completions, how many of them an exception took, and the first exception."""

    verdicts: list[Verdict]
    num_errors: int
    first_error: str


def judge(task: Task, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[Verdict]:
    """Verdicts of len(texts) / len(prompts) completions per prompt; None where there is none."""
    return judge_all(task, prompts, texts).verdicts


def judge_all(task: Task, prompts: Sequence[Prompt], texts: Sequence[str]) -> Judged:
    """Judge completions, row-major in (prompt, sample); equal texts of a prompt are judged once.

    ``task.verify_many`` gets all distinct completions at once; where it returns None or raises,
    each is judged alone. A verifier that raises, or returns anything but
    True, False, 0, 1, NaN and None, gives None: a failed judgement is no observation, and never 0.
    UserError, which speaks of the set-up and not of a completion, passes through.
    Raises ValueError when the texts do not divide among the prompts.
    """
    if len(prompts) == 0 or len(texts) % len(prompts):
        raise ValueError(f"texts must divide among {len(prompts)} prompts, got {len(texts)}")
    per_prompt = len(texts) // len(prompts)
    by_id = {prompt.id: prompt for prompt in prompts}
    keys = [(prompts[i // per_prompt].id, text) for i, text in enumerate(texts)]
    distinct = list(dict.fromkeys(keys))
    asked = [by_id[i] for i, _ in distinct]
    answers = _ask(task, asked, [text for _, text in distinct])
    known = dict(zip(distinct, answers, strict=True))
    found = [known[key] for key in keys]
    errors = [error for _, error in found if error]
    return Judged([verdict for verdict, _ in found], len(errors), errors[0] if errors else "")


def _ask(task: Task, prompts: list[Prompt], texts: list[str]) -> list[tuple[Verdict, str]]:
    """A (verdict, error) for each completion."""
    try:
        answers = task.verify_many(prompts, texts)
    except UserError:  # no sandbox, say: nothing that judging one by one could mend
        raise
    except Exception:
        answers = None
    if answers is not None and len(answers) == len(texts):
        return [_verdict(answer) for answer in answers]
    return [_one(task, prompt, text) for prompt, text in zip(prompts, texts, strict=True)]


def _one(task: Task, prompt: Prompt, text: str) -> tuple[Verdict, str]:
    try:
        return _verdict(task.verify(prompt, text))
    except UserError:
        raise
    except NoVerdict:
        return None, ""
    except Exception as err:  # whatever a verifier raises, the sample is not lost
        return None, f"{type(err).__name__}: {err}"


def _verdict(answer: Any) -> tuple[Verdict, str]:
    """Read what a verifier returned.

    >>> _verdict(1.0), _verdict(float("nan")), _verdict(0.5)[0]
    ((True, ''), (None, ''), None)
    """
    if answer is None or answer != answer:
        return None, ""
    if answer in (0, 1):
        return bool(answer), ""
    return None, f"the verifier returned {answer!r} instead of True, False or None"
