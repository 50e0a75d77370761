"""The command line: one file per command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from grpolab import __version__
from grpolab.errors import UserError

app = typer.Typer(
    name="grpolab",
    help="When does GRPO on binary rewards have a signal to learn from?",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"grpolab {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """When does GRPO on binary rewards have a signal to learn from?"""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _register() -> None:
    from grpolab.cli.audit import audit
    from grpolab.cli.pstar import pstar
    from grpolab.cli.rollout import rollout
    from grpolab.cli.simulate import simulate_app
    from grpolab.cli.study import study
    from grpolab.cli.triage import triage
    from grpolab.cli.verify import verify

    app.command()(pstar)
    app.add_typer(simulate_app, name="simulate")
    for command in (verify, audit, rollout, triage, study):
        app.command()(command)


_register()


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as err:
        words = err.format_message() if hasattr(err, "format_message") else str(err)
        if not words.strip():  # a group of commands without one of them: its help was printed
            sys.exit(2)
        _fail(f"{' '.join(words.split())} (grpolab --help lists what there is)")
    except UserError as err:
        _fail(str(err))
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("grpolab: interrupted\n")
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"grpolab: error: {message}\n")
    sys.exit(2)
