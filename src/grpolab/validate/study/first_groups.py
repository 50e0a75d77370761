"""Do the first groups of a run show the share that was predicted? All committed runs and counts.

``python -m grpolab.validate.study.first_groups docs/results`` reads the records of the studies, and
the counts of real models in ``real_llm.json`` where the folder has it, and writes
``first-groups.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab import streams
from grpolab.figures.words import counted
from grpolab.store import read_json, write_json
from grpolab.theory.groups import GroupCounts
from grpolab.validate.forecast.predict import first_groups
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.record import Record

FILE = "first-groups.json"
STUDIES = ("full", "causes", "controls", "data")
PUBLIC = "real_llm.json"
_STEPS = (1, 10)  # the first group of steps whose groups are counted
_FEW = 4  # samples per prompt of the forecast beyond the samples
_SPLITS = 6
_DESIGNS = ((8, 4), (4, 8), (8, 16))  # samples counted, group size predicted


class Case(NamedTuple):
    """One prediction: where, from how many samples, for how many groups, and whether it held."""

    data: str
    samples: str
    groups: str
    held: bool
    width: float


def of_runs(name: str, record: Record) -> Iterator[Case]:
    """Runs that start at the checkpoint that was sampled before RL, without an intervention."""
    g = record.config.grpo.group_size
    for key, run in record.runs.items():
        if key.arm != "plain" or key.start not in record.before or not len(run.groups):
            continue
        classes = record.classes[key.task][: REGIMES[key.regime].rl_classes]
        counts = record.before[key.start].train.of(classes).counts()
        totals = counts.by_prompt()
        rng = streams.generator(0, "first groups", name, *key)
        few = rng.hypergeometric(totals.num_correct, totals.num_samples - totals.num_correct, _FEW)
        sampled = {int(totals.num_samples.max()): counts, _FEW: GroupCounts(few, _FEW)}
        for steps in _STEPS:
            early = run.groups.select(run.groups.step < steps)
            for samples, table in sampled.items():
                label = f"g={g}, {counted(steps, 'step')}"
                yield _case(name, f"n={samples}", label, table, early, g)


def of_counts(sets: Mapping[str, Any]) -> Iterator[Case]:
    """One half of the prompts predicts groups of held-out verdicts on the other half."""
    for name, entry in sets.items():
        rows = np.array(entry["n_c_problems"])
        n, c = np.repeat(rows[:, 0], rows[:, 2]), np.repeat(rows[:, 1], rows[:, 2])
        for samples, g in _DESIGNS:
            if n.min() < samples + g:
                continue
            for split in range(_SPLITS):
                rng = streams.generator(split, "first groups", name, samples, g)
                half = rng.permutation(len(n)) < len(n) // 2
                seen = rng.hypergeometric(c, n - c, samples)
                later = rng.hypergeometric(c - seen, n - samples - c + seen, g)
                yield _case(
                    "public counts", f"n={samples}", f"g={g}, other prompts",
                    GroupCounts(seen[half], samples), GroupCounts(later[~half], g), g,
                )  # fmt: skip


def _case(
    data: str, samples: str, label: str, counts: GroupCounts, groups: GroupCounts, g: int
) -> Case:
    low, high = first_groups(counts, g, num_groups=len(groups), rng=0)
    shown = groups.frac_zero_std
    return Case(data, samples, label, low - 1e-9 <= shown <= high + 1e-9, high - low)


def summary(cases: list[Case]) -> list[dict[str, Any]]:
    """Coverage and median width of every kind of case.

    >>> summary([Case("a", "n=4", "g=8", True, 0.2), Case("a", "n=4", "g=8", False, 0.4)])
    [{'data': 'a', 'samples': 'n=4', 'groups': 'g=8', 'cases': 2, 'coverage': 0.5, 'width': 0.3}]
    """
    kinds = dict.fromkeys(case[:3] for case in cases)
    rows = []
    for kind in kinds:
        same = [case for case in cases if case[:3] == kind]
        rows.append(
            {
                "data": kind[0], "samples": kind[1], "groups": kind[2], "cases": len(same),
                "coverage": float(np.mean([case.held for case in same])),
                "width": round(float(np.median([case.width for case in same])), 4),
            }
        )  # fmt: skip
    return rows


def main(folder: Path) -> None:
    """Write the file of a folder of results."""
    cases = [c for name in STUDIES for c in of_runs(name, Record.read(folder / name))]
    if (folder / PUBLIC).is_file():
        cases += of_counts(read_json(folder / PUBLIC)["sets"])
    write_json(folder / FILE, {"level": 0.95, "rows": summary(cases)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
