"""Data of figures that show measurements: each function takes what a committed file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Content = Mapping[str, Any]
_THRESHOLD = 100.0  # 1/alpha of the monitor's default, by which the committed runs were judged


def families(summary: Content) -> dict[str, Any]:
    """Families of a study by name."""
    return dict(summary["families"])


def regime(family: str) -> str:
    """Name of a family for a reader who sees one task.

    >>> regime("countdown/shift"), regime("broad")
    ('shift', 'broad')
    """
    return family.rpartition("/")[2]


def ladder(summary: Content) -> dict[str, Any]:
    """Three families, ``ample`` the last of them where there is one; for `figures.ladder.draw`."""
    found = {name: family["by_depth"] for name, family in families(summary).items()}
    shown = [name for name in found if name not in ("no-shift", "ample")][:2]
    rest = [name for name in ("ample", *found) if name in found and name not in shown]
    return {name: found[name] for name in [*shown, *rest[: 3 - len(shown)]]}


def forecast(summary: Content) -> dict[str, list[tuple[float, float]]]:
    """Points (counted, predicted) per forecast, one per family and depth (means over seeds)."""
    depths = [d for family in families(summary).values() for d in family["by_depth"]]
    return {
        name: [(d["zero_std"], d[f"zero_std/{name}"]) for d in depths]
        for name in ("mean-p", "beta-binomial", "thinning")
    }


def shootout(summary: Content) -> dict[str, dict[str, float]]:
    """Regret in final pass@1 by predictor and family."""
    return dict(summary["shootout"]["regret"]["final_pass_at_1"])


def monitor(found: Content) -> dict[str, Any]:
    """Evidence and stop of one run of each kind, and the threshold."""
    return {"runs": found["examples"], "threshold": _THRESHOLD}
