"""Numbers that trainers log: rows of training, metrics by the name that each trainer gives them.

`grpolab.validate.monitor.evidence` says what they tell of the groups.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from grpolab.validate.monitor.state import GroupTally, StepMetrics

Row = Mapping[str, Any]
HELD_OUT, PLANNED, ENDED = "held out", "planned steps", "ended"
"""Keys of rows for what is not a number of training: a score, the last step, the end of the log."""
_SCORE = re.compile(
    r"eval[/_]reward|val-core/.+/mean@\d+|val/test_score/.+|eval/.*(reward|score)(/mean)?"
    r"|test/(env/all/)?reward/total|(eval/)?eval_.+_pass1"  # Tinker cookbook; OpenRLHF
)
_TRAIN = re.compile(r"^(train|rollout)/+")
_EVAL = re.compile(r"^(eval|val|val-core|val-aux|test|valid|validation)[/_.-]|[/_](eval|val)[/_]")


REWARDS = ("reward", "critic/score/mean", "reward/avg_raw_reward", "reward/mean", "raw_reward",
           "env/all/reward/total", "rollout_reward/_mean")  # fmt: skip
"""Mean reward over the rollouts of a step."""
_METRICS: Mapping[str, tuple[str, ...]] = {
    "entropy": ("entropy", "actor/entropy", "entropy/mean", "policy/policy_entropy",
                "actor/entropy_loss", "optim/entropy"),
    "frac_truncated": ("frac_truncated", "completions/clipped_ratio", "response_length/clip_ratio",
                       "truncated_ratio", "is_truncated/mean"),
    "loss": ("loss", "actor/pg_loss", "loss/mean", "policy/policy_loss", "policy_loss"),
    "reward": REWARDS,
    "held_out": (HELD_OUT,),
    "grad_norm": ("grad_norm", "actor/grad_norm", "optim/grad_norm", "policy/raw_grad_norm"),
}  # fmt: skip


def number(value: Any) -> float | None:
    """A number, NaN for null, which is how JSON has it; None for anything else."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def training_row(row: Row) -> dict[str, float]:
    """The numbers of training in a row, without the prefix that TensorBoard and W&B logs have.

    Of an evaluation only the score on held-out prompts is kept, as `HELD_OUT`.

    >>> training_row({"train/loss": 0.5, "eval/loss": 0.7, "step": 3, "note": "x"})
    {'loss': 0.5, 'step': 3.0}
    >>> training_row({"eval_reward": 0.25})
    {'held out': 0.25}
    """
    found = {}
    for key, value in row.items():
        known = number(value)
        if known is None:
            continue
        if not _EVAL.search(key):
            found[_TRAIN.sub("", key)] = known
        elif _SCORE.fullmatch(key) and HELD_OUT not in found:
            found[HELD_OUT] = known
    return found


def note_constant_rewards(
    rows: Mapping[int, Mapping[str, float]], notes: dict[str, None], *, window: int = 10
) -> None:
    """Note reward functions that do not vary although others do."""
    ordered = [rows[step] for step in sorted(rows)]
    for name, value in constant_rewards(ordered, window=window).items():
        notes[
            f"reward function {name} gave every rollout {value:g} in the last {window} rows of the"
            " log: groups that are not zero-std differ by the other reward functions only"
        ] = None


def end_of(row: Row) -> str:
    """What marks the end of training in the last row of a log; empty where nothing does.

    >>> end_of({"train_runtime": 12.5}), end_of({"loss": 0.5})
    ('the trainer has logged its summary', '')
    """
    if "train_runtime" in row or "train/train_runtime" in row:
        return "the trainer has logged its summary"
    if (number(row.get("progress/done_frac")) or 0.0) >= 1:
        return "the trainer has logged that all is done"
    return "the log was closed" if ENDED in row else ""


def metrics_of(row: Mapping[str, float]) -> StepMetrics:
    """Entropy, cut-off completions, loss, gradient norm, reward and held-out score of a row."""
    return StepMetrics(
        **{name: next((row[k] for k in keys if k in row), None) for name, keys in _METRICS.items()}
    )


def log_entries(
    groups: GroupTally, evidence: float, *, distinct: float = math.nan
) -> dict[str, float]:
    """What the monitor adds to a trainer's own log; a number that is not known is left out.

    Where informative groups are not counted, it adds what they are at the least (if all rewards are
    0 or 1) and at the most in place of their share.

    >>> sorted(log_entries(GroupTally(4, 1, 3), 0.5))
    ['grpolab/all_right', 'grpolab/all_wrong', 'grpolab/evidence', 'grpolab/informative_share']
    """
    size, mixed, wrong = groups[:3]
    if not size:
        return {}
    counted = math.isnan(groups.num_low)
    added = {
        "informative_share": mixed / size if counted else math.nan,
        "informative_at_least": groups.num_low / size,
        "informative_at_most": math.nan if counted else mixed / size,
        "all_wrong": wrong / size,
        "all_right": (size - mixed - wrong) / size,
        "evidence": evidence,
        "distinct_completions": distinct,
    }
    return {f"grpolab/{name}": value for name, value in added.items() if not math.isnan(value)}


def constant_rewards(rows: Iterable[Mapping[str, float]], *, window: int) -> dict[str, float]:
    """Reward functions that gave every rollout one value in the last rows, and that value.

    Only where another reward function varied there: then the groups differ, and not by these. Read
    from TRL's ``rewards/NAME/mean`` and ``rewards/NAME/std``.
    """
    recent = [row for row in rows if any(reward_name(key) for key in row)][-window:]
    if len(recent) < window:
        return {}
    names = sorted({name for key in recent[-1] if (name := reward_name(key))})
    stds = {n: [row.get(f"rewards/{n}/std", math.nan) for row in recent] for n in names}
    means = {n: [row.get(f"rewards/{n}/mean", math.nan) for row in recent] for n in names}
    same = [n for n in names if all(s == 0 for s in stds[n]) and len(set(means[n])) == 1]
    if not any(any(s > 0 for s in stds[n]) for n in names):
        return {}
    return {n: means[n][-1] for n in same}


def reward_name(key: str) -> str:
    """The reward function of TRL's ``rewards/NAME/mean``; empty for another key."""
    found = re.fullmatch(r"rewards/(.+)/mean", key)
    return found[1] if found else ""
