"""The own loop behind the command line: checkpoints, a run folder, resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpolab.store import atomic_dir
from grpolab.validate.models.load import save_model
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.ending import (
    Stopped,
    check_finite,
    check_weights,
    reading,
    stop_requests,
    training_errors,
)
from grpolab.validate.training.grpo import GRPOLoop
from grpolab.validate.training.rundir import RunDir, keep_last, number

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

_STATE, _PATTERN = "state.pt", "step-*"


def last_checkpoint(run: RunDir) -> Path | None:
    """The latest checkpoint; they are written whole or not at all."""
    found = [path for path in run.checkpoints.glob(_PATTERN) if (path / _STATE).is_file()]
    return max(found, key=number, default=None)


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
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train from the last checkpoint of ``run`` to ``config.steps``.

    ``model`` holds the weights of that checkpoint (`load_policy`). The same steps come out whether
    the run was stopped or not. Stopped after a checkpoint where a signal asked for it; BrokenRun
    where a loss is no number; UserError without memory; the checkpoints stay.
    """
    loop = GRPOLoop(
        model, tokenizer, task=task, prompts=prompts, config=config, seed=seed,
        reference=reference, batch_rows=batch_rows,
    )  # fmt: skip
    good = last_checkpoint(run)
    if good is not None:
        loop.load_state_dict(_load(good))
    run.rewind(loop.step)

    def latest() -> Path | None:
        return last_checkpoint(run)

    with stop_requests() as asked:
        while loop.step < config.steps:
            with training_errors(_advice(run, good), latest=latest):
                if evaluate is not None and loop.step % config.eval_every == 0:
                    run.append_eval(loop.step, evaluate(loop.step))
                record = loop.advance()
            stop = asked()
            log = record.log
            run.append(record)
            check_finite(log.step, loss=log.loss, grad_norm=log.grad_norm, latest=latest)
            if loop.step % save_every == 0 or loop.step == config.steps or stop:
                check_weights(log.step, model, latest=latest)
                good = _save(run, loop, model, tokenizer)
                keep_last(run.checkpoints, _PATTERN, keep=keep)
            progress(loop.step / config.steps)
            if stop and loop.step < config.steps:
                raise Stopped(loop.step, stop)
    if evaluate is not None:
        run.append_eval(loop.step, evaluate(loop.step))
    save_model(model, tokenizer, run.final)
    run.finish()


def _save(run: RunDir, loop: GRPOLoop, model: Any, tokenizer: Any) -> Path:
    import torch

    target = run.checkpoints / f"step-{loop.step}"
    with atomic_dir(target) as folder:
        save_model(model, tokenizer, folder)
        torch.save(loop.state_dict(), folder / _STATE)
    return target


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
