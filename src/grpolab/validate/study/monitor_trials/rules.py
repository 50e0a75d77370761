"""Rules that stop a run, replayed on a run that was left to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from grpolab.validate.monitor.monitor import PAPER_DROP, SignalMonitor
from grpolab.validate.monitor.state import MonitorConfig, StepView

Rule = Callable[[Sequence[StepView]], int | None]
"""The number of steps after which a run is stopped, None when it is not."""


def monitor_rule(*alarms: str, **options: float) -> Rule:
    """Stop at the first of some alarms of the monitor.

    >>> from grpolab.validate.monitor.state import GroupTally
    >>> monitor_rule("no-signal")([StepView(i, GroupTally(64, 0, 64)) for i in range(50)])
    20
    """
    config = MonitorConfig(**options)  # type: ignore[arg-type]

    def stop(views: Sequence[StepView]) -> int | None:
        monitor = SignalMonitor(config)
        for i, view in enumerate(views):
            if any(a.name in alarms and not a.over for a in monitor.observe(view)):
                return i + 1
        return None

    return stop


def paper_rule(views: Sequence[StepView]) -> int | None:
    """Stop at step 150 when entropy fell by more than half since step 10 (arXiv 2606.18487)."""
    monitor = SignalMonitor()
    for i, view in enumerate(views):
        monitor.observe(view)
        if monitor.paper_drop > PAPER_DROP:
            return i + 1
    return None


def empty_batches(number: int, *, outage_counts: bool) -> Rule:
    """Stop after so many batches in a row without an informative group.

    ``outage_counts``: a batch without verdicts is one of them, as where a failed grader gives 0;
    otherwise it is passed over.
    """

    def stop(views: Sequence[StepView]) -> int | None:
        row = 0
        for i, view in enumerate(views):
            groups = view.groups
            if groups is None or (groups.num_groups == 0 and not outage_counts):
                continue
            row = row + 1 if groups.num_informative == 0 else 0
            if row >= number:
                return i + 1
        return None

    return stop


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "monitor": monitor_rule("no-signal"),
        "monitor, min_signal 0.02": monitor_rule("no-signal", min_signal=0.02),
        "monitor, min_signal 0.05": monitor_rule("no-signal", min_signal=0.05),
        "0.02 + entropy explosion": monitor_rule("no-signal", "entropy-explosion", min_signal=0.02),
        "0.02 + explosion + truncation": monitor_rule(
            "no-signal", "entropy-explosion", "truncation", min_signal=0.02
        ),
        "entropy rule of the paper": paper_rule,
        "10 batches without signal": empty_batches(10, outage_counts=False),
        "10 batches, outage counts": empty_batches(10, outage_counts=True),
    }
)
NEED_ENTROPY = (
    "0.02 + entropy explosion", "0.02 + explosion + truncation", "entropy rule of the paper"
)  # fmt: skip
"""Rules that say nothing of runs whose entropy was not kept."""
