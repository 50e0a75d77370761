"""The suite itself: it must be able to fail, and it must not fail by chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.verify import verify
from grpolab.errors import UserError
from grpolab.validate.verify import suite
from grpolab.validate.verify.registry import Check, Evidence, Registry, Size

TINY = Size(groups=4_000, chains=512, seed=1)


@pytest.fixture(scope="module")
def outcomes() -> list[suite.Outcome]:
    return suite.run_suite()


def cli() -> typer.Typer:
    app = typer.Typer()
    app.command()(verify)
    return app


def one_check(observed: float, predicted: float) -> Check:
    return Check.from_z("x", observed=observed, predicted=predicted, stderr=1.0, reference="test")


def fake(checks: list[Check], controls: list[Check]) -> Registry:
    registry = Registry()
    registry.register("fake", claim="c", wrong="w")(lambda size: Evidence(checks, controls))
    return registry


class TestEveryEntry:
    def test_stands_and_rejects_the_wrong_formula(self, outcomes: list[suite.Outcome]) -> None:
        assert {o.name for o in outcomes if not o.passed} == set()

    def test_checks_and_controls_use_the_same_data(self, outcomes: list[suite.Outcome]) -> None:
        # there the control is another estimator or another run
        estimators = {
            "thinning", "pass-at-k", "critical-p", "monotone", "trap", "icc-interval"
        }  # fmt: skip
        for outcome in outcomes:
            if outcome.name not in estimators:
                seen = [check.observed for check in outcome.checks]
                assert seen == [check.observed for check in outcome.controls], outcome.name

    def test_family_level(self, outcomes: list[suite.Outcome]) -> None:
        total = sum(len(o.checks) for o in outcomes)
        assert all(o.level == pytest.approx(suite.LEVEL / total) for o in outcomes)

    def test_p_values_are_uniform_over_seeds(self) -> None:
        small = [
            check.p_value
            for seed in range(20)
            for outcome in suite.run_suite(["variance"], size=TINY._replace(seed=seed))
            for check in outcome.checks
            if not check.name.startswith("p=0.01")  # there a mean of few events is not normal
        ]
        share = np.mean(np.array(small) < 0.1)
        assert abs(share - 0.1) < 4 * np.sqrt(0.09 / len(small))


class TestRegistry:
    def test_name_must_be_unique(self) -> None:
        registry = fake([], [])
        with pytest.raises(ValueError, match="unique"):
            registry.register("fake", claim="", wrong="")(lambda size: Evidence([], []))

    def test_unknown_name(self) -> None:
        with pytest.raises(ValueError, match="got nonsense"):
            suite.entries(["nonsense"])

    def test_right_formula_rejected_fails(self) -> None:
        bad = fake([one_check(9, 0)], [one_check(9, 0)]).run(size=TINY, level=1e-3)[0]
        assert not bad.passed
        assert len(bad.failed) == 1

    def test_wrong_formula_kept_fails(self) -> None:
        blind = fake([one_check(0, 0)], [one_check(1, 0)]).run(size=TINY, level=1e-3)[0]
        assert not blind.failed
        assert not blind.passed

    def test_seeds_of_cells_differ(self) -> None:
        assert TINY.cell_seed("a", 1) != TINY.cell_seed("a", 2) != TINY.cell_seed("a", 1)
        assert TINY.cell_seed("a", 1) == TINY.cell_seed("a", 1)


def test_the_committed_records_hold_every_formula_and_none_failed() -> None:
    held = {}
    for name in ("verify.json", "verify-grid.json"):
        path = Path(__file__).parents[3] / "docs" / "results" / name
        held |= {found["name"]: found for found in json.loads(path.read_text())["results"]}
    assert {entry.name for entry in suite.entries(full=False)} <= set(held)
    assert all(found["passed"] for found in held.values())


class TestCommand:
    def test_json_holds_one_object(self) -> None:
        result = CliRunner().invoke(cli(), ["zero-std", "--json"])
        assert result.exit_code == 0
        found = json.loads(result.stdout)
        assert found["passed"] is True
        assert [r["name"] for r in found["results"]] == ["zero-std"]

    def test_list_names_every_entry(self) -> None:
        result = CliRunner().invoke(cli(), ["--list", "--json"])
        names = [check["name"] for check in json.loads(result.stdout)["checks"]]
        assert names == [entry.name for entry in suite.entries()]

    def test_table(self) -> None:
        result = CliRunner().invoke(cli(), ["all-wrong"])
        assert result.exit_code == 0
        assert "every check passed" in result.stdout

    def test_unknown_name_is_bad_input(self) -> None:
        result = CliRunner().invoke(cli(), ["nonsense"])
        assert isinstance(result.exception, UserError)

    def test_exit_status_one_when_a_check_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = fake([one_check(9, 0)], [one_check(9, 0)])
        monkeypatch.setattr(suite, "REGISTRY", broken)
        result = CliRunner().invoke(cli(), [])
        assert result.exit_code == 1
        assert "FAILED" in result.stdout
