"""Forecasts of public counts of real language models."""

import json
from pathlib import Path

import numpy as np
import pytest

from grpolab.validate.study import real_models

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def test_the_counts_name_source_and_licence():
    sets = real_models.read_sets(RESULTS / real_models.COUNTS)
    assert len(sets) == 59
    assert all(one.source and one.licence and one.what for one in sets)
    for one in sets:
        n, c, problems = one.rows.T
        assert np.all((c >= 0) & (c <= n) & (problems > 0))


@pytest.mark.parametrize("name", ["taubench_gpt-4o_airline", "rlintro_qwen2.5-1.5b_gsm8k_baseline"])
def test_the_committed_forecasts_follow_from_the_counts(name):
    one = next(s for s in real_models.read_sets(RESULTS / real_models.COUNTS) if s.name == name)
    rows = [r for r in real_models.read_rows(RESULTS / real_models.RESULTS) if r.name == name]
    assert [r.group_size for r in rows] == one.sizes()
    for row in rows:
        again = real_models.evaluate(one, row.group_size, seed=0)
        assert again[1:] == pytest.approx(row[1:], abs=6e-5)


def test_a_folder_of_counts_becomes_a_file_of_forecasts(tmp_path, capsys):
    whole = json.loads((RESULTS / real_models.COUNTS).read_text())
    whole["sets"] = {k: v for k, v in whole["sets"].items() if k.startswith("rlintro")}
    (tmp_path / real_models.COUNTS).write_text(json.dumps(whole))
    real_models.main([str(tmp_path)])
    rows = real_models.read_rows(tmp_path / real_models.RESULTS)
    assert {r.samples for r in rows} == {16}
    assert len(real_models.summary(rows).rows) >= 2
    assert "misses the share" in real_models.claim(rows)
    with pytest.raises(SystemExit) as stop:
        real_models.main([str(tmp_path / "nothing")])
    assert stop.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_formula_at_the_mean_fails_where_prompts_differ():
    mixed = real_models.RealSet("coins", "", "", "", np.array([[16, 1, 60], [16, 15, 60]]))
    row = real_models.evaluate(mixed, 4, seed=1, splits=4)
    assert row.error_formula > 0.5 > 0.1 > row.error_thinning
