"""Autoregressive softmax policies: responses of L tokens, one table of logits per prefix.

The smallest policy whose responses share parameters. One prompt, on policy, with advantages that
sum to zero, a group can lower p here; with a logit per response (`simulate_softmax`) none can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from grpolab.simulate._kernels_prefix import prefix_models
from grpolab.simulate._models import Ran, means, memory, run_models
from grpolab.simulate._philox import stream_key
from grpolab.simulate.options import Options
from grpolab.simulate.settings import Settings
from grpolab.simulate.softmax import softmax
from grpolab.theory import _check
from grpolab.theory.advantage import GRPO, Rule
from grpolab.theory.autoregressive import BoolArray, response_length, response_paths
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.theory.rules import advantage_table


@dataclass(frozen=True, slots=True, eq=False)
class PrefixState:
    """Where the models stand after ``step`` steps; handed back, the run goes on bit for bit."""

    step: int
    logits: FloatArray  # [S, N, V]
    velocity: FloatArray  # [S, N, V], zeros without momentum
    square: FloatArray  # [S, N, V], zeros without Adam
    correct: BoolArray  # [V^L]
    reference: FloatArray  # [N, V] log-probabilities

    @property
    def probs(self) -> FloatArray:
        """Chances of the responses, shape [S, V^L]."""
        tokens = self.logits.shape[2]
        paths = response_paths(tokens, response_length(tokens, self.logits.shape[1]))
        chance: FloatArray = np.prod(softmax(self.logits)[:, paths.prefix, paths.token], axis=-1)
        return chance

    @property
    def p(self) -> FloatArray:
        """Success chances, shape [S]."""
        chance: FloatArray = np.minimum(self.probs[:, self.correct].sum(axis=-1), 1.0)
        return chance


@dataclass(frozen=True, slots=True, eq=False)
class PrefixTrajectory:
    """Means over models; policies before each step, groups at each step."""

    group_size: int
    mean_p: FloatArray  # [T + 1]
    std_p: FloatArray  # [T + 1]
    mean_entropy: FloatArray  # [T + 1], nats per response
    frac_all_wrong: FloatArray  # [T]
    frac_all_right: FloatArray  # [T]
    mean_variance: FloatArray  # [T]
    mean_groups_drawn: FloatArray  # [T]
    state: PrefixState
    snapshot_step: IntArray  # [N]
    snapshot_p: FloatArray  # [N, S]

    @property
    def frac_zero_std(self) -> FloatArray:
        """Share of groups whose verdicts are all equal, shape [T]."""
        return np.minimum(self.frac_all_wrong + self.frac_all_right, 1.0)


def simulate_prefix(
    logits: npt.ArrayLike | PrefixState,
    correct: npt.ArrayLike | None = None,
    *,
    group_size: int,
    learning_rate: float,
    num_steps: int,
    seed: int,
    rule: Rule = GRPO,
    options: Options | None = None,
    num_models: int = 1,
    snapshot_every: int = 0,
    threads: int | None = None,
) -> PrefixTrajectory:
    """Simulate GRPO on policies over tokens, one prompt and one group per step and model.

    logits: the start, [N, V] as `grpolab.theory.response_probs` takes it, or the state of an
    earlier run. correct: which of the V^L responses are right. Losses are summed over the tokens of
    a response; with inner epochs ratios and clips are those of tokens. The KL reference is the
    start. Options without meaning here (p_prior, p_ref, pressure) must keep their defaults. Raises
    ValueError for bad input.

    >>> table, mark = np.log([[0.5, 0.5], [0.1, 0.9], [0.1, 0.9]]), [True, False, False, True]
    >>> run = simulate_prefix(table, mark, group_size=2, learning_rate=0.1, num_steps=1, seed=0,
    ...                       num_models=1000)
    >>> bool(run.mean_p[1] > run.mean_p[0]), bool(run.state.p.min() < run.mean_p[0])
    (True, True)
    """
    asked = Settings(
        group_size=group_size, learning_rate=learning_rate, num_steps=num_steps, seed=seed,
        rule=rule, options=options, number=num_models, snapshot_every=snapshot_every,
        threads=threads,
    )  # fmt: skip
    if isinstance(logits, PrefixState):
        return _run(logits, asked.for_tables(continued=logits.step > 0))
    return _run(_start(logits, correct, asked.number), asked.for_tables(continued=False))


def _start(logits: npt.ArrayLike, correct: npt.ArrayLike | None, num_models: int) -> PrefixState:
    table = _check.within("logits", logits, -np.inf, np.inf, ends="none")
    if table.ndim != 2:
        raise ValueError(f"logits must have shape [N, V], got {list(table.shape)}")
    length = response_length(table.shape[1], table.shape[0])
    mark = _check.mask("correct", np.asarray(correct), (table.shape[1] ** length,))
    copies = np.tile(table, (num_models, 1, 1))
    memory = np.zeros_like(copies)
    return PrefixState(0, copies, memory, memory.copy(), mark, np.log(softmax(table)))


def _run(start: PrefixState, asked: Settings) -> PrefixTrajectory:
    weights, velocity, square = (a.copy() for a in (start.logits, start.velocity, start.square))
    models, prefixes, tokens = weights.shape
    length = response_length(tokens, prefixes)
    advantage = advantage_table(asked.rule, asked.group_size)
    plan = asked.extra.plan(asked.group_size, asked.learning_rate)
    key = stream_key(asked.seed, "prefix models")
    groups, policies = (4, asked.group_size), (prefixes, tokens)
    older, kept, kept_log = memory(weights, asked.extra, groups, policies)

    def kernel(rows: slice, first: int, sums: IntArray, moments: FloatArray, block: int) -> None:
        prefix_models(
            weights[rows], velocity[rows], square[rows], older[rows], kept[rows], kept_log[rows],
            start.reference, start.correct, length, np.uint64(rows.start), key.low, key.high,
            np.uint64(first), advantage.correct, advantage.wrong, plan, sums, moments, block,
        )  # fmt: skip

    ran = run_models(
        asked, kernel, start=start.step, models=models, prompts=1,
        work=models * len(start.correct), p_now=lambda: replace(start, logits=weights).p,
    )  # fmt: skip
    state = replace(
        start, step=start.step + asked.num_steps, logits=weights, velocity=velocity, square=square
    )
    return _trajectory(state, ran, asked.group_size)


def _trajectory(state: PrefixState, ran: Ran, group_size: int) -> PrefixTrajectory:
    return PrefixTrajectory(**means(ran, state.p, state.probs, group_size), state=state)
