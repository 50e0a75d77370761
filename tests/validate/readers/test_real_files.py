"""Files that the tools themselves wrote; the scripts in generate/ made them."""

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.readers import ReadOptions, read

DATA = Path(__file__).parent / "data"


def by_name(counts):
    totals = counts.by_prompt()
    rows = zip(totals.prompt_id, totals.num_correct, totals.num_samples, strict=True)
    return {counts.prompt_names[int(i)]: (int(c), int(n)) for i, c, n in rows}


def test_evalplus_agrees_with_its_own_pass_at_k():
    reading = read(DATA / "evalplus.eval_results.json.gz")
    assert reading.format == "evalplus"
    found = by_name(reading.counts)
    assert len(found) == 164
    # task 0 is right, 1 only on the base tests, 2 loops, and i % 3 of 2 solutions are right beyond
    assert [found[f"HumanEval/{i}"] for i in range(6)] == [
        (2, 2),
        (0, 2),
        (0, 2),
        (0, 2),
        (1, 2),
        (2, 2),
    ]
    assert round(reading.counts.mean_reward, 3) == 0.494
    assert reading.notes == ()  # EvalPlus calls an endless loop a failed test
    base = read(DATA / "evalplus.eval_results.json.gz", ReadOptions(score="base"))
    assert by_name(base.counts)["HumanEval/1"] == (2, 2)
    assert base.counts.mean_reward == 0.5
    with pytest.raises(UserError, match="base or plus"):
        read(DATA / "evalplus.eval_results.json.gz", ReadOptions(score="both"))


def test_human_eval():
    reading = read(DATA / "human_eval.jsonl_results.jsonl")
    assert reading.format == "human-eval"
    expected = {"toy/0": (4, 4), "toy/1": (1, 4), "toy/2": (0, 4), "toy/3": (2, 4)}
    assert by_name(reading.counts) == expected
    assert "1 completions timed out" in reading.notes[0]


@pytest.mark.parametrize("name", ["inspect.json.gz", "inspect.eval"])
def test_inspect_agrees_with_its_own_reductions(name):
    reading = read(DATA / name)
    assert reading.format == "inspect"
    log = json.loads(gzip.decompress((DATA / "inspect.json.gz").read_bytes()))
    reduced = {r["reducer"]: r["samples"] for r in log["reductions"]}
    found = by_name(reading.counts)
    assert all(n == 4 for _, n in found.values())
    for sample in reduced["mean"]:
        assert found[sample["sample_id"]][0] / 4 == sample["value"]
    for sample in reduced["pass_at_2"]:
        c, n = found[sample["sample_id"]]
        assert float(pass_at_k(n, c, 2)) == pytest.approx(sample["value"])


def test_lm_eval_counts_come_back_from_pass_at_k():
    reading = read(DATA / "lm_eval.samples.jsonl")
    assert reading.format == "lm-eval"
    expected = {"0": (4, 4), "1": (2, 4), "2": (1, 4), "3": (0, 4)}
    assert by_name(reading.counts) == expected
    # pass@2 = 1 does not tell 3 from 4 of 4, and a quarter is too much to leave open
    with pytest.raises(UserError, match="3 to 4 of 4 samples"):
        read(DATA / "lm_eval.samples.jsonl", ReadOptions(score="pass@2"))
    with pytest.raises(UserError, match="no rows of filter 'other'; it has strip"):
        read(DATA / "lm_eval.samples.jsonl", ReadOptions(filter="other"))


def trl_truth():
    """Groups of 4 that the trainer scored at steps that were not evaluated, in its own words."""
    seen = Counter()
    for call in json.loads((DATA / "trl" / "rewards.json").read_text()):
        # step counts finished updates, so generation at step 0 is written as step 1
        if call["step"] + 1 in (1, 3, 5) and len(call["rewards"]) == 16:
            for start in range(0, 16, 4):
                correct = sum(call["rewards"][start : start + 4])
                seen[(call["step"] + 1, call["task_id"][start], int(correct))] += 1
    return seen


def test_trl_keeps_each_training_group_once():
    options = ReadOptions(score="correct", problem="task_id")
    reading = read(DATA / "trl", options)
    assert reading.format == "trl"
    counts = reading.counts
    assert np.all(counts.group_size == 4)
    names = [counts.prompt_names[int(i)] for i in counts.prompt_id]
    found = Counter(zip(counts.step.tolist(), names, counts.num_correct.tolist(), strict=True))
    assert found == trl_truth()
    notes = " ".join(reading.notes)
    assert "group size 4 was inferred" in notes
    assert "16 rows repeat rows" in notes
    assert "steps 4, 6 mix training and evaluation" in notes


def test_trl_files_are_wrong_when_taken_as_a_plain_table():
    # what a reader would count that knows nothing of the traps
    import pyarrow.parquet as pq

    files = sorted((DATA / "trl" / "completions").glob("*.parquet"))
    rows = [row for f in files for row in pq.read_table(f).to_pylist()]
    assert len(rows) == 96
    assert read(DATA / "trl", ReadOptions(score="correct")).counts.group_size.sum() == 48


def test_trl_asks_which_reward():
    with pytest.raises(UserError, match=r"which reward column.*correct, short"):
        read(DATA / "trl")
    with pytest.raises(UserError, match="no column 'accuracy'"):
        read(DATA / "trl", ReadOptions(score="accuracy"))
    with pytest.raises(UserError, match="scores are not 0 or 1"):
        read(DATA / "trl", ReadOptions(score="short"))


def test_trl_without_trainer_state_warns_about_evaluations(tmp_path):
    import shutil

    shutil.copytree(DATA / "trl" / "completions", tmp_path / "completions")
    reading = read(tmp_path, ReadOptions(score="correct"))
    assert any("no trainer_state.json" in note for note in reading.notes)


def test_trl_refuses_a_group_size_that_cuts_groups():
    with pytest.raises(UserError, match="advantages do not sum to zero"):
        read(DATA / "trl", ReadOptions(score="correct", group_size=2))
    with pytest.raises(UserError, match="different prompts in one group"):
        read(DATA / "trl", ReadOptions(score="correct", group_size=8))
    with pytest.raises(UserError, match="not whole groups of 5"):
        read(DATA / "trl", ReadOptions(score="correct", group_size=5))


def test_prime_rl_episodes_as_verifiers_writes_them():
    reading = read(DATA / "prime_rl")
    assert reading.format == "prime-rl"
    assert by_name(reading.counts) == {
        "toy/toy/1": (2, 4),
        "toy/toy/2": (0, 3),
        "toy/toy/3": (4, 4),
    }
    assert reading.counts.step.tolist() == [12, 12, 12]
    assert "1 of 12 samples have no verdict" in reading.notes[0]  # judges are not counted at all
    named = read(DATA / "prime_rl", ReadOptions(score="correct"))
    assert by_name(named.counts) == by_name(reading.counts)
    effective = read(DATA / "prime_rl" / "rollouts/step_12/train/effective").counts
    assert effective.provenance.filtered
    assert "toy/toy/3" not in by_name(effective)


def test_trainer_state_alone_is_refused_with_the_reason():
    with pytest.raises(UserError, match="holds no verdicts; give the completions folder"):
        read(DATA / "trl" / "checkpoint-6" / "trainer_state.json")
