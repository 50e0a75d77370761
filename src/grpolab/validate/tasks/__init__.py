"""Verifiable tasks with binary rewards; torch-free."""

from __future__ import annotations

from grpolab.validate.tasks.base import NoVerdict, Prompt, Task, TaskReport, Verdict
from grpolab.validate.tasks.code import CodeTask
from grpolab.validate.tasks.code_formats import FORMATS, CodeProblem
from grpolab.validate.tasks.identity import VerifierId, verifier_id
from grpolab.validate.tasks.joined import Joined
from grpolab.validate.tasks.load import humaneval, load_task, sound_prompts
from grpolab.validate.tasks.records import RecordTask
from grpolab.validate.tasks.rows import load_rows
from grpolab.validate.tasks.verifiers import VERIFIERS, TrlReward, make_verifier

__all__ = [
    "FORMATS",
    "VERIFIERS",
    "CodeProblem",
    "CodeTask",
    "Joined",
    "NoVerdict",
    "Prompt",
    "RecordTask",
    "Task",
    "TaskReport",
    "TrlReward",
    "Verdict",
    "VerifierId",
    "humaneval",
    "load_rows",
    "load_task",
    "make_verifier",
    "sound_prompts",
    "verifier_id",
]
