"""Formats whose tools need a cluster or an accelerator to run: records built from their source."""

import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ReadOptions, read


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def groups(counts):
    rows = zip(counts.step, counts.prompt_id, counts.num_correct, counts.group_size, strict=True)
    return [(int(s), counts.prompt_names[int(p)], int(k), int(g)) for s, p, k, g in rows]


def verl_row(prompt, score, step, **more):
    return {"input": prompt, "output": "x", "gts": "1", "score": score, "step": step, **more}


def test_verl_legacy_groups_by_step_and_input_whatever_the_order(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        verl_row(p, float(i < k), 3) for p, k in (("a", 1), ("b", 4), ("c", 0)) for i in range(4)
    ]
    write_lines(tmp_path / "3.jsonl", [rows[i] for i in rng.permutation(len(rows))])
    write_lines(tmp_path / "10.jsonl", [verl_row("a", 1.0, 10) for _ in range(4)])
    reading = read(tmp_path)
    assert reading.format == "verl"
    expected = [(3, "a", 1, 4), (3, "b", 4, 4), (3, "c", 0, 4), (10, "a", 4, 4)]
    assert sorted(groups(reading.counts)) == sorted(expected)


def test_verl_prefers_acc_over_a_score_of_plus_minus_one(tmp_path):
    rows = [verl_row("a", s, 1, acc=s > 0) for s in (1.0, -1.0, -1.0, 1.0)]
    assert groups(read(write_lines(tmp_path / "1.jsonl", rows)).counts) == [(1, "a", 2, 4)]
    bare = [verl_row("a", s, 1) for s in (1.0, -1.0, -1.0, 1.0)]
    reading = read(write_lines(tmp_path / "2.jsonl", bare))
    assert groups(reading.counts) == [(1, "a", 2, 4)]
    assert "-1 was taken as wrong" in reading.notes[0]


def test_verl_takes_acc_where_a_shaped_score_would_mislead(tmp_path):
    rows = [verl_row("a", s, 1, acc=a) for s, a in ((1.0, False), (1.0, True), (0.0, False))]
    path = write_lines(tmp_path / "1.jsonl", rows)
    assert groups(read(path).counts) == [(1, "a", 1, 3)]
    assert groups(read(path, ReadOptions(score="score")).counts) == [(1, "a", 2, 3)]


def test_verl_shaped_scores_need_a_threshold(tmp_path):
    path = write_lines(tmp_path / "1.jsonl", [verl_row("a", s, 1) for s in (0.0, 0.1, 1.0, 1.1)])
    with pytest.raises(UserError, match=r"not 0 or 1 \(found 0.1, 1.1\); pass --threshold"):
        read(path)
    assert groups(read(path, ReadOptions(threshold=0.5)).counts) == [(1, "a", 2, 4)]


def test_verl_uid_keeps_two_copies_of_a_prompt_apart(tmp_path):
    rows = [verl_row("a", 1.0, 1, uid=f"u1_{s}_0") for s in range(2)]
    rows += [verl_row("a", 0.0, 1, uid=f"u2_{s}_0") for s in range(2)]
    counts = read(write_lines(tmp_path / "1.jsonl", rows)).counts
    assert sorted(groups(counts)) == [(1, "a", 0, 2), (1, "a", 2, 2)]


def test_verl_sessions_with_several_outputs_count_once(tmp_path):
    rows = [verl_row("a", 0.0, 1, uid="u1_0_0"), verl_row("a", 1.0, 1, uid="u1_0_1")]
    rows += [verl_row("a", 0.0, 1, uid="u1_1_0")]
    reading = read(write_lines(tmp_path / "1.jsonl", rows))
    assert groups(reading.counts) == [(1, "a", 1, 2)]
    assert "1 outputs belong to a session with a later output" in reading.notes[0]


def test_verl_collisions_without_uid_are_reported(tmp_path):
    rows = [verl_row(p, 1.0, 1) for p in "abcc" for _ in range(4)]
    reading = read(write_lines(tmp_path / "1.jsonl", rows))
    assert "1 groups hold more than 4 rollouts" in reading.notes[0]


def test_verl_file_logger_is_refused_with_the_reason(tmp_path):
    path = write_lines(tmp_path / "run.jsonl", [{"step": 1, "data": {"actor/entropy": 0.1}}])
    with pytest.raises(UserError, match="metrics log holds no verdicts; give the rollout_data_dir"):
        read(path)


def episode(group, score, *, step=12, ok=True, weight=1.0):
    return {
        "id": "e", "env": {"id": "gsm8k", "name": "gsm8k"},
        "task": {"type": "T", "key": f"k{group}", "hash": "h", "data": {}},
        "group": {"id": f"g-{group}"},
        "run": {"type": "train", "id": "r", "work": {"type": "train", "step": step}},
        "ok": ok,
        "traces": [{"id": "t", "rewards": {"correct": {"score": score, "weight": weight}},
                    "metrics": {}, "nodes": [], "ok": ok}],
    }  # fmt: skip


def prime_run(root):
    whole = [episode(1, s) for s in (1.0, 0.0)] + [episode(2, 0.0), episode(2, 0.0)]
    write_lines(root / "rollouts/step_12/train/all/traces.jsonl", whole)
    write_lines(root / "rollouts/step_12/train/effective/traces.jsonl", whole[:2])
    write_lines(root / "rollouts/step_12/eval/all/traces.jsonl", [episode(9, 1.0)])
    write_lines(root / "metrics.jsonl", [{"step": 1, "time": 0.0}])
    return root


def test_prime_rl_reads_all_and_neither_effective_nor_eval(tmp_path):
    reading = read(prime_run(tmp_path))
    assert reading.format == "prime-rl"
    assert sorted(groups(reading.counts)) == [(12, "gsm8k/k1", 1, 2), (12, "gsm8k/k2", 0, 2)]
    assert not reading.counts.provenance.filtered


def test_prime_rl_effective_alone_is_marked_filtered(tmp_path):
    reading = read(prime_run(tmp_path) / "rollouts/step_12/train/effective")
    assert reading.counts.provenance.filtered
    assert any("effective" in note for note in reading.notes)


def test_prime_rl_failed_episodes_are_no_observations(tmp_path):
    rows = [episode(1, 1.0), episode(1, 0.0, ok=False), episode(2, 0.0, ok=False)]
    reading = read(write_lines(tmp_path / "traces.jsonl", rows))
    assert groups(reading.counts) == [(12, "gsm8k/k1", 1, 1)]
    assert reading.counts.provenance.num_missing == 2
    assert "2 of 3 samples have no verdict; 1 groups had none at all" in reading.notes[0]


def test_evaluation_episodes_without_a_group_are_grouped_by_task(tmp_path):
    rows = [episode(1, 1.0), episode(1, 0.0), episode(2, 0.0), {**episode(2, 0.0), "traces": []}]
    for row in rows:
        del row["group"]
    counts = read(write_lines(tmp_path / "traces.jsonl", rows)).counts
    assert sorted(groups(counts)) == [(12, "gsm8k/k1", 1, 2), (12, "gsm8k/k2", 0, 1)]
    assert counts.provenance.num_missing == 1


def verifiers_row(example, reward, **more):
    row = {"example_id": example, "prompt": [], "completion": [], "reward": reward}
    return {**row, "error": None, "is_completed": True, "metrics": {"correct": reward}, **more}


def test_verifiers_results(tmp_path):
    rows = [verifiers_row(0, 1.0), verifiers_row(0, 0.0), verifiers_row(1, 0.0)]
    rows.append(verifiers_row(1, 0.0, error="sandbox died"))
    reading = read(write_lines(tmp_path / "results.jsonl", rows))
    assert reading.format == "verifiers"
    assert groups(reading.counts) == [(0, "0", 1, 2), (0, "1", 0, 1)]


def open_instruct_rows(table):
    return [
        {"step": step, "sample_idx": i, "prompt_idx": prompt, "prompt_tokens": [prompt, 7],
         "reward": reward, "advantage": 0.0, "dataset": "gsm8k"}
        for step, prompt, rewards in table
        for i, reward in enumerate(rewards)
    ]  # fmt: skip


def test_open_instruct_rewards_of_ten_and_the_filter(tmp_path):
    rows = open_instruct_rows(
        [(1, 0, [10.0, 0.0, 0.0]), (1, 1, [10.0, 10.0, 0.0]), (2, 0, [0.0, 10.0, 0.0])]
    )
    reading = read(write_lines(tmp_path / "run_rollouts_000000.jsonl", rows))
    assert reading.format == "open-instruct"
    assert [g[2:] for g in groups(reading.counts)] == [(1, 3), (1, 3), (2, 3)]
    assert len(set(reading.counts.prompt_id.tolist())) == 2  # a prompt keeps its name over steps
    assert reading.counts.provenance.filtered
    assert any("mixed groups only" in note for note in reading.notes)


def test_open_instruct_with_zero_std_groups_is_not_filtered(tmp_path):
    rows = open_instruct_rows([(1, 0, [10.0, 0.0]), (1, 1, [0.0, 0.0])])
    path = write_lines(tmp_path / "r.jsonl", rows)
    assert not read(path).counts.provenance.filtered
    assert read(path, ReadOptions(filtered=True)).counts.provenance.filtered


def test_nemo_rl_needs_the_group_size(tmp_path):
    rows = [
        {"content": ["q a"], "rewards": [r], "input_lengths": [3], "idx": [i]}
        for i, r in enumerate([1.0, 0.0, 0.0, 0.0])
    ]
    write_lines(tmp_path / "train_data_step7.jsonl", rows)
    write_lines(tmp_path / "val_data_step7.jsonl", rows[:1])
    with pytest.raises(UserError, match="pass --recorded-group-size"):
        read(tmp_path)
    reading = read(tmp_path, ReadOptions(group_size=2))
    assert reading.format == "nemo-rl"
    assert [(s, k, g) for s, _, k, g in groups(reading.counts)] == [(7, 1, 2), (7, 0, 2)]
    with pytest.raises(UserError, match="not whole groups of 3"):
        read(tmp_path, ReadOptions(group_size=3))


def test_nemo_rl_after_dynamic_sampling_is_filtered(tmp_path):
    rows = [
        {"content": ["q"], "rewards": [r], "filtered_rewards": [r], "idx": [i]}
        for i, r in enumerate([1.0, 0.0])
    ]
    path = write_lines(tmp_path / "train_data_step1.jsonl", rows)
    assert read(path, ReadOptions(group_size=2)).counts.provenance.filtered


def test_livecodebench(tmp_path):
    item = {"question_id": "q1", "question_title": "t", "platform": "leetcode",
            "graded_list": [True, False, True], "pass@1": 2 / 3, "output_list": []}  # fmt: skip
    path = tmp_path / "m_eval_all.json"
    path.write_text(json.dumps([item, {**item, "question_id": "q2", "graded_list": [False] * 3}]))
    reading = read(path)
    assert reading.format == "livecodebench"
    assert groups(reading.counts) == [(0, "q1", 2, 3), (0, "q2", 0, 3)]
    path.write_text(json.dumps([item, item]))
    with pytest.raises(UserError, match="question_id q1 appears twice"):
        read(path)


@pytest.mark.parametrize("under", ["", "__"])
@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("pass@k:k=1&n=16&strip_strings=True", [0.25, 1.0]),
        ("avg@n:n=16", [0.25, 1.0]),
    ],
)
def test_lighteval(tmp_path, under, metric, values):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            f"{under}doc{under}": {"query": "q", "id": str(i), "task_name": "t"},
            f"{under}metric{under}": {metric: v},
            f"{under}model_response{under}": {"input": "q", "text": ["a"] * 16},
        }
        for i, v in enumerate(values)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "details.parquet")
    reading = read(tmp_path / "details.parquet")
    assert reading.format == "lighteval"
    assert groups(reading.counts) == [(0, "0", 4, 16), (0, "1", 16, 16)]


def test_bigcode_aggregates_are_refused_with_the_reason(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"humaneval": {"pass@1": 0.3}, "config": {"n_samples": 20}}))
    with pytest.raises(UserError, match="aggregates only"):
        read(path)


def test_lm_eval_first_sample_only_and_two_filters(tmp_path):
    row = {"doc_id": 0, "resps": [["a", "b"]], "filtered_resps": ["a"], "filter": "take_first",
           "metrics": ["exact_match"], "exact_match": 1.0}  # fmt: skip
    path = write_lines(tmp_path / "samples.jsonl", [row])
    reading = read(path)
    assert groups(reading.counts) == [(0, "0", 1, 1)]
    assert "only the first sample of 1 documents was scored" in reading.notes[0]
    write_lines(path, [row, {**row, "filter": "strict"}])
    with pytest.raises(UserError, match="holds the filters strict, take_first; pass --filter"):
        read(path)
    write_lines(path, [row, row])
    with pytest.raises(UserError, match="doc_id 0 was already in line 1"):
        read(path)
    vote = {**row, "filtered_resps": [["a", "b"]], "exact_match": 0.5}
    write_lines(path, [vote])
    with pytest.raises(UserError, match="one number for 2 samples"):
        read(path)


def test_best_of_n_with_replacement_is_not_mistaken_for_pass_at_k(tmp_path):
    # 1 - (1 - c/n)^k, as some trainers report it, is no value of the unbiased pass@k
    row = {"doc_id": 0, "resps": [["a"] * 8], "filtered_resps": [["a"] * 8], "filter": "none",
           "metrics": ["pass@2"], "pass@2": 1 - (1 - 3 / 8) ** 2}  # fmt: skip
    with pytest.raises(UserError, match="not a value of pass@2 with 8 samples"):
        read(write_lines(tmp_path / "samples.jsonl", [row]))


def test_our_own_tables_come_back(tmp_path):
    from grpolab.store import write_counts
    from grpolab.theory.groups import GroupCounts, Provenance

    names, origin = {5: "a", 9: "b"}, Provenance(source="run")
    counts = GroupCounts(
        [1, 0, 4], 4, prompt_id=[5, 5, 9], step=[0, 1, 1], prompt_names=names, provenance=origin
    )
    for name in ("t.parquet", "t.jsonl"):
        write_counts(tmp_path / name, counts)
        reading = read(tmp_path / name)
        assert (reading.format, reading.counts) == ("grpolab", counts)
