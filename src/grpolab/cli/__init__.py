"""The command line: one file per command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from grpolab.cli._versions import print_versions
from grpolab.errors import UserError

_NOT_OURS = {  # what the machine refuses is no fault of the program
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip
_INTERRUPTED = 130  # 128 + the signal, as shells have it

app = typer.Typer(
    name="grpolab",
    help="When does GRPO on binary rewards have a signal to learn from?",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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
        print_versions(as_json=as_json)
        raise typer.Exit
    if as_json:
        raise UserError("--json goes after a command: grpolab pstar -g 8 --json")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _register() -> None:
    from grpolab.cli.audit import audit
    from grpolab.cli.explore import explore
    from grpolab.cli.figures import figures
    from grpolab.cli.monitor import monitor
    from grpolab.cli.pstar import pstar
    from grpolab.cli.rollout import rollout
    from grpolab.cli.sft import sft
    from grpolab.cli.simulate import simulate_app
    from grpolab.cli.study import study
    from grpolab.cli.train import train
    from grpolab.cli.triage import triage
    from grpolab.cli.verify import verify

    app.command()(pstar)
    app.add_typer(simulate_app, name="simulate")
    for command in (explore, figures, verify, audit, rollout, triage, sft, train, monitor, study):
        app.command()(command)


_register()


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit status 2."""
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as err:
        words = err.format_message() if hasattr(err, "format_message") else str(err)
        if not words.strip():  # a group of commands without one of them: its help was printed
            sys.exit(2)
        _fail(f"{' '.join(words.split())} (grpolab --help lists what there is)")
    except UserError as err:
        _fail(str(err))
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as err:
        if err.errno not in _NOT_OURS:
            raise
        _fail(f"{err.filename2 or err.filename or 'a file'}: {err.strerror}")
    if status == _INTERRUPTED:  # typer makes an exit status of the interrupt
        sys.stderr.write("grpolab: interrupted\n")
    code = status if isinstance(status, int) else 0
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from grpolab.validate.training.ending import leave

        leave(code)
    sys.exit(code)


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"grpolab: error: {message}\n")
    sys.exit(2)
