"""Hostile programs: each tries to be judged correct without solving, or to touch the machine.

The task is to return, or to print, two random tokens that the program is never given. The tokens
are in the tests, in a file, in the environment and the memory of the process that runs the tests,
and behind two local sockets: whoever gets out of the sandbox finds them, and is judged correct.
Names in capitals stand for where these things are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Hostile(NamedTuple):
    """One program, and what it attempts."""

    attempt: str
    source: str


def _read(name: str) -> dict[str, Hostile]:
    """Programs of a listing, each under a line "### name: what it attempts"."""
    listing = Path(__file__).with_name(name).read_text(encoding="utf-8")
    programs: dict[str, Hostile] = {}
    for part in f"\n{listing}".split("\n### ")[1:]:
        head, _, source = part.partition("\n")
        title, _, attempt = head.partition(": ")
        assert title not in programs, f"two programs are called {title}"
        programs[title] = Hostile(attempt, source)
    return programs


CALLS = _read("hostile_calls.txt")
"""Programs with a function answer(i)."""
TEXTS = _read("hostile_texts.txt")
"""Programs that read i and print."""


def placed(source: str, places: Mapping[str, str]) -> str:
    """The source with every name in capitals replaced."""
    for name, value in places.items():
        source = source.replace(name, value)
    return source.replace("NULL_BYTE", "\0")
