"""Every code block of the README and the documentation is run, and prints what the page shows.

Our own hundred lines and no library: sybil and its kin run Python, but not shell commands whose
output is compared, and the parser of Markdown is here already (rich needs it).

Blocks of a page run in order, in one scratch folder that looks like a fresh checkout, and Python
blocks share their names. ``python`` is executed, as a doctest where it has prompts; ``console`` has
commands after ``$`` and what they print, ``...`` standing for anything; ``sh`` has commands that
must end well; ``json`` and ``toml`` must parse; ``text`` is not code. A comment ``<!-- not run:
reason -->`` before a block keeps it from being run, and is counted below.
"""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"
)
NOT_RUN = {
    "CONTRIBUTING.md": 2,
    "README.md": 2,
    "docs/audit.md": 1,
    "docs/choose-checkpoint.md": 2,
    "docs/cluster.md": 2,
    "docs/engines.md": 3,
    "docs/extend.md": 1,
    "docs/five-minutes.md": 1,
    "docs/preregistration.md": 1,
    "docs/real-models.md": 1,
    "docs/results/README.md": 1,
    "docs/validation.md": 1,
}
"""Blocks per page that are marked as not run; a new one must be entered here."""
COMMANDS_IN_TEXT = {"docs/cluster.md": 2, "docs/monitor.md": 1, "docs/training.md": 1}
"""Blocks per page that are called text and yet hold commands of ours; the same."""
SLOW = {"docs/training.md"}  # trains a small model in several ways: about a minute
NEEDS = {"docs/monitor.md": "trl", "docs/training.md": "trl"}
"""Pages that run with an extra only, by the package that tells."""
WIDTH = 100  # columns of the terminal in which the pages were written
RUN = ("python", "console", "sh", "json", "toml")


class Block(NamedTuple):
    """One fenced block; ``reason`` says why it is not run, if it is not."""

    line: int
    language: str
    text: str
    reason: str = ""


def blocks(page: str) -> list[Block]:
    """The blocks of a page in order; ValueError for one of no known kind."""
    found = []
    before = ""
    for token in MarkdownIt("commonmark").parse(page):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "code_block":
            raise ValueError(f"line {line}: an indented block says nothing of its language")
        if token.type == "fence" and not token.info.startswith("{"):
            if token.info not in (*RUN, "text"):
                raise ValueError(f"line {line}: language {token.info!r} is none of {RUN} or text")
            found.append(Block(line, token.info, token.content, _reason(before)))
        before = token.content if token.type == "html_block" else ""
    return found


def _reason(comment: str) -> str:
    marker = re.search(r"<!-- not run: (.+?) -->\s*$", comment, re.S)
    return " ".join(marker.group(1).split()) if marker else ""


def run_page(name: str, text: str, folder: Path, *programs: Path) -> None:
    """Run the blocks of a page, commands from the folders ``programs`` first.

    AssertionError with the line where it breaks.
    """
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(text):
        if block.reason or block.language == "text":
            continue
        where = f"{name}:{block.line}"
        if block.language in ("json", "toml"):
            (json if block.language == "json" else tomllib).loads(block.text)
        elif block.language == "python":
            with contextlib.chdir(folder):
                _run_python(block, names, where)
        else:
            _run_shell(block, folder, where, programs)


def _run_python(block: Block, names: dict[str, Any], where: str) -> None:
    if ">>>" not in block.text:
        code = "\n" * block.line + block.text  # tracebacks name the line of the page
        exec(compile(code, where.rpartition(":")[0], "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, where, where, block.line)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    said: list[str] = []
    runner.run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert runner.failures == 0, f"{where}\n{''.join(said)}"


def _run_shell(block: Block, folder: Path, where: str, programs: Sequence[Path]) -> None:
    for command, shown in commands(block):
        places = [*programs, Path(sys.executable).parent, os.environ["PATH"]]
        path = os.pathsep.join(map(str, places))
        env = {**os.environ, "PATH": path, "COLUMNS": str(WIDTH), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{where}: {command}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        assert shown is None or matches(shown, done.stdout), f"{said}\nbut the page has\n{shown}"


def commands(block: Block) -> list[tuple[str, str | None]]:
    """Commands of a shell block, each with the output that it shows (None: it shows none)."""
    if block.language == "sh":
        return [(f"set -e\n{block.text}", None)]
    parts = re.split(r"^\$ ", block.text, flags=re.M)
    if parts[0].strip() or len(parts) < 2:
        raise ValueError(f"line {block.line}: a console block starts with '$ '")
    found: list[tuple[str, str | None]] = []
    for part in parts[1:]:
        lines = part.splitlines()
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        found.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])))
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether the output is the one shown, but for blanks at line ends and what ``...`` hides."""
    want, got = (
        "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        for text in (shown, printed)
    )
    pattern = ".*?".join(re.escape(part) for part in want.split("..."))
    return re.fullmatch(pattern, got, re.S) is not None


def checkout(folder: Path) -> Path:
    """A folder that looks like the root of the repository, to which a page may add files."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith(".") and entry.name not in ("build", "runs"):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.mark.parametrize(
    "name", [pytest.param(p, marks=[pytest.mark.slow] if p in SLOW else []) for p in PAGES]
)
def test_blocks_of(name: str, tmp_path: Path, warm_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], exc_type=ImportError)
    text = (ROOT / name).read_text(encoding="utf-8")
    run_page(name, text, checkout(tmp_path), warm_path)


def test_what_is_not_run_is_counted() -> None:
    marked: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    listing = []
    for name in PAGES:
        for block in blocks((ROOT / name).read_text(encoding="utf-8")):
            marked[name] += bool(block.reason)
            ours = re.search(
                r"^\s*(\$ |grpolab |python |pip |srun |from \w+ import )", block.text, re.M
            )
            hidden[name] += block.language == "text" and ours is not None
            if block.reason:
                listing.append(f"{name}:{block.line}: {block.reason}")
    assert +marked == Counter(NOT_RUN), "\n".join(listing)
    assert +hidden == Counter(COMMANDS_IN_TEXT)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nassert 1 + 1 == 3\n```", AssertionError),
        ("```python\n>>> 1 + 1\n3\n\n```", AssertionError),
        ("```python\na = 1\n```\n\n```python\n>>> a\n2\n\n```", AssertionError),
        ("```sh\nfalse\ntrue\n```", AssertionError),
        ("```console\n$ exit 3\n```", AssertionError),
        ("```console\n$ echo two\none\n```", AssertionError),
        ("```console\n$ printf 'a\\nb\\n'\na\n```", AssertionError),
        ("```console\n$ echo silent\n```", AssertionError),
        ("```console\necho no prompt\n```", ValueError),
        ("```json\n{1: 2}\n```", ValueError),
        ("```toml\na = \n```", ValueError),
        ("```bash\ntrue\n```", ValueError),
        ("```\ntrue\n```", ValueError),
        ("text\n\n    indented\n", ValueError),
        ("<!-- not run: why -->\n\nwords\n\n```sh\nfalse\n```", AssertionError),
        ("<!-- not run:  -->\n```sh\nfalse\n```", AssertionError),
    ],
)
def test_harness_can_fail(page: str, complaint: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(complaint):
        run_page("page.md", page, tmp_path)


def test_harness_runs_what_is_right(tmp_path: Path) -> None:
    page = """
```python
a = 2
```

```python
>>> a + 1
3

```

```console
$ printf 'one\\ntwo\\nthree\\n'
one
...
three
$ echo a \\
    b
a b
```

```text
$ false
```

<!-- not run: it would fail -->
```sh
false
```

```{toctree}
nothing
```
"""
    run_page("page.md", page, tmp_path)
    assert [b.reason for b in blocks(page) if b.reason] == ["it would fail"]
