"""Lists of formats and trainers, from the records in the code: a part of ``docs/tables.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grpolab.figures.tables import Table
from grpolab.validate.monitor.follow import TRAINERS
from grpolab.validate.readers import FORMATS
from grpolab.validate.readers.format import flag_of


def formats() -> str:
    """What `grpolab audit` reads: one row per format, with what it was tested on."""
    return Table(
        ("written by", "what to give", "`--format`", "options of its own", "tested on"),
        (
            (
                f.tool,
                f.files,
                f"`{f.name}`",
                ", ".join(f"`{flag_of(option)}`" for option in f.options) or "-",
                f.tested_on,
            )
            for f in FORMATS
        ),
    ).markdown()


def trainers() -> str:
    """What `grpolab monitor` follows: one row per trainer."""
    rows = ((t.tool, t.files, t.needs) for t in TRAINERS)
    return Table(("trainer", "reads", "needs"), rows).markdown()


TABLES: Mapping[str, Callable[[], str]] = {"formats": formats, "trainers": trainers}
