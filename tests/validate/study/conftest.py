"""Whole studies in this process: most of a study of a few steps is the start of its workers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from grpolab.validate.study import main, runner
from grpolab.validate.study.trial import main as trial_main


def jobs_here(work: Any, jobs: list[Any], *, root: Any, seconds: float, **options: Any) -> int:
    """`run_jobs` without workers, each of which loads torch and the trainers anew."""
    if seconds < 1:
        return runner.run_jobs(work, jobs, root=root, seconds=seconds, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # those of the trainers
        for job in jobs:
            if not runner.is_done(root, job):
                runner._work(work, job, root)
    return 0


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Studies and trials of this module; test_study.py has one with workers of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "run_jobs", jobs_here)
        patch.setattr(trial_main, "run_jobs", jobs_here)
        yield
