"""Scalars of a run in the files of other tools, written by their own libraries.

Names are those of TRL's GRPOTrainer, as transformers' ``report_to`` writes them: ``train/reward``,
``train/frac_reward_zero_std``, ``eval/pass_at_1`` and so on. The files lie in ``RUN/logs``, where
``grpolab monitor RUN/logs`` reads them, unless the tool's own variable names another place
(WANDB_DIR, TRACKIO_DIR). Nothing is sent anywhere unless WANDB_MODE asks for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.errors import UserError, require
from grpolab.store import jsonable, read_json, write_json
from grpolab.validate.training.log import StepRecord
from grpolab.validate.training.rundir import RunDir

LOG_TO = ("trl", "tensorboard", "wandb", "trackio")
_LIBRARY = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio"}
PROJECT = "grpolab"
STATE = "trainer_state.json"
Write = Callable[[int, Mapping[str, float]], None]
"""Write the numbers of a step under their full names."""
Scalars = Mapping[str, float]


def check_log_to(names: Sequence[str]) -> None:
    """UserError for a tool that is not known, or whose library is missing."""
    for name in names:
        if name not in LOG_TO:
            raise UserError(f"--log-to must be one of {', '.join(LOG_TO)}, got {name!r}")
        if name in _LIBRARY:
            require(_LIBRARY[name], extra="logs")


class Sinks:
    """All tools that a run writes to; without one, nothing is written."""

    def __init__(self, writers: Sequence[Write]) -> None:
        self._writers = writers

    def train(self, step: int, scalars: Scalars) -> None:
        """Numbers of the training step that has just been made, counted from 1 as TRL does."""
        self._write(step, {f"train/{name}": value for name, value in scalars.items()})

    def evaluation(self, step: int, found: Mapping[str, Any]) -> None:
        """Numbers of an evaluation, after ``step`` steps."""
        plain = {"reward": found.get("mean_reward"), "entropy": found.get("token_entropy")}
        plain |= {f"pass_at_{k}": value for k, value in found.get("pass_at_k", {}).items()}
        self._write(step, {f"eval/{name}": v for name, v in plain.items() if v is not None})

    def _write(self, step: int, scalars: Scalars) -> None:
        for write in self._writers:
            write(step, scalars)


@contextlib.contextmanager
def open_sinks(run: RunDir, names: Sequence[str], *, start: int) -> Iterator[Sinks]:
    """The tools of a run that goes on from ``start`` steps; their files are whole in the end."""
    check_log_to(names)
    with contextlib.ExitStack() as stack:
        yield Sinks([stack.enter_context(_OPEN[name](run, start)) for name in dict.fromkeys(names)])


def scalars_of(record: StepRecord, *, learning_rate: float) -> dict[str, float]:
    """The numbers of a step under the names of TRL's GRPOTrainer.

    ``reward_std`` is over all rollouts of the step, with ddof 1; numbers that a step does not have
    are left out.
    """
    log, table = record.log, record.rollouts
    found = {
        "loss": log.loss,
        "grad_norm": log.grad_norm,
        "learning_rate": learning_rate,
        "reward": log.mean_reward,
        "rewards/verdict/mean": log.mean_reward,
        "frac_reward_zero_std": log.frac_zero_std,
        "entropy": log.entropy,
        "kl": log.kl,
        "clip_ratio/low_mean": log.clip_low,
        "clip_ratio/high_mean": log.clip_high,
        "completions/clipped_ratio": log.frac_truncated,
    }
    size, correct = int(record.group_size.sum()), int(record.num_correct.sum())
    if size > 1:
        std = float(np.sqrt(correct * (size - correct) / (size * (size - 1))))
        found |= {"reward_std": std, "rewards/verdict/std": std}
    if table is not None and len(table):
        length = table.num_tokens
        found |= {
            "completions/mean_length": float(length.mean()),
            "completions/min_length": float(length.min()),
            "completions/max_length": float(length.max()),
        }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


@contextlib.contextmanager
def _tensorboard(run: RunDir, start: int) -> Iterator[Write]:
    from torch.utils.tensorboard import SummaryWriter

    folder = run.path / "logs" / "tensorboard"
    with SummaryWriter(str(folder), purge_step=start + 1 if start else None) as writer:

        def write(step: int, scalars: Scalars) -> None:
            for name, value in scalars.items():
                writer.add_scalar(name, value, step)

        yield write


@contextlib.contextmanager
def _wandb(run: RunDir, start: int) -> Iterator[Write]:
    import wandb

    folder = Path(os.environ.get("WANDB_DIR") or run.path / "logs")
    folder.mkdir(parents=True, exist_ok=True)
    opened = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT), name=run.path.name, dir=str(folder),
        mode=os.environ.get("WANDB_MODE", "offline"), config=run.manifest,
        settings=wandb.Settings(silent=True, console="off"),
    )  # fmt: skip
    try:
        yield lambda step, scalars: opened.log({**scalars, "train/global_step": step}, step=step)
    finally:
        opened.finish()


@contextlib.contextmanager
def _trackio(run: RunDir, start: int) -> Iterator[Write]:
    os.environ.setdefault("TRACKIO_DIR", str((run.path / "logs" / "trackio").resolve()))
    with _quiet():
        import trackio

        trackio.init(
            project=PROJECT, name=run.path.name, config=jsonable(run.manifest), resume="allow",
            embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
    try:
        yield lambda step, scalars: trackio.log(dict(scalars), step=step)
    finally:
        with _quiet():
            trackio.finish()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _trl(run: RunDir, start: int) -> Iterator[Write]:
    """``trainer_state.json`` with TRL's ``log_history``, written when the run ends or stops."""
    path = run.path / "logs" / "trl" / STATE
    history: list[dict[str, Any]] = read_json(path)["log_history"] if path.is_file() else []
    history = [row for row in history if row["step"] <= start]

    def write(step: int, scalars: Scalars) -> None:
        plain = {
            name.removeprefix("train/").replace("eval/", "eval_"): value
            for name, value in scalars.items()
        }
        history.append({**plain, "step": step})

    try:
        yield write
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        last = history[-1]["step"] if history else start
        write_json(path, {"global_step": last, "log_history": history})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that a library prints on stdout when it starts."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


_OPEN: Mapping[str, Callable[[RunDir, int], contextlib.AbstractContextManager[Write]]] = {
    "trl": _trl,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
}
