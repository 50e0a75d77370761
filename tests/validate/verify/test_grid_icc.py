"""The grid that measures intervals of the ICC."""

import pytest

from grpolab.validate.estimate.icc import INTERVALS
from grpolab.validate.verify.grid_icc import LAWS, icc_of, measure_cell, measure_grid


@pytest.mark.parametrize("name", ["Beta(0.5, 1.5)", "p = 0.05 or 0.9", "Beta(0.1, 2)"])
def test_the_grid_measures_coverage_and_width(name):
    cells = measure_cell(
        name, LAWS[name], prompts=50, samples=8, trials=60, seed=1,
        methods=("combined", "union"), num_resamples=100,
    )  # fmt: skip
    combined, union = cells
    assert combined.coverage > 0.95 - 3.5 * (0.05 * 0.95 / 60) ** 0.5
    assert combined.width < 1.1 * union.width
    assert combined.rho == icc_of(LAWS[name])
    assert [(c.law, c.prompts, c.samples, c.trials) for c in cells] == [(name, 50, 8, 60)] * 2


def test_the_grid_goes_over_every_cell():
    some = {"uniform": LAWS["uniform"]}
    cells = list(measure_grid(trials=2, seed=0, laws=some, prompts=(20, 30), samples=(4,)))
    assert len(cells) == 2 * len(INTERVALS)
