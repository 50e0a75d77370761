"""Forecasts from success counts: what a run will see first, and what RL will make of a start.

`forecast_outcome` gives the score that orders starts and, where finished designs had such a budget,
the level that RL reaches with its 95% interval for a task of another kind. `predict_zero_std` gives
the share of groups without a signal at any group size, `extrapolate_pass_at_k` pass@k beyond the
samples. Formulas, sources and limits are in the docstrings; what the rules are worth is in
``docs/predictors.md``.

>>> from grpolab import GroupCounts, predict
>>> found = predict.forecast_outcome(GroupCounts([0, 1, 6, 16] * 10, 16), steps=200, k=10)
>>> found.rule, round(found.value, 3), found.outcome is not None
('transport', 0.798, True)
"""

from __future__ import annotations

from grpolab.validate.forecast import (
    RULES,
    OutcomeForecast,
    estimate_pass_at_k,
    extrapolate_pass_at_k,
    forecast_outcome,
    predict_zero_std,
)

__all__ = [
    "RULES",
    "OutcomeForecast",
    "estimate_pass_at_k",
    "extrapolate_pass_at_k",
    "forecast_outcome",
    "predict_zero_std",
]
