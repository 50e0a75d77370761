"""The main job: theory predicts, simulation plays, a real transformer is trained and measured."""

from grpolab.validate.study.config import PRESETS, StudyConfig, preset
from grpolab.validate.study.families import REGIMES, Regime
from grpolab.validate.study.main import run_study

__all__ = ["PRESETS", "REGIMES", "Regime", "StudyConfig", "preset", "run_study"]
