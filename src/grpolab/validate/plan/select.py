"""Prompts worth keeping: those whose success rate is likely to lie in a band.

A filter on c/n keeps prompts that were lucky: of those with 1 of 4 some have p near 0, and their
groups hold less signal than the filter promises. The posterior knows that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory.groups import IntArray
from grpolab.theory.zero_std import prob_mixed
from grpolab.validate.forecast.posterior import Posterior


class Share(NamedTuple):
    """Expected share of mixed groups, and what one group per prompt will show."""

    value: float
    low: float
    high: float


class Selection(NamedTuple):
    """Which prompts stay, and what that does to the groups.

    ``keep`` [P]; ``by_rate`` [P] is what a filter on c/n would keep, ``promised`` the share of
    mixed groups that c/n promises for it. Shares are None where no prompt is left.
    """

    keep: npt.NDArray[np.bool_]
    by_rate: npt.NDArray[np.bool_]
    before: Share
    after: Share | None
    naive: Share | None
    promised: float | None
    prompt_id: IntArray

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "num_prompts": len(self.keep),
            "num_kept": int(self.keep.sum()),
            "mixed_before": self.before._asdict(),
            "mixed_after": None if self.after is None else self.after._asdict(),
            "by_rate": {
                "num_kept": int(self.by_rate.sum()),
                "mixed": None if self.naive is None else self.naive._asdict(),
                "promised": self.promised,
            },
        }


def select(
    found: Posterior,
    *,
    band: tuple[float, float],
    group_size: int,
    rng: int,
    level: float = 0.95,
) -> Selection:
    """Keep the prompts with ``P(low <= p <= high | counts) >= 1/2``.

    The intervals are those of one group of ``group_size`` on each prompt. ValueError unless 0 <=
    low < high <= 1 and group_size >= 2.

    >>> from grpolab.theory.groups import GroupCounts
    >>> from grpolab.validate.forecast.posterior import fit_posterior
    >>> found = fit_posterior(GroupCounts([0, 0, 0, 4, 2, 3] * 10, 4), rng=0)
    >>> kept = select(found, band=(0.1, 0.9), group_size=8, rng=0)
    >>> int(kept.keep.sum()), kept.before.value < kept.after.value
    (30, True)
    """
    low, high = band
    if not 0.0 <= low < high <= 1.0:
        raise ValueError(f"band must be two rates with 0 <= low < high <= 1, got {low} and {high}")
    if group_size < 2:
        raise ValueError(f"group_size must be >= 2, got {group_size}")
    inside = (found.support >= low) & (found.support <= high)
    keep = found.expect(inside.astype(np.float64)) >= 0.5
    rate = found.cells.rate[found.cell]
    by_rate = (rate >= low) & (rate <= high)
    before = _share(found, np.ones_like(keep), group_size, rng, level)
    assert before is not None
    after, naive = (_share(found, part, group_size, rng, level) for part in (keep, by_rate))
    promised = None if naive is None else float(np.mean(prob_mixed(rate[by_rate], group_size)))
    return Selection(keep, by_rate, before, after, naive, promised, found.prompt_id)


def _share(
    found: Posterior, part: npt.NDArray[np.bool_], group_size: int, rng: int, level: float
) -> Share | None:
    """The share over the prompts of a part; None for an empty one."""
    size = int(part.sum())
    if not size:
        return None
    mixed = np.asarray(prob_mixed(found.support, group_size))
    value = float(found.expect(mixed)[part].mean())
    chance = np.stack([np.zeros_like(mixed), mixed], axis=-1)
    low, high = found.predict(part.astype(np.int64), chance, rng=rng, level=level)
    return Share(value, low / size, high / size)
