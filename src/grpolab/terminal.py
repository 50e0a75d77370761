"""What people see in a terminal: text without the characters that a terminal obeys."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    r"""Escape what a terminal obeys or does not show; everything that is printed goes through here.

    Control characters (C0, C1, escape, line ends), marks that turn the direction of writing,
    characters of no width, line separators and lone surrogates become ``\x1b``, ``\u202e``.
    Letters, marks, symbols and spaces of every language stay.

    >>> printable("a\x1b[31m\n\u202eb"), printable("pi = \u03c0")
    ('a\\x1b[31m\\n\\u202eb', 'pi = π')
    """
    if text.isprintable():
        return text
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def _harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
