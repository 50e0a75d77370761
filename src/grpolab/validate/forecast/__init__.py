"""From counts to groups that were not drawn yet: one law of p, and all that follows from it.

`law` estimates how the success rate is spread over prompts (`fit_law`) and says what a group of any
size will hold. On it build the zero-std share at a planned size (`zero_std`), pass@k and its
extrapolation (`pass_at_k`), an interval beyond the samples for any law of p (`beyond`, `profile`),
what the first groups of a run will show (`predict`, `interval`), forecasts that move with the
policy (`population`), and rules that order starts by what RL will make of them (`outcome`).
"""

from grpolab.validate.forecast.beyond import ASSUMES, Beyond, beyond
from grpolab.validate.forecast.cover import Cover, cover_curve
from grpolab.validate.forecast.interval import (
    ForecastInterval,
    coverage_by_step,
    forecast_interval,
)
from grpolab.validate.forecast.law import METHODS, LawOfP, fit_law, model_law, prompt_laws
from grpolab.validate.forecast.outcome import (
    RULES,
    OutcomeForecast,
    budget_k,
    forecast_outcome,
    pass_at_any,
    transport,
)
from grpolab.validate.forecast.pass_at_k import (
    Extrapolation,
    PassAtK,
    estimate_pass_at_k,
    extrapolate_pass_at_k,
)
from grpolab.validate.forecast.population import (
    Population,
    forecast_population,
    population_path,
    rate_law,
)
from grpolab.validate.forecast.posterior import Posterior, fit_posterior
from grpolab.validate.forecast.predict import first_groups, share_prediction
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.forecast.zero_std import ZeroStdPrediction, predict_zero_std

__all__ = [
    "ASSUMES",
    "METHODS",
    "RULES",
    "Beyond",
    "Cover",
    "Extrapolation",
    "ForecastInterval",
    "LawOfP",
    "OutcomeForecast",
    "PassAtK",
    "Population",
    "Posterior",
    "ZeroStdPrediction",
    "beyond",
    "budget_k",
    "cover_curve",
    "coverage_by_step",
    "estimate_pass_at_k",
    "extrapolate_pass_at_k",
    "first_groups",
    "fit_law",
    "fit_posterior",
    "forecast_interval",
    "forecast_outcome",
    "forecast_population",
    "law_interval",
    "model_law",
    "pass_at_any",
    "population_path",
    "predict_zero_std",
    "prompt_laws",
    "rate_law",
    "share_prediction",
    "transport",
]
