"""GroupSignalMonitor: the monitor as a callback of TRL's GRPOTrainer.

The class that users import is put together on first use (see `callback_class`), so that nothing
here needs transformers.

State is kept under a key of its own in ``TrainerState.stateful_callbacks``, which goes into every
checkpoint's trainer_state.json, and is taken up again in ``on_train_begin``. The interface that
transformers offers for this (ExportableState) restores a callback only where the user sets
``restore_callback_states_from_checkpoint``, and then puts a new object in its place, which the
watched reward function would know nothing of.
"""

from __future__ import annotations

import functools
import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from grpolab.errors import require
from grpolab.store import write_json
from grpolab.terminal import printable
from grpolab.validate.monitor.evidence import Reading, groups_of
from grpolab.validate.monitor.ledger import RewardLedger, Taken
from grpolab.validate.monitor.monitor import ALARMS, Alarm, SignalMonitor
from grpolab.validate.monitor.scalars import (
    log_entries,
    metrics_of,
    reward_name,
    training_row,
)
from grpolab.validate.monitor.sequential import SignalTest
from grpolab.validate.monitor.state import (
    GroupTally,
    MonitorConfig,
    MonitorState,
    StepView,
)
from grpolab.validate.monitor.words import describe, explain, outlook

Action = Literal["warn", "stop"]
STATE_KEY = "grpolab.monitor"
VERDICT_FILE = "monitor.json"
_log = logging.getLogger("grpolab.monitor")


class SignalCallback:
    """Watches a GRPOTrainer: ``GRPOTrainer(..., callbacks=[GroupSignalMonitor(action="stop")])``.

    Without more, it reads ``frac_reward_zero_std`` from the log (``reward_std`` where an older TRL
    does not write it), which is a share of groups of the *summed* reward. With
    ``reward_funcs=[monitor.watch(correct), ...]`` it sees every reward of one binary function.

    Every row of the trainer's log gets what was counted since the row before:
    ``grpolab/informative_share``, ``grpolab/all_wrong``, ``grpolab/all_right`` (shares of the
    groups), ``grpolab/evidence``, and ``grpolab/distinct_completions`` per group where a reward
    function is watched. So TensorBoard, W&B, trackio and the console show them.

    The verdict and its evidence are written to ``monitor.json`` in the output folder.

    Parameters
    ----------
    action : str
        ``warn`` logs, ``stop`` also saves a checkpoint and ends training when one of ``stop_on`` is
        raised.
    stop_on : tuple of str
        Names of alarms.
    futility : bool
        Say the chance that the score ends above its start (see
        `grpolab.validate.monitor.futility`), and raise ``futile`` where it is small.
    options : float
        Those of `MonitorConfig`: ``min_signal``, ``alpha``, ``patience`` and others.

    Raises
    ------
    ValueError
        An action, an alarm or an option that does not exist or is out of range.

    Examples
    --------
    >>> SignalCallback("warn", patience=50).config.patience
    50
    """

    def __init__(
        self,
        action: Action = "warn",
        *,
        stop_on: tuple[str, ...] = ("no-signal",),
        futility: bool = False,
        **options: Any,
    ) -> None:
        if action not in get_args(Action):
            raise ValueError(f"action must be 'warn' or 'stop', got {action!r}")
        unknown = [name for name in stop_on if name not in ALARMS]
        if unknown:
            raise ValueError(f"stop_on may hold {', '.join(ALARMS)}, got {unknown[0]!r}")
        self.action, self.stop_on, self._futility = action, stop_on, futility
        self.config = MonitorConfig(**options)
        self.monitor = SignalMonitor(self.config)
        self.notes: list[str] = []
        self._ledger = RewardLedger()
        self._logged_step = 0
        self._stopped = False
        self._since: list[Taken] = []  # since the last row of the log
        self._lowest = 0.0  # mean reward of any row

    def watch(
        self, reward: Callable[..., Any], *, threshold: float | None = None
    ) -> Callable[..., Any]:
        """The same reward function (sync or async), its 0/1 rewards counted group by group.

        None and NaN are missing verdicts. With ``threshold``, a reward above it is right; without,
        values other than 0 and 1 count as missing, and the monitor says so.
        """
        return self._ledger.wrap(reward, threshold=threshold)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start anew, or go on from the checkpoint's state."""
        saved = (state.stateful_callbacks or {}).get(STATE_KEY)
        self._logged_step = state.global_step
        self.notes, self._since = [], []
        if self._futility:
            self.config = replace(self.config, steps=int(state.max_steps))
        self._stopped = False
        _put_first(self)
        if state.is_world_process_zero:
            per_step = args.generation_batch_size / args.num_generations / args.num_iterations
            self._tell(plan_of(self.config, per_step))
        if not state.global_step or saved is None:
            self.monitor = SignalMonitor(self.config)
            if state.global_step:
                self._note(f"step {state.global_step}: the checkpoint has no state of the monitor")
            return
        earlier = MonitorState.from_dict(saved)
        if "no-signal" in earlier.raised:
            # whoever resumes a run without a signal has changed something, or has a job script that
            # always resumes; a fresh test is fair to the one and stops the other again
            self._note(f"step {state.global_step}: resumed without a signal, tested anew")
            earlier = MonitorState()
        self.monitor = SignalMonitor(self.config, state=earlier)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Rewards from here to the end of the step are those of training."""
        self._ledger.open = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the groups of a watched reward function."""
        self._ledger.open = False
        if not self._ledger.name:
            return
        taken = self._ledger.take(group_size=args.num_generations)
        if self._ledger.num_odd:
            self._note(f"rewards of {self._ledger.name} other than 0 and 1 count as missing; pass"
                       " threshold to watch()")  # fmt: skip
        if taken is not None:
            self._since.append(taken)
            self._react(StepView(state.global_step, taken.groups), args, state, control)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Take in a row of the log; rows of evaluations and the summary have none of its keys."""
        row = logs if logs is not None else {}
        numbers = training_row(row)
        found = self._groups(args, state, numbers)
        fresh = found is not None
        if fresh and self._ledger.name and not self._ledger.called:
            self._note(
                f"GRPOTrainer does not call what watch({self._ledger.name}) returned: give that to"
                " reward_funcs; what the log says of the groups is used instead"
            )
        groups = None if self._ledger.called else found
        if groups is not None:
            self._since.append(Taken(groups, math.nan))
        view = StepView(state.global_step, groups, metrics_of(numbers))
        self._react(view, args, state, control)
        if fresh:
            self._logged_step = state.global_step
            self._publish(row, state)

    def _publish(self, row: dict[str, Any], state: Any) -> None:
        """Add what was counted since the last row to this one, for the reporters that follow."""
        distinct = [taken.distinct for taken in self._since]
        parts = zip(*(taken.groups for taken in self._since), strict=True)
        total = GroupTally(*map(sum, parts)) if distinct else GroupTally(0, 0)
        self._since = []
        mean = sum(distinct) / len(distinct) if distinct else math.nan
        known = log_entries(total, self.monitor.evidence, distinct=mean)
        row.update(known)
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1].update(known)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say the last verdict and leave it on disk."""
        self._write(args, state)
        if state.is_world_process_zero:
            self._tell(describe(self.monitor))
            if self.config.steps:
                self._tell(outlook(self.monitor))

    def _groups(self, args: Any, state: Any, row: Mapping[str, float]) -> GroupTally | None:
        """Groups behind a row of the log, so counted that the evidence is never overstated.

        Several steps in one row count as fewer groups at the same share, and a share that is a
        flag of the whole batch as all groups informative: both can only weaken the evidence.
        """
        mean = row.get("reward", math.nan)
        self._lowest = self._lowest if math.isnan(mean) else min(self._lowest, mean)
        micro = (state.global_step - self._logged_step) * args.gradient_accumulation_steps
        reading = Reading(
            known=args.generation_batch_size // args.num_generations,
            group_size=args.num_generations,
            lowest=self._lowest,
            whole=str(args.scale_rewards) == "batch"
            or getattr(args, "multi_objective_aggregation", "") == "normalize_then_sum",
        )
        draws = max(1, micro // (args.steps_per_generation * args.num_iterations))
        evidence = groups_of(row, reading, steps=draws)
        if evidence is None:
            return None
        if sum(1 for key in row if reward_name(key)) > 1:
            self._note("several reward functions: the logged share is that of their sum, which may"
                       " vary where the one that matters does not; use watch()")  # fmt: skip
        if reading.whole:
            self._note("the logged share is a flag of the whole batch with this scale_rewards or"
                       " multi_objective_aggregation; use watch()")  # fmt: skip
        if evidence.strength == "mean std":
            self._note(
                f"no frac_reward_zero_std in the log: {evidence.key} is the mean of the"
                " groups' std, and only 0 says that none has a signal; use watch()"
            )
        return evidence.groups

    def _react(self, view: StepView, args: Any, state: Any, control: Any) -> None:
        alarms = self.monitor.observe(view)
        state.stateful_callbacks[STATE_KEY] = self.monitor.state.as_dict()
        if not alarms:
            return
        stop = self.action == "stop" and any(a.name in self.stop_on for a in alarms if not a.over)
        if stop:
            self._stopped = control.should_save = control.should_training_stop = True
        if state.is_world_process_zero:
            self._say(alarms, stop)
        self._write(args, state)

    def _say(self, alarms: list[Alarm], stop: bool) -> None:
        for alarm in alarms:
            _log.warning("%s", explain(alarm, self.monitor))
        if stop:
            _log.warning("training is stopped; a checkpoint is saved and %s written", VERDICT_FILE)

    def _tell(self, text: str) -> None:
        """A line at the start and at the end, where there is no alarm."""
        sys.stderr.write(printable(f"grpolab monitor: {text}") + "\n")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            _log.warning("%s", text)

    def _write(self, args: Any, state: Any) -> None:
        if not state.is_world_process_zero:
            return
        write_json(
            Path(args.output_dir) / VERDICT_FILE,
            {
                **self.monitor.as_dict(),
                "says": describe(self.monitor),
                "action": self.action,
                "stopped": self._stopped,
                "watched": self._ledger.name or None,
                "notes": self.notes,
            },
        )


def plan_of(config: MonitorConfig, groups_per_step: float) -> str:
    """What the monitor will do on a run without any signal from its start.

    >>> plan_of(MonitorConfig(), 16)
    'watching 16 groups a step; a run without any signal is called after 38 steps'
    """
    test, steps = SignalTest(min_signal=config.min_signal, alpha=config.alpha), 0
    while not test.rejects or steps < config.patience:
        test.observe(0, groups_per_step, min_signal=config.floor(groups_per_step))
        steps += 1
    return (
        f"watching {groups_per_step:g} groups a step; a run without any signal is called after"
        f" {steps} steps"
    )


def _put_first(callback: Any) -> None:
    """Call this callback before the reporters, which must see what it adds to a row of the log.

    Reporters come first in the trainer's list, and transformers shows a callback that list only as
    an attribute of the object whose method is calling it.
    """
    frame = sys._getframe(1)
    for _ in range(6):
        callbacks = getattr(frame.f_locals.get("self"), "callbacks", None)
        if isinstance(callbacks, list) and callback in callbacks:
            callbacks.remove(callback)
            callbacks.insert(0, callback)
            return
        if frame.f_back is None:
            return
        frame = frame.f_back


@functools.cache
def callback_class() -> type:
    """The class GroupSignalMonitor: `SignalCallback` as a TrainerCallback of transformers."""
    require("transformers", extra="train")
    from transformers import TrainerCallback

    names = {"__doc__": SignalCallback.__doc__, "__module__": "grpolab.validate.monitor"}
    return type("GroupSignalMonitor", (SignalCallback, TrainerCallback), names)
