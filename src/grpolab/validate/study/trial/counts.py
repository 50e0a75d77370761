"""What is kept of a finished design: success counts per prompt, and a few measures of each start.

``NAME.parquet`` has one row per start (or run), evaluation and held-out prompt, and measures in its
metadata; ``NAME-steps.parquet`` one row per RL step: right rollouts, and groups with both rewards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError
from grpolab.store import read_json, read_parquet, write_parquet
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.study.jobs import RESULT
from grpolab.validate.study.trial.protocol import Design, Protocol
from grpolab.validate.study.trial.work import TrialJob

BEFORE, GREEDY, CURVE, END = range(4)
"""Values of the column ``kind``."""
MEASURES = ("nll", "nll-first", "entropy", "dormant", "rank")
_KEYS = ("kind", "sft", "depth", "rl", "step", "prompt")


@dataclass(frozen=True)
class DesignCounts:
    """Counts of one design; S SFT seeds, D depths, R RL seeds, P prompts, T steps.

    ``before`` and ``greedy`` [S, D, P]; ``end`` [S, D, R, P]; ``curve`` [S, D, R, P] by step;
    ``samples`` is n before and after, ``curve_samples`` during. ``first`` [S, P] says which prompts
    are of the first class. ``measures`` [S, D] by name; ``grad_norm`` [S, D, R] of the first batch;
    ``train_correct`` and ``train_informative`` [S, D, R, T].
    """

    design: Design
    samples: int
    curve_samples: int
    before: IntArray
    greedy: IntArray
    end: IntArray
    curve: Mapping[int, IntArray]
    first: IntArray
    measures: Mapping[str, FloatArray]
    grad_norm: FloatArray
    train_correct: IntArray
    train_informative: IntArray


def gather(protocol: Protocol, design: Design, *, root: Path) -> DesignCounts:
    """The counts of a design whose jobs are all done, from their folders."""
    ladders = [
        read_json(root / TrialJob(design, s).key / RESULT) for s in range(protocol.sft_seeds)
    ]
    runs = [
        [
            [
                read_json(root / TrialJob(design, s, depth, r).key / RESULT)
                for r in range(protocol.rl_seeds)
            ]
            for depth in design.depths
        ]
        for s in range(protocol.sft_seeds)
    ]

    def of_starts(name: str) -> Any:
        return [[row[name] for row in ladder["starts"]] for ladder in ladders]

    def of_runs(name: str) -> Any:
        return [[[run[name] for run in seeds] for seeds in depths] for depths in runs]

    curves = of_runs("curve")
    steps = [int(step) for step in curves[0][0][0]]
    return DesignCounts(
        design=design,
        samples=protocol.start_samples,
        curve_samples=protocol.curve_samples,
        before=np.array(of_starts("correct")),
        greedy=np.array(of_starts("greedy")),
        end=np.array(of_runs("end")),
        curve={
            step: np.array(
                [[[run[str(step)] for run in seeds] for seeds in depths] for depths in curves]
            )
            for step in steps
        },
        first=np.array([ladder["first"] for ladder in ladders], dtype=np.int64),
        measures={name: np.array(of_starts(name)) for name in MEASURES},
        grad_norm=np.array(of_runs("grad_norm")),
        train_correct=np.array(of_runs("num_correct")),
        train_informative=np.array(of_runs("num_informative")),
    )


def write_design(counts: DesignCounts, folder: Path, *, sha256: str) -> None:
    """Write both files; the counts, whose presence says that the design is done, come last."""
    name, runs = counts.design.name, counts.end.shape[:3]
    place = np.indices(counts.train_correct.shape).reshape(4, -1)
    steps = {
        "sft": place[0].astype(np.uint8), "depth": place[1].astype(np.uint8),
        "rl": place[2].astype(np.uint8), "step": place[3].astype(np.uint16),
        "correct": counts.train_correct.reshape(-1).astype(np.uint16),
        "informative": counts.train_informative.reshape(-1).astype(np.uint8),
    }  # fmt: skip
    about = {"design": name, "protocol": sha256}
    _write(folder / f"{name}-steps.parquet", steps, about)
    parts = [
        (BEFORE, 0, counts.before[:, :, None]),
        (GREEDY, 0, counts.greedy[:, :, None]),
        *((CURVE, step, found) for step, found in counts.curve.items()),
        (END, counts.design.steps, counts.end),
    ]
    rows = [_rows(kind, step, found) for kind, step, found in parts]
    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    meta = {
        **about, "samples": counts.samples, "curve_samples": counts.curve_samples,
        "first": counts.first,
        "measures": {k: np.round(v, 6) for k, v in counts.measures.items()},
        "grad_norm": np.round(counts.grad_norm.reshape(runs), 6),
    }  # fmt: skip
    _write(folder / f"{name}.parquet", columns, meta)


def _write(path: Path, columns: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    from grpolab.files import atomic_path

    with atomic_path(path) as scratch:
        write_parquet(scratch, columns, meta, compression="zstd")


def _rows(kind: int, step: int, found: IntArray) -> dict[str, Any]:
    sft, depth, rl, prompt = np.indices(found.shape).reshape(4, -1)
    return {
        "kind": np.full(found.size, kind, np.uint8), "sft": sft.astype(np.uint8),
        "depth": depth.astype(np.uint8), "rl": rl.astype(np.uint8),
        "step": np.full(found.size, step, np.uint16), "prompt": prompt.astype(np.uint8),
        "correct": found.reshape(-1).astype(np.uint8),
    }  # fmt: skip


def is_finished(folder: Path, design: Design) -> bool:
    """Whether a design's counts are in a folder."""
    return (folder / f"{design.name}.parquet").is_file()


def finished_designs(protocol: Protocol, folder: Path) -> list[DesignCounts]:
    """The counts of all designs in a folder that are finished, in the order of the protocol."""
    done = (design for design in protocol.designs if is_finished(folder, design))
    return [read_design(protocol, design, folder) for design in done]


def read_design(protocol: Protocol, design: Design, folder: Path) -> DesignCounts:
    """Read what `write_design` wrote; UserError for counts of another protocol."""
    path = folder / f"{design.name}.parquet"
    columns, meta = read_parquet(path, (*_KEYS, "correct"))
    later, _ = read_parquet(folder / f"{design.name}-steps.parquet", ("correct", "informative"))
    if meta.get("protocol") != protocol.sha256 or meta.get("design") != design.name:
        raise UserError(f"{path}: counts of another protocol or design")
    starts = (protocol.sft_seeds, len(design.depths))
    runs = (*starts, protocol.rl_seeds)

    def part(kind: int, shape: tuple[int, ...], step: int | None = None) -> IntArray:
        chosen = columns["kind"] == kind
        if step is not None:
            chosen &= columns["step"] == step
        return np.asarray(columns["correct"][chosen], dtype=np.int64).reshape(*shape, -1)

    try:
        curve = np.unique(columns["step"][columns["kind"] == CURVE]).tolist()
        return DesignCounts(
            design=design,
            samples=meta["samples"],
            curve_samples=meta["curve_samples"],
            before=part(BEFORE, starts),
            greedy=part(GREEDY, starts),
            end=part(END, runs),
            curve={step: part(CURVE, runs, step) for step in curve},
            first=np.array(meta["first"]),
            measures={name: np.array(meta["measures"][name]) for name in MEASURES},
            grad_norm=np.array(meta["grad_norm"]),
            train_correct=np.asarray(later["correct"], dtype=np.int64).reshape(*runs, -1),
            train_informative=np.asarray(later["informative"], dtype=np.int64).reshape(*runs, -1),
        )
    except (KeyError, ValueError) as err:
        raise UserError(f"{path}: not the counts of a design ({err})") from None
