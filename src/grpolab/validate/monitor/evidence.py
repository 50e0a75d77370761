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
mean std  0: every group has one reward; else no group is counted as without a signal, and the
          share lies within `std_bounds` if all rewards are 0 or 1
batch     largest = smallest value: every group has one reward; else as above, without bounds
========  =================================================================================
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from grpolab.validate.monitor.scalars import REWARDS, reward_name
from grpolab.validate.monitor.state import GroupTally, tally_range, tally_share

Strength = Literal["counts", "share", "mean std", "batch"]
ASSUMED_GROUPS = 16
"""Groups that a step is taken to have where only a statement on the whole batch is logged."""


class _Split(NamedTuple):
    """Keys of one trainer: a prefix and ends for groups all wrong, all right and mixed.

    The last may be missing. Where ``roles`` differ in the prefix, each has groups of its own.
    """

    prefix: str
    wrong: str
    right: str
    mixed: str
    roles: bool = False


_SPLITS = (
    _Split("grpolab/", "all_wrong", "all_right", "informative_share"),
    _Split("env/all/by_group/", "frac_all_bad", "frac_all_good", "frac_mixed"),  # Tinker cookbook
    _Split("batch/[^/]+/fractions/", "too_hard", "too_easy", "effective", roles=True),  # rLLM
    _Split("zero_std/", "all_zero_percentage", "all_one_percentage", ""),  # miles: shares
    _Split("(?!.*effective).*", "solved_none", "solved_all", "solved_some"),  # prime-rl
)
_SHARES = (  # TRL, ms-swift; torchtitan
    "frac_reward_zero_std", "rollout_reward/group_zero_std_frac",
    "rollout_reward/group_zero_std_frac/mean",
)  # fmt: skip
_KEPT = "dynamic_filtering_pass_rate"  # OpenRLHF: percent of the groups that are learned from
_NUMBERS = ("reward/num_zero_variance_groups", "reward/num_zero_variance_filtered")  # SkyRL
_CONSTANT = re.compile(r"zero_std/count_(-?\d+(?:\.\d+)?)")  # slime, miles: groups of one reward
_ROLLED_OUT = "raw_reward"  # in every row of slime's and miles' rollouts
_MEAN_STDS = ("reward_std", "group_reward_std")  # TRL; OpenRLHF
_BATCH = (  # verl
    ("critic/advantages/max", "critic/advantages/min"), ("critic/score/max", "critic/score/min"),
)  # fmt: skip


class Reading(NamedTuple):
    """What is known of a log beside its rows.

    ``known`` is the number of groups of a step, ``group_size`` that of the rollouts of a group and
    ``lowest`` the smallest mean reward of any row: a group whose only reward is above a negative
    one is not called wrong. With ``whole`` a share says only whether all groups have one reward;
    with ``by_reward`` the log counts groups by their one reward, where there are any.
    """

    known: int | None = None
    group_size: int | None = None
    lowest: float = 0.0
    whole: bool = False
    by_reward: bool = False


class Evidence(NamedTuple):
    """Groups of one row, how strong the number behind them is, and its key."""

    groups: GroupTally
    strength: Strength
    key: str


def groups_of(row: Mapping[str, float], reading: Reading, *, steps: int = 1) -> Evidence | None:
    """The strongest evidence in a row of `training_row`; None where it says nothing of groups.

    The row is an average over ``steps`` steps. Where the number of groups of a step is not known, a
    share counts as that of one group, which understates the evidence.
    """
    known = reading.known
    size = float((known or 1) * steps)
    split = _constant(row, reading, steps) or _split(row, size)
    if split is not None:
        return split
    if _no_reward(row):
        return Evidence(GroupTally(0, 0, num_unseen=size), "share", "reward")
    for key, share in _shares(row, known):
        if reading.whole and share < 1:
            return Evidence(tally_range(size), "share", key)
        return Evidence(_with_wrong(row, tally_share(share, size), reading), "share", key)
    for key in _MEAN_STDS:
        std = row.get(key, math.nan)
        if std == 0:
            return Evidence(_with_wrong(row, GroupTally(size, 0), reading), "mean std", key)
        if std > 0:
            low, high = _binary_bounds(row, std, reading)
            return Evidence(tally_range(size, low=low, high=high), "mean std", key)
    whole = float((known or ASSUMED_GROUPS) * steps)
    if math.isnan(row.get(_BATCH[0][0], 0.0)):
        return Evidence(GroupTally(0, 0, num_not_finite=whole), "batch", _BATCH[0][0])
    for high_key, low_key in _BATCH:
        gap = row.get(high_key, math.nan) - row.get(low_key, math.nan)
        if gap == 0:
            wrong = whole * wrong_of(row.get("critic/score/max", math.nan), reading.lowest)
            return Evidence(GroupTally(whole, 0, wrong), "batch", high_key)
        if gap > 0:
            return Evidence(tally_range(whole), "batch", high_key)
    return None


def wrong_of(value: float, lowest: float = 0.0) -> float:
    """1 where a group whose rewards all have this value is wrong, 0 where it is right, else NaN.

    Wrong is 0 or less, unless lower rewards were seen; right is 1 or more. What lies between, as a
    reward for the format alone, is neither.

    >>> wrong_of(0.0), wrong_of(-1.0, -0.6), wrong_of(1.0), wrong_of(0.0, -0.6), wrong_of(0.1)
    (1.0, 1.0, 0.0, nan, nan)
    """
    if value <= min(lowest, 0.0):
        return 1.0
    return 0.0 if value >= 1 else math.nan


def std_bounds(mean_std: float, group_size: int | None) -> tuple[float, float]:
    """Between which shares the groups with both rewards lie, from the mean of the groups' std.

    Rewards are 0 or 1 and the std of k right ones among g is s_k = sqrt(k (g - k) / (g (g - 1))),
    so a group with both has 1/sqrt(g) = s_1 <= s <= s_(g // 2), and

        mean std / s_(g // 2) <= share <= mean std / s_1.

    The lower bound holds for rewards between 0 and 1 as well. Without a group size it is that of
    g = 2, whose s is the largest of all, and the upper bound is 1. A mean that no rewards of 0 and
    1 have gives a lower bound above 1.

    >>> low, high = std_bounds(0.35, 8)
    >>> round(low, 4), round(high, 4)
    (0.6548, 0.9899)
    """
    size = group_size or 2
    half = size // 2
    largest = math.sqrt(half * (size - half) / (size * (size - 1)))
    high = 1.0 if group_size is None else min(1.0, mean_std * math.sqrt(group_size))
    return mean_std / largest, high


def _binary_bounds(
    row: Mapping[str, float], mean_std: float, reading: Reading
) -> tuple[float, float]:
    """`std_bounds`, or 0 to 1 where the row shows that rewards are not 0 and 1.

    It does where several reward functions are summed, where the mean reward p lies outside 0 to 1,
    and where the mean std is above sqrt(p (1 - p) g / (g - 1)), which Jensen's inequality allows.
    """
    low, high = std_bounds(mean_std, reading.group_size)
    mean = row.get("reward", 0.5)
    spread = math.sqrt(max(0.0, mean * (1 - mean)) / (1 - 1 / (reading.group_size or 2)))
    several = sum(1 for key in row if reward_name(key)) > 1
    if several or reading.lowest < 0 or low > 1 or not mean_std <= spread + 1e-6:
        return 0.0, 1.0
    return low, high


def _shares(row: Mapping[str, float], known: int | None) -> Iterator[tuple[str, float]]:
    """Shares of zero-std groups with their keys, the strongest first."""
    for key in _SHARES:
        if 0 <= row.get(key, math.nan) <= 1:
            yield key, row[key]
    if 0 <= row.get(_KEPT, math.nan) <= 100:
        yield _KEPT, 1 - row[_KEPT] / 100
    for key in _NUMBERS:
        if known and 0 <= row.get(key, math.nan) <= known:
            yield key, row[key] / known


def _constant(row: Mapping[str, float], reading: Reading, steps: int) -> Evidence | None:
    """Slime and miles: numbers of groups by their one reward; a number that is 0 is not logged."""
    counts = _constant_counts(row)
    if not reading.known or not (counts or (reading.by_reward and _ROLLED_OUT in row)):
        return None
    total, same = reading.known * steps, steps * sum(counts.values())
    if not same <= total:
        return None
    wrong = steps * sum(n * wrong_of(value, reading.lowest) for value, n in counts.items())
    return Evidence(GroupTally(total, total - same, wrong), "counts", "zero_std/count_*")


def _constant_counts(row: Mapping[str, float]) -> dict[float, float]:
    return {float(found[1]): row[key] for key in row if (found := _CONSTANT.fullmatch(key))}


def _total_of(row: Mapping[str, float]) -> float:
    """Groups of a step of miles, which logs number and share of those that are all 0 or all 1."""
    counts = _constant_counts(row)
    for value, name in ((0.0, "zero"), (1.0, "one")):
        share = row.get(f"zero_std/all_{name}_percentage", 0.0)
        if share > 0 and counts.get(value, 0) > 0:
            return counts[value] / share
    return 0.0


def _split(row: Mapping[str, float], whole: float) -> Evidence | None:
    """Groups all wrong and all right; shares of them are those of ``whole`` groups."""
    for split in _SPLITS:
        ends = sorted(key for key in row if re.fullmatch(split.prefix + split.wrong, key))
        prefixes = [key.removesuffix(split.wrong) for key in ends]
        parts = [part for p in prefixes if (part := _part_of(row, p, split, whole)) is not None]
        if parts:
            kept = parts if split.roles else parts[:1]
            total = GroupTally(*(sum(p[i] for p in kept) for i in range(3)))
            return Evidence(total, "counts", prefixes[0] + split.wrong)
    return None


def _part_of(
    row: Mapping[str, float], prefix: str, split: _Split, whole: float
) -> GroupTally | None:
    wrong, right, mixed = (
        row.get(prefix + end, math.nan) if end else math.nan
        for end in (split.wrong, split.right, split.mixed)
    )
    if not (wrong >= 0 and right >= 0):
        return None
    if not mixed >= 0:
        mixed = max(0.0, 1 - wrong - right)
    total = wrong + right + mixed
    if not total > 0:
        return None
    # shares add up to one group; numbers are groups
    size = total if total > 1.5 else whole
    return GroupTally(size, size * mixed / total, size * wrong / total)


def _with_wrong(row: Mapping[str, float], groups: GroupTally, reading: Reading) -> GroupTally:
    """All wrong or all right, where the only reward function gave the whole batch one value."""
    names = [name for key in row if (name := reward_name(key))]
    if groups.num_informative or len(names) != 1 or row.get(f"rewards/{names[0]}/std") != 0:
        return groups
    wrong = wrong_of(row[f"rewards/{names[0]}/mean"], reading.lowest)
    return groups._replace(num_all_wrong=groups.num_groups * wrong)


def _no_reward(row: Mapping[str, float]) -> bool:
    """Whether no rollout of the row had a verdict: TRL then logs a share of 0 and a NaN reward."""
    return "reward" in row and math.isnan(row["reward"])


def logged_groups(
    rows: Mapping[int, Mapping[str, float]],
    *,
    known: int | None,
    notes: dict[str, None],
    group_size: int | None = None,
) -> dict[int, GroupTally]:
    """Groups by step from a log, and notes on what they rest on.

    A row of a log may be the mean over several steps, those since the row before.
    """
    found: dict[int, GroupTally] = {}
    last, kinds = None, set()
    steps = sorted(rows)
    usual = min((b - a for a, b in itertools.pairwise(steps)), default=1)
    reading = reading_of(rows.values(), known=known, group_size=group_size)
    for step in steps:
        span = usual if last is None else min(step - last, usual)
        last = step
        evidence = groups_of(rows[step], reading, steps=max(1, span) if known else 1)
        if evidence is not None:
            found[step] = evidence.groups
            kinds.add((evidence.strength, evidence.key))
    for strength, key in sorted(kinds):
        notes[_REMARKS[strength].format(key=key, groups=known or ASSUMED_GROUPS)] = None
    if any(strength == "mean std" for strength, _ in kinds) and group_size is None:
        notes["how large a group is is not in the log: pass --group-size for closer bounds"] = None
    asked = next((key for row in rows.values() for key in row if _needs_total(key)), None)
    if known is None and not found and asked:
        notes[f"{asked} is a number of groups, and of how many is not in the log: pass"
              " --groups-per-step"] = None  # fmt: skip
    elif known is None and any(s in ("share", "mean std") for s, _ in kinds):
        notes["how many groups a step has is not in the log: pass --groups-per-step"] = None
    elif rows and not found:
        notes["the log says nothing of the groups: no zero-std share, no count of solved groups, no"
              " reward_std"] = None  # fmt: skip
    return found


def reading_of(
    rows: Iterable[Mapping[str, float]], *, known: int | None, group_size: int | None
) -> Reading:
    """What the rows of a log say of each other."""
    rows = list(rows)
    means = [row[k] for row in rows for k in REWARDS if k in row]
    return Reading(
        known=known or round(max(map(_total_of, rows), default=0.0)) or None,
        group_size=group_size,
        lowest=min((m for m in means if not math.isnan(m)), default=0.0),
        by_reward=any(map(_constant_counts, rows)),
    )


def _needs_total(key: str) -> bool:
    return key in _NUMBERS or _CONSTANT.fullmatch(key) is not None


_REMARKS: Mapping[Strength, str] = {
    "counts": "groups are those of {key} in the log",
    "share": "the groups are known by {key} in the log only",
    "mean std": "the log has no share of zero-std groups: {key} is the mean of the groups' std, and"
    " only 0 says that none has a signal (TRL logs frac_reward_zero_std from 0.19 on). Above 0 the"
    " test counts all groups as informative, which is the most that it can be",
    "batch": "the log has only the largest and smallest {key} of a batch: where they are equal all"
    " its groups are without a signal ({groups} groups a step are assumed). Where they differ all"
    " groups are counted as informative, which is the most that it can be",
}
