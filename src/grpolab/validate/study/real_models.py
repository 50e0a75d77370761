"""Real language models: half of the verdicts of each problem forecasts the other half.

``python -m grpolab.validate.study.real_models docs/results`` reads ``real_llm.json``, which counts
how many problems of a public data set had c of n samples correct, and writes ``real_models.json``.

A random half makes thinning unbiased by construction. What is tested is the size of its error, the
error of the formula at the mean and of the beta-binomial fit, and whether intervals cover.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grpolab import streams
from grpolab.errors import UserError
from grpolab.figures import words
from grpolab.figures.tables import Column, Table
from grpolab.store import read_json, write_text
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.estimate.icc import icc
from grpolab.validate.forecast.law import fit_law
from grpolab.validate.forecast.zero_std import predict_zero_std

COUNTS, RESULTS = "real_llm.json", "real_models.json"
GROUP_SIZES = (4, 8, 16)
NUM_SPLITS = 10
_HARD, _MANY = 0.05, 50  # least pass@1 and problems of the sets where a mean can mislead
_RESAMPLES = 400


class RealSet(NamedTuple):
    """Counts of one public data set: rows (n, c, problems) [U, 3]."""

    name: str
    source: str
    licence: str
    what: str
    rows: IntArray

    def counts(self) -> GroupCounts:
        """One group per problem."""
        n, c, problems = self.rows.T
        return GroupCounts(np.repeat(c, problems), np.repeat(n, problems))

    def sizes(self) -> list[int]:
        """Group sizes that half of the samples allow; half of them where none does."""
        half = int(self.rows[:, 0].min()) // 2
        return [g for g in GROUP_SIZES if g <= half] or [half]


class RealRow(NamedTuple):
    """One data set at one group size, means over splits.

    ``held_out`` is the zero-std share among the verdicts of the second half; ``formula``,
    ``beta_binomial`` and ``thinning`` are forecasts from the first. ``error_*`` are mean absolute
    errors, ``covered`` the share of splits in which the 95% interval of thinning held the second.
    """

    name: str
    problems: int
    samples: int
    group_size: int
    pass_at_1: float
    icc: float
    held_out: float
    formula: float
    beta_binomial: float
    thinning: float
    error_formula: float
    error_beta_binomial: float
    error_thinning: float
    covered: float
    width: float


def read_sets(path: Path) -> list[RealSet]:
    """The data sets of a file of counts, by name."""
    return [
        RealSet(name, one["source"], one["licence"], one["what"], np.array(one["n_c_problems"]))
        for name, one in sorted(read_json(path)["sets"].items())
    ]


def evaluate(one: RealSet, group_size: int, *, seed: int, splits: int = NUM_SPLITS) -> RealRow:
    """Forecast one random half of the verdicts from the other, ``splits`` times.

    >>> coins = RealSet("coins", "", "", "", np.array([[16, 8, 100]]))
    >>> row = evaluate(coins, 4, seed=0, splits=2)
    >>> row.pass_at_1, round(row.formula, 2), row.error_thinning < 0.05
    (0.5, 0.13, True)
    """
    table = one.counts()
    c, n = table.num_correct, table.group_size
    rng = streams.generator(streams.stream_seed(seed, one.name, group_size), "splits")
    half = n // 2
    found = []
    for _ in range(splits):
        first = rng.hypergeometric(c, n - c, half)
        known, rest = GroupCounts(first, half), GroupCounts(c - first, n - half)
        seen = float(fit_law(rest).zero_std(group_size))
        thinned = predict_zero_std(
            known, group_size, rng=rng, method="thinning", num_resamples=_RESAMPLES
        )
        beta = float(fit_law(known, "beta-binomial").zero_std(group_size))
        inside = thinned.low <= seen <= thinned.high
        found.append(
            [seen, thinned.iid_mean_p, beta, thinned.zero_std, inside, thinned.high - thinned.low]
        )
    values = np.array(found, dtype=np.float64)
    held_out, formula, fitted, thinning, covered, width = values.mean(axis=0).tolist()
    errors: FloatArray = np.abs(values[:, 1:4] - values[:, :1]).mean(axis=0)
    wrong, off, miss = errors.tolist()
    return RealRow(
        one.name, len(table), int(n.min()), group_size, float(np.mean(c / n)), icc(table), held_out,
        formula, fitted, thinning, wrong, off, miss, covered, width,
    )  # fmt: skip


def read_rows(path: Path) -> list[RealRow]:
    """The rows that `main` wrote."""
    return [RealRow(**row) for row in read_json(path)["rows"]]


def _telling(rows: Iterable[RealRow]) -> list[RealRow]:
    """Rows of sets where the mean is no rare success and the problems are no handful."""
    return [r for r in rows if r.pass_at_1 >= _HARD and r.problems >= _MANY]


def _mean(rows: Sequence[RealRow], name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


def summary(rows: Sequence[RealRow]) -> Table:
    """Mean absolute errors and coverage, of all rows and of those where a mean can mislead."""
    groups = (("all", list(rows)), (f"pass@1 >= {_HARD}, >= {_MANY} problems", _telling(rows)))
    parts: list[tuple[str, int | str, list[RealRow]]] = []
    for name, some in groups:
        parts.append((name, "all", some))
        for g in sorted({r.group_size for r in some}):
            parts.append((name, g, [r for r in some if r.group_size == g]))
    lines = [
        [name, g, len(some), _mean(some, "held_out"), _mean(some, "error_formula"),
         _mean(some, "error_beta_binomial"), _mean(some, "error_thinning"),
         _mean(some, "covered"), _mean(some, "width")]
        for name, g, some in parts
    ]  # fmt: skip
    columns = ("sets", "g", "rows", "zero std, held out", "error: formula", "error: beta-binomial",
               "error: thinning", "coverage", "width")  # fmt: skip
    return Table(columns, lines)


def table(rows: Sequence[RealRow], sets: Sequence[RealSet]) -> Table:
    """One line per data set, at g = 8 where its samples allow it."""
    what = {one.name: one.what for one in sets}
    best = {name: min((r for r in rows if r.name == name), key=lambda r: abs(r.group_size - 8))
            for name in what}  # fmt: skip
    lines = [
        [f"`{r.name}`", r.problems, r.samples, r.pass_at_1, r.icc, r.group_size, r.held_out,
         r.formula, r.beta_binomial, r.thinning, r.covered]
        for r in best.values()
    ]  # fmt: skip
    columns = ("set", "problems", Column("n", words.count), "pass@1", "ICC", "g", "held out",
               "formula", "beta-binomial", "thinning", "covered")  # fmt: skip
    return Table(columns, lines)


def sources(sets: Sequence[RealSet]) -> Table:
    """Where the counts come from."""
    kinds = sorted({(one.source, one.licence, one.what) for one in sets})
    lines = [
        [source, licence, what, sum((s.source, s.licence, s.what) == (source, licence, what)
                                    for s in sets)]
        for source, licence, what in kinds
    ]  # fmt: skip
    return Table(("source", "licence", "what", "sets"), lines)


def claim(rows: Sequence[RealRow]) -> str:
    """What real models say about the formula, in one sentence."""
    some = _telling(rows)
    worst = max(some, key=lambda r: r.error_formula)
    return (
        f"On public counts of real language models ({len({r.name for r in rows})} data sets, 0.07"
        f" to 12 billion parameters and GPT-4o) the formula at the mean success rate misses the"
        f" share of groups without a signal by {_mean(rows, 'error_formula'):.3f}, by"
        f" {_mean(some, 'error_formula'):.3f} where pass@1 is at least {_HARD} on {_MANY} or more"
        f" problems (worst: it says {words.percent(worst.formula)}, and"
        f" {words.percent(worst.held_out)} of the groups of {worst.group_size} have identical"
        " rewards). On those sets a beta-binomial misses it by"
        f" {_mean(some, 'error_beta_binomial'):.3f}, thinning by"
        f" {_mean(some, 'error_thinning'):.3f}, and its 95% interval held the"
        f" other half in {words.percent(_mean(some, 'covered'))}."
    )


def _line(row: RealRow) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row._asdict().items()}


def main(arguments: Sequence[str]) -> None:
    """Evaluate every data set at every group size."""
    parser = argparse.ArgumentParser(description=__doc__, prog="real_models")
    parser.add_argument("results", type=Path, help=f"folder that holds {COUNTS}")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        sets = read_sets(given.results / COUNTS)
    except UserError as err:
        parser.exit(2, f"{err}\n")
    rows = [_line(evaluate(one, g, seed=given.seed)) for one in sets for g in one.sizes()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    head = json.dumps({"seed": given.seed, "splits": NUM_SPLITS})[:-1]
    write_text(given.results / RESULTS, f'{head}, "rows": [\n{lines}\n]}}\n')
    print(f"wrote {given.results / RESULTS}: {len(rows)} rows")


if __name__ == "__main__":
    main(sys.argv[1:])
