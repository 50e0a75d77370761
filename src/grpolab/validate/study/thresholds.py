"""p*(g) derived, and found again by simulated groups and by simulated GRPO chains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from grpolab.simulate import derive_critical_p
from grpolab.theory import critical_p
from grpolab.validate.study.config import StudyConfig

GROUP_SIZES = (3, 4, 8, 16, 32)
CORRELATIONS = (0.0, 0.1, 0.2)
LEVEL = 0.99


def threshold_table(
    config: StudyConfig, *, progress: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Theory beside simulation for every group size, ICC and event."""
    sizes = sorted({*GROUP_SIZES, config.grpo.group_size})
    cells: list[tuple[int, float, Literal["identical", "all-wrong"]]] = [
        (g, rho, event)
        for event in ("identical", "all-wrong")
        for rho in CORRELATIONS
        for g in sizes
    ]
    rows = []
    for i, (g, rho, event) in enumerate(cells):
        found = derive_critical_p(
            g, rho=rho, event=event, num_groups=config.simulated_groups, seed=i, level=LEVEL
        )
        rows.append(
            {
                "group_size": g,
                "rho": rho,
                "event": event,
                "predicted": float(critical_p(g, rho=rho, event=event)),
                "estimate": found.estimate,
                "low": found.low,
                "high": found.high,
            }
        )
        progress((i + 1) / len(cells))
    return {"rows": rows, "num_groups": config.simulated_groups, "level": LEVEL}
