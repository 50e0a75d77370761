"""What counts say about one population of prompts: correlation, the law of p, independence.

Estimators and tests on a `GroupCounts` table. What follows for groups that were not drawn yet is
the business of `grpolab.validate.forecast`. `icc` and `heterogeneity` are modules, each with a
function of its name. `cells` and `bootstrap` are the tools underneath: a
table as distinct counts with weights, and resampled prompts with the intervals that follow.
"""

from grpolab.validate.estimate.best import best_chances
from grpolab.validate.estimate.betabin import BetaBinomialFit, fit_beta_binomial
from grpolab.validate.estimate.contrasts import paired_gap
from grpolab.validate.estimate.copies import copies_test
from grpolab.validate.estimate.icc import IccInterval, icc_interval
from grpolab.validate.estimate.independence import PairContrast, pair_contrast
from grpolab.validate.estimate.mixture import Mixture, fit_inflated_beta, fit_mixture
from grpolab.validate.estimate.order import neighbour_test, order_test
from grpolab.validate.estimate.sampler import block_test, duplicate_test, position_test
from grpolab.validate.estimate.selection import selection_test, stopping_test
from grpolab.validate.estimate.truncated import TruncatedFit, fit_truncated

__all__ = [
    "BetaBinomialFit",
    "IccInterval",
    "Mixture",
    "PairContrast",
    "TruncatedFit",
    "best_chances",
    "block_test",
    "copies_test",
    "duplicate_test",
    "fit_beta_binomial",
    "fit_inflated_beta",
    "fit_mixture",
    "fit_truncated",
    "icc_interval",
    "neighbour_test",
    "order_test",
    "pair_contrast",
    "paired_gap",
    "position_test",
    "selection_test",
    "stopping_test",
]
