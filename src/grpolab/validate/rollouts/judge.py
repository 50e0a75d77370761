"""Verdicts: right, wrong, or none, and a verifier that fails loses nothing but its verdict."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from grpolab.errors import UserError, first_line
from grpolab.validate.tasks.base import NoVerdict, Prompt, Task, TaskReport, Verdict
from grpolab.validate.tasks.identity import VerifierId
from grpolab.validate.tasks.verifiers import as_verdict

MOST_ERRORS = 0.05
"""Share of the completions that a verifier may fail on, unless more is allowed."""
_FEW = 20
"""Errors below which the share of a run that goes on says nothing yet."""


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
    UserError, which speaks of the set-up and not of a completion, passes through; a score between
    0 and 1 is one.
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
        if answers is not None and len(answers) == len(texts):
            return [(as_verdict(answer), "") for answer in answers]
    except UserError:  # no sandbox, say: nothing that judging one by one could mend
        raise
    except Exception:  # one by one says on which completion
        pass
    return [_one(task, prompt, text) for prompt, text in zip(prompts, texts, strict=True)]


def _one(task: Task, prompt: Prompt, text: str) -> tuple[Verdict, str]:
    try:
        return as_verdict(task.verify(prompt, text)), ""
    except UserError:
        raise
    except NoVerdict:
        return None, ""
    except Exception as err:  # whatever a verifier raises, the sample is not lost
        return None, describe(err)


def describe(err: Exception) -> str:
    """What an exception says and the line that raised it."""
    found = traceback.extract_tb(err.__traceback__)
    where = f" ({Path(found[-1].filename).name}:{found[-1].lineno})" if found else ""
    return f"{type(err).__name__}: {first_line(err)}{where}"


def too_many_errors(errors: int, total: int, first: str) -> UserError | None:
    """What to say where a verifier failed on more than `MOST_ERRORS` of ``total``; else None."""
    if errors <= MOST_ERRORS * total:
        return None
    return UserError(
        f"the verifier raised on at least {errors} of {total} completions, which have no verdict;"
        f" the first time {first}. Completions are kept: mend the verifier and run again, --rejudge"
        " after mending something else, or --allow-errors"
    )


class Watched(Task):
    """A task whose verifier is watched over a whole run: UserError when it fails too often.

    That is on more than `MOST_ERRORS` of the completions so far, and on 20 of them.
    """

    def __init__(self, task: Task) -> None:
        self.name, self.max_new_tokens, self.stop = task.name, task.max_new_tokens, task.stop
        self._task = task
        self._asked = self._errors = 0

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """The prompts of the task."""
        return self._task.prompts(split)

    @property
    def verifier(self) -> VerifierId:
        """The verifier of the task."""
        return self._task.verifier

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """The verdict of the task; what it raises is counted."""
        self._asked += 1
        try:
            return self._task.verify(prompt, completion)
        except (NoVerdict, UserError):
            raise
        except Exception as err:
            self._errors += 1
            if self._errors >= _FEW and self._errors > MOST_ERRORS * self._asked:
                raise UserError(
                    f"the verifier raised on {self._errors} of {self._asked} completions, last"
                    f" {describe(err)}: mend it and start a new run, or --allow-errors"
                ) from err
            raise

    def verify_many(
        self, prompts: Sequence[Prompt], completions: Sequence[str]
    ) -> list[Verdict] | None:
        """The verdicts of the task."""
        found = self._task.verify_many(prompts, completions)
        if found is not None:
            self._asked += len(found)
        return found

    def report(self) -> TaskReport:
        """What the task reports."""
        return self._task.report()

    def close(self) -> None:
        """Close the task."""
        self._task.close()
