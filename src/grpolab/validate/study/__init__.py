"""The study: SFT ladders and GRPO on small models, and forecasts compared with what happened."""

from grpolab.validate.study.config import PRESETS, StudyConfig, preset
from grpolab.validate.study.families import REGIMES, Regime

__all__ = ["PRESETS", "REGIMES", "Regime", "StudyConfig", "preset"]
