"""p*(g): half of the groups carry no signal; derived, and found again by simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grpolab.figures.style import BLUE, GREEN, ORANGE, RED, name_line, plain_log, size_ticks

_COLOURS = (BLUE, GREEN, RED, ORANGE)
_SIZES = (3, 4, 8, 16, 32, 64)
_BANDED = 0.2  # the ICC whose model-free band is drawn


def data() -> dict[str, Any]:
    """Rows of theory and simulation (99% intervals), and a band that holds for any law of p."""
    from grpolab.simulate import derive_critical_p
    from grpolab.theory import critical_p, critical_p_band

    rows = []
    for rho in (0.0, 0.1, _BANDED):
        for g in _SIZES:
            found = derive_critical_p(g, rho=rho, num_groups=1 << 14, seed=1, level=0.99)
            rows.append(
                {
                    "group_size": g, "rho": rho, "predicted": float(critical_p(g, rho=rho)),
                    "estimate": found.estimate, "low": found.low, "high": found.high,
                }
            )  # fmt: skip
    bands = [critical_p_band(g, rho=_BANDED) for g in _SIZES]
    return {
        "rows": rows,
        "band": {
            "group_size": list(_SIZES),
            "low": [float(b.low) for b in bands],
            "high": [float(b.high) for b in bands],
        },
    }


def draw(
    ax: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    band: Mapping[str, Sequence[float]] | None = None,
    title: str = "",
) -> None:
    """Draw theory as lines and simulation as points with their intervals, one colour per ICC.

    ``rows``: mappings with ``group_size``, ``rho``, ``predicted``, ``estimate``, ``low``, ``high``.
    ``band``: ``group_size``, ``low`` and ``high`` [G] each, bounds that hold for any law of p.
    """
    if band is not None:
        ax.fill_between(
            band["group_size"], band["low"], band["high"], color=_COLOURS[2], alpha=0.13,
            linewidth=0,
        )  # fmt: skip
    for rho, colour in zip(sorted({row["rho"] for row in rows}), _COLOURS, strict=False):
        mine = sorted((r for r in rows if r["rho"] == rho), key=lambda r: r["group_size"])
        mine = [r for r in mine if r["predicted"] is not None]
        x = [r["group_size"] for r in mine]
        ax.plot(x, [r["predicted"] for r in mine], color=colour, linewidth=1.2)
        low = [r["estimate"] - r["low"] for r in mine]
        high = [r["high"] - r["estimate"] for r in mine]
        ax.errorbar(
            x, [r["estimate"] for r in mine], yerr=[low, high], fmt="o", markersize=4,
            color=colour, capsize=2,
        )  # fmt: skip
        end = (x[-1], mine[-1]["predicted"])
        name_line(ax, f"ICC {rho:g}", at=end, colour=colour, shift=(7, 0))
    size_ticks(ax, sorted({row["group_size"] for row in rows}))
    plain_log(ax, "y", [0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
    ax.set_ylabel("p* (mean success rate)")
    ax.set_title(title)


def draw_claim(ax: Any, found: Mapping[str, Any]) -> None:
    """Draw what `data` found, and name the band."""
    draw(ax, found["rows"], band=found["band"])
    band = found["band"]
    name_line(
        ax, f"any law of p\nwith ICC {_BANDED:g}", at=(band["group_size"][-1], band["high"][-1]),
        colour=_COLOURS[2], shift=(7, 0),
    )  # fmt: skip
