"""Untrusted programs judged by tests that they cannot reach; Linux, torch-free."""

from grpolab.validate.sandbox.jobs import (
    CaseTests,
    CodeTests,
    Job,
    Limits,
    Outcome,
    Output,
    Result,
    Tests,
    TextTests,
)
from grpolab.validate.sandbox.levels import Level
from grpolab.validate.sandbox.pool import Sandbox
from grpolab.validate.sandbox.probe import broken_walls, choose_level

__all__ = [
    "CaseTests",
    "CodeTests",
    "Job",
    "Level",
    "Limits",
    "Outcome",
    "Output",
    "Result",
    "Sandbox",
    "Tests",
    "TextTests",
    "broken_walls",
    "choose_level",
]
