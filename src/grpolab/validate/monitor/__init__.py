"""Watch a GRPO run: does it still have a signal to learn from?

Importing this loads neither torch nor transformers: the TRL callback, GroupSignalMonitor, is put
together when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpolab.validate.monitor.monitor import Alarm, SignalMonitor
from grpolab.validate.monitor.sequential import SignalTest
from grpolab.validate.monitor.state import (
    GroupTally,
    MonitorConfig,
    MonitorState,
    StepMetrics,
    StepView,
    tally,
    tally_share,
)

if TYPE_CHECKING:
    from grpolab.validate.monitor.trl import SignalCallback as GroupSignalMonitor

__all__ = [
    "Alarm",
    "GroupSignalMonitor",
    "GroupTally",
    "MonitorConfig",
    "MonitorState",
    "SignalMonitor",
    "SignalTest",
    "StepMetrics",
    "StepView",
    "tally",
    "tally_share",
]


def __getattr__(name: str) -> Any:
    if name == "GroupSignalMonitor":
        from grpolab.validate.monitor.trl import callback_class

        return callback_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
