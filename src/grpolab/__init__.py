"""grpolab: when does group-relative RL on binary rewards have a signal to learn from?

What most people need is here: ``import grpolab; grpolab.critical_p(8)``. Everything else is in the
packages: `grpolab.theory` derives, `grpolab.simulate` tests the theory by simulation,
`grpolab.validate` measures, `grpolab.predict` forecasts, `grpolab.figures` draws, `grpolab.store`
writes files. A name or a package is imported when it is first used, so that ``import grpolab``
itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grpolab.errors import UserError as UserError
    from grpolab.simulate.bernoulli import simulate_bernoulli as simulate_bernoulli
    from grpolab.simulate.draw import draw_groups as draw_groups
    from grpolab.theory.advantage import GRPO as GRPO
    from grpolab.theory.advantage import AdvantageRule as AdvantageRule
    from grpolab.theory.bounds import critical_p_band as critical_p_band
    from grpolab.theory.critical import critical_p as critical_p
    from grpolab.theory.dependence import BetaBinomial as BetaBinomial
    from grpolab.theory.groups import GroupCounts as GroupCounts
    from grpolab.theory.pass_at_k import expected_pass_at_k as expected_pass_at_k
    from grpolab.theory.pass_at_k import pass_at_k as pass_at_k
    from grpolab.theory.pass_at_k import thin_zero_std as thin_zero_std
    from grpolab.theory.signal import expected_std as expected_std
    from grpolab.theory.signal import expected_variance as expected_variance
    from grpolab.theory.zero_std import prob_zero_std as prob_zero_std
    from grpolab.validate.audit import audit as audit
    from grpolab.validate.estimate.icc import icc as icc
    from grpolab.validate.estimate.icc import icc_interval as icc_interval
    from grpolab.validate.forecast.outcome import forecast_outcome as forecast_outcome
    from grpolab.validate.forecast.zero_std import predict_zero_std as predict_zero_std
    from grpolab.validate.monitor import GroupSignalMonitor as GroupSignalMonitor
    from grpolab.validate.monitor import SignalMonitor as SignalMonitor
    from grpolab.validate.monitor import StepView as StepView
    from grpolab.validate.monitor import tally as tally
    from grpolab.validate.readers import read as read
    from grpolab.validate.readers import read_all as read_all
    from grpolab.validate.rollouts import Rollouts as Rollouts
    from grpolab.validate.rollouts import SamplingLaw as SamplingLaw
    from grpolab.validate.triage.plot import plot as plot
    from grpolab.validate.triage.ranking import triage as triage

__version__ = "0.2.0"
PACKAGES = ("figures", "predict", "simulate", "store", "theory", "validate")
NAMES = {
    "AdvantageRule": "grpolab.theory.advantage",
    "BetaBinomial": "grpolab.theory.dependence",
    "GRPO": "grpolab.theory.advantage",
    "GroupCounts": "grpolab.theory.groups",
    "GroupSignalMonitor": "grpolab.validate.monitor",
    "Rollouts": "grpolab.validate.rollouts",
    "SamplingLaw": "grpolab.validate.rollouts",
    "SignalMonitor": "grpolab.validate.monitor",
    "StepView": "grpolab.validate.monitor",
    "UserError": "grpolab.errors",
    "audit": "grpolab.validate.audit",
    "critical_p": "grpolab.theory.critical",
    "critical_p_band": "grpolab.theory.bounds",
    "draw_groups": "grpolab.simulate.draw",
    "expected_pass_at_k": "grpolab.theory.pass_at_k",
    "expected_std": "grpolab.theory.signal",
    "expected_variance": "grpolab.theory.signal",
    "forecast_outcome": "grpolab.validate.forecast.outcome",
    "icc": "grpolab.validate.estimate.icc",
    "icc_interval": "grpolab.validate.estimate.icc",
    "pass_at_k": "grpolab.theory.pass_at_k",
    "plot": "grpolab.validate.triage.plot",
    "predict_zero_std": "grpolab.validate.forecast.zero_std",
    "prob_zero_std": "grpolab.theory.zero_std",
    "read": "grpolab.validate.readers",
    "read_all": "grpolab.validate.readers",
    "simulate_bernoulli": "grpolab.simulate.bernoulli",
    "tally": "grpolab.validate.monitor",
    "thin_zero_std": "grpolab.theory.pass_at_k",
    "triage": "grpolab.validate.triage.ranking",
}
"""What ``import grpolab`` offers, and the module that each name is imported from."""


def __getattr__(name: str) -> Any:
    if name in PACKAGES or name in NAMES:
        errors = importlib.import_module(f"{__name__}.errors")
        with errors.extras_named():
            if name in PACKAGES:
                return importlib.import_module(f"{__name__}.{name}")
            return getattr(importlib.import_module(NAMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*PACKAGES, *NAMES, *(name for name in globals() if name.startswith("__"))])
