"""What follows from finished designs of the trial, written again from their counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.figures.registry import TRIAL
from grpolab.store import jsonable, write_json
from grpolab.validate.study.explore import pretrained
from grpolab.validate.study.explore.courses import courses
from grpolab.validate.study.explore.explored import explored
from grpolab.validate.study.explore.forecasts import as_file, known_levels, scored
from grpolab.validate.study.monitor_trials.futility import judge_folder
from grpolab.validate.study.trial.analysis import rounded
from grpolab.validate.study.trial.counts import finished_designs
from grpolab.validate.study.trial.main import write_result
from grpolab.validate.study.trial.protocol import protocol

FUTILITY, EXPLORED = "futility.json", "explored.json"


def rewrite(results: Path, *, levels: Path | None) -> None:
    """The trial's result and the judgement of the forecast of runs, and what is explored.

    ``levels`` is the file that `grpolab.forecast_outcome` reads, None to leave it. Nothing is
    explored where the folder has no committed design.
    """
    trial = (results / TRIAL).parent
    result: dict[str, Any] = {"done": [], "num_designs": len(protocol().designs), "verdicts": []}
    if trial.is_dir():
        result = write_result(trial).as_dict()
        if result["done"]:
            write_json(trial / FUTILITY, judge_folder(trial))
    if designs := courses(results):
        scores = [scored(design) for design in designs]
        if levels is not None:
            write_json(levels, rounded(jsonable(as_file(known_levels(scores, result)))))
        measured = finished_designs(protocol(), trial)
        rows = pretrained.of_folder(results, designs)
        found = explored(designs, scores, trial=measured, pretrained=rows)
        write_json(results / EXPLORED, rounded(jsonable(found)))
