"""R = -a exp(H) + b: an empirical law of reward and entropy, as something to test.

Cui et al. (arXiv 2505.22617, from the abstract) report that over RL the reward R follows the
entropy H by this curve, so that R would end at b - a where H is 0. It is a fit and no theorem: for
a policy of one right and one wrong response R determines H exactly, by another curve.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check


class EntropyFit(NamedTuple):
    """Least squares of R on exp(H): ``R = -a exp(H) + b``.

    ``residual`` is the largest distance of a point from the curve, ``explained`` the share of the
    variance of R that it explains, and ``bend`` what a term in exp(H)^2 explains of the rest: near
    0 where the form is right, near 1 where another curve fits.
    """

    a: float
    b: float
    residual: float
    explained: float
    bend: float

    @property
    def ceiling(self) -> float:
        """R at H = 0, where the form holds that far."""
        return self.b - self.a


def entropy_fit(entropy: npt.ArrayLike, reward: npt.ArrayLike) -> EntropyFit:
    """Fit the law to a run and say how far it is from holding; entropy [T], reward [T].

    ValueError for fewer than 4 points, shapes that differ, and entropies that are all equal.

    >>> import numpy as np
    >>> p = np.linspace(0.5, 0.99, 50)  # one right and one wrong response
    >>> fit = entropy_fit(-p * np.log(p) - (1 - p) * np.log(1 - p), p)
    >>> round(fit.explained, 3), round(fit.residual, 3), round(fit.bend, 3)
    (0.936, 0.09, 0.758)
    """
    h = _check.within("entropy", entropy, -np.inf, np.inf, ends="none")
    r = _check.within("reward", reward, -np.inf, np.inf, ends="none")
    if h.ndim != 1 or h.shape != r.shape or h.size < 4:
        raise ValueError(
            f"entropy and reward must have one shape [T] with T >= 4, got {list(h.shape)} and"
            f" {list(r.shape)}"
        )
    if np.ptp(h) == 0:
        raise ValueError("entropy must vary")
    x = np.exp(h)
    line = np.stack([-x, np.ones_like(x)], axis=1)
    (a, b), *_ = np.linalg.lstsq(line, r)
    off = r - line @ [a, b]
    curve = np.column_stack([line, x**2])
    more, *_ = np.linalg.lstsq(curve, r)
    total, left = float(np.sum((r - r.mean()) ** 2)), float(off @ off)
    rest = float(np.sum((r - curve @ more) ** 2))
    return EntropyFit(
        float(a), float(b), float(np.abs(off).max()), 1.0 - left / total if total > 0 else np.nan,
        1.0 - rest / left if left > 1e-24 * max(total, 1e-300) else 0.0,
    )  # fmt: skip
