"""What the monitor is told, and what it remembers: two small dataclasses, plain JSON types."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """When the monitor speaks.

    ``min_signal`` and ``alpha`` define the test (see `SignalTest`). The verdict ``no-signal`` needs
    ``patience`` training steps since the first group that counted. ``blind_after`` steps in a row
    without any verdict raise ``blind``. Metrics are compared over ``window`` logged rows: entropy
    has collapsed below ``collapse_ratio`` of the run's first rows and below ``collapse_entropy``
    nats, exploded above ``explosion_ratio`` of them and above ``explosion_entropy``. ``truncated``
    is the share of cut-off completions, ``not_finite`` the number of rows in a row with a NaN or
    infinite loss or gradient norm, from which on they are reported.
    """

    min_signal: float = 0.01
    alpha: float = 0.01
    patience: int = 20
    blind_after: int = 20
    window: int = 10
    collapse_ratio: float = 0.25
    collapse_entropy: float = 0.05
    explosion_ratio: float = 2.0
    explosion_entropy: float = 1.0
    truncated: float = 0.25
    not_finite: int = 3

    def __post_init__(self) -> None:
        for name in ("min_signal", "alpha", "collapse_ratio", "truncated"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")
        for name in ("patience", "blind_after", "window", "not_finite"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not self.explosion_ratio > 1:
            raise ValueError(f"explosion_ratio must be > 1, got {self.explosion_ratio}")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(slots=True)
class MonitorState:
    """Everything that a monitor needs to go on after a restart; JSON types only.

    ``recent`` holds [step, groups, informative, all wrong or None] of the last steps with groups,
    ``paper_entropy`` the entropies at the first rows from step 10 and from step 150 on.
    """

    last_group_step: int = -1
    last_metric_step: int = -1
    first_step: int = -1  # with a group that counted
    test_steps: int = 0
    wealth: list[float] = field(default_factory=list)
    recent: list[list[float | None]] = field(default_factory=list)
    num_groups: float = 0.0
    num_informative: float = 0.0
    num_unseen: float = 0.0
    blind_steps: int = 0
    early_entropy: list[float] = field(default_factory=list)
    recent_entropy: list[float] = field(default_factory=list)
    paper_entropy: list[float] = field(default_factory=list)
    recent_truncated: list[float] = field(default_factory=list)
    not_finite_rows: int = 0
    first_rejection: int = -1  # step
    raised: dict[str, int] = field(default_factory=dict)  # alarms that stand, since which step

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MonitorState:
        """The state that `as_dict` wrote; keys of other versions are passed over."""
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
