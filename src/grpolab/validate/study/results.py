"""What a study found, derived from its record: the typed content of ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpolab.figures.ladder import Rung
from grpolab.store import read_json, write_json
from grpolab.validate.forecast.interval import WindowCoverage
from grpolab.validate.study.independence import IndependenceRow, IndependenceVerdict
from grpolab.validate.study.plain import from_plain, to_plain
from grpolab.validate.study.record import Thresholds
from grpolab.validate.study.rows import Row, Window
from grpolab.validate.study.shootout import RankRow, RegretRow, Standing, Truth
from grpolab.validate.study.shootout.transfer import Chosen

ByMetric = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Lead:
    """Mean paired difference over prompts, with its 95% interval."""

    difference: float
    low: float
    high: float
    num_prompts: int


@dataclass(frozen=True, slots=True)
class Best:
    """The depth that ends best, and its lead over the pick before and after RL (if another)."""

    best: int
    before: Lead | None = None
    after: Lead | None = None


@dataclass(frozen=True, slots=True)
class Inversion:
    """The depth that pass@1 before RL picks, and the best in two outcomes."""

    picked: int
    pass_at_1: Best
    pass_at_10: Best


@dataclass(frozen=True, slots=True)
class Miss:
    """Mean and largest absolute error of a forecast over checkpoints."""

    mean: float
    max: float


@dataclass(frozen=True, slots=True)
class FamilySummary:
    """A family of starts; errors are by quantity and forecast, windows hold absolute errors."""

    task: str
    regime: str
    by_depth: tuple[Rung, ...]
    inversion: Inversion
    checkpoint_error: Mapping[str, Mapping[str, Miss]]
    early_error: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One start against another: differences before and after RL."""

    better: str
    worse: str
    pass_at_1_before: Lead
    pass_at_1_after: Lead
    pass_at_10_before: Lead
    pass_at_10_after: Lead


@dataclass(frozen=True, slots=True)
class StartRegret:
    """What choosing among the starts by a predictor costs, by outcome, and what it picks."""

    predictor: str
    picks: str
    regret: ByMetric


@dataclass(frozen=True, slots=True)
class Starts:
    """Starts of one task that differ in their SFT data alone."""

    by_start: tuple[Rung, ...]
    claims: tuple[Claim, ...]
    regret: tuple[StartRegret, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A learning rate: final pass rates by depth."""

    lr: float
    mean_final_pass_at_1: float
    final_pass_at_1: Mapping[int, float]
    final_pass_at_10: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Learning rates on all depths, and the one with the best mean."""

    table: tuple[Rate, ...]
    chosen: float
    pre_pass_at_1: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Predictors of one family in one outcome."""

    rank: tuple[RankRow, ...]
    regret: tuple[RegretRow, ...]


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """A predictor on families that were left out when it was fitted."""

    predictor: str
    r2: float
    spearman: float
    regret: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Transferred:
    """All predictors out of sample, and the one that was best on the other families."""

    predictors: tuple[OutOfSample, ...]
    best_elsewhere: tuple[Chosen, ...]


@dataclass(frozen=True, slots=True)
class Shootout:
    """Predictors against outcomes.

    ``regret`` is by outcome, predictor and family; ``standings`` and ``transfer`` (by what is left
    out, then by outcome) need several families; ``families`` holds the tables of each one.
    """

    truth: tuple[Truth, ...]
    regret: Mapping[str, Mapping[str, ByMetric]]
    standings: Mapping[str, tuple[Standing, ...]]
    transfer: Mapping[str, Mapping[str, Transferred]]
    families: Mapping[str, Mapping[str, Ranked]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Coverage of the 95% intervals of one forecast of one quantity, by window of steps."""

    quantity: str
    method: str
    windows: tuple[WindowCoverage, ...]


@dataclass(frozen=True, slots=True)
class Independence:
    """The tests of independence on every checkpoint."""

    rows: tuple[IndependenceRow, ...]
    verdict: IndependenceVerdict


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm from one depth, means over seeds.

    ``against_plain`` is paired by prompt and seed, by metric; ``p_values`` test that it is 0,
    before any correction.
    """

    family: str
    arm: str
    question: str
    summary: str
    depth: int
    temperature: float
    lr: float
    num_prompts: float
    start_pass_at_1: float
    start_pass_at_10: float
    start_entropy: float
    start_zero_std: float
    zero_std: float
    rollouts: float
    informative_groups: float
    train_pass_at_1: float
    final_entropy: float
    clip_high: float
    clip_low: float
    kl: float
    final: ByMetric
    final_by_class: ByMetric
    against_plain: Mapping[str, Lead]
    p_values: ByMetric = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """How far p moved on watched prompts: mean over seeds, standard error of that mean."""

    before: float
    after: float
    change: float
    stderr: float
    num_prompts: float


@dataclass(frozen=True, slots=True)
class ForceRow:
    """A force from one depth, means over seeds; a kind of prompts that is not there is absent."""

    family: str
    depth: int
    force: str
    trains_on: str
    frac_zero_std: float
    mean_grad_norm: float
    moved: Mapping[str, Change]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence or a few, computed from the results; ``name`` stays when numbers change."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that is said about a study; parts that it does not have are empty or None.

    ``config`` is the configuration as it was written, ``labels`` what metrics are called.
    """

    config: Mapping[str, Any]
    version: str
    rows: tuple[Row, ...] = ()
    families: Mapping[str, FamilySummary] = field(default_factory=dict)
    starts: Mapping[str, Starts] = field(default_factory=dict)
    tuning: Tuning | None = None
    thresholds: Thresholds | None = None
    shootout: Shootout | None = None
    calibration: tuple[Calibration, ...] = ()
    independence: Independence | None = None
    arms: tuple[ArmRow, ...] = ()
    forces: tuple[ForceRow, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read ``results.json`` or a summary; UserError where it is anything else."""
        return from_plain(cls, read_json(path))

    def write(self, path: Path) -> None:
        """Write everything."""
        write_json(path, to_plain(self))

    def summary(self) -> Results:
        """What is small enough to be committed: no row of a single run, no table of one family."""
        shootout = self.shootout and replace(self.shootout, families={})
        return replace(self, rows=(), shootout=shootout)
