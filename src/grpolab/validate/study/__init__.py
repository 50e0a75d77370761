"""The main job: theory predicts, simulation plays, a real transformer is trained and measured."""

from grpolab.validate.study.config import PRESETS, StudyConfig, preset
from grpolab.validate.study.families import REGIMES, Regime

__all__ = ["PRESETS", "REGIMES", "Regime", "StudyConfig", "preset"]
