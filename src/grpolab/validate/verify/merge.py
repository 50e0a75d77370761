"""A record of `grpolab verify --json`, with some of its checks run anew."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.store import jsonable, read_json, write_text
from grpolab.validate.verify.registry import CheckOutcome, Size, at_level


def record(outcomes: Sequence[CheckOutcome], *, size: Size, level: float) -> dict[str, Any]:
    """What `grpolab verify --json` prints."""
    return {
        "passed": all(outcome.passed for outcome in outcomes),
        "level": level,
        "size": _plain(size),
        "results": [outcome.as_dict() for outcome in outcomes],
    }


def merge_into(
    path: Path,
    outcomes: Sequence[CheckOutcome],
    *,
    size: Size,
    level: float,
    order: Sequence[str],
) -> list[CheckOutcome]:
    """Put outcomes into the record at ``path``, in place of those of the same name.

    ``level`` is then that of all checks together. ``order`` are the names of the checks there are:
    an outcome of another name is dropped. A file that does not exist is begun. Raises UserError
    where it is no such record, and where the record was made with another size.
    """
    kept = read_record(path, size)
    kept |= {outcome.name: outcome for outcome in outcomes}
    whole = at_level([kept[name] for name in order if name in kept], level=level)
    write_text(path, _one_line_each(record(whole, size=size, level=level)))
    return whole


def _one_line_each(found: dict[str, Any]) -> str:
    """JSON with every check on a line of its own; there are thousands."""
    text = json.dumps(jsonable(found), indent=1, allow_nan=False)
    return re.sub(r"\{[^{}]*\}", lambda one: re.sub(r"\s*\n\s*", " ", one[0]), text) + "\n"


def read_record(path: Path, size: Size) -> dict[str, CheckOutcome]:
    """Outcomes by name of a record of this size, none of a file that is not there."""
    if not path.exists():
        return {}
    old = read_json(path)
    try:
        made = {key: old["size"][key] for key in _plain(size)}
        found = {r["name"]: CheckOutcome.from_dict(r) for r in old["results"]}
    except (KeyError, TypeError) as err:
        raise UserError(f"{path}: not a record of grpolab verify --json ({err!r})") from err
    if made != _plain(size):
        raise UserError(f"{path}: the record is of size {made}, the checks are of {_plain(size)}")
    return found


def _plain(size: Size) -> dict[str, int]:
    return {"groups": size.groups, "chains": size.chains, "seed": size.seed}
