"""The own loop behind the command line: checkpoints, a run folder, resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpolab.files import atomic_dir, seal
from grpolab.validate.models.load import save_model
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.ending import (
    Stopped,
    check_finite,
    check_weights,
    reading,
    saving,
    stop_requests,
    training_errors,
)
from grpolab.validate.training.grpo import GRPOLoop
from grpolab.validate.training.log_to import open_sinks, scalars_of
from grpolab.validate.training.rundir import RunDir, keep_last, numbered

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

_STATE, _NAME = "state.pt", "step"


def own_checkpoints(run: RunDir) -> list[Path]:
    """All checkpoints, the latest last; they are written whole or not at all."""
    return numbered(run.checkpoints, _NAME, whole=_STATE)


def last_checkpoint(run: RunDir) -> Path | None:
    """The latest checkpoint."""
    return next(reversed(own_checkpoints(run)), None)


def train_own(
    model: Any,
    tokenizer: Any,
    *,
    run: RunDir,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    reference: Any = None,
    batch_rows: int = 0,
    evaluate: Callable[[int], dict[str, Any]] | None = None,
    save_every: int = 100,
    keep: int = 0,
    log_to: Sequence[str] = (),
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train from the last checkpoint of ``run`` to ``config.steps``.

    ``model`` holds the weights of that checkpoint (`load_policy`). The same steps come out whether
    the run was stopped or not. Stopped after a checkpoint where a signal asked for it; BrokenRun
    where a loss is no number; UserError without memory; the checkpoints stay. ``log_to`` names
    tools of `log_to` that get the scalars.
    """
    loop = GRPOLoop(
        model, tokenizer, task=task, prompts=prompts, config=config, seed=seed,
        reference=reference, batch_rows=batch_rows,
    )  # fmt: skip
    good = last_checkpoint(run)
    if good is not None:
        loop.load_state_dict(_load(good))
    run.rewind(loop.step, good)

    def latest() -> Path | None:
        return last_checkpoint(run)

    with stop_requests() as asked, open_sinks(run, log_to, start=loop.step) as sinks:

        def measure() -> None:
            if evaluate is not None:
                found = evaluate(loop.step)
                run.append_eval(loop.step, found)
                sinks.evaluation(loop.step, found)

        while loop.step < config.steps:
            with training_errors(_advice(run, good), latest=latest):
                if loop.step % config.eval_every == 0:
                    measure()
                record = loop.advance()
            stop = asked()
            log = record.log
            run.append(record)
            sinks.train(loop.step, scalars_of(record, learning_rate=loop.learning_rate))
            check_finite(log.step, loss=log.loss, grad_norm=log.grad_norm, latest=latest)
            if loop.step % save_every == 0 or loop.step == config.steps or stop:
                check_weights(log.step, model, latest=latest)
                good = _save(run, loop, model, tokenizer)
                keep_last(own_checkpoints(run), keep=keep)
            progress(loop.step / config.steps)
            if stop and loop.step < config.steps:
                raise Stopped(loop.step, stop)
        measure()
    _write(run.final, run, loop.step, model, tokenizer)
    run.finish()


def _save(run: RunDir, loop: GRPOLoop, model: Any, tokenizer: Any) -> Path:
    target = run.checkpoints / f"{_NAME}-{loop.step}"
    _write(target, run, loop.step, model, tokenizer, state=loop.state_dict())
    return target


def _write(
    target: Path, run: RunDir, step: int, model: Any, tokenizer: Any, *, state: Any = None
) -> None:
    """Save a model, and what the loop goes on from, in a sealed folder."""
    import torch

    with saving(target), atomic_dir(target) as folder:
        save_model(model, tokenizer, folder)
        if state is not None:
            torch.save(state, folder / _STATE)
        seal(folder, run.promises(step))


def _load(folder: Path) -> dict[str, Any]:
    import torch

    with reading(folder):
        state: dict[str, Any] = torch.load(folder / _STATE, weights_only=True)
    return state


def _advice(run: RunDir, good: Path | None) -> str:
    start = f"from {good} as MODEL" if good else "again"
    return (
        f"lower --batch-rows and run the same command to go on in {run.path}; if sampling is what"
        f" needs the memory, lower -g, --prompts-per-step or --max-new-tokens and start {start}"
        " with another --out"
    )
