"""The command line: one file per command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from grpolab.errors import UserError, extras_named, first_line
from grpolab.terminal import printable

_INTERRUPTED = 130  # 128 + the signal, as shells have it
_CYCLES = 50_000  # new objects between two looks for dead cycles: modules that load stay

COMMANDS = {
    "pstar": "Mean success rate p* below which more than a share FRAC of the groups has no signal.",
    "group": "Say what a group of one prompt holds, and how sure a step is, for every rule.",
    "simulate": "Simulate GRPO: thresholds, training runs, SFT ladders and tests of independence.",
    "explore": "Write one page with sliders: zero-std share, p*, update weight and escape time.",
    "figures": "Draw the figures of the documentation as SVG and PNG, the same bytes each time.",
    "verify": "Test every formula against simulation; a wrong variant must be rejected.",
    "audit": "Say how many groups will carry a signal, from n verdicts per problem.",
    "plan": "Spread a budget of rollouts over prompts, and choose prompts, from n verdicts each.",
    "rollout": "Sample completions, judge them, and keep texts, tokens, log-probs, verdicts.",
    "triage": "Compare checkpoints on the same prompts at the same law, before any RL.",
    "probe": "Run GRPO for a few steps from the best few checkpoints, and choose one.",
    "model": "Turn a GGUF file into a checkpoint that every other command takes.",
    "sft": "Fine-tune once and save the model at every depth, with the held-out loss of each.",
    "train": "Train by GRPO and keep every group of every step; run it again to go on.",
    "monitor": "Watch a GRPO run of TRL, verl, prime-rl, grpolab or any trainer with a log.",
    "study": "Train a small model by SFT and GRPO, and compare forecasts with what happened.",
}
"""Every command with the first sentence of its help; a command's module is named after it."""
_ON_ONE_THREAD = {"pstar", "group", "audit", "plan", "monitor", "verify"}
"""Commands whose matrices have a few dozen rows, at which threads of OpenBLAS only wait."""


class _Commands(TyperGroup):
    """The commands; the module of one is imported when it is called, not for the list of all."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command and command.name in _ON_ONE_THREAD:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is loaded
        return name, command and load_command(command.name or ""), rest


def load_command(name: str) -> Any:
    """A command of the command line, or a group of them, with its options."""
    found = getattr(import_module(f"grpolab.cli.{name}"), name)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    for one in (command, *getattr(command, "commands", {}).values()):
        one.help = _paragraphs(one.help or "")
    return command


def _paragraphs(text: str) -> str:
    """Help as the terminal wraps it: the lines of the source end where a terminal's do not."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


app = typer.Typer(
    name="grpolab",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for _name, _summary in COMMANDS.items():
    app.command(_name, help=_summary)(lambda: None)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the versions of what matters.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: one JSON object.")] = (
        False
    ),
) -> None:
    """When does GRPO on binary rewards have a signal to learn from?

    Tab completion for your shell: grpolab --install-completion

    Example: grpolab pstar -g 8
    """
    if version:
        from grpolab.cli._versions import print_versions

        print_versions(as_json=as_json)
        raise typer.Exit
    if as_json:
        raise UserError("--json goes after a command: grpolab pstar -g 8 --json")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit status 2."""
    gc.set_threshold(_CYCLES)
    atexit.register(gc.freeze)  # all that is loaded ends with the process: nothing to look for
    _open_streams()
    try:
        with extras_named():
            status = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as err:
        words = err.format_message() if hasattr(err, "format_message") else str(err)
        if not words.strip():  # a group of commands without one of them: its help was printed
            sys.exit(2)
        context = getattr(err, "ctx", None)
        command = context.command_path if context else "grpolab"
        _fail(f"{' '.join(words.split())} ({command} --help lists what there is)")
    except UserError as err:
        _fail(str(err))
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        _flush_or_drop()
        sys.exit(1)
    except OSError as err:  # what the machine refuses is no fault of the program
        _flush_or_drop()
        name = err.filename2 or err.filename
        _fail(f"{'' if name is None else f'{name}: '}{err.strerror or first_line(err)}")
    except MemoryError:
        _fail("out of memory")
    if status == _INTERRUPTED:  # typer makes an exit status of the interrupt
        sys.stderr.write("grpolab: interrupted\n")
    code = status if isinstance(status, int) else 0
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from grpolab.validate.training.ending import leave

        leave(code)
    sys.exit(code)


def _open_streams() -> None:
    """Have both streams take every character, and take nothing where they are closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_or_drop() -> None:
    """Forget what stdout cannot take: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"grpolab: error: {printable(message)}\n")
    sys.exit(2)
