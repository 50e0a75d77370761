"""Write again what follows from finished designs of the trial: no training, no torch.

``python -m grpolab.validate.study.explore docs/results`` rewrites, from committed counts, the
trial's result and the judgement of the forecast of runs, what is explored, the levels that
`grpolab.forecast_outcome` uses and, in a checkout, the tables of the pages and the trial's figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.figures.registry import TRIAL, find
from grpolab.store import jsonable, write_json
from grpolab.validate.forecast.levels import FILE as LEVELS
from grpolab.validate.study.explore import pretrained
from grpolab.validate.study.explore.courses import courses
from grpolab.validate.study.explore.explored import explored
from grpolab.validate.study.explore.forecasts import as_file, known_levels, scored
from grpolab.validate.study.monitor_trials.futility import judge_folder
from grpolab.validate.study.redo import redraw
from grpolab.validate.study.trial.analysis import rounded
from grpolab.validate.study.trial.counts import is_finished, read_design
from grpolab.validate.study.trial.main import write_result
from grpolab.validate.study.trial.protocol import protocol

FUTILITY, EXPLORED = "futility.json", "explored.json"


def rewrite(results: Path, *, levels: Path = LEVELS) -> None:
    """Everything but pages; UserError where the folder holds no finished design."""
    designs = courses(results)
    if not designs:
        raise UserError(f"{results}: no committed study and no finished design of the trial")
    trial = (results / TRIAL).parent
    result: dict[str, Any] = {"done": [], "num_designs": len(protocol().designs), "verdicts": []}
    if any(trial.glob("*.parquet")):
        result = write_result(trial).as_dict()
        write_json(trial / FUTILITY, judge_folder(trial))
    known = known_levels([scored(design) for design in designs], result)
    write_json(levels, rounded(jsonable(as_file(known))))
    measured = [
        read_design(protocol(), design, trial)
        for design in protocol().designs
        if is_finished(trial, design)
    ]
    found = explored(designs, trial=measured, pretrained=pretrained.of_folder(results, designs))
    write_json(results / EXPLORED, rounded(jsonable(found)))


def main(arguments: Sequence[str]) -> None:
    """Rewrite everything that follows from a folder of results."""
    parser = argparse.ArgumentParser(description=__doc__, prog="explore")
    parser.add_argument("results", type=Path, help="folder of committed results")
    given = parser.parse_args(arguments)
    try:
        rewrite(given.results)
        docs = given.results.resolve().parent
        if (docs / "tables.py").is_file():
            redraw(docs, find(["trial"]))
    except UserError as err:
        parser.exit(2, f"{err}\n")
    print(f"rewrote what follows from {given.results}")
