"""The monitor inside slime and miles, which log rollouts through a function of the user's.

``--custom-rollout-log-function-path grpolab.validate.monitor.slime.log``: the trainer calls it with
the rollouts of every step. It adds ``grpolab/...`` to the metrics that are logged anyway, prints
alarms, and leaves the rest to the trainer.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import MutableMapping, Sequence
from typing import Any

from grpolab.theory.groups import equal_rewards
from grpolab.validate.monitor.evidence import wrong_of
from grpolab.validate.monitor.monitor import SignalMonitor
from grpolab.validate.monitor.scalars import log_entries
from grpolab.validate.monitor.state import GroupTally, StepView
from grpolab.validate.monitor.words import explain

_log = logging.getLogger("grpolab.monitor")
_monitors: dict[str, SignalMonitor] = {}


def log(
    rollout_id: int,
    args: Any,
    samples: Sequence[Any],
    extra: MutableMapping[str, Any] | None,
    rollout_time: float,
) -> bool:
    """Count the groups of one rollout step; False: the trainer is to log as it does.

    Samples of one group share ``group_index``; ``get_reward_value(args)`` is the reward that the
    trainer learns from, None where there is none.
    """
    groups: defaultdict[Any, list[float]] = defaultdict(list)
    for sample in samples:
        value = sample.get_reward_value(args)
        number = math.nan if value is None else float(value)
        if not math.isnan(number):
            groups[sample.group_index].append(number)
    unseen = len({sample.group_index for sample in samples}) - len(groups)
    tally = _tally(list(groups.values()), unseen)
    run = str(getattr(args, "save", None) or getattr(args, "wandb_group", None) or "")
    monitor = _monitors.setdefault(run, SignalMonitor())
    for alarm in monitor.observe(StepView(rollout_id, tally)):
        _log.warning("%s", explain(alarm, monitor))
    if extra is not None:
        extra.update(log_entries(tally, monitor.evidence))
    return False


def _tally(groups: Sequence[Sequence[float]], unseen: int) -> GroupTally:
    """Groups by their raw rewards: informative where two of them differ; else as `wrong_of`."""
    seen = [g for g in groups if len(g) >= 2]
    same = [g for g in seen if equal_rewards(g)]
    lowest = min((min(g) for g in seen), default=0.0)
    wrong = sum(wrong_of(max(g), lowest) for g in same)
    return GroupTally(len(seen), len(seen) - len(same), wrong, unseen + len(groups) - len(seen))
