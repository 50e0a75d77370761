"""run_trial: the designs of the protocol one after the other, each kept as counts when done."""

from __future__ import annotations

import functools
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpolab.errors import require
from grpolab.simulate.sweep import Backend
from grpolab.store import write_json
from grpolab.validate.study.runner import open_folder, run_jobs
from grpolab.validate.study.trial.analysis import Analysis, analyse
from grpolab.validate.study.trial.counts import (
    finished_designs,
    gather,
    is_finished,
    read_design,
    write_design,
)
from grpolab.validate.study.trial.protocol import protocol
from grpolab.validate.study.trial.work import plan, run_trial_job

WORK = ".work"
"""Folder, beside the finished designs, of the design that is being run."""
RESULT = "result.json"
"""File, beside the finished designs, that says what they decide."""


def write_result(folder: Path) -> Analysis:
    """Analyse the finished designs of a folder and write ``result.json`` beside them."""
    fixed = protocol()
    done = finished_designs(fixed, folder)
    found = analyse(fixed, done)
    write_json(folder / RESULT, found.as_dict())
    return found


def run_trial(
    out: Path,
    *,
    designs: Sequence[str] = (),
    workers: int = 0,
    minutes: float = math.inf,
    backend: Backend = "local",
) -> dict[str, Any]:
    """Run the designs of the protocol that ``out`` does not hold yet, in the order of the protocol.

    A design is finished before the next one is begun; its checkpoints are removed then, and
    ``result.json`` is written anew. A trial
    that was stopped goes on at the job where it was, from a copy of the finished files alone at
    the design where it was. ``designs``: only these. Returns how many designs are done, and
    ``left``, the jobs of the design at which the minutes ran out. UserError for an unknown design,
    or a protocol that is not the recorded one.
    """
    fixed = protocol()
    chosen = [fixed.design(name) for name in designs] or list(fixed.designs)
    chosen.sort(key=fixed.designs.index)
    require("torch", extra="train")
    require("transformers", extra="train")
    start, left = time.monotonic(), 0
    with open_folder({"kind": "trial", "protocol": fixed.sha256}, out / WORK, what="a trial"):
        for design in chosen:
            if is_finished(out, design):
                read_design(fixed, design, out)  # a file that has changed is refused here
                continue
            root = out / WORK
            left = run_jobs(
                functools.partial(run_trial_job, fixed), plan(fixed, design), root=root,
                workers=workers or len(os.sched_getaffinity(0)), backend=backend,
                seconds=60 * minutes - (time.monotonic() - start),
            )  # fmt: skip
            if left:
                break
            write_design(gather(fixed, design, root=root), out, sha256=fixed.sha256)
            shutil.rmtree(root / design.name)
            write_result(out)
    done = sum(is_finished(out, design) for design in fixed.designs)
    return {"out": str(out), "done": done, "designs": len(fixed.designs), "left": left}
