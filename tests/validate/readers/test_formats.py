"""The records of the formats, and the lists that are made from them."""

import inspect
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from grpolab.cli.monitor import monitor
from grpolab.validate.monitor.follow import TRAINERS
from grpolab.validate.readers import FORMATS, ChoiceNeeded
from grpolab.validate.readers.format import flag_of

ROOT = Path(__file__).parents[3]
OF_ALL = {"threshold", "filtered", "repeats", "missing"}  # handed to the common ending


def test_names_are_unique() -> None:
    names = [format.name for format in FORMATS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_a_record_names_the_options_that_its_reader_uses(format) -> None:
    used = _used(format.read.__module__)
    if format.name == "bigcodebench":
        return  # shares a module with EvalPlus
    assert _used(format.read.__module__, deep=False) - OF_ALL <= set(format.options) <= used


@cache
def _used(name: str, *, deep: bool = True) -> set[str]:
    """Fields of the options that a module looks at, or those that it hands the options to."""
    source = inspect.getsource(sys.modules[name])
    used = set(re.findall(r"\boptions\.(\w+)", source))
    if deep:
        below = re.findall(r"readers\.(\w+) import|readers import (\w+)", source)
        for part in {a or b for a, b in below} - {"format"}:
            used |= _used(f"grpolab.validate.readers.{part}")
    return used


def test_readme_counts_the_tools() -> None:
    tools = {format.tool for format in FORMATS} - {"grpolab", "a table of counts"}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(tools - {'any other table'})} tools or a table" in text


def test_texts_on_the_monitor_name_every_trainer() -> None:
    page = (ROOT / "docs" / "monitor.md").read_text(encoding="utf-8")
    heading = next(line for line in page.splitlines() if line.startswith("## From outside"))
    for trainer in TRAINERS:
        assert trainer.tool in str(monitor.__doc__)
        assert trainer.tool in heading


def test_a_choice_is_worded_for_the_command_that_asks() -> None:
    needed = ChoiceNeeded("f", "why", option="group_size", value="G")
    assert str(needed) == "f: why; pass --recorded-group-size G"
    assert str(needed.with_flag("--group-size")) == "f: why; pass --group-size G"
    assert needed.with_flag("-g").option == "group_size"
    assert flag_of("filter") == "--filter"
