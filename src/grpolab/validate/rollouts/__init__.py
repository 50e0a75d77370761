"""Rollouts: one table, and the engines that fill it."""

from grpolab.validate.rollouts.table import Rollouts, SamplingLaw, text_hash

__all__ = ["Rollouts", "SamplingLaw", "text_hash"]
