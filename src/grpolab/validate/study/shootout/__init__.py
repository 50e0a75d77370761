"""Which number before RL says what RL will make of a checkpoint? Predictors against outcomes."""

from grpolab.validate.study.shootout.inversion import (
    MARGIN,
    Calls,
    Truth,
    inversion_calls,
    says_inversion,
    truth,
)
from grpolab.validate.study.shootout.table import BASELINES, DIRECTIONS, FamilyTable, families
from grpolab.validate.study.shootout.transfer import (
    COMBINATIONS,
    Chosen,
    Transfer,
    chosen_elsewhere,
    overall,
    transfer,
)
from grpolab.validate.study.shootout.winners import Standing, standings
from grpolab.validate.study.shootout.within import RankRow, RegretRow, rank_rows, regret_rows

__all__ = [
    "BASELINES",
    "COMBINATIONS",
    "DIRECTIONS",
    "MARGIN",
    "Calls",
    "Chosen",
    "FamilyTable",
    "RankRow",
    "RegretRow",
    "Standing",
    "Transfer",
    "Truth",
    "chosen_elsewhere",
    "families",
    "inversion_calls",
    "overall",
    "rank_rows",
    "regret_rows",
    "says_inversion",
    "standings",
    "transfer",
    "truth",
]
