"""Watched rewards: unchanged, counted group by group, on one process or several."""

import asyncio
import math

import pytest

from grpolab.validate.monitor.ledger import RewardLedger, gather


def test_rewards_pass_through_unchanged_under_their_name():
    def correct(completions, **_):
        """Doc."""
        return [1, 0.0, None, float("nan")]

    ledger = RewardLedger()
    watched = ledger.wrap(correct, threshold=None)
    assert watched.__name__ == "correct"
    ledger.open = True
    values = watched(completions=["a"] * 4)
    assert values[:3] == [1, 0.0, None]
    assert math.isnan(values[3])
    groups = ledger.take(group_size=2).groups
    assert (groups.num_groups, groups.num_informative, groups.num_unseen) == (1, 1, 1)
    assert ledger.take(group_size=2) is None  # taken once


def test_evaluations_are_not_counted():
    ledger = RewardLedger()
    watched = ledger.wrap(lambda: [1.0, 0.0], threshold=None)
    watched()
    assert ledger.take(group_size=2) is None


def test_async_functions_and_objects():
    async def later(**_):
        return [1.0, 1.0]

    class Grader:
        async def __call__(self, **_):
            return [0.0, 1.0]

    for reward, name, informative in ((later, "later", 0), (Grader(), "Grader", 1)):
        ledger = RewardLedger()
        watched = ledger.wrap(reward, threshold=None)
        ledger.open = True
        assert watched.__name__ == name
        asyncio.run(watched())
        assert ledger.take(group_size=2).groups.num_informative == informative


def test_thresholds_and_odd_values():
    ledger = RewardLedger()
    watched = ledger.wrap(lambda: [-1.0, 0.7, None, 0.2], threshold=0.5)
    ledger.open = True
    watched()
    groups = ledger.take(group_size=4).groups
    assert (groups.num_groups, groups.num_informative, ledger.num_odd) == (1, 1, 0)
    ledger = RewardLedger()
    watched = ledger.wrap(lambda: [0.5, 0.7, 0.0, 0.0], threshold=None)
    ledger.open = True
    watched()
    groups = ledger.take(group_size=2).groups
    assert (groups.num_groups, groups.num_unseen, ledger.num_odd) == (1, 1, 2)


def test_one_function_only():
    ledger = RewardLedger()
    ledger.wrap(lambda: [], threshold=None)
    with pytest.raises(ValueError, match="only one reward function can be watched"):
        ledger.wrap(lambda: [], threshold=None)


def test_without_processes_gather_is_the_identity():
    assert gather([1.0, 0.0]) == [1.0, 0.0]


def test_distinct_completions_of_a_group():
    ledger = RewardLedger()
    watched = ledger.wrap(lambda completions, **_: [0.0] * len(completions), threshold=None)
    ledger.open = True
    watched(completions=["a", "a", "a", "b", *"cdef"])
    assert ledger.take(group_size=4).distinct == 3.0
    talk = [[{"role": "assistant", "content": "a"}]] * 4
    watched(completions=talk)
    assert ledger.take(group_size=4).distinct == 1.0
    assert ledger.called
