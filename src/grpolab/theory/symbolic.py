"""The formulas of this package derived in sympy, step by step.

Not imported by ``grpolab.theory``: ``from grpolab.theory.symbolic import derive``. What a
derivation says is proved by sympy when it runs, or it raises ArithmeticError; where sympy proves
special cases only, its ``scope`` names them.
"""

from __future__ import annotations

from functools import cache

from grpolab.theory._symbolic_base import Derivation, Step
from grpolab.theory._symbolic_dynamics import DYNAMICS
from grpolab.theory._symbolic_static import STATIC

__all__ = ["NAMES", "Derivation", "Step", "derive", "handbook"]

_ALL = {function.__name__: function for function in (*STATIC, *DYNAMICS)}
NAMES = tuple(_ALL)
"""What ``derive`` knows."""

_HEAD = """\
# The theory, derived

Made by `grpolab.theory.symbolic.handbook()`, which has sympy prove the results below while it
writes them. Where it proves special cases only, or where something was taken from elsewhere, a line
under the box says so. Notation: g rollouts per prompt, K of them correct, p the success rate of a
prompt, q = 1 - p, m the mean over prompts, rho the correlation of two rewards of a group, sigma^2
the ddof-0 variance of its rewards, z = logit p, eta the learning rate; A^+_K and A^-_K are the
advantages of a right and a wrong rollout of a group with K right ones. What is counted, measured or
simulated and not derived here is in [validation](validation.md).
"""


@cache
def derive(name: str) -> Derivation:
    """Derive a formula: steps, result and LaTeX. Raises ValueError for an unknown name.

    >>> derive("advantage_variance").result
    m*(1 - m)*(1 - rho)*(g - 1)/g
    """
    if name not in _ALL:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    return _ALL[name]()


def handbook() -> str:
    """All derivations as one page of markdown."""
    parts = [_HEAD, "## Groups, thresholds, dependence, pass@k", ""]
    parts += [derive(f.__name__).markdown() for f in STATIC]
    parts += ["## Updates and dynamics", ""]
    parts += [derive(f.__name__).markdown() for f in DYNAMICS]
    return "\n".join(parts).rstrip() + "\n"
