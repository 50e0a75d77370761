"""A small part of the grid on which intervals are calibrated, and its record."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from grpolab.cli.verify import verify
from grpolab.errors import UserError
from grpolab.figures import calibration as figure
from grpolab.store import read_json
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast.predict import share_prediction
from grpolab.validate.forecast.profile import law_interval
from grpolab.validate.verify import grid, grid_short, merge, suite
from grpolab.validate.verify.laws import ROUGH, SMOOTH, real
from grpolab.validate.verify.registry import CheckOutcome, Size, at_level
from grpolab.validate.verify.tally import Tally, rng_of

TINY = Size(groups=4_000, chains=1, seed=20260103)
QUICK, SLOW = ["beyond-width", "first-groups"], ["beyond", "within", "smoothed", "short-prompts"]


@pytest.mark.parametrize("law", [SMOOTH[0], ROUGH[2], ROUGH[5], real()[3]], ids=lambda x: x.name)
def test_coverage_beyond_the_samples(law):
    """At least 93%, with a margin that a true 93% oversteps once in 1,000 tests of this kind."""
    trials, g = 200, 16
    rng = np.random.default_rng(5)
    drawn = law.histograms(rng, prompts=150, samples=8, trials=trials)
    data = CountCells(np.arange(9), np.full(9, 8), drawn)
    truth = float(prob_zero_std(law.rates, g).mean())
    low, high = law_interval(data, lambda p: prob_zero_std(p, g))
    assert stats.binom.cdf(np.sum((low <= truth) & (truth <= high)), trials, 0.93) > 1e-3
    shown = rng.binomial(g, rng.choice(law.rates, (trials, 40)))
    seen = np.mean((shown == 0) | (shown == g), axis=1)
    low, high = share_prediction(data, lambda p: prob_zero_std(p, g), num_groups=40)
    inside = np.sum((low <= seen + 1e-9) & (seen <= high + 1e-9))
    assert stats.binom.cdf(inside, trials, 0.93) > 1e-3


@cache
def small_part(name):
    (outcome,) = suite.run_suite([name], size=TINY)
    return outcome


@pytest.mark.parametrize("name", QUICK)
def test_a_small_part_stands_and_its_control_falls(name):
    outcome = small_part(name)
    assert outcome.failed == []
    assert outcome.rejected


@pytest.mark.parametrize("groups", [TINY.groups, 1_000_000])
def test_low_cells_of_a_full_run_are_measured_again_on_other_data(groups):
    drawn = []

    def cover(trials, rng):
        drawn.append(rng.random())
        return {"low": trials - 60, "high": trials}

    tally = Tally(100)
    size = TINY._replace(groups=groups)
    tally.add_cells({"low": 91, "high": 92}, SMOOTH[0], "9 prompts, n=4", size=size, cover=cover)
    shown = {check.name: check.observed for check in tally.checks()}
    name = f"low over 1000 new data sets: {SMOOTH[0].name}, 9 prompts, n=4"
    assert shown[f"low: {SMOOTH[0].name}, 9 prompts, n=4"] == 0.91
    assert (shown.get(name), len(drawn)) == ((0.94, 1) if groups > TINY.groups else (None, 0))
    assert len(shown) == 4 + len(drawn)
    assert drawn != [rng_of(size, SMOOTH[0], "9 prompts, n=4").random()]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_rest_of_the_grid_stands(name):
    (outcome,) = suite.run_suite([name], size=TINY)
    assert outcome.failed == []
    assert outcome.rejected


def test_the_grid_is_part_of_a_full_run_and_run_here():
    modules = {grid.__name__, grid_short.__name__}
    ours = {e.name for e in suite.entries() if e.run.__module__ in modules}
    assert ours == {*QUICK, *SLOW}


def test_real_laws_are_those_of_many_samples():
    laws = real()
    assert len(laws) >= 8
    for law in laws:
        assert law.rates.min() >= 0
        assert law.rates.max() <= 1
        assert 30 <= len(law.rates) <= 1000


def test_a_check_of_widths_fails_where_the_median_is_above():
    wide = np.random.default_rng(0).normal(1.2, 0.1, 60)
    assert not grid.median_at_most("x", wide, bound=1.0).passed()
    assert grid.median_at_most("x", wide, bound=1.3).passed()


def test_records_merge_at_one_level(tmp_path):
    path = tmp_path / "record.json"
    order = [entry.name for entry in suite.entries()]
    options = {"size": TINY, "level": 0.01, "order": order}
    first = suite.run_suite(["std", "zero-std"], size=TINY)
    merge.merge_into(path, first, **options)
    fresh = suite.run_suite(["zero-std", "all-wrong"], size=TINY._replace(seed=7))
    with pytest.raises(Exception, match="the record is of size"):
        merge.merge_into(path, fresh, **{**options, "size": TINY._replace(seed=7)})
    whole = merge.merge_into(path, fresh, **options)
    names = [outcome.name for outcome in whole]
    assert names == [name for name in order if name in {"std", "zero-std", "all-wrong"}]
    total = sum(len(outcome.checks) for outcome in whole)
    assert {outcome.level for outcome in whole} == {0.01 / total}
    kept = {outcome.name: outcome for outcome in whole}
    assert kept["zero-std"].checks == fresh[1 if fresh[1].name == "zero-std" else 0].checks


@pytest.mark.parametrize("text", ["[]", "{}", '{"size": {}, "results": []}', "no json"])
def test_a_file_that_is_no_record_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    app = typer.Typer()
    app.command()(verify)
    found = CliRunner().invoke(app, ["zero-std", "--merge", str(path)])
    assert isinstance(found.exception, UserError), found.output
    assert path.read_text() == text


def test_the_command_begins_a_record_and_adds_to_it(tmp_path):
    path = tmp_path / "record.json"
    app = typer.Typer()
    app.command()(verify)
    for name in ("zero-std", "all-wrong"):
        assert CliRunner().invoke(app, [name, "--merge", str(path)]).exit_code == 0
    found = read_json(path)
    assert [r["name"] for r in found["results"]] == ["zero-std", "all-wrong"]
    assert {r["level"] for r in found["results"]} == {1e-3 / 40}


def test_an_outcome_survives_its_record():
    (outcome,) = suite.run_suite(["zero-std"], size=TINY)
    assert CheckOutcome.from_dict(outcome.as_dict()) == outcome
    (again,) = at_level([outcome], level=0.5)
    assert again.level == 0.5 / len(outcome.checks)


def test_the_figure_reads_a_record():
    rows = figure.data(merge.record([small_part("first-groups")], size=TINY, level=1e-3))
    assert {row.kind for row in rows} == {"share of B groups"}
    assert all(0.8 < row.pooled <= 1 for row in rows)
    assert all(row.least[1] == min(row.by_law.values()) for row in rows)
