"""Options from a file, ``--config FILE``, and which options a run was given."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from grpolab.cli._options import OUTPUT
from grpolab.errors import UserError, first_line, require

_APART = {"config", "dry_run", "quiet", "as_json"}  # options that say nothing of the run itself
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Make the settings of a file the defaults of the command; the command line wins."""
    if path is not None and not context.resilient_parsing:
        options = _options(context)
        found: dict[str, Any] = {}
        for key, value in _read(path).items():
            option = options.get(key.lstrip("-").replace("-", "_"))
            if option is None:
                near = difflib.get_close_matches(key, sorted(options), n=1)
                hint = f"; did you mean {near[0].replace('_', '-')}?" if near else ""
                raise UserError(f"{path}: {context.info_name} has no option {key!r}{hint}")
            if option.name in found:
                raise UserError(f"{path}: {key!r} sets an option that is set twice")
            found[option.name] = _as_typed(path, key, value, option)
        context.default_map = {k: v for k, v in found.items() if v is not None}
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        is_eager=True,
        callback=_from_file,
        help="YAML, TOML or JSON file of options (lr: 1e-4); the command line wins.",
        rich_help_panel=OUTPUT,
    ),
]


def given(context: typer.Context) -> dict[str, Any]:
    """Every option that the command line or ``--config`` set, by its long name."""
    names = {option.name: _name(option) for option in context.command.params}
    return {
        names[key]: value
        for key, value in context.params.items()
        if key not in _APART and getattr(context.get_parameter_source(key), "name", "") != "DEFAULT"
    }


def _name(option: Any) -> str:
    words = [word for word in option.opts if word.startswith("--")] or [option.name]
    return str(words[0]).lstrip("-")


def _options(context: typer.Context) -> dict[str, Any]:
    """Parameters of the command by every name that they have, with underscores."""
    found = {}
    for option in context.command.params:
        if option.name not in {"config", "help"}:
            for name in (option.name or "", *option.opts):
                found[name.lstrip("-").replace("-", "_")] = option
    return found


def _read(path: Path) -> dict[str, Any]:
    """Keys and values of a file; YAML values as they are written, so that ``off`` is ``off``."""
    kind = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8")
        if kind == ".toml":
            value: Any = tomllib.loads(text)
        elif kind == ".json":
            value = json.loads(text)
        elif kind in (".yaml", ".yml"):
            require("yaml", extra="train")
            import yaml

            value = yaml.load(text, Loader=yaml.BaseLoader) or {}
        else:
            raise UserError(f"--config {path}: the name must end in .yaml, .toml or .json")
    except OSError as err:
        raise UserError(f"--config {path}: {err.strerror}") from None
    except Exception as err:
        if isinstance(err, UserError):
            raise
        raise UserError(f"--config {path}: not valid {kind[1:]}: {first_line(err)}") from None
    if not isinstance(value, dict):
        raise UserError(f"--config {path}: must hold options with values, as lr: 1e-4")
    return {str(key): one for key, one in value.items()}


def _as_typed(path: Path, key: str, value: Any, option: Any) -> Any:
    """A value of the file as it would be typed; None where the file leaves it to the command."""
    if value is None or value in ("null", "~"):
        return None
    if isinstance(value, dict):
        raise UserError(f"{path}: {key!r} holds a table; options have one value, or a list")
    if getattr(option, "is_flag", False):
        known = _BOOLS.get(str(value).lower())
        if known is None:
            raise UserError(f"{path}: {key!r} must be true or false, got {value!r}")
        return known
    if isinstance(value, bool):
        raise UserError(f"{path}: {key!r} is no switch; write its value in quotes")
    many = getattr(option, "multiple", False) or option.nargs != 1
    items = [str(one) for one in (value if isinstance(value, list) else [value])]
    return items if many else ",".join(items)
