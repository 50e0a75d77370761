"""What a program may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one run of a program; its tests run under the same ones.

    ``cpu_seconds`` is what counts: processor time does not depend on the machine's load. The
    clock on the wall only ends what sleeps, so ``wall_seconds`` should be several times as long.
    Processes and files have no number here: a program can start and write none.

    >>> Limits(cpu_seconds=1.0).memory_bytes == 512 << 20
    True
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 30.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 16 << 20
    threads: int = 16

    def __post_init__(self) -> None:
        for name, low in (
            ("cpu_seconds", 0.05), ("wall_seconds", 0.1), ("memory_bytes", 64 << 20),
            ("output_bytes", 1 << 10), ("threads", 1),
        ):  # fmt: skip
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} must be >= {low}, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
