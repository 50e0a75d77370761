"""``grpolab sft``: an SFT depth ladder of any Hugging Face causal LM."""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli import _train_options as choose
from grpolab.cli._options import OUTPUT, Group, OneOf, expanded, whole_numbers
from grpolab.cli._output import (
    DryRun,
    JsonFlag,
    announce,
    end_dry_run,
    print_json,
    print_table,
    say,
    taking,
)
from grpolab.cli._settings import ConfigFile, given
from grpolab.errors import input_errors, require
from grpolab.figures.tables import Column, Table
from grpolab.figures.words import significant
from grpolab.progress import is_quiet
from grpolab.validate.training.pear import PearLevel
from grpolab.validate.training.sft import DepthUnit, SFTConfig


@dataclass(frozen=True, slots=True)
class SftOptions(Group):
    """The ladder and its optimiser."""

    PANEL = "Training"

    depths: Annotated[str, typer.Option(help="Depths at which the model is saved.")] = "1,2,4"
    unit: Annotated[str, OneOf(get_args(DepthUnit)), typer.Option(help="Unit of --depths.")] = (
        "epochs"
    )
    batch_size: Annotated[int, typer.Option(help="Examples per step.")] = 32
    lr: choose.LearningRate = 1e-5
    warmup: choose.Warmup = 0
    weight_decay: Annotated[float, typer.Option(help="Decoupled weight decay, towards zero.")] = 0.0
    l2_start: Annotated[
        float, typer.Option(help="Weight of the squared distance to MODEL in the loss.")
    ] = 0.0
    label_smoothing: Annotated[float, typer.Option(help="Probability spread over all tokens.")] = (
        0.0
    )
    max_grad_norm: choose.MaxGradNorm = 1.0
    lora_rank: choose.LoraRank = 0
    pear: Annotated[
        str | None,
        OneOf(get_args(PearLevel)),
        typer.Option(
            help="Use the PEAR loss (arXiv 2602.01058) with weights per token, block or sequence."
            " Default: cross-entropy."
        ),
    ] = None
    behaviour: Annotated[
        str, typer.Option(help="pear: checkpoint that wrote the data; none: written by rule.")
    ] = ""
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order of the data.")] = 0

    def config(self) -> SFTConfig:
        """As the library takes them; UserError where one is out of range."""
        fields = asdict(self)
        del fields["seed"]
        with input_errors():
            depths = whole_numbers("--depths", self.depths)
            return SFTConfig(**{**fields, "depths": depths, "pear": self.pear or ""})


@dataclass(frozen=True, slots=True)
class DataOptions(Group):
    """Demonstrations to train on and to hold out."""

    PANEL = "Data"

    data: Annotated[
        Path, typer.Option(help=".jsonl or .parquet with prompt and completion, or messages.")
    ]
    held_out: Annotated[str, typer.Option(help="File of held-out rows, as --data.")] = ""
    held_out_frac: Annotated[
        float, typer.Option(help="Share of the rows held out, if no file is given.")
    ] = 0.1
    chat: Annotated[
        bool, typer.Option(help="Send prompts through the chat template, as they will be asked.")
    ] = False
    system: opt.System = ""


@expanded
def sft(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Checkpoint folder or hub id.")],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the run; a stopped run goes on.", rich_help_panel=OUTPUT),
    ],
    data: DataOptions,
    training: SftOptions,
    place: choose.PlaceOptions,
    config_file: ConfigFile = None,
    dry_run: DryRun = False,
    as_json: JsonFlag = False,
) -> None:
    """Fine-tune once and save the model at every depth, with the held-out loss of each.

    Example: grpolab sft base --data demos.jsonl --depths 1,2,4,8 --lr 1e-5 --out runs/ladder
    """
    from grpolab.validate.training.ending import is_first_process

    source = {"data": str(data.data), "held_out": data.held_out or data.held_out_frac,
              "seed": training.seed}  # fmt: skip
    opt.use_threads(place.threads)
    ladder = _run(
        model, training.config(), source, out=out, device=place.device, dtype=place.dtype,
        rows=place.batch_rows, chat=data.chat, system=data.system,
        settings=given(context), dry_run=dry_run, as_json=as_json,
    )  # fmt: skip
    if not is_first_process():
        return
    if as_json:
        print_json({"out": str(out), **ladder})
        return
    columns = ("depth", "step", "train_loss", "held_out_loss", "held_out_nll", "path")
    rows = [[row.get(name) for name in columns] for row in ladder["depths"]]
    title = f"{ladder['num_train']} examples, depths in {training.unit}"
    print_table(Table([Column(name, significant) for name in columns], rows, title=title))
    say(f"wrote {out}; next: grpolab triage {out}/depth-* --task TASK --out DIR")


def _size(config: SFTConfig, num_train: int) -> str:
    """How much a ladder trains, in words."""
    steps, depth = max(config.steps(num_train)), max(config.depths)
    length = f"{depth:,} epochs = " if config.unit == "epochs" else ""
    return f"{length}{steps:,} steps of {config.batch_size}, on {num_train:,} examples"


def _run(
    model: str, config: SFTConfig, source: dict[str, Any], *, out: Path, device: str,
    dtype: str, rows: int, settings: dict[str, Any],
    dry_run: bool, as_json: bool,
    chat: bool = False, system: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Load, train to the last depth, and return the ladder."""
    for module in ("torch", "transformers", "accelerate", *(["peft"] if config.lora_rank else [])):
        require(module, extra="train")
    from grpolab.progress import Pace, ProgressBar
    from grpolab.store import write_settings
    from grpolab.validate.models.load import load_model, saved_dtype, torch_device
    from grpolab.validate.models.precision import check_trainable
    from grpolab.validate.rollouts.plan import model_hash
    from grpolab.validate.training.duration import sft_seconds
    from grpolab.validate.training.ending import BrokenRun, is_first_process, process_group
    from grpolab.validate.training.rundir import RUN, claim_run
    from grpolab.validate.training.sft import KIND, train_ladder
    from grpolab.validate.training.sft_data import in_chats, load_examples, split_off

    device, dtype = torch_device(device), saved_dtype(model, dtype)
    check_trainable(dtype)
    loaded, tokenizer = load_model(model)
    context = getattr(loaded.config, "max_position_embeddings", None)
    train = load_examples(source["data"], tokenizer, context=context, chat=chat, system=system)
    with input_errors():
        if isinstance(source["held_out"], str):
            held = load_examples(
                source["held_out"], tokenizer, context=context, chat=chat, system=system
            )
        else:
            train, held = split_off(train, source["held_out"], seed=source["seed"])
    identity = {"model": model, "model_hash": model_hash(model)}
    manifest = {"kind": KIND, **identity, **source, "dtype": dtype, "config": asdict(config)}
    if chat or in_chats(source["data"]):
        manifest |= {"conversations": True, **({"system": system} if system else {})}
    first, size = is_first_process(), _size(config, len(train))
    if first and (dry_run or not (is_quiet() or (out / RUN).is_file())):

        def measure() -> float | None:
            return sft_seconds(loaded, tokenizer, train, config=config, device=device, dtype=dtype)

        size += f", {taking(measure)}"
    size += f", into {out}"
    if dry_run:
        end_dry_run(size, as_json=as_json)
    shown = ProgressBar(1.0, note=str(out)) if first else contextlib.nullcontext()
    steps, pace = max(config.steps(len(train))), Pace()
    tokens = sum(len(row.input_ids) for row in train) / math.ceil(len(train) / config.batch_size)
    with claim_run(out, manifest, first=first) as run, shown as bar:
        if first:
            announce(size)
            write_settings(out, settings)

        def show(share: float) -> None:
            if bar is not None:
                speed = f"step {share * steps:,.0f} of {steps:,}{pace.after(tokens)}"
                bar.part(out.name, share, finished=share >= 1, speed=speed)

        try:
            with process_group():
                return train_ladder(
                    loaded, tokenizer, run=run, train=train, held_out=held, config=config,
                    seed=source["seed"], device=device, dtype=dtype, batch_rows=rows,
                    progress=show,
                )  # fmt: skip
        except BrokenRun as err:
            say(f"grpolab: stopped: {err}", err=True)
            raise typer.Exit(1) from None
