"""The hook of slime and miles, called as the trainer calls it."""

import importlib
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from grpolab.validate.monitor import slime


@dataclass
class Sample:
    """The part of slime's sample that the hook reads."""

    group_index: int
    reward: object

    def get_reward_value(self, args):
        return self.reward if not args.reward_key else self.reward[args.reward_key]


@pytest.fixture(autouse=True)
def fresh():
    slime._monitors.clear()


def call(step, rewards, args=None):
    """As the trainer does: the function by its path, positional arguments."""
    module, _, name = "grpolab.validate.monitor.slime.log".rpartition(".")
    function = getattr(importlib.import_module(module), name)
    samples = [Sample(i, r) for i, group in enumerate(rewards) for r in group]
    extra = {"rollout/raw_reward": 0.5}
    args = args or SimpleNamespace(reward_key=None, save="ckpt")
    assert function(step, args, samples, extra, 1.5) is False
    return extra


def test_metrics_join_those_of_the_trainer():
    extra = call(0, [[0, 1, 1, 0], [0, 0, 0, 0], [0.3, 0.4, 0.3, 0.3], [None] * 4])
    assert extra["rollout/raw_reward"] == 0.5
    assert extra["grpolab/informative_share"] == pytest.approx(2 / 3)
    assert extra["grpolab/all_wrong"] == pytest.approx(1 / 3)
    assert slime._monitors["ckpt"].state.num_unseen == 1


def test_a_dead_run_is_called_and_runs_are_kept_apart(caplog):
    other = SimpleNamespace(reward_key="score", save="other")
    for step in range(60):
        call(step, [[0] * 8] * 16)
        call(step, [[{"score": 1.0}, {"score": 0.0}]] * 16, other)
    assert slime._monitors["ckpt"].verdict == "no-signal"
    assert slime._monitors["other"].verdict == "healthy"
    assert any("no signal" in record.message for record in caplog.records)
    assert slime.log(60, other, [], None, 0.1) is False


def test_rounding_is_no_signal():
    """Rewards of a group are equal by the same rule as everywhere."""
    extra = call(0, [[0.1, 0.1 + 1e-9], [0.1, 0.1 + 1e-3]])
    assert extra["grpolab/informative_share"] == 0.5
    assert "grpolab/all_right" not in extra  # 0.1 is neither right nor wrong


def test_what_is_wrong_follows_the_scale():
    assert call(0, [[-1, -1], [1, 1], [-1, 1], [1, 1]])["grpolab/all_wrong"] == 0.25
    assert "grpolab/all_wrong" not in call(1, [[0, 0], [-1, 0]])  # 0 is the best reward here
