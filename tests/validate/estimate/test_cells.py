import numpy as np
import pytest

from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.estimate import cells


def test_tabulate_loses_nothing():
    rng = np.random.default_rng(0)
    size = rng.integers(1, 9, 500)
    counts = GroupCounts(rng.binomial(size, 0.4), size, prompt_id=rng.integers(0, 90, 500))
    for unit, clusters in (("prompts", len(set(counts.prompt_id.tolist()))), ("groups", 500)):
        table = cells.tabulate(counts, unit=unit)
        assert table.num_clusters == clusters
        assert table.weight @ table.num_samples == size.sum()
        assert table.weight @ table.num_correct == counts.num_correct.sum()


def test_bad_input():
    with pytest.raises(ValueError, match="unit must be"):
        cells.tabulate(GroupCounts([1], 2), unit="rows")
    with pytest.raises(ValueError, match="at least one group"):
        cells.tabulate(GroupCounts([], 2))


def test_single_samples_and_mixed_groups_are_refused():
    with pytest.raises(ValueError, match="one sample per prompt says nothing"):
        cells.require_pairs(cells.tabulate(GroupCounts([0, 1], 1)))
    mixed = GroupCounts([1, 2], 4, provenance=Provenance(filtered=True))
    for unit in ("prompts", "groups"):
        with pytest.raises(ValueError, match="marked filtered"):
            cells.unfiltered(mixed, unit=unit)
