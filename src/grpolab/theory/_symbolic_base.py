"""A derivation: named steps in sympy, each equality proved when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import sympy as sp

p, m = sp.symbols("p m", positive=True)
g, k = sp.symbols("g k", positive=True, integer=True)
rho, t, z, a, b, eta, beta = sp.symbols("rho t z a b eta beta", positive=True)


class Step(NamedTuple):
    """What was done, and what it gave."""

    text: str
    expression: sp.Basic


@dataclass(frozen=True, slots=True)
class Derivation:
    """A result with the steps that lead to it."""

    name: str
    title: str
    steps: tuple[Step, ...]
    result: sp.Expr
    scope: str = ""
    """For which cases sympy proved it, or what the result leaves out; empty: as it stands."""

    @property
    def latex(self) -> str:
        """The result in LaTeX."""
        return str(sp.latex(self.result))

    def markdown(self) -> str:
        """Steps and result as a section of a page."""
        lines = [f"### {self.title}", "", f"`derive({self.name!r})`", ""]
        for step in self.steps:
            lines += [f"{step.text}:", "", f"$${sp.latex(step.expression)}$$", ""]
        lines += ["Result:", "", f"$$\\boxed{{{self.latex}}}$$", ""]
        return "\n".join([*lines, *([f"{self.scope}.", ""] if self.scope else [])])


@dataclass(slots=True)
class Notes:
    """Steps being written down."""

    steps: list[Step] = field(default_factory=list)

    def add(self, text: str, expression: sp.Basic) -> None:
        """Write one step."""
        self.steps.append(Step(text, expression))

    def done(self, name: str, title: str, result: sp.Expr, *, scope: str = "") -> Derivation:
        """Close the derivation."""
        return Derivation(name, title, tuple(self.steps), result, scope)


def prove(left: sp.Expr, right: sp.Expr) -> None:
    """Raise ArithmeticError unless sympy reduces the difference to zero."""
    gap = sp.sympify(left) - sp.sympify(right)
    for way in (sp.expand, sp.simplify, sp.radsimp, lambda e: sp.simplify(sp.expand(e, func=True))):
        gap = way(gap)
        if gap == 0:
            return
    raise ArithmeticError(f"not equal: {left} and {right}; the difference is {gap}")


def prove_ratio(left: sp.Expr, right: sp.Expr) -> None:
    """Raise ArithmeticError unless sympy reduces a ratio of binomial coefficients to one."""
    ratio = sp.combsimp(left / right)
    if ratio != 1:
        raise ArithmeticError(f"not equal: {left} and {right}; the ratio is {ratio}")
