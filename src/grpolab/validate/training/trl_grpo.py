"""TRL's GRPOTrainer behind the same configuration, prompts and run folder as the own loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.errors import UserError, require
from grpolab.validate.models.load import quiet_transformers
from grpolab.validate.rollouts.engine import end_tokens
from grpolab.validate.training.config import GRPOConfig
from grpolab.validate.training.ending import (
    Stopped,
    check_finite,
    check_weights,
    num_processes,
    stop_requests,
    training_errors,
)
from grpolab.validate.training.grpo import pick_prompts
from grpolab.validate.training.log import StepRecord
from grpolab.validate.training.log_to import Sinks, open_sinks
from grpolab.validate.training.policy import lora_config
from grpolab.validate.training.rundir import RunDir, number
from grpolab.validate.training.trl_config import (
    check_expressible,
    rows_per_step,
    trl_arguments,
)
from grpolab.validate.training.trl_record import Recorder
from grpolab.validate.training.trl_saving import last_trl_checkpoint, whole_saves

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task


@dataclass(frozen=True, slots=True)
class TrlOptions:
    """What TRL needs to know besides the configuration.

    ``batch_rows``: most rollouts at once per process in the loss, 0 for all. ``vllm_memory``: share
    of the GPU that vLLM takes to sample in the same process; 0: transformers samples.
    """

    device: str = "cpu"
    dtype: str = "float32"
    lora_rank: int = 0
    batch_rows: int = 0
    save_every: int = 100
    keep: int = 0
    vllm_memory: float = 0.0
    chat: bool = False
    log_to: tuple[str, ...] = ()


def train_trl(
    model: Any,
    tokenizer: Any,
    *,
    run: RunDir,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    options: TrlOptions,
    reference: str = "",
    evaluate: Callable[[int], dict[str, Any]] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train from TRL's last checkpoint in ``run`` to ``config.steps``; see `train_own`.

    ``model`` is the model at the start of the run: TRL loads the checkpoint itself. ``reference``
    is the checkpoint that the KL term pulls towards. On several processes every one calls this, and
    the first one writes. UserError for what TRL cannot express.
    """
    trainer = make_trainer(
        model, tokenizer, run=run, task=task, prompts=prompts, config=config, seed=seed,
        options=options, reference=reference,
    )  # fmt: skip
    good = last_trl_checkpoint(run.checkpoints)
    start = number(good) // config.inner_epochs if good else 0
    if trainer.is_world_process_zero():
        run.rewind(start, good)
    trainer.promises = lambda update: run.promises(update // config.inner_epochs)
    trainer.keep = options.keep
    writes = options.log_to if trainer.is_world_process_zero() else ()
    with (
        open_sinks(run, writes, start=start) as sinks,
        training_errors(
            f"lower --batch-rows and run the same command to go on in {run.path}",
            latest=lambda: last_trl_checkpoint(run.checkpoints),
        ),
        stop_requests() as asked,
    ):
        trainer.add_callback(_follower(trainer, run, config, sinks, evaluate, progress))
        trainer.add_callback(_stopper(config.inner_epochs, asked))
        trainer.train(resume_from_checkpoint=None if good is None else str(good))
    done = trainer.state.global_step // config.inner_epochs
    if done < config.steps:
        raise Stopped(done, asked())
    first = trainer.is_world_process_zero()
    if first and evaluate is not None:
        run.append_eval(config.steps, evaluate(config.steps))
    trainer.save_whole(run.final, run.promises(done) if first else {})
    if first:
        run.finish()


def make_trainer(
    model: Any,
    tokenizer: Any,
    *,
    run: RunDir,
    task: Task,
    prompts: Sequence[Prompt],
    config: GRPOConfig,
    seed: int,
    options: TrlOptions,
    reference: str = "",
) -> Any:
    """The GRPOTrainer of this configuration, with its recorder as attribute ``recorder``.

    TRL loads the reference model from the path that the policy's config names, so for the time of
    construction that is the reference. With LoRA the reference is the model without its adapter.
    """
    require("trl", extra="train")
    check_expressible(config)
    from accelerate.utils import gather_object  # type: ignore[import-untyped]
    from transformers import PrinterCallback
    from trl import GRPOConfig as TrlGRPOConfig

    quiet_transformers()
    logging.getLogger("trl").setLevel(logging.ERROR)
    rows = rows_per_step(config, batch_rows=options.batch_rows, processes=num_processes())
    arguments = trl_arguments(
        config, output_dir=run.checkpoints, max_new_tokens=config.law(task).max_new_tokens,
        seed=seed, rows=rows, save_every=options.save_every,
        device=options.device, dtype=options.dtype, vllm_memory=options.vllm_memory,
    )  # fmt: skip
    recorder = Recorder(
        task, prompts, group_size=config.group_size, inner_epochs=config.inner_epochs,
        gather=gather_object,
        ends=end_tokens(tokenizer, getattr(model, "generation_config", None)),
    )  # fmt: skip

    def verdict(
        completions: Any, prompt_id: Any, completion_ids: Any, **_: Any
    ) -> list[float | None]:
        return recorder.reward(completions, prompt_id, completion_ids=completion_ids)

    name = model.config._name_or_path
    model.config._name_or_path = reference or name
    trainer = _trainer_class(config)(
        model=model,
        reward_funcs=verdict,
        args=TrlGRPOConfig(**arguments),
        train_dataset=_dataset(prompts, config, seed, chat=options.chat),
        processing_class=tokenizer,
        peft_config=lora_config(options.lora_rank) if options.lora_rank else None,
    )
    model.config._name_or_path = name
    trainer.remove_callback(PrinterCallback)
    trainer.recorder = recorder
    return trainer


def _dataset(prompts: Sequence[Prompt], config: GRPOConfig, seed: int, *, chat: bool) -> Any:
    """One row per prompt and step, in the order of the own loop."""
    import datasets

    talks = [p.messages or ((("user", p.text),) if chat else ()) for p in prompts]
    if any(talks) != all(talks):
        raise UserError("some prompts are conversations and some are not: give --chat")
    shown = [
        [{"role": role, "content": content} for role, content in talk] if talk else prompt.text
        for prompt, talk in zip(prompts, talks, strict=True)
    ]
    rows = datasets.Dataset.from_dict({"prompt": shown, "prompt_id": [p.id for p in prompts]})
    order = [
        pick_prompts(len(prompts), config, seed=seed, batch=step) for step in range(config.steps)
    ]
    return rows.select(np.concatenate(order))


def _trainer_class(config: GRPOConfig) -> Any:
    """GRPOTrainer with the schedule and weight decay of the configuration, and words for faults."""
    import torch
    from trl import GRPOTrainer

    class Trainer(whole_saves(GRPOTrainer)):  # type: ignore[misc]
        lr_scheduler: Any

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if self.lr_scheduler is None:
                self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                    optimizer or self.optimizer,
                    lambda update: min(
                        1.0, (update // config.inner_epochs + 1) / max(config.warmup, 1)
                    ),
                )
                self._created_lr_scheduler = True
            return self.lr_scheduler

    return Trainer


def _stopper(inner_epochs: int, asked: Callable[[], int]) -> Any:
    """The callback that saves and ends at the end of a step when a signal asked for it."""
    from transformers import TrainerCallback

    class Stopper(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if asked() and state.global_step % inner_epochs == 0:
                control.should_save = control.should_training_stop = True

    return Stopper()


def _follower(
    trainer: Any,
    run: RunDir,
    config: GRPOConfig,
    sinks: Sinks,
    evaluate: Callable[[int], dict[str, Any]] | None,
    progress: Callable[[float], None],
) -> Any:
    """The callback that writes steps and evaluations, and stops a run whose loss is no number."""
    from transformers import TrainerCallback

    def latest() -> Path | None:
        return last_trl_checkpoint(run.checkpoints)

    class Follower(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step, rest = divmod(state.global_step, config.inner_epochs)
            if evaluate is not None and rest == 0 and step % config.eval_every == 0:
                found = evaluate(step)
                run.append_eval(step, found)
                sinks.evaluation(step, found)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            record: StepRecord | None = trainer.recorder.record(logs, update=state.global_step)
            if record is None:
                return
            if state.is_world_process_zero:
                run.append(record)
                numbers = {k: float(v) for k, v in logs.items() if isinstance(v, int | float)}
                sinks.train(record.log.step + 1, numbers)
                progress((record.log.step + 1) / config.steps)
            check_finite(
                record.log.step, loss=record.log.loss, grad_norm=record.log.grad_norm,
                latest=latest,
            )  # fmt: skip
            if control.should_save:  # which comes next
                check_weights(record.log.step, trainer.model, latest=latest)

    return Follower()
