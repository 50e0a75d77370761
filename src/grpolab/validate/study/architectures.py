"""The same small study on two architectures: what holds on both.

``python -m grpolab.validate.study.architectures RUN... OUT.json`` puts finished runs side by side.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpolab.store import read_json, write_json
from grpolab.validate.study.plain import to_plain
from grpolab.validate.study.results import Results
from grpolab.validate.study.rows import Row


@dataclass(frozen=True, slots=True)
class Line:
    """One depth of one run; shares are of groups of the planned size, entropies in nats.

    ``zero_std`` is counted on the second half of the samples before RL, ``forecast`` and
    ``formula`` (at the mean p) are made from the first half. ``early_zero_std`` is counted in the
    first steps of RL, ``early_forecast`` was made before it from rollouts on training prompts and
    ``early_formula`` is the formula at each step's own mean reward.
    """

    architecture: str
    depth: int
    pass_at_1: float
    token_entropy: float
    zero_std: float
    forecast: float
    formula: float
    early_zero_std: float
    early_forecast: float
    early_formula: float
    final_pass_at_1: float
    final_pass_at_10: float


def lines(run: Path) -> list[Line]:
    """One line per depth of a finished run."""
    results = Results.read(run / "results.json")
    return [_line(str(results.config["model"]["arch"]), row) for row in results.rows]


def _line(architecture: str, row: Row) -> Line:
    before, early = row.before.measured, row.early.windows[-1].zero_std
    return Line(
        architecture=architecture,
        depth=row.depth,
        pass_at_1=before.pass_rates["pass_at_1"],
        token_entropy=before.token_entropy,
        zero_std=before.observed.zero_std,
        forecast=before.predicted["thinning"].zero_std,
        formula=before.predicted["mean-p"].zero_std,
        early_zero_std=early.measured,
        early_forecast=early.measured + early.error["thinning"],
        early_formula=early.measured + early.error["mean-p"],
        final_pass_at_1=row.after.final["pass_at_1"],
        final_pass_at_10=row.after.final["pass_at_10"],
    )


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """All lines, numbers with four digits, and what made them."""
    found = [to_plain(line) for run in runs for line in lines(run)]
    first = read_json(runs[0] / "manifest.json")
    return {
        "command": f"{first['command']} --arch ARCH",
        "versions": first["versions"],
        "lines": [
            {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}
            for line in found
        ],
    }


if __name__ == "__main__":
    *folders, target = map(Path, sys.argv[1:])
    write_json(target, compare(folders))
