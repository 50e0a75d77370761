"""`grpolab --version`: what a report of a problem should name."""

from __future__ import annotations

import platform
from importlib import metadata

from grpolab import __version__
from grpolab.cli._output import print_json, say

_PACKAGES = (
    "numpy",
    "scipy",
    "pyarrow",
    "numba",
    "matplotlib",
    "sympy",
    "torch",
    "transformers",
    "trl",
    "vllm",
)


def print_versions(*, as_json: bool) -> None:
    """One line for each, or one JSON object; nothing is imported to find out."""
    found = {"grpolab": __version__, "python": platform.python_version(), **_installed()}
    if as_json:
        print_json(found)
        return
    for name, version in found.items():
        say(f"{name} {version or '(not installed)'}")


def _installed() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
