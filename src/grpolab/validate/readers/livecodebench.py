"""LiveCodeBench: ``*_eval_all.json`` with one boolean per sample in ``graded_list``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from grpolab.errors import UserError
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.source import Remarks, Sample, document
from grpolab.validate.readers.verdicts import Verdicts, count_verdicts


def recognises(sample: Sample) -> bool:
    """A list of questions with ``graded_list``."""
    return sample.kind == "json" and sample.has("question_id", "graded_list")


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """``graded_list`` per ``question_id``."""
    (path,) = paths
    rows = Verdicts(name="graded_list")
    seen: set[str] = set()
    items = document(path)
    if not isinstance(items, list):
        raise UserError(f"{path}: expected a list of questions")
    for number, item in enumerate(items, start=1):
        graded = item.get("graded_list") if isinstance(item, dict) else None
        if not isinstance(graded, list) or not all(g in (True, False, None) for g in graded):
            raise UserError(f"{path}: item {number}: graded_list must be a list of true and false")
        question = str(item.get("question_id"))
        if question in seen:
            raise UserError(f"{path}: item {number}: question_id {question} appears twice")
        seen.add(question)
        for passed in graded:
            rows.add(question, math.nan if passed is None else float(passed))
    return count_verdicts(rows, paths, options, remarks)


FORMAT = Format(
    name="livecodebench",
    tool="LiveCodeBench",
    files="its `*_eval_all.json`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
)
