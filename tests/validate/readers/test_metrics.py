import json
from pathlib import Path

import pytest

from grpolab.errors import UserError
from grpolab.validate.readers.metrics import read_metrics

TRL = Path(__file__).parent / "data" / "trl"


def test_trl_zero_std_is_absent_where_nothing_was_generated():
    log = read_metrics(TRL)
    assert log.format == "trl"
    steps, share = log.series("frac_reward_zero_std")
    assert steps.tolist() == [1, 3, 5]
    assert ((share >= 0) & (share <= 1)).all()
    evaluated, _ = log.series("eval_reward")
    assert evaluated.tolist() == [4, 6]
    assert log.series("no such metric")[0].tolist() == []


def test_trl_zero_std_hides_behind_a_second_reward():
    # the length reward has spread in every group, so the log shows no zero-std group at all
    counts_of_zero = [
        all(r == call["rewards"][start] for r in call["rewards"][start : start + 4])
        for call in json.loads((TRL / "rewards.json").read_text())
        if len(call["rewards"]) == 16
        for start in range(0, 16, 4)
    ]
    assert sum(counts_of_zero) == 5
    assert read_metrics(TRL).series("frac_reward_zero_std")[1].tolist() == [0.0, 0.0, 0.0]


def test_verl_file_logger(tmp_path):
    rows = [{"step": i, "data": {"actor/entropy": 0.5 - i / 10, "note": "x"}} for i in range(3)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read_metrics(path)
    assert (log.format, list(log.columns)) == ("verl", ["actor/entropy"])
    assert log.series("actor/entropy")[1] == pytest.approx([0.5, 0.4, 0.3])


def test_prime_rl_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "time": 0.5, "train/solved_none": 3}\n')
    assert read_metrics(path).series("train/solved_none")[1].tolist() == [3.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"log_history": []}', "the log is empty"),
        ('{"log_history": [{"loss": 1}]}', "not a valid record"),
        ('{"id": 1}', "no metric log"),
        ('{"log_history": 7}', "not a valid record"),
    ],
)
def test_other_files(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_metrics(path)
    with pytest.raises(UserError, match=r"no trainer_state.json"):
        read_metrics(tmp_path)
