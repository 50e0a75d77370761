"""The command line: one file per command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from grpolab import __version__
from grpolab.errors import UserError

app = typer.Typer(
    name="grpolab",
    help="When does GRPO on binary rewards have a signal to learn from?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"grpolab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """When does GRPO on binary rewards have a signal to learn from?"""


def _register() -> None:
    from grpolab.cli.study import study

    app.command()(study)


_register()


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit status 2."""
    try:
        app()
    except UserError as err:
        sys.stderr.write(f"grpolab: error: {err}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("grpolab: interrupted\n")
        sys.exit(130)
