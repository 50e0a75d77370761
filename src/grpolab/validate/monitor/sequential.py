"""A test that may be looked at after every step: are too few groups informative?

Null hypothesis: at every step the chance that a group holds both outcomes, given all that came
before, is at least ``min_signal`` = s. A group with x = 1 (informative) or 0 multiplies the wealth
of a bet q < s by (q/s)^x ((1-q)/(1-s))^(1-x), whose mean under a chance p >= s is at most 1. At
step t the wealth started at step j joins with weight w_j, the w_j sum to 1, and

    S_t = (S_{t-1} + w_t) e_t,    evidence E_t = mean over bets of S_t + (1 - w_1 - ... - w_t).

Proof of validity: E[E_t | past] <= S_{t-1} + w_t + 1 - w_1 - ... - w_t = E_{t-1} as E[e_t | past]
<= 1, so E is a supermartingale from E_0 = 1, and by Ville's inequality P(E_t >= 1/alpha for any t)
<= alpha, whatever rule decides when to look or to stop. Groups of one step need no independence:
drawing prompts without replacement makes their indicators negatively associated, and e_t is a
product of decreasing functions of them, so its mean only falls (Joag-Dev and Proschan 1983).

Mixing over starts is what catches a run that was healthy for long: wealth lost in good times is
gone, but a fresh start joins at every step. (Derived here from test martingales, Shafer et al.
2011, and the Shiryaev-Roberts mixture.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BETS = (0.0, 0.25, 0.5)
"""Alternatives q, as shares of ``min_signal``: no signal at all, a quarter of it, half of it."""
CAP = 1e9
"""Wealth of a bet is cut here: it keeps the test valid and lets it forget once signal is back."""


def start_weight(step: int) -> float:
    """w_j = 1/sqrt(j) - 1/sqrt(j+1); all of them sum to 1.

    >>> start_weight(1) + start_weight(2) + start_weight(3)
    0.5
    """
    return 1 / math.sqrt(step) - 1 / math.sqrt(step + 1)


def step_factor(
    num_informative: float, num_groups: float, *, bet: float, min_signal: float
) -> float:
    """E = (q/s)^k ((1-q)/(1-s))^(n-k) for k of n groups informative.

    Fractional counts are allowed: with the true share and fewer groups than there were, the factor
    is a power below 1 of the true one, so its mean stays at most 1 (Jensen).

    >>> step_factor(1, 2, bet=0.25, min_signal=0.5)
    0.75
    """
    if num_informative > 0 and bet == 0:
        return 0.0
    log = (num_groups - num_informative) * math.log((1 - bet) / (1 - min_signal))
    if num_informative > 0:
        log += num_informative * math.log(bet / min_signal)
    return math.exp(min(log, 300.0))


@dataclass(slots=True)
class SignalTest:
    """The test and its state; see the module for the hypothesis and the proof.

    ``observe`` each step's groups in order; steps without a group that counts are not to be
    observed. ``evidence`` >= 1/``alpha`` at any time rejects with error at most ``alpha``.
    Raises ValueError unless 0 < min_signal < 1 and 0 < alpha < 1.

    >>> test = SignalTest(min_signal=0.05, alpha=0.01)
    >>> steps = 0
    >>> while not test.rejects:
    ...     steps += 1
    ...     _ = test.observe(0, 16)
    >>> steps
    8
    """

    min_signal: float = 0.01
    alpha: float = 0.01
    num_steps: int = 0
    wealth: list[float] = field(default_factory=lambda: [0.0] * len(BETS))

    def __post_init__(self) -> None:
        for name in ("min_signal", "alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {getattr(self, name)}")

    def observe(
        self, num_informative: float, num_groups: float, *, min_signal: float | None = None
    ) -> float:
        """Take in one step with ``num_groups`` > 0 groups; the evidence after it.

        ``min_signal`` is the floor of this step where it has one of its own: the proof asks at
        every step for a chance of at least its floor, given the past, whatever the floors are.
        """
        floor = self.min_signal if min_signal is None else min_signal
        if not 0 <= num_informative <= num_groups or not num_groups > 0:
            raise ValueError(
                f"num_informative must lie in 0..num_groups and num_groups be > 0,"
                f" got {num_informative} of {num_groups}"
            )
        self.num_steps += 1
        weight = start_weight(self.num_steps)
        for i, bet in enumerate(BETS):
            factor = step_factor(num_informative, num_groups, bet=bet * floor, min_signal=floor)
            self.wealth[i] = min((self.wealth[i] + weight) * factor, CAP)
        return self.evidence

    @property
    def evidence(self) -> float:
        """E_t: 1 before anything was seen, large when signal is missing."""
        unspent = 1 / math.sqrt(self.num_steps + 1)
        return sum(self.wealth) / len(self.wealth) + unspent

    @property
    def rejects(self) -> bool:
        """Whether the evidence is at its threshold 1/alpha."""
        return self.evidence >= 1 / self.alpha
