"""Monte Carlo of groups and whole training runs, by compiled counter-based kernels."""

from grpolab.simulate.bernoulli import simulate_bernoulli
from grpolab.simulate.draw import Within, draw_groups, draw_members, tally_groups
from grpolab.simulate.events import FirstPassage, simulate_first_passage
from grpolab.simulate.experiments import (
    EXPERIMENTS,
    EscapeTime,
    derive_trap,
    log_slope,
    simulate_escape,
)
from grpolab.simulate.ladder import Ladder, LadderConfig, run_ladder
from grpolab.simulate.options import KLForm, Options
from grpolab.simulate.phases import Phase, PhasedRun, simulate_phases
from grpolab.simulate.prefix import PrefixState, PrefixTrajectory, simulate_prefix
from grpolab.simulate.pstar import (
    CriticalPEstimate,
    derive_critical_p,
    derive_critical_p_from_waiting,
)
from grpolab.simulate.softmax import SoftmaxState, SoftmaxTrajectory, simulate_softmax
from grpolab.simulate.sweep import grid_points, point_seed, run_sweep
from grpolab.simulate.trajectory import ChainState, Trajectory

__all__ = [
    "EXPERIMENTS",
    "ChainState",
    "CriticalPEstimate",
    "EscapeTime",
    "FirstPassage",
    "KLForm",
    "Ladder",
    "LadderConfig",
    "Options",
    "Phase",
    "PhasedRun",
    "PrefixState",
    "PrefixTrajectory",
    "SoftmaxState",
    "SoftmaxTrajectory",
    "Trajectory",
    "Within",
    "derive_critical_p",
    "derive_critical_p_from_waiting",
    "derive_trap",
    "draw_groups",
    "draw_members",
    "grid_points",
    "log_slope",
    "point_seed",
    "run_ladder",
    "run_sweep",
    "simulate_bernoulli",
    "simulate_escape",
    "simulate_first_passage",
    "simulate_phases",
    "simulate_prefix",
    "simulate_softmax",
    "tally_groups",
]
