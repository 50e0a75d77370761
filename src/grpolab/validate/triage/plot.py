"""One function that draws what audits and triages say, for notebooks and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grpolab.figures import page
from grpolab.validate.audit.page import draw_sides, sides_size
from grpolab.validate.audit.summary import Audit
from grpolab.validate.triage.page import draw_checkpoints
from grpolab.validate.triage.ranking import Triage

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(*found: Audit | Triage) -> Figure:
    """Draw one audit, several side by side, or one triage.

    Parameters
    ----------
    found : Audit or Triage
        An audit: the law of p and the share of zero-std groups against the group size, with the
        forecast beyond the samples. Several audits: both side by side with 95% intervals. A
        triage: signal, groups and entropy of its checkpoints.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; a notebook shows it, ``savefig`` writes it.

    Raises
    ------
    ValueError
        Nothing to draw, or audits and triages mixed.

    Examples
    --------
    >>> from grpolab import GroupCounts, audit
    >>> [ax.get_xlabel() for ax in plot(audit(GroupCounts([0, 1, 4, 2], 4), rng=0)).axes]
    ['success rate p of a prompt', 'group size g']
    """
    audits = [one for one in found if isinstance(one, Audit)]
    triages = [one for one in found if isinstance(one, Triage)]
    if len(found) == len(audits) > 0:
        return page.drawn(lambda axes: draw_sides(axes, audits), size=sides_size(audits), panels=2)
    if len(found) == len(triages) == 1:
        (one,) = triages
        size = (11.0, 1.3 + 0.42 * len(one.checkpoints))
        return page.drawn(lambda axes: draw_checkpoints(axes, one), size=size, panels=3)
    kinds = ", ".join(type(one).__name__ for one in found) or "nothing"
    raise ValueError(f"plot takes audits, or one triage, got {kinds}")
