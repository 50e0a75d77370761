"""What an audit says where little can be said."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from grpolab.cli import app
from grpolab.errors import UserError
from grpolab.figures import page
from grpolab.theory import GroupCounts
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.summary import audit
from grpolab.validate.readers import read


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt_id", "correct"])
        writer.writerows(rows)
    return path


def test_files_with_the_same_prompts_are_asked_about(tmp_path):
    table(tmp_path / "a.csv", [(1, 1), (1, 0), (2, 0)])
    table(tmp_path / "b.csv", [(1, 1), (2, 0)])
    with pytest.raises(UserError, match=r"2 files \(a.csv, b.csv\).*--group-by file"):
        read(tmp_path)
    table(tmp_path / "b.csv", [(3, 1), (4, 0)])
    assert not read(tmp_path).notes


@pytest.mark.parametrize("word", ["null", "NA", "N/A", "", "None", "nan"])
def test_a_missing_verdict_has_many_spellings(word, tmp_path):
    path = table(tmp_path / "a.csv", [(1, 1), (1, word), (2, 0)])
    assert read(path).counts.group_size.sum() == 2


def test_one_prompt_says_nothing_of_others():
    plan = audit(GroupCounts([1], 16), rng=0, group_sizes=[8]).plans[8].prediction
    assert (plan.low, plan.high) == (0.0, 1.0)


@pytest.mark.parametrize("correct", [0, 8])
def test_without_both_verdicts_there_is_no_correlation(correct):
    found = audit(GroupCounts([correct] * 3, 8), rng=0, group_sizes=[4])
    assert found.icc is None
    assert any("No mixed group was seen" in sentence for sentence in advise(found))


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_options_are_named_in_errors(tmp_path):
    path = table(tmp_path / "a.csv", [(1, 1), (1, 0), (2, 0), (2, 1)])
    assert "-g must be >= 2" in str(run("audit", path, "-g", 1).exception)
    assert "is a folder" in str(run("audit", path, "--html", tmp_path).exception)
    assert "do not differ" in run("audit", path, table(tmp_path / "b.csv",
                                  [(1, 1), (1, 0), (2, 0), (2, 1)])).stdout  # fmt: skip


def test_the_page_starts_with_the_facts(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "figure", lambda draw, **words: "")
    path = table(tmp_path / "a.csv", [(i, k < i % 5) for i in range(10) for k in range(4)])
    run("audit", path, "--html", tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "10 prompts, 40 samples (table: correct by prompt_id), pass@1 0.500" in text
    assert "ICC " in text


def test_an_interval_does_not_depend_on_what_else_was_asked():
    counts = GroupCounts(np.arange(40) % 5, 8, prompt_id=np.arange(40))
    plans = [audit(counts, rng=0, group_sizes=g).plans[8] for g in ((8,), (2, 8), (4, 6, 8))]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0].prediction.low < plans[0].prediction.high


def test_intervals_without_width_are_named(tmp_path):
    path = table(tmp_path / "a.csv", [(i, k < 2) for i in range(40) for k in range(4)])
    assert "every prompt has the success rate 0.5" in run("audit", path).stdout
    path = table(tmp_path / "b.csv", [(i, k < 2 + i % 2) for i in range(40) for k in range(4)])
    assert "every prompt has" not in run("audit", path).stdout
