"""What the numbers that trainers log say about the groups of a step, strongest evidence first.

A log has no rollouts, but most trainers write something about their groups: how many were all
wrong and all right, the share with one reward (zero-std), the mean of the groups' standard
deviations, or the largest and smallest value of the whole batch. `groups_of` takes the strongest
that a row holds, and never overstates the evidence that groups have one reward:

========  =================================================================================
strength  what is counted
========  =================================================================================
counts    groups all wrong, all right and mixed, as numbers or shares
share     the share of zero-std groups
mean std  0: every group has one reward; else no group is counted as without a signal
batch     largest = smallest value: every group has one reward; else as above
========  =================================================================================
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from grpolab.validate.monitor.state import GroupTally, StepMetrics, tally_share

Strength = Literal["counts", "share", "mean std", "batch"]
Row = Mapping[str, Any]
ASSUMED_GROUPS = 16
"""Groups that a step is taken to have where only a statement on the whole batch is logged."""
HELD_OUT = "held out"
_SCORE = re.compile(
    r"eval[/_]reward|val-core/.+/mean@\d+|val/test_score/.+|eval/.*(reward|score)(/mean)?"
)
_TRAIN = re.compile(r"^(train|rollout)/+")
_EVAL = re.compile(r"^(eval|val|val-core|val-aux|test|valid|validation)[/_.-]|[/_](eval|val)[/_]")


class _Split(NamedTuple):
    """Keys of one trainer for groups all wrong, all right and mixed (which may be missing)."""

    wrong: str
    right: str
    mixed: str


_SPLITS = (
    _Split("grpolab/all_wrong", "grpolab/all_right", "grpolab/informative_share"),
    _Split(  # Tinker cookbook
        "env/all/by_group/frac_all_bad", "env/all/by_group/frac_all_good",
        "env/all/by_group/frac_mixed",
    ),
    _Split(r"batch/[^/]+/fractions/too_hard", r"batch/[^/]+/fractions/too_easy",  # rLLM
           r"batch/[^/]+/fractions/effective"),
    _Split("zero_std/all_zero_percentage", "zero_std/all_one_percentage", ""),  # miles: shares
    _Split(r"(?!.*effective).*solved_none", r"(?!.*effective).*solved_all",  # prime-rl
           r"(?!.*effective).*solved_some"),
)  # fmt: skip
_SHARES = (
    "frac_reward_zero_std",
    "rollout_reward/group_zero_std_frac",
)  # TRL, ms-swift; torchtitan
_NUMBERS = ("reward/num_zero_variance_groups", "reward/num_zero_variance_filtered")  # SkyRL
_MEAN_STDS = ("reward_std", "group_reward_std")  # TRL; OpenRLHF
_BATCH = (  # verl
    ("critic/advantages/max", "critic/advantages/min"), ("critic/score/max", "critic/score/min"),
)  # fmt: skip
_METRICS: Mapping[str, tuple[str, ...]] = {
    "entropy": ("entropy", "actor/entropy", "entropy/mean", "policy/policy_entropy",
                "actor/entropy_loss", "optim/entropy"),
    "frac_truncated": ("frac_truncated", "completions/clipped_ratio", "response_length/clip_ratio",
                       "truncated_ratio", "is_truncated/mean"),
    "loss": ("loss", "actor/pg_loss", "loss/mean", "policy/policy_loss", "policy_loss"),
    "reward": ("reward", "critic/score/mean", "reward/avg_raw_reward", "reward/mean",
               "env/all/reward/total"),
    "held_out": (HELD_OUT,),
    "grad_norm": ("grad_norm", "actor/grad_norm", "optim/grad_norm", "policy/raw_grad_norm"),
}  # fmt: skip


class Evidence(NamedTuple):
    """Groups of one row, how strong the number behind them is, and its key."""

    groups: GroupTally
    strength: Strength
    key: str


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


def groups_of(row: Mapping[str, float], *, known: int | None, steps: int = 1) -> Evidence | None:
    """The strongest evidence in a row of `training_row`; None where it says nothing of groups.

    ``known`` is the number of groups of a step, and the row an average over ``steps`` steps.
    Without it a share counts as that of one group, which understates the evidence.
    """
    split = _split(row, known, steps)
    if split is not None:
        return split
    size = float((known or 1) * steps)
    if _no_reward(row):
        return Evidence(GroupTally(0, 0, num_unseen=size), "share", "reward")
    for key in _SHARES:
        share = row.get(key, math.nan)
        if 0 <= share <= 1:
            return Evidence(_with_wrong(row, tally_share(share, size)), "share", key)
    for key in _NUMBERS:
        same = row.get(key, math.nan)
        if known and 0 <= same <= known:
            return Evidence(tally_share(same / known, size), "share", key)
    whole = float((known or ASSUMED_GROUPS) * steps)
    for key in _MEAN_STDS:
        std = row.get(key, math.nan)
        if std >= 0:
            groups = _with_wrong(row, tally_share(float(std == 0), size))
            return Evidence(groups, "mean std", key)
    for high, low in _BATCH:
        gap = row.get(high, math.nan) - row.get(low, math.nan)
        if gap >= 0:
            return Evidence(_of_batch(row, gap == 0, whole), "batch", high)
    return None


def _split(row: Mapping[str, float], known: int | None, steps: int) -> Evidence | None:
    for split in _SPLITS:
        key = next((k for k in sorted(row) if re.fullmatch(split.wrong, k)), None)
        if key is None:
            continue
        wrong, right, mixed = (
            next((row[k] for k in sorted(row) if name and re.fullmatch(name, k)), math.nan)
            for name in split
        )
        if not (wrong >= 0 and right >= 0):
            continue
        if not mixed >= 0:
            mixed = max(0.0, 1 - wrong - right)
        total = wrong + right + mixed
        if not total > 0:
            continue
        # shares add up to one group; numbers are groups
        size = total if total > 1.5 else float((known or 1) * steps)
        return Evidence(GroupTally(size, size * mixed / total, size * wrong / total), "counts", key)
    return None


def _with_wrong(row: Mapping[str, float], groups: GroupTally) -> GroupTally:
    """All wrong or all right, where the only reward function gave the whole batch one value."""
    names = [name for key in row if (name := _reward_name(key))]
    if groups.num_informative or len(names) != 1 or row.get(f"rewards/{names[0]}/std") != 0:
        return groups
    wrong = groups.num_groups if row[f"rewards/{names[0]}/mean"] <= 0 else 0.0
    return groups._replace(num_all_wrong=wrong)


def _of_batch(row: Mapping[str, float], same: bool, size: float) -> GroupTally:
    """The whole batch has one value, and then a score of at most 0 is "wrong"; or it has not."""
    if not same:
        return GroupTally(size, size)
    score = row.get("critic/score/max", math.nan)
    wrong = math.nan if math.isnan(score) else size if score <= 0 else 0.0
    return GroupTally(size, 0.0, wrong)


def _no_reward(row: Mapping[str, float]) -> bool:
    """Whether no rollout of the row had a verdict: TRL then logs a share of 0 and a NaN reward."""
    return "reward" in row and math.isnan(row["reward"])


def logged_groups(
    rows: Mapping[int, Mapping[str, float]], *, known: int | None, notes: dict[str, None]
) -> dict[int, GroupTally]:
    """Groups by step from a log, and notes on what they rest on.

    A row of a log may be the mean over several steps, those since the row before.
    """
    found: dict[int, GroupTally] = {}
    last, kinds = None, set()
    steps = sorted(rows)
    usual = min((b - a for a, b in itertools.pairwise(steps)), default=1)
    for step in steps:
        span = usual if last is None else min(step - last, usual)
        last = step
        evidence = groups_of(rows[step], known=known, steps=max(1, span) if known else 1)
        if evidence is not None:
            found[step] = evidence.groups
            kinds.add((evidence.strength, evidence.key))
    for strength, key in sorted(kinds):
        notes[_REMARKS[strength].format(key=key, groups=known or ASSUMED_GROUPS)] = None
    if found and known is None and any(s in ("share", "mean std") for s, _ in kinds):
        notes["how many groups a step has is not in the log: pass --groups-per-step"] = None
    if rows and not found:
        notes["the log says nothing of the groups: no zero-std share, no count of solved groups, no"
              " reward_std"] = None  # fmt: skip
    return found


_REMARKS: Mapping[Strength, str] = {
    "counts": "groups are those of {key} in the log",
    "share": "the groups are known by {key} in the log only",
    "mean std": "the log has no share of zero-std groups: {key} is the mean of the groups' std, and"
    " only 0 says that none has a signal (TRL logs frac_reward_zero_std from 0.19 on). Above 0 all"
    " groups are counted as informative, which is the most that it can be",
    "batch": "the log has only the largest and smallest {key} of a batch: where they are equal all"
    " its groups are without a signal ({groups} groups a step are assumed). Where they differ all"
    " groups are counted as informative, which is the most that it can be",
}


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


def metrics_of(row: Mapping[str, float]) -> StepMetrics:
    """Entropy, cut-off completions, loss, gradient norm, reward and held-out score of a row."""
    return StepMetrics(
        **{name: next((row[k] for k in keys if k in row), None) for name, keys in _METRICS.items()}
    )


def log_entries(
    groups: GroupTally, evidence: float, *, distinct: float = math.nan
) -> dict[str, float]:
    """What the monitor adds to a trainer's own log; a number that is not known is left out.

    >>> sorted(log_entries(GroupTally(4, 1, 3), 0.5))
    ['grpolab/all_right', 'grpolab/all_wrong', 'grpolab/evidence', 'grpolab/informative_share']
    """
    size, mixed, wrong = groups[:3]
    if not size:
        return {}
    added = {
        "informative_share": mixed / size,
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
    recent = [row for row in rows if any(_reward_name(key) for key in row)][-window:]
    if len(recent) < window:
        return {}
    names = sorted({name for key in recent[-1] if (name := _reward_name(key))})
    stds = {n: [row.get(f"rewards/{n}/std", math.nan) for row in recent] for n in names}
    means = {n: [row.get(f"rewards/{n}/mean", math.nan) for row in recent] for n in names}
    same = [n for n in names if all(s == 0 for s in stds[n]) and len(set(means[n])) == 1]
    if not any(any(s > 0 for s in stds[n]) for n in names):
        return {}
    return {n: means[n][-1] for n in same}


def _reward_name(key: str) -> str:
    found = re.fullmatch(r"rewards/(.+)/mean", key)
    return found[1] if found else ""
