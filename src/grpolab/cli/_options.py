"""How options are declared: groups that commands share, and choices taken from tables of names.

A group is a frozen dataclass whose fields are annotated like parameters of a command. A command
that takes one has all its fields as options, under the panel of the group in ``--help``.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from grpolab.errors import UserError
from grpolab.progress import without_progress

OUTPUT = "Output"
"""Panel of what a command writes and prints."""
_MANY = 6  # names above which their list is too long for the column of types


Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print no progress and no plan.", rich_help_panel=OUTPUT),
]


class OneOf:
    """Marks an option, or each of several, as one of these names: Annotated[str, OneOf(...)].

    With ``own`` it may also be an object of the user's own, ``FILE.py:NAME``; the command looks it
    up (`grpolab.errors.named`).
    """

    def __init__(self, names: Iterable[str], *, own: bool = False) -> None:
        self.names = tuple(names)
        self.own = own


class Group:
    """Base of the groups of options; ``PANEL`` is their heading in ``--help``."""

    PANEL: ClassVar[str]


def listed(text: str | None) -> tuple[str, ...]:
    """The names of an option with commas between; none where it was not given.

    >>> listed("a, b")
    ('a', 'b')
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def whole_numbers(option: str, text: str | None) -> tuple[int, ...]:
    """The numbers of an option with commas between; none where it was not given.

    >>> whole_numbers("--depths", "1,2,4")
    (1, 2, 4)
    """
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{option} must be whole numbers as 1,2,4, got {text!r}") from None


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: a parameter for every field of its groups, names as choices.

    Every command has ``--quiet``, which leaves out progress and plans.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Colours(Group):
    ...     PANEL = "Colours"
    ...     ink: Annotated[str, OneOf(("black", "blue"))] = "blue"
    >>> def draw(size: int, colours: Colours) -> None:
    ...     print(size, colours.ink)
    >>> draw.__annotations__ = {"size": int, "colours": Colours}
    >>> list(inspect.signature(expanded(draw)).parameters)
    ['size', 'ink', 'quiet']
    >>> expanded(draw)(size=3, ink="black")
    3 black
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if isinstance(kind, type) and issubclass(kind, Group):
            groups[parameter.name] = kind
            parameters += _of_group(kind)
        else:
            parameters.append(_parameter(parameter.name, kind, parameter.default))

    parameters.append(_parameter("quiet", Quiet, False))

    def run(**values: Any) -> None:
        quiet = values.pop("quiet", False)
        values = {name: _plain(value) for name, value in values.items()}
        made = {
            name: kind(**{f.name: values.pop(f.name) for f in dataclasses.fields(kind)})
            for name, kind in groups.items()
        }
        with without_progress(quiet):
            command(**values, **made)

    run.__name__, run.__module__, run.__doc__ = (
        command.__name__, command.__module__, command.__doc__,
    )  # fmt: skip
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010 (not in the type)
    return run


def _of_group(kind: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in dataclasses.fields(kind):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            default = inspect.Parameter.empty
        found.append(_parameter(field.name, hints[field.name], default, panel=kind.PANEL))
    return found


def _parameter(name: str, kind: Any, default: Any, *, panel: str = "") -> inspect.Parameter:
    """A parameter whose type is an enumeration where names are marked, under a panel."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        names = [m.names for m in marks if isinstance(m, OneOf)]
        own = any(m.own for m in marks if isinstance(m, OneOf))
        for words in [] if own else names:
            choice = enum.StrEnum(name, [(word, word) for word in words])  # type: ignore[misc]
            base = _chosen(base, choice)
        kept = [_placed(m, panel, *names, own=own) for m in marks if not isinstance(m, OneOf)]
        kind = Annotated[base, *kept] if kept else base
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _chosen(base: Any, choice: type[enum.Enum]) -> Any:
    """``str``, ``str | None`` or ``list[str] | None`` with the choice for ``str``."""
    if base is str:
        return choice
    if get_origin(base) is list:
        return list[choice]  # type: ignore[valid-type]
    inner = [_chosen(part, choice) for part in get_args(base)]
    return functools.reduce(operator.or_, inner) if inner else base


def _plain(value: Any) -> Any:
    """What typer made of a choice, as the name again."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, enum.Enum) else value


def _known(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Checks the value, or values, of an option that takes names and objects of the user's own."""

    def check(value: Any) -> Any:
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one not in names and ":" not in one:
                known = ", ".join(f"'{name}'" for name in names)
                raise typer.BadParameter(f"'{one}' is not one of {known}, nor FILE.py:NAME")
        return value

    return check


def _placed(mark: Any, panel: str, names: tuple[str, ...] = (), *, own: bool = False) -> Any:
    """What typer is told, under the panel; many names go into the help, where they wrap."""
    if not isinstance(mark, OptionInfo):
        return mark
    placed = copy.copy(mark)
    placed.rich_help_panel = placed.rich_help_panel or panel or None
    if len(names) > _MANY or own:
        placed.metavar = "NAME"
        more = ", or your own FILE.py:NAME" if own else ""
        placed.help = f"{placed.help} One of {', '.join(names)}{more}."
    if own:
        placed.callback = _known(names)
    return placed
