"""A jump of the reward: one of the two verdicts vanishes from one step to the next."""

from __future__ import annotations

import math

from scipy import special

from grpolab.validate.monitor.state import MonitorState

_ROWS, _SHARE, _CHANCE = 5, 0.2, 1e-6
"""A jump of the reward: steps before it, the least share of groups in each of them that held the
verdict that then vanished, and the chance of its absence at that share that is too small."""


def look(state: MonitorState) -> None:
    """Whether one of the two verdicts has vanished from one step to the next.

    A policy changes by degrees. If in each of the last steps a share a of the groups held a
    right rollout, then M groups in a row without one have the chance (1 - a)^M. The share is
    counted in m groups only, k of which held one: that all k are among those m, in random order,
    has the chance C(m, k) / C(m + M, k). Both must be small.
    """
    if state.jump_step >= 0:
        if _share_with(state.recent[-1], right=not state.jump_right) > 0:
            state.jump_step = -1
        return
    for right in (True, False):
        shares = [_share_with(row, right=right) for row in state.recent]
        gone = next((i for i, share in enumerate(reversed(shares)) if share != 0), len(shares))
        before = shares[: len(shares) - gone][-_ROWS:]
        if not gone or len(before) < _ROWS or not min(before) >= _SHARE:
            continue
        since = state.recent[-gone:]
        groups = sum(row[1] or 0.0 for row in since)
        earlier = state.recent[: len(shares) - gone][-_ROWS:]
        held = [(row[1] or 0.0) * share for row, share in zip(earlier, before, strict=True)]
        chance = max(
            groups * math.log1p(-min(min(before), 1 - 1e-12)),
            _all_first(sum(row[1] or 0.0 for row in earlier), sum(held), groups),
        )
        if chance < math.log(_CHANCE):
            state.jump_step, state.jump_right = int(since[0][0] or 0), not right
            state.jump_share = sum(before) / len(before)


def _all_first(before: float, held: float, after: float) -> float:
    """Log of the chance that ``held`` of all groups, in random order, are all ``before``."""

    def ways(total: float) -> float:
        return float(special.gammaln(total + 1) - special.gammaln(total - held + 1))

    return ways(before) - ways(before + after)


def _share_with(row: list[float | None], *, right: bool) -> float:
    """Share of a step's groups with at least one right (or wrong) rollout; NaN if not known."""
    groups, informative, wrong = row[1], row[2], row[3]
    if not groups or informative is None or wrong is None:
        return math.nan
    return (groups - wrong if right else informative + wrong) / groups
