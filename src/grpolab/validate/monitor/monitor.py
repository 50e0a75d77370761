"""SignalMonitor: takes in one step after the other, says what it has seen and how sure that is."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from scipy.special import bdtrc

from grpolab.validate.monitor import divergence, futility, jump
from grpolab.validate.monitor.futility import BLOCKS
from grpolab.validate.monitor.recent import Recent, known
from grpolab.validate.monitor.sequential import SignalTest
from grpolab.validate.monitor.state import (
    GroupTally,
    MonitorConfig,
    MonitorState,
    StepMetrics,
    StepView,
)

Verdict = Literal["healthy", "weak", "undecided", "blind", "not-finite", "no-signal"]
ALARMS = (
    "no-signal", "low-signal", "blind", "reward-jump", "entropy-collapse", "entropy-explosion",
    "truncation", "not-finite", "held-out-fall", "futile",
)  # fmt: skip
PAPER_STEPS, PAPER_DROP = (10, 150), 0.5
"""Second stage of arXiv 2606.18487: relative drop of entropy between two steps, and its limit."""
_HEALTHY_LEVEL = 0.05
_WEAK = 0.2
"""Share of informative groups below which a signal that is there is called weak."""
_EARLY_STEPS, _EARLY = 5, 0.1
"""Steps with groups, and share of the threshold, from which low evidence is worth a line."""
_SLACK = 1.25


class Alarm(NamedTuple):
    """Something worth a line: its name, the step at which it was seen, whether it is over."""

    name: str
    step: int
    over: bool = False


class SignalMonitor:
    """The stage-2 monitor on any stream of training steps.

    A step that is no later than the last one seen is a duplicate and ignored; a number that is not
    there is no evidence; groups without verdicts make the test wait.

    Parameters
    ----------
    config : MonitorConfig, optional
        Hypothesis, level and limits of the alarms.
    state : MonitorState, optional
        Where an earlier monitor of the same run left off.

    Examples
    --------
    >>> monitor = SignalMonitor(MonitorConfig(min_signal=0.05, patience=5))
    >>> for step in range(1, 20):
    ...     for alarm in monitor.observe(StepView(step, GroupTally(16, 0, 16))):
    ...         print(alarm)
    Alarm(name='low-signal', step=5, over=False)
    Alarm(name='no-signal', step=8, over=False)
    >>> monitor.verdict, monitor.reason
    ('no-signal', 'all wrong')
    """

    def __init__(
        self, config: MonitorConfig | None = None, *, state: MonitorState | None = None
    ) -> None:
        self.config = config or MonitorConfig()
        self.state = state or MonitorState()
        kept = {"wealth": list(self.state.wealth)} if self.state.wealth else {}
        self._test = SignalTest(
            min_signal=self.config.min_signal, alpha=self.config.alpha,
            num_steps=self.state.test_steps, **kept,
        )  # fmt: skip

    def observe(self, view: StepView) -> list[Alarm]:
        """Take in one step; the alarms that it raised or ended."""
        state = self.state
        if state.begin < 0:
            state.begin = min(view.step, 1)
        block = self._block(view.step)
        if view.groups is not None and view.step > state.last_group_step:
            state.last_group_step = view.step
            self._observe_groups(view.step, view.groups)
            if block is not None:
                futility.add_groups(state.course, block, view.groups)
        if any(value is not None for value in view.metrics) and view.step > state.last_metric_step:
            state.last_metric_step = view.step
            self._observe_metrics(view.step, view.metrics)
            if block is not None:
                counted = bool(state.recent) and state.recent[-1][4] is not None
                futility.add_metrics(state.course, block, view.metrics, counted=counted)
        return self._changes(view.step)

    def _block(self, step: int) -> int | None:
        """The block of a step in the course of the run, None where no forecast is asked for."""
        if not self.config.steps:
            return None
        return min((step - self.state.begin) * BLOCKS // self.config.steps, BLOCKS - 1)

    @property
    def outlook(self) -> futility.Chance | str:
        """The chance that the score ends above its start, or in words why there is none.

        Steps of a block that is not over are left for later.
        """
        if not self.config.steps:
            return "the planned number of steps is not known"
        seen = max(self.state.last_group_step, self.state.last_metric_step) - self.state.begin + 1
        done = min(max(seen, 0) * BLOCKS // self.config.steps, BLOCKS)
        return futility.forecast([r for r in self.state.course if r[0] < done], done / BLOCKS)

    def _observe_groups(self, step: int, groups: GroupTally) -> None:
        state = self.state
        state.num_unseen += groups.num_unseen
        if groups.num_not_finite > 0:  # one NaN makes the gradient of the whole batch NaN
            self._count_finite(False)
        if not groups.num_groups > 0:
            state.blind_steps += not groups.num_not_finite
            return
        state.blind_steps = 0
        if state.first_step < 0:
            state.first_step = step
        floor = self.config.floor(groups.num_groups)
        self._test.observe(groups.num_informative, groups.num_groups, min_signal=floor)
        state.pooled.append([step, groups.num_informative, floor * groups.num_groups])
        while state.pooled[0][0] <= step - self.config.patience:
            del state.pooled[0]
        state.test_steps, state.wealth = self._test.num_steps, list(self._test.wealth)
        state.num_groups += groups.num_groups
        state.num_informative += groups.num_informative
        known = (
            groups.num_all_wrong, groups.num_rollouts, groups.num_correct,
            groups.num_low, groups.num_high,
        )  # fmt: skip
        state.recent.append(
            [step, groups.num_groups, groups.num_informative,
             *(None if math.isnan(value) else value for value in known)]
        )  # fmt: skip
        del state.recent[: -self.config.window]
        jump.look(state)
        if state.first_rejection < 0 and self._no_signal:
            state.first_rejection = step

    def _observe_metrics(self, step: int, metrics: StepMetrics) -> None:
        state, width = self.state, self.config.window
        if metrics.entropy is not None and math.isfinite(metrics.entropy):
            if len(state.early_entropy) < width:
                state.early_entropy.append(metrics.entropy)
            else:
                state.recent_entropy.append(metrics.entropy)
                del state.recent_entropy[:-width]
            self._keep_paper_entropy(step, metrics.entropy)
        if metrics.frac_truncated is not None and math.isfinite(metrics.frac_truncated):
            state.recent_truncated.append(metrics.frac_truncated)
            del state.recent_truncated[:-width]
        if metrics.reward is not None and math.isfinite(metrics.reward):
            state.rewards.append(metrics.reward)
        if metrics.held_out is not None and math.isfinite(metrics.held_out):
            self._observe_held_out(step, metrics.held_out)
        logged = [v for v in (metrics.loss, metrics.grad_norm) if v is not None]
        if logged:
            self._count_finite(all(map(math.isfinite, logged)))

    def _count_finite(self, finite: bool) -> None:
        self.state.not_finite_rows = 0 if finite else self.state.not_finite_rows + 1

    def _observe_held_out(self, step: int, score: float) -> None:
        """Take in an evaluation; has the score fallen while the training reward rose?"""
        state = self.state
        state.held_out.append([score, _mean(state.rewards)])
        state.rewards = []
        del state.held_out[: -divergence.KEPT]
        state.held_out_looks += 1
        if divergence.has_fallen(state.held_out, look=state.held_out_looks):
            state.apart_since = step
        elif state.apart_since >= 0 and divergence.has_recovered(state.held_out):
            state.apart_since = -1

    def _keep_paper_entropy(self, step: int, entropy: float) -> None:
        kept, (first, second) = self.state.paper_entropy, PAPER_STEPS
        if (not kept and first <= step < second) or (len(kept) == 1 and step >= second):
            kept.append(entropy)

    def _changes(self, step: int) -> list[Alarm]:
        """Compare the alarms that stand with those raised before."""
        raised = self.state.raised
        stands = self._standing()
        out = [Alarm(name, step) for name in ALARMS if stands[name] and name not in raised]
        out += [Alarm(name, step, over=True) for name in ALARMS
                if not stands[name] and name in raised]  # fmt: skip
        for alarm in out:
            if alarm.over:
                del raised[alarm.name]
            else:
                raised[alarm.name] = step
        return out

    def _standing(self) -> dict[str, bool]:
        config, state, outlook = self.config, self.state, self.outlook
        early, now = _mean(state.early_entropy), _mean(state.recent_entropy)
        full = len(state.recent_entropy) >= config.window
        # an alarm ends only well inside its limit, so that noise does not ring it again and again
        low, high, cut = (
            _SLACK if name in state.raised else 1.0
            for name in ("entropy-collapse", "entropy-explosion", "truncation")
        )
        return {
            "no-signal": self._no_signal,
            "low-signal": len(state.pooled) >= _EARLY_STEPS
            and self._pooled_too_few
            and self.evidence >= _EARLY / config.alpha,
            "blind": state.blind_steps >= config.blind_after,
            "reward-jump": state.jump_step >= 0,
            "entropy-collapse": full
            and now < low * config.collapse_ratio * early
            and now < low * config.collapse_entropy,
            "entropy-explosion": full
            and high * now > config.explosion_ratio * early
            and high * now > config.explosion_entropy,
            "truncation": len(state.recent_truncated) >= config.window
            and cut * _mean(state.recent_truncated) >= config.truncated,
            "not-finite": state.not_finite_rows >= config.not_finite,
            "held-out-fall": state.apart_since >= 0,
            "futile": isinstance(outlook, futility.Chance) and outlook.futile,
        }

    @property
    def _no_signal(self) -> bool:
        """The evidence is there, and the last ``patience`` steps together say the same.

        The second condition makes the event smaller, so it can only lower the rate of false stops.
        Without it the evidence of one step of very many groups would stop a healthy run.
        """
        return self._test.rejects and not self.waits and self._pooled_too_few

    @property
    def _pooled_too_few(self) -> bool:
        rows = self.state.pooled
        return sum(row[1] for row in rows) < sum(row[2] for row in rows)

    @property
    def evidence(self) -> float:
        """E of the sequential test; 1/alpha is its threshold."""
        return self._test.evidence

    @property
    def verdict(self) -> Verdict:
        """What can be said now.

        ``healthy`` and ``weak`` pass a plain binomial test on the last steps, for words only:
        nothing is stopped or spared by it. Under ``weak`` less than a fifth of the groups is
        informative. Where only bounds are known, the lower one must pass and be a fifth or more.
        """
        if self._no_signal:
            return "no-signal"
        if self.state.not_finite_rows >= self.config.not_finite:
            return "not-finite"
        if self.state.blind_steps >= self.config.blind_after:
            return "blind"
        groups, informative, bounds = (
            self.recent.groups,
            self.recent.informative,
            self.recent.bounds,
        )
        if bounds is not None:
            informative = bounds[0]
        if groups < 1 or informative < 1:
            return "undecided"
        floor = self.config.floor(groups / len(self.state.recent))
        if not bdtrc(math.ceil(informative) - 1, math.floor(groups), floor) < _HEALTHY_LEVEL:
            return "undecided"
        if informative >= _WEAK * groups:
            return "healthy"
        return "weak" if bounds is None else "undecided"

    @property
    def recent(self) -> Recent:
        """The last steps with groups."""
        return Recent(self.state.recent)

    @property
    def waits(self) -> int:
        """Steps of patience still to come before the evidence, large enough, is a verdict."""
        steps = self.state.last_group_step - self.state.first_step + 1
        return max(self.config.patience - steps, 0) if self._test.rejects else 0

    @property
    def reason(self) -> Literal["all wrong", "all right", "both", "unknown"]:
        """Which of the zero-std groups of the last steps prevail (nine in ten or more)."""
        groups, informative = self.recent.groups, self.recent.informative
        if math.isnan(self.recent.all_wrong) or groups <= informative:
            return "unknown"
        share = self.recent.all_wrong / (groups - informative)
        return "all wrong" if share >= 0.9 else "all right" if share <= 0.1 else "both"

    @property
    def paper_drop(self) -> float:
        """1 - H(150)/H(10), the paper's second stage; NaN before step 150 or without entropy."""
        if len(self.state.paper_entropy) < 2 or not self.state.paper_entropy[0] > 0:
            return math.nan
        first, second = self.state.paper_entropy
        return 1 - second / first

    def _futility(self) -> dict[str, Any] | None:
        """The outlook in plain JSON types, None where no forecast is asked for."""
        if not self.config.steps:
            return None
        outlook = self.outlook
        if isinstance(outlook, str):
            return {"chance": None, "why": outlook}
        seen = dict(zip(("from", "to", "gained", "runs"), outlook.trial, strict=True))
        return {
            **outlook._asdict(), "margin": futility.MARGIN, "futile": outlook.futile, "trial": seen,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """The verdict and all its evidence, plain JSON types."""
        drop = known(self.paper_drop)
        return {
            "verdict": self.verdict,
            "reason": self.reason if self.verdict == "no-signal" else None,
            "step": self.state.last_group_step,
            "evidence": self.evidence,
            "threshold": 1 / self.config.alpha,
            "first_rejection": None if self.state.first_rejection < 0
            else self.state.first_rejection,
            "alarms": dict(self.state.raised),
            "recent": self.recent.as_dict(),
            "total": {
                "groups": self.state.num_groups,
                "informative": self.state.num_informative,
                "unseen": self.state.num_unseen,
            },
            "entropy": {
                "first": _mean(self.state.early_entropy) if self.state.early_entropy else None,
                "last": _mean(self.state.recent_entropy) if self.state.recent_entropy else None,
            },
            "futility": self._futility(),
            "paper_rule": {"drop": drop, "flags": None if drop is None else drop > PAPER_DROP},
            "config": self.config.as_dict(),
        }  # fmt: skip


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
