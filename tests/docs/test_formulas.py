"""The table of formulas names functions and checks that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpolab import theory
from grpolab.validate.verify.suite import entries

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
][2:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_functions_and_checks_exist(row: list[str]) -> None:
    formula, functions, tests, source = row
    assert formula
    assert source
    for name in re.findall(r"`(\w+)`", functions):
        assert hasattr(theory, name), name
    known = {entry.name for entry in entries()}
    for words in re.findall(r"`(.+?)`", tests):
        first, *names = words.split()
        if first == "verify":
            assert set(names) <= known, words
        else:
            assert (ROOT / first).is_file(), first


def test_every_function_of_theory_has_a_row() -> None:
    functions = {n for n in theory.__all__ if n[0].islower()}
    assert functions - {name for row in ROWS for name in re.findall(r"`(\w+)`", row[1])} == set()


def test_the_table_is_read() -> None:
    assert len(ROWS) > 12
