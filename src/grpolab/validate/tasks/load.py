"""A task from a data set: code where its rows hold tests, records where they hold answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.sandbox import Sandbox
from grpolab.validate.tasks.code import CodeTask
from grpolab.validate.tasks.code_formats import detect_format
from grpolab.validate.tasks.records import RecordTask
from grpolab.validate.tasks.rows import load_rows
from grpolab.validate.tasks.verifiers import TrlReward, Verifier, load_function, make_verifier


def load_task(
    source: str | Path,
    *,
    verifier: str | Verifier | TrlReward | None = None,
    prompt: str = "prompt",
    answer: str = "answer",
    extract: str | None = None,
    split: str = "test",
    limit: int | None = None,
    unsafe: bool = False,
) -> CodeTask | RecordTask:
    """The task in a local file or data set.

    Without a ``verifier`` the rows must be code problems. A verifier is a name (see `VERIFIERS`),
    which judges against column ``answer`` what ``extract`` finds in the completion, a function, or
    where to find one (see `load_function`).
    ``unsafe`` lets code run without walls where none can be had. UserError when the rows are
    neither.
    """
    rows = load_rows(source, split=split, limit=limit)
    name = Path(source).name
    if verifier is None:
        if detect_format(rows[0]) is None:
            raise UserError(
                f"{source}: not code problems (columns: {', '.join(sorted(rows[0]))}); for other"
                " records give a verifier"
            )
        return CodeTask.from_rows(rows, name=name, sandbox=partial(Sandbox, unsafe=unsafe))
    if isinstance(verifier, str) and ".py:" in verifier:
        verifier = load_function(verifier)
    elif isinstance(verifier, str):
        verifier = make_verifier(verifier, answer=answer, extract=extract)
        missing = next((i for i, row in enumerate(rows) if row.get(answer) is None), None)
        if missing is not None:
            raise UserError(f"{source}: row {missing} has no {answer!r}")
    return RecordTask(rows, verifier=verifier, name=name, prompt=prompt)
