"""Words of the field, and no private ones, in every page and in every message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(
    r"\b(doors?|rooms?|roads?|silence|keeps? silent|stands? for|held against|calls? inversions?"
    r"|plays? (?:the|every|its|each|GRPO)|(?:is|are|be|and|were) played|dead|by the road)\b",
    re.IGNORECASE,
)
"""Metaphors that a reader has to learn first, where the field has a word (simulate, compare,
zero-std, mean)."""
OF_OTHERS = {
    "docs/sandbox.md",  # quotes a corpus of hostile programs by their names
    "CHANGELOG.md",
}
PAGES = [
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
    if path.relative_to(ROOT).as_posix() not in OF_OTHERS
]


def prose(page: str) -> Iterator[tuple[int, str]]:
    """Lines of a page outside of code and of tables, which a program wrote."""
    fenced = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("|"):
            yield number, re.sub(r"`[^`]*`", "", line)


def messages(source: str) -> Iterator[tuple[int, str]]:
    """Strings of a module that are no docstrings: what a user may read while it runs."""
    tree = ast.parse(source)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def found(texts: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"{number}: {hit[0]} in {text.strip()[:90]}"
        for number, text in texts
        if (hit := PRIVATE.search(text))
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_speaks_plainly(path: Path) -> None:
    assert found(prose(path.read_text(encoding="utf-8"))) == []


def test_every_message_is_plain() -> None:
    modules = sorted((ROOT / "src" / "grpolab").rglob("*.py"))
    assert len(modules) > 200
    hits = {
        path.relative_to(ROOT).as_posix(): bad
        for path in modules
        if (bad := found(messages(path.read_text(encoding="utf-8"))))
    }
    assert hits == {}


def test_the_guard_sees_what_it_is_for() -> None:
    page = "It is held against data.\n```\nplays the formula\n```\n| silence |\n`dead` is a name"
    assert found(prose(page)) == ["1: held against in It is held against data."]
    code = '"""A silence."""\nsay("a dead group")\nother = "dead"\n'
    assert found(messages(code)) == ["2: dead in a dead group"]
