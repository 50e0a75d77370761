"""The site builds without a warning, offline, and every page can be reached."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
needs_sphinx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="the extra docs is not installed",
)


OFFLINE = """
import socket, sys
from sphinx.cmd.build import build_main

def refuse(*args, **kwargs):
    raise OSError("the documentation must build without a network")

socket.getaddrinfo = socket.socket.connect = refuse
sys.exit(build_main(sys.argv[1:]))
"""


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build in a process of its own: deprecations inside Sphinx's extensions are not ours."""
    options = ["-q", "-W", "--keep-going", "-d", f"{out}.doctrees", str(source), str(out)]
    command = [sys.executable, "-c", OFFLINE, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@needs_sphinx
def test_site_builds_offline(tmp_path: Path) -> None:
    out = tmp_path / "site"
    done = build(DOCS, out)
    assert done.returncode == 0, done.stderr
    reference = (out / "reference" / "theory.html").read_text(encoding="utf-8")
    assert 'id="grpolab.theory.critical.critical_p"' in reference
    for page in out.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:[^\"]+)", page.read_text("utf-8")
        )
        assert loaded == [], page


@pytest.mark.slow
@needs_sphinx
def test_build_can_fail(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text("extensions = ['myst_parser']\n")
    (source / "index.md").write_text("# Page\n\n[nothing](nowhere.md)\n")
    done = build(source, tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "nowhere.md" in done.stderr


def undocumented(src: Path, reference: Path) -> list[str]:
    """Packages of modules that no page of the reference lists; commands document themselves."""
    pages = "".join(page.read_text(encoding="utf-8") for page in reference.glob("*.md"))
    packages = [p.parent.relative_to(src) for p in sorted(src.rglob("__init__.py"))]
    names = [".".join(p.parts) for p in packages if len(p.parts) > 1 and "cli" not in p.parts]
    return [name for name in names if f"{{package}} {name}\n" not in pages]


def test_every_package_is_in_the_reference() -> None:
    assert undocumented(ROOT / "src", DOCS / "reference") == []


def test_reference_guard_can_fail(tmp_path: Path) -> None:
    for name in ("a", "a/cli", "a/seen", "a/seen_too"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "page.md").write_text("```{package} a.seen\n```\n")
    assert undocumented(tmp_path, tmp_path) == ["a.seen_too"]


def links(page: Path) -> list[str]:
    """Targets of Markdown links to files, on any page that people read."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *DOCS.rglob("*.md")]), ids=str)
def test_links_lead_to_files(page: Path) -> None:
    assert [t for t in links(page) if not (page.parent / t).exists()] == []


def test_link_guard_can_fail(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("[x](b.md) [y](https://example.org) [z](#here)\n```text\n[c](d)\n```\n")
    assert links(page) == ["b.md"]
