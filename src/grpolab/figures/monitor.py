"""Evidence that a run has no signal: it passes its threshold in runs that have none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.style import BLUE, GREEN, GREY, LEGEND, ORANGE, PURPLE, RED, SKY

_COLOURS = (GREEN, BLUE, ORANGE, PURPLE, RED, SKY)
_FLOOR = 1e-3  # evidence below is not told apart
_THRESHOLD = 100.0  # 1/alpha of the monitor's default, by which the committed runs were judged
_NAMES = {"plain": "healthy", "outage": "healthy, grader down for a while"}


def data(found: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence and stop of one committed run of each kind, and the threshold."""
    runs = {_NAMES.get(name, name): run for name, run in found["examples"].items()}
    return {"runs": runs, "threshold": _THRESHOLD}


def draw_claim(ax: Any, found: Mapping[str, Any]) -> None:
    """Evidence of no signal over the steps of some runs."""
    draw(ax, found["runs"], threshold=found["threshold"])
    ax.legend(ncols=2, bbox_to_anchor=(-0.18, -0.2), **LEGEND)


def draw(
    ax: Any, runs: Mapping[str, Mapping[str, Any]], *, threshold: float, title: str = ""
) -> None:
    """Draw the evidence of several runs and where each is stopped.

    ``runs[label]``: ``step``, ``evidence`` [T] each, and ``stop`` (a step, or None).
    """
    top = threshold
    for colour, (label, run) in zip(_COLOURS, runs.items(), strict=False):
        steps, evidence = run["step"], _clipped(run["evidence"], threshold)
        ax.plot(steps, evidence, color=colour, label=label, linewidth=1.4)
        top = max(top, *evidence)
        if run["stop"] is not None:
            at = list(steps).index(run["stop"])
            ax.plot(run["stop"], evidence[at], "o", color=colour, markersize=6, zorder=4)
    _threshold(ax, threshold)
    ax.set_ylim(_FLOOR, 3 * top)
    ax.set_xlabel("training step")
    ax.set_ylabel("evidence of no signal")
    ax.set_title(title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))


def draw_run(
    ax: Any,
    steps: Sequence[int],
    *,
    num_informative: Sequence[float],
    num_groups: Sequence[float],
    evidence: Sequence[float],
    entropy: Sequence[float | None],
    min_signal: float,
    threshold: float,
    stop: int | None = None,
    num_low: Sequence[float | None] = (),
) -> None:
    """Draw one run, panel under panel in the place of ``ax``: share, evidence, entropy.

    ``num_low`` is the least number of informative groups, where ``num_informative`` is the most.
    The mean share is over the groups of the last ten steps; grey steps have no verdicts.
    """
    page, entropies = ax.figure, [h for h in entropy if h is not None]
    ax.remove()
    panels = page.subplots(3 if entropies else 2, 1, sharex=True)
    share = [k / n if n > 0 else math.nan for k, n in zip(num_informative, num_groups, strict=True)]
    panels[0].plot(steps, share, ".", color=SKY, markersize=4, label="one step")
    panels[0].plot(steps, _running(num_informative, num_groups), color=BLUE, label="ten steps")
    low = [(s, k / n) for s, k, n in zip(steps, num_low, num_groups, strict=False) if k and n > 0]
    if low:
        panels[0].plot(*zip(*low, strict=True), ".", color=ORANGE, markersize=4, label="at least")
    panels[0].axhline(
        min_signal, color=RED, linestyle="--", linewidth=1, label=f"limit {min_signal:g}"
    )
    panels[0].set_ylim(-0.02, 1.02)
    panels[0].set_ylabel("informative groups")
    _shade(panels[0], steps, num_groups)
    shown = _clipped(evidence, threshold)
    panels[1].plot(steps, shown, color=BLUE, label="evidence")
    _threshold(panels[1], threshold)
    if stop is not None:
        panels[1].axvline(stop, color=RED, linewidth=1.2, label=f"no signal: step {stop}")
    panels[1].set_ylim(_FLOOR, 3 * max([threshold, *shown]))
    panels[1].set_ylabel("evidence of no signal")
    if entropies:
        known = [math.nan if h is None else h for h in entropy]
        panels[2].plot(steps, known, color=GREEN, label="token entropy")
        panels[2].set_ylim(0, 1.1 * max(entropies) or 1)
        panels[2].set_ylabel("nats per token")
    panels[-1].set_xlabel("training step")
    for panel in panels:
        panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _shade(ax: Any, steps: Sequence[int], num_groups: Sequence[float]) -> None:
    for i, (first, last) in enumerate(_gaps(steps, num_groups)):
        label = "no verdicts" if i == 0 else None
        ax.axvspan(first - 0.5, last + 0.5, color=GREY, alpha=0.18, linewidth=0, label=label)


def _threshold(ax: Any, threshold: float) -> None:
    ax.axhline(threshold, color=RED, linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    ax.set_yscale("log")


def _clipped(evidence: Sequence[float], threshold: float) -> list[float]:
    """Evidence between the floor and a hundred times the threshold: beyond, nothing is told."""
    return [min(max(e, _FLOOR), 100 * threshold) for e in evidence]


def _running(num_informative: Sequence[float], num_groups: Sequence[float]) -> list[float]:
    """Share over the groups of the last ten steps; NaN where the step itself has none.

    >>> _running([4, 0, 2], [8, 0, 8])
    [0.5, nan, 0.375]
    """
    out = []
    for i, n in enumerate(num_groups):
        span = slice(max(0, i - 9), i + 1)
        total = sum(num_groups[span])
        out.append(sum(num_informative[span]) / total if n > 0 else math.nan)
    return out


def _gaps(steps: Sequence[int], num_groups: Sequence[float]) -> list[tuple[int, int]]:
    """First and last step of every stretch without a group that counts.

    >>> _gaps([1, 2, 3, 4, 5], [8, 0, 0, 8, 0])
    [(2, 3), (5, 5)]
    """
    found: list[tuple[int, int]] = []
    before = math.inf
    for step, n in zip(steps, num_groups, strict=True):
        if n == 0:
            if before == 0:
                found[-1] = (found[-1][0], step)
            else:
                found.append((step, step))
        before = n
    return found
