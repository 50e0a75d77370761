"""Files in which every group is mixed: were the others left out?

`estimate.selection.selection_test` proves it where no law of p could be the cause. Many samples per
group leave a law open that puts no prompt near 0 or 1; what a beta expects says how odd that is.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from grpolab.figures.words import count
from grpolab.theory.groups import GroupCounts
from grpolab.validate.estimate.betabin import BetaBinomialFit

_ODD = 5.0  # groups expected, of which none is seen by chance in 1 of 150 files


def every_group_is_mixed(counts: GroupCounts, fit: BetaBinomialFit | None) -> list[str]:
    """A sentence where no group has equal rewards and a fitted beta expects several that do."""
    if fit is None or bool(np.any(counts.all_wrong | counts.all_right)):
        return []
    size = counts.group_size
    a, b = fit.a, fit.b
    equal = np.exp(special.betaln(a, b + size)) + np.exp(special.betaln(a + size, b))
    expected = float(np.sum(equal) / np.exp(special.betaln(a, b)))
    if not expected >= _ODD:  # NaN where the beta has no width
        return []
    most = int(np.bincount(size).argmax())
    return [
        f"Cannot tell whether groups with equal rewards were left out: none of {count(len(size))}"
        f" groups of {most} is all wrong or all right, where a fitted beta expects"
        f" {count(round(expected))}. If only mixed groups were kept (dynamic sampling), pass"
        " --filtered: the shares below would be far too low."
    ]
