"""The room of chance: groups and whole training runs, played by compiled counter-based kernels."""

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.draw import Within, draw_groups, tally_groups
from grpolab.simulate.options import Options
from grpolab.simulate.pstar import (
    CriticalPEstimate,
    derive_critical_p,
    derive_critical_p_from_waiting,
)
from grpolab.simulate.softmax import SoftmaxState, SoftmaxTrajectory, simulate_softmax
from grpolab.simulate.trajectory import ChainState, Trajectory

__all__ = [
    "ChainState",
    "CriticalPEstimate",
    "Options",
    "SoftmaxState",
    "SoftmaxTrajectory",
    "Trajectory",
    "Within",
    "derive_critical_p",
    "derive_critical_p_from_waiting",
    "draw_groups",
    "simulate_bernoulli",
    "simulate_softmax",
    "tally_groups",
]
