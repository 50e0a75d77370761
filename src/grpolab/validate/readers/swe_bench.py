"""SWE-bench reports: ids of resolved, unresolved and failed instances; one report per run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts

_VERDICTS = {
    "resolved_ids": 1.0, "unresolved_ids": 0.0, "empty_patch_ids": 0.0, "error_ids": math.nan,
}  # fmt: skip


def recognises(sample: Sample) -> bool:
    """A document with resolved_ids and unresolved_ids or completed_ids."""
    return (
        sample.is_document
        and isinstance(sample.head, dict)
        and sample.has("resolved_ids")
        and (sample.has("unresolved_ids") or sample.has("completed_ids"))
    )


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """One sample per instance and report; an error of the harness is no verdict."""
    rows = Verdicts(name="resolved_ids")
    for path in sorted(paths):
        for instance, verdict in _report(path).items():
            rows.add(instance, verdict)
    if len(paths) > 1:
        remarks.add(f"{len(paths)} reports were taken as runs of one model")
    return count_verdicts(rows, paths, options, remarks)


def _report(path: Path) -> dict[str, float]:
    report = document(path)
    if not isinstance(report, dict):
        raise UserError(f"{path}: expected a report")
    found: dict[str, float] = {}
    completed = report.get("completed_ids") if "unresolved_ids" not in report else []
    lists = {"completed_ids": completed, **{n: report.get(n) for n in _VERDICTS}}
    for name, ids in lists.items():
        if ids is not None and not isinstance(ids, list):
            raise UserError(f"{path}: {name} must be a list of ids")
        for instance in ids or []:
            before, now = found.get(str(instance)), _VERDICTS.get(name, 0.0)
            if before is not None and name != "resolved_ids" and before == 1.0:
                raise UserError(f"{path}: {instance} is in resolved_ids and in {name}")
            found[str(instance)] = now
    return found


FORMAT = Format(
    name="swe-bench",
    tool="SWE-bench",
    files="`{model}.{run}.json` reports, one per run",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    many_files=True,
)
