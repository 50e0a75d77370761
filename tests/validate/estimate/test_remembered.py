"""Results of equal data sets are found again, and of others never."""

import numpy as np
import pytest

from grpolab.validate.estimate import betabin, cells, smoothed
from grpolab.validate.estimate.cells import CountCells


def data(weight, samples=4):
    return CountCells(np.array([0, 2, 4]), np.full(3, samples), np.array(weight, dtype=float))


def test_a_function_is_asked_once_for_equal_cells_and_equal_options():
    asked = []

    @cells.remembered
    def total(found, times):
        asked.append(times)
        return (found.weight.sum() * times, found.weight * times)

    first = total(data([1, 2, 3]), 2)
    assert total(data([1, 2, 3]), 2) is first
    assert total(data([1, 2, 3]), 3)[0] == 18
    assert total(data([1, 2, 4]), 2)[0] == 14
    assert total(data([1, 2, 3], samples=8), 2)[0] == 12
    assert asked == [2, 3, 2, 2]
    with pytest.raises(ValueError, match="read-only"):
        first[1][0] = 0.0
    batch = data([[1, 2, 3], [3, 2, 1]])
    assert total(batch, 1) is total(batch, 1)


def test_a_fit_that_is_found_again_is_that_of_the_same_cells():
    one, other = data([20, 10, 20]), data([5, 40, 5])
    for fit in (betabin.fit_cells, smoothed.smoothed_law):
        found = fit(one), fit(other), fit(one)
        for again, first in zip(found[2], found[0], strict=True):
            assert again is first
        assert not np.array_equal(found[0][1], found[1][1])
    looser = smoothed.smoothed_law(one, prior_prompts=2.0)
    assert not np.array_equal(looser.weight, smoothed.smoothed_law(one).weight)
