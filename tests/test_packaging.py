"""The links at the root to the packages, and a wheel that holds exactly the modules on disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "grpolab"
LINKED = ("figures", "simulate", "theory", "validate")


def link_problems(root: Path) -> list[str]:
    """Links that are missing, absolute, or lead elsewhere than to their package."""
    problems = []
    for name in LINKED:
        link = root / name
        if not link.is_symlink():
            problems.append(f"{name} is no link")
        elif link.readlink().is_absolute():
            problems.append(f"{name} is an absolute link")
        elif not link.is_dir() or link.resolve() != (root / "src" / "grpolab" / name).resolve():
            problems.append(f"{name} leads to {link.readlink()}")
    return problems


def package_files(package: Path) -> set[str]:
    """Files that belong in the wheel, as paths below the folder that holds the package."""
    files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(package.parent).as_posix() for p in files}


def wheel_problems(names: Sequence[str], package: Path) -> list[str]:
    """Files that only the wheel or only the disk has, and files packed twice."""
    packed = [name for name in names if ".dist-info/" not in name]
    on_disk = package_files(package)
    problems = [f"{name} is packed twice" for name in set(packed) if packed.count(name) > 1]
    problems += [f"{name} is not on disk" for name in sorted(set(packed) - on_disk)]
    problems += [f"{name} is not in the wheel" for name in sorted(on_disk - set(packed))]
    return problems


def version_problems(root: Path) -> list[str]:
    """Places that state another version than the package does."""
    init = (root / "src" / "grpolab" / "__init__.py").read_text(encoding="utf-8")
    (own,) = re.findall(r'^__version__ = "(.+)"$', init, re.MULTILINE)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    (cited,) = re.findall(r"^version: (.+)$", citation, re.MULTILINE)
    stated = {"pyproject.toml": project["version"], "CITATION.cff": cited}
    return [f"{name} says {version}" for name, version in stated.items() if version != own]


def build_wheel(scratch: Path) -> list[str]:
    """Names in a wheel built from a copy, so that neither tree sees the other's left-overs."""
    tree = scratch / "tree"
    shutil.copytree(
        ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    for name in LINKED:
        (tree / name).symlink_to(f"src/grpolab/{name}")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        scratch,
        tree,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_every_link_leads_to_its_package() -> None:
    assert link_problems(ROOT) == []


def test_a_wrong_link_is_found(tmp_path: Path) -> None:
    for name in LINKED:
        (tmp_path / "src" / "grpolab" / name).mkdir(parents=True)
    (tmp_path / "theory").symlink_to("src/grpolab/validate")
    (tmp_path / "simulate").symlink_to(tmp_path / "src" / "grpolab" / "simulate")
    (tmp_path / "figures").mkdir()
    assert link_problems(tmp_path) == [
        "figures is no link",
        "simulate is an absolute link",
        "theory leads to src/grpolab/validate",
        "validate is no link",
    ]


def test_one_version_everywhere() -> None:
    assert version_problems(ROOT) == []


def test_version_guard_can_fail(tmp_path: Path) -> None:
    (tmp_path / "src" / "grpolab").mkdir(parents=True)
    files = {
        "src/grpolab/__init__.py": '__version__ = "2.0"',
        "pyproject.toml": '[project]\nversion = "2.0"',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.9",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert version_problems(tmp_path) == ["CITATION.cff says 1.9"]


def test_wheel_holds_exactly_what_is_on_disk(tmp_path: Path) -> None:
    names = build_wheel(tmp_path)
    assert wheel_problems(names, PACKAGE) == []
    assert {"grpolab/py.typed", "grpolab/theory/groups.py"} <= set(names)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a/__init__.py"], "a/part/b.py is not in the wheel"),
        (["a/__init__.py", "a/part/b.py", "part/b.py"], "part/b.py is not on disk"),
        (["a/__init__.py", "a/part/b.py", "a/part/b.py"], "a/part/b.py is packed twice"),
    ],
)
def test_wheel_guard_can_fail(names: list[str], problem: str, tmp_path: Path) -> None:
    package = tmp_path / "a"
    (package / "part" / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "part/b.py", "part/__pycache__/b.cpython-311.pyc"):
        (package / name).touch()
    assert wheel_problems([*names, "a-1.dist-info/RECORD"], package) == [problem]
    assert wheel_problems(["a/__init__.py", "a/part/b.py"], package) == []


def test_readme_quotes_the_committed_findings() -> None:
    """The findings in README are those of the committed run, word for word."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- findings:begin -->")[2].partition("<!-- findings:end -->")[0]
    quoted = [" ".join(item.split()) for item in re.split(r"^- ", block, flags=re.M)[1:]]
    found = json.loads((ROOT / "docs/results/full.json").read_text())["findings"]
    committed = [finding["text"] for finding in found]
    assert len(quoted) >= 3
    assert [item for item in quoted if item not in committed] == []
