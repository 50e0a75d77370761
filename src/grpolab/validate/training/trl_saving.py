"""What the trainers of TRL save: whole or absent, sealed, and the oldest removed by number."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from grpolab.files import SCRATCH, move_into_place, seal
from grpolab.validate.training.ending import reading, saving
from grpolab.validate.training.rundir import keep_last, numbered

_NAME, STATE = "checkpoint", "trainer_state.json"
Promises = Callable[[int], Mapping[str, Any]]


def trl_checkpoints(folder: Path) -> list[Path]:
    """TRL's checkpoints that are whole, the latest last: the state file is written last."""
    return numbered(folder, _NAME, whole=STATE)


def last_trl_checkpoint(folder: Path) -> Path | None:
    """TRL's latest checkpoint that is whole."""
    return next(reversed(trl_checkpoints(folder)), None)


@contextlib.contextmanager
def _whole(trainer: Any, target: Path, promises: Callable[[], Mapping[str, Any]]) -> Iterator[Path]:
    """A folder in which all processes write ``target``, sealed and moved when the block ends."""
    scratch = target.parent / f".{target.name}{SCRATCH}"
    first, wait = trainer.is_world_process_zero(), trainer.accelerator.wait_for_everyone
    if first:
        shutil.rmtree(scratch, ignore_errors=True)
    wait()
    try:
        with saving(target):
            yield scratch
            wait()
            if first:
                seal(scratch / target.name, promises())
                move_into_place(scratch / target.name, target)
    finally:
        if first:
            shutil.rmtree(scratch, ignore_errors=True)
    wait()


def whole_saves(base: Any) -> Any:
    """A class of trainers on top of a trainer of Transformers, with decay of every weight.

    Set ``promises``, a function of the update, and ``keep`` (0: all) before training. All processes
    write into one scratch folder; the first seals it and gives it its name.
    """

    class Whole(base):  # type: ignore[misc]
        promises: Promises = staticmethod(lambda update: {})
        keep = 0
        _scratch: Path | None = None

        def get_decay_parameter_names(self, model: Any) -> list[str]:
            return [name for name, _ in model.named_parameters()]

        def save_whole(self, target: Path, promises: Mapping[str, Any]) -> None:
            """Save the model in a folder; every process calls this."""
            with _whole(self, target, lambda: promises) as scratch:
                self.save_model(str(scratch / target.name))

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            folder, update = Path(self.args.output_dir), int(self.state.global_step)
            target = folder / f"{_NAME}-{update}"
            with _whole(self, target, lambda: self.promises(update)) as self._scratch:
                super()._save_checkpoint(model, trial)
            self._scratch = None
            if self.is_world_process_zero():
                keep_last(trl_checkpoints(folder), keep=self.keep)

        def _get_output_dir(self, trial: Any) -> str:
            return super()._get_output_dir(trial) if self._scratch is None else str(self._scratch)

        def _load_from_checkpoint(self, checkpoint: str, *rest: Any, **named: Any) -> None:
            with reading(checkpoint):
                super()._load_from_checkpoint(checkpoint, *rest, **named)

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            with reading(checkpoint):
                super()._load_optimizer_and_scheduler(checkpoint)

    return Whole
