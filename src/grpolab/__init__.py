"""grpolab: when does group-relative RL on binary rewards have a signal to learn from?

Three rooms and one door each: `grpolab.theory` derives, `grpolab.simulate` plays,
`grpolab.validate` measures; `grpolab.figures` draws. A room is imported when it is first entered.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"
_ROOMS = ("theory", "simulate", "validate", "figures")


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
