"""SFT: a depth ladder of any Hugging Face causal LM, trained by the Trainer of transformers.

One training run at a constant learning rate; the model is saved at every depth on the way. So all
depths share one order of the data, and a deeper one is a shallower one trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from grpolab.errors import UserError, require
from grpolab.files import broken_seal, promises_of
from grpolab.store import jsonable, read_json, write_json
from grpolab.streams import stream_seed
from grpolab.validate.models.load import load_model, quiet_transformers
from grpolab.validate.training.by_pieces import IGNORED, token_losses
from grpolab.validate.training.ending import (
    check_finite,
    check_weights,
    num_processes,
    training_errors,
)
from grpolab.validate.training.pear import PearConfig, PearLevel, pear_loss
from grpolab.validate.training.policy import new_adapter
from grpolab.validate.training.rundir import RunDir, good_checkpoint, number
from grpolab.validate.training.sft_data import Example, held_out_nll, padded
from grpolab.validate.training.trl_saving import (
    STATE,
    last_trl_checkpoint,
    trl_checkpoints,
    whole_saves,
)

KIND = "grpolab-sft"
LADDER = "ladder.json"
DepthUnit = Literal["epochs", "steps"]


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """The ladder: depths in epochs or steps of AdamW at a constant rate after a warm-up.

    ``label_smoothing`` s trains on (1 - s) of the right token and s spread evenly over the
    vocabulary; ``weight_decay`` takes lr * weight_decay of every weight per step. ``l2_start``
    adds that multiple of the squared distance of the trained weights to where they started to the
    loss (arXiv 2308.11958, with the start of SFT in the place of the initialisation). ``pear`` is
    the level of `PearConfig` by which tokens are weighted, empty for none, and ``behaviour`` the
    checkpoint that wrote the data, empty for data written by rule.
    """

    depths: tuple[int, ...] = (1, 2, 4)
    unit: DepthUnit = "epochs"
    batch_size: int = 32
    lr: float = 1e-5
    warmup: int = 0
    weight_decay: float = 0.0
    l2_start: float = 0.0
    label_smoothing: float = 0.0
    max_grad_norm: float = 1.0
    lora_rank: int = 0
    pear: PearLevel | Literal[""] = ""
    behaviour: str = ""

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1 or len(set(self.depths)) < len(self.depths):
            raise ValueError(f"depths must be distinct and >= 1, got {self.depths}")
        if self.unit not in get_args(DepthUnit):
            raise ValueError(f"unit must be epochs or steps, got {self.unit!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {self.batch_size}")
        for name in ("lr", "warmup", "weight_decay", "l2_start", "lora_rank"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if self.pear and self.label_smoothing:
            raise ValueError("label_smoothing and pear exclude each other")
        if self.pear and self.pear not in get_args(PearLevel):
            known = ", ".join(get_args(PearLevel))
            raise ValueError(f"pear must be one of {known}, got {self.pear!r}")
        if self.behaviour and not self.pear:
            raise ValueError(f"behaviour {self.behaviour!r} needs pear")

    def steps(self, num_examples: int) -> dict[int, int]:
        """Depth by the step at which it is reached; an epoch's last batch may be short.

        >>> SFTConfig(depths=(2, 1), batch_size=32).steps(70)
        {3: 1, 6: 2}
        """
        unit = math.ceil(num_examples / self.batch_size) if self.unit == "epochs" else 1
        return {depth * unit: depth for depth in sorted(self.depths)}


def train_ladder(
    model: Any,
    tokenizer: Any,
    *,
    run: RunDir,
    train: Sequence[Example],
    held_out: Sequence[Example],
    config: SFTConfig,
    seed: int,
    device: str = "cpu",
    dtype: str = "float32",
    batch_rows: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Train through all depths and return ``ladder.json``; goes on where it was stopped.

    Every depth is saved in ``depth-N`` (the adapter alone with LoRA) with the mean loss over
    held-out answers. ``batch_rows``: most examples at once per process, 0 for all.
    """
    places = config.steps(len(train))
    trainer = _trainer(
        model, tokenizer, run=run, train=train, config=config, seed=seed, device=device,
        dtype=dtype, batch_rows=batch_rows,
    )  # fmt: skip
    good = last_trl_checkpoint(run.checkpoints)
    ladder = _Ladder(run.path / LADDER, config, held_out, tokenizer.pad_token_id, len(train))
    if trainer.is_world_process_zero():
        good_checkpoint(trl_checkpoints(run.checkpoints), ladder.fault)
        if good is None:
            ladder.add(0, 0, trainer.model, path="")
        else:
            ladder.rewind(good)
    trainer.promises, trainer.keep = ladder.promises, 1
    trainer.add_callback(_climber(trainer, run, ladder, places, progress))
    with training_errors(
        f"lower --batch-rows and run the same command to go on in {run.path}",
        latest=lambda: last_trl_checkpoint(run.checkpoints),
    ):
        trainer.train(resume_from_checkpoint=None if good is None else str(good))
    trainer.accelerator.wait_for_everyone()
    found: dict[str, Any] = read_json(run.path / LADDER)
    return found


class _Ladder:
    """``ladder.json``: rows of the depths reached and the learning curve."""

    def __init__(
        self, path: Path, config: SFTConfig, held_out: Sequence[Example], pad: int, size: int
    ) -> None:
        self._path, self._held_out, self._pad = path, held_out, pad
        self._head = {
            "kind": KIND,
            "config": asdict(config),
            "num_train": size,
            "num_held_out": len(held_out),
        }
        self._rows: list[dict[str, Any]] = []
        self._size = size
        self._batch = config.batch_size

    def promises(self, update: int) -> dict[str, Any]:
        """What the seal of a checkpoint says: the rows of the depths reached by then."""
        return {"step": update, "depths": self._rows}

    def fault(self, saved: Path) -> str:
        """Why the ladder cannot go on from a checkpoint, in words; empty where it can."""
        if reason := broken_seal(saved):
            return f"{saved}: {reason}"
        for row in self._before(saved):
            folder = self._path.parent / row["path"]
            reason = broken_seal(folder) if folder.is_dir() else "is missing"
            if reason:
                return f"{folder}: {reason}"
        return ""

    def rewind(self, saved: Path) -> None:
        """Keep the depths reached by a checkpoint, and write the file as it was then."""
        self._rows = self._before(saved)
        self._write(_curve(read_json(saved / STATE)["log_history"]))

    def _before(self, saved: Path) -> list[dict[str, Any]]:
        promised = promises_of(saved)
        if promised or not self._path.is_file():
            return list(jsonable(promised.get("depths", ())))
        return [row for row in read_json(self._path)["depths"] if row["step"] <= number(saved)]

    def add(self, depth: int, step: int, model: Any, *, path: str, log: Sequence[Any] = ()) -> None:
        """Measure the held-out loss at a depth and write the file."""
        per_epoch = math.ceil(self._size / self._batch)
        row: dict[str, Any] = {"depth": depth, "step": step, "epoch": step / per_epoch}
        curve = _curve(log)
        last = self._rows[-1]["step"] if self._rows else 0
        losses = [line["loss"] for line in curve if line["step"] > last]
        row["train_loss"] = sum(losses) / len(losses) if losses else None
        if self._held_out:
            found = held_out_nll(model, self._held_out, pad=self._pad)
            row |= {"held_out_loss": found.per_token, "held_out_nll": found.per_answer}
        self._rows.append({**row, "path": path})
        self._write(curve)

    def _write(self, curve: Sequence[Any]) -> None:
        write_json(self._path, {**self._head, "depths": self._rows, "curve": curve})


def _curve(log: Sequence[Any]) -> list[dict[str, Any]]:
    """Loss and gradient of the logged steps."""
    return [
        {"step": line["step"], "loss": line["loss"], "grad_norm": line.get("grad_norm")}
        for line in log
        if "loss" in line
    ]


def _climber(
    trainer: Any,
    run: RunDir,
    ladder: _Ladder,
    places: dict[int, int],
    progress: Callable[[float], None],
) -> Any:
    """The callback that saves and measures at every depth."""
    from transformers import TrainerCallback

    def latest() -> Path | None:
        return last_trl_checkpoint(run.checkpoints)

    class Climber(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                progress(state.global_step / state.max_steps)
            if state.global_step in places:
                control.should_log = True
                control.should_save = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "grad_norm" not in logs:
                return
            check_finite(
                state.global_step, loss=logs["loss"], grad_norm=logs["grad_norm"],
                latest=latest,
            )  # fmt: skip
            depth = places.get(state.global_step)
            if depth is None:
                return
            check_weights(state.global_step, trainer.model, latest=latest)
            # before the checkpoint: a run that goes on from there has passed this depth
            target = run.path / f"depth-{depth}"
            trainer.save_whole(target, {"step": state.global_step})
            if state.is_world_process_zero:
                bare = trainer.accelerator.unwrap_model(trainer.model)
                ladder.add(depth, state.global_step, bare, path=target.name, log=state.log_history)

    return Climber()


def _trainer(
    model: Any,
    tokenizer: Any,
    *,
    run: RunDir,
    train: Sequence[Example],
    config: SFTConfig,
    seed: int,
    device: str,
    dtype: str,
    batch_rows: int,
) -> Any:
    require("accelerate", extra="train")
    from transformers import PrinterCallback, TrainingArguments

    quiet_transformers()
    if config.lora_rank:
        model = new_adapter(model, config.lora_rank, seed=seed)
    last = max(config.steps(len(train)))
    rows, times = _rows(config.batch_size, batch_rows)
    arguments = TrainingArguments(
        output_dir=str(run.checkpoints), max_steps=last, per_device_train_batch_size=rows,
        gradient_accumulation_steps=times, learning_rate=config.lr, warmup_steps=config.warmup,
        lr_scheduler_type="constant_with_warmup", optim="adamw_torch",
        weight_decay=config.weight_decay, max_grad_norm=config.max_grad_norm,
        seed=stream_seed(seed, "sft", bits=32),
        logging_steps=max(1, last // 1000), logging_nan_inf_filter=False,
        save_strategy="no", bf16=dtype == "bfloat16", use_cpu=device == "cpu",
        gradient_checkpointing=device != "cpu",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        dataloader_pin_memory=device != "cpu",
        ddp_find_unused_parameters=False, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = _trainer_class(
        _loss(config, model, device=device, dtype=dtype), _anchor(model, config.l2_start / times)
    )(
        model=model,
        args=arguments,
        train_dataset=[row._asdict() for row in train],
        data_collator=lambda rows: padded(rows, pad=tokenizer.pad_token_id),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _rows(batch_size: int, batch_rows: int) -> tuple[int, int]:
    """(examples at once per process, times per step)."""
    processes = num_processes()
    if batch_size % processes:
        raise UserError(f"--batch-size {batch_size} does not divide among {processes} processes")
    mine = batch_size // processes
    rows = min(batch_rows or mine, mine)
    while mine % rows:
        rows -= 1
    return rows, mine // rows


Loss = Callable[[Any, Any], Any]
"""Sum over the tokens of a batch: of the model's logits [N, L, V] and the inputs."""


def _loss(config: SFTConfig, model: Any, *, device: str, dtype: str) -> Loss | None:
    """The loss in training, None for TRL's own."""
    if config.label_smoothing:
        return lambda logits, inputs: token_losses(
            logits, inputs["labels"][:, 1:], label_smoothing=config.label_smoothing
        ).sum()
    if not config.pear:
        return None
    writer = None
    if config.behaviour:
        writer, _ = load_model(config.behaviour, device=device, dtype=dtype)
        if writer.config.vocab_size != model.config.vocab_size:
            raise UserError(
                f"--behaviour {config.behaviour}: its vocabulary of {writer.config.vocab_size} is"
                f" not the model's of {model.config.vocab_size}"
            )
    pear = PearConfig(config.pear)

    def weighted(logits: Any, inputs: Any) -> Any:
        import torch

        target, theirs = inputs["labels"][:, 1:], None
        if writer is not None:
            with torch.no_grad():
                theirs = -token_losses(_logits(writer, inputs), target)
        return pear_loss(-token_losses(logits, target), target, config=pear, behaviour=theirs)

    return weighted


def _logits(model: Any, inputs: Any) -> Any:
    known = {key: value for key, value in inputs.items() if key != "labels"}
    return model(**known, use_cache=False).logits


def _anchor(model: Any, strength: float) -> Callable[[], Any] | None:
    """``strength`` x squared distance of the trained weights to where they are now; None at 0."""
    if not strength:
        return None
    pairs = [(p, p.detach().clone()) for p in model.parameters() if p.requires_grad]

    def penalty() -> Any:
        return strength * sum(
            (weight - start.to(weight.device)).square().sum() for weight, start in pairs
        )

    return penalty


def _trainer_class(loss: Loss | None, penalty: Callable[[], Any] | None) -> Any:
    """Trainer with a loss of ours in training only, and a penalty."""
    import transformers

    class Trainer(whole_saves(transformers.Trainer)):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, **rest: Any
        ) -> Any:
            value = self._fit(model, inputs, return_outputs, **rest)
            return value if penalty is None else value + penalty()

        def _fit(self, model: Any, inputs: Any, return_outputs: bool, **rest: Any) -> Any:
            if loss is None:
                return super().compute_loss(model, inputs, return_outputs, **rest)
            total = loss(_logits(model, inputs), inputs)
            number = rest.get("num_items_in_batch")
            if number is None:
                return total / (inputs["labels"][:, 1:] != IGNORED).sum()
            return total / number * self.accelerator.num_processes

    return Trainer
