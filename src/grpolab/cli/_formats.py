"""Values of ``--format``, written by ``python docs/tables.py`` from the records.

They are kept as text, so that a help page does not import the readers.
"""

from __future__ import annotations

from typing import Literal

FormatName = Literal[
    "auto",
    "counts",
    "evalplus",
    "grpolab",
    "human-eval",
    "inspect",
    "lighteval",
    "livecodebench",
    "lm-eval",
    "nemo-rl",
    "open-instruct",
    "prime-rl",
    "table",
    "trl",
    "verifiers",
    "verl",
]
