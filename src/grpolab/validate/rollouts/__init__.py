"""Completions of a model and their verdicts: one engine protocol, one table."""

from grpolab.validate.rollouts.collect import collect
from grpolab.validate.rollouts.engine import Draws, Engine, EngineInfo, prompt_seeds
from grpolab.validate.rollouts.judge import Judged, judge_all
from grpolab.validate.rollouts.plan import RolloutPlan
from grpolab.validate.rollouts.stream import Worker, read_run, stream
from grpolab.validate.rollouts.table import Rollouts, SamplingLaw, text_hash

__all__ = [
    "Draws",
    "Engine",
    "EngineInfo",
    "Judged",
    "RolloutPlan",
    "Rollouts",
    "SamplingLaw",
    "Worker",
    "collect",
    "judge_all",
    "prompt_seeds",
    "read_run",
    "stream",
    "text_hash",
]
