"""Tools and trainers, by records built from their source: one of each, and its traps."""

import json

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.readers import ChoiceNeeded, ReadOptions, read, read_all

VERDICTS = np.random.default_rng(3).random((6, 4)) < np.array([[0.1, 0.5, 0.9, 0.3, 0.7, 0.0]]).T


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def groups(reading):
    return sorted(zip(reading.counts.num_correct.tolist(), reading.counts.group_size.tolist(),
                      strict=True))  # fmt: skip


EXPECTED = sorted((int(row.sum()), 4) for row in VERDICTS)
EACH = [(g, t, float(v)) for g, row in enumerate(VERDICTS) for t, v in enumerate(row)]


def test_tinker(tmp_path):
    for step in (0, 3):
        rows = [
            {"schema_version": 1, "split": "train", "iteration": step, "group_idx": g,
             "traj_idx": t, "tags": ["gsm8k"], "total_reward": r, "final_reward": r, "steps": []}
            for g, t, r in EACH
        ]  # fmt: skip
        lines(tmp_path / f"iteration_{step:06d}" / "train_rollout_summaries.jsonl", rows)
        held = [{**row, "split": "eval"} for row in rows]
        lines(tmp_path / f"iteration_{step:06d}" / "eval_math_rollout_summaries.jsonl", held)
    lines(tmp_path / "metrics.jsonl", [{"step": 0, "env/all/by_group/frac_mixed": 0.4}])
    reading = read(tmp_path)
    assert reading.format == "tinker"
    assert groups(reading) == sorted(EXPECTED * 2)
    assert sorted(set(reading.counts.step.tolist())) == [0, 3]
    assert "2 files of evaluations were left out" in reading.notes[0]


def torchtitan_row(g, t, r, **more):
    return {
        "is_validation": False, "group_id": f"g{g}", "rollout_id": {"group_id": f"g{g}",
        "rollout_idx": t}, "status": "completed", "reward": r, "reward_breakdown": {"correct": r},
        "advantage": 0.0, "turns": [], **more,
    }  # fmt: skip


def test_torchtitan_keeps_all_or_is_refused(tmp_path):
    rows = [torchtitan_row(g, t, r) for g, t, r in EACH]
    rows += [torchtitan_row("v", t, 1.0, is_validation=True) for t in range(4)]
    reading = read(lines(tmp_path / "rollout_samples.jsonl", rows))
    assert (reading.format, groups(reading)) == ("torchtitan", EXPECTED)
    rows = [torchtitan_row(g, t, r) for g, t, r in EACH if t < 2]
    path = lines(tmp_path / "extremes" / "rollout_samples.jsonl", rows)
    with pytest.raises(UserError, match="the best and the worst"):
        read(path)
    assert len(read(path, ReadOptions(filtered=False)).counts) == 6


def test_areal_versions_are_steps(tmp_path):
    for version in (7, 8):
        for g, row in enumerate(VERDICTS):
            rows = [
                {"task_id": 10 * version + g, "sample_idx": t, "seqlen": 20, "prompt_len": 8,
                 "head_version": version, "tail_version": version, "reward": float(v),
                 "prompt": f"Q{g}", "completion": f"a{t}"}
                for t, v in enumerate(row)
            ]  # fmt: skip
            lines(tmp_path / "rollout" / str(version) / f"{g}.jsonl", rows)
    reading = read(tmp_path / "rollout")
    assert (reading.format, groups(reading)) == ("areal", sorted(EXPECTED * 2))
    assert len(np.unique(reading.counts.prompt_id)) == 6
    assert sorted(set(reading.counts.step.tolist())) == [7, 8]


@pytest.mark.parametrize("per_token", [True, False])
def test_skyrl(tmp_path, per_token):
    rows = [
        {"input_prompt": f"Q{g}", "output_response": "a",
         "score": [0.0, 0.0, r] if per_token else r,
         "stop_reason": "stop", "env_class": "gsm8k", "env_extras": {}, "data_source": "gsm8k"}
        for g, _, r in EACH
    ]  # fmt: skip
    folder = tmp_path / "dumped_evals" / "global_step_5_evals"
    lines(folder / "gsm8k.jsonl", rows)
    lines(folder / "aggregated_results.jsonl", [{"eval/gsm8k/avg_score": 0.4}])
    reading = read(tmp_path)
    assert (reading.format, groups(reading)) == ("skyrl", EXPECTED)
    assert set(reading.counts.step.tolist()) == {5}
    lines(folder / "gsm8k.jsonl", [{**row, "stop_reason": "error"} for row in rows[:4]] + rows[4:])
    assert read(tmp_path).counts.provenance.num_missing == 4


@pytest.mark.parametrize("steps", [1, 3])
def test_ms_swift(tmp_path, steps):
    rows = [
        {"gen_step": [s] * 24, "prompt": [f"Q{g}" for g, _, _ in EACH],
         "completion": ["a"] * 24, "accuracy": [r for _, _, r in EACH], "advantages": [0.0] * 24}
        for s in range(steps)
    ]  # fmt: skip
    reading = read(lines(tmp_path / "completions.jsonl", rows))
    assert (reading.format, groups(reading)) == ("ms-swift", sorted(EXPECTED * steps))
    two = [{**row, "format": [1.0] * 24} for row in rows]
    with pytest.raises(ChoiceNeeded, match="accuracy, format"):
        read(lines(tmp_path / "completions.jsonl", two))
    assert groups(read(tmp_path / "completions.jsonl", ReadOptions(score="accuracy"))) == groups(
        reading
    )


def test_rllm(tmp_path):
    for g, t, r in EACH:
        episode = {
            "training_step": 2, "epoch": 0, "episode_id": f"{g}:{t}", "task": {"q": g},
            "task_hash": f"h{g}", "is_correct": bool(r), "termination_reason": "env_done",
            "metrics": {}, "trajectories": [{"name": "solver", "reward": r, "steps": []}],
        }  # fmt: skip
        for mode in ("train", "val"):
            path = tmp_path / "episodes" / f"{mode}_step_2_epoch_0" / f"episode_{g}_{t}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(episode, indent=2))
    (path.parent / "batch_summary.json").write_text(
        json.dumps({"num_episodes": 24, "summary_stats": {"total_correct": 9, "accuracy": 0.5}})
    )
    reading = read(tmp_path)
    assert (reading.format, groups(reading)) == ("rllm", EXPECTED)
    assert "24 episodes of validation were left out" in reading.notes[0]


def test_atropos(tmp_path):
    rows = [
        {"tokens": [[1]] * 4, "masks": [[1]] * 4, "scores": [float(v) for v in row],
         "messages": None}
        for row in VERDICTS
    ]  # fmt: skip
    reading = read(lines(tmp_path / "groups.jsonl", rows))
    assert (reading.format, groups(reading)) == ("atropos", EXPECTED)


def test_tau_bench_trials_that_crashed_have_no_verdict(tmp_path):
    rows = [{"task_id": g, "reward": r, "info": {}, "traj": [], "trial": t} for g, t, r in EACH]
    rows[5].update(reward=0.0, info={"error": "RateLimitError", "traceback": "..."})
    path = tmp_path / "tau.json"
    path.write_text(json.dumps(rows))
    reading = read(path)
    assert reading.format == "tau-bench"
    assert reading.counts.provenance.num_missing == 1
    path.write_text(json.dumps(rows + rows[:1]))
    with pytest.raises(ChoiceNeeded, match="task_id 0 trial 0 was already in"):
        read(path)


def test_tau2_bench(tmp_path):
    rows = [
        {"id": f"s{g}-{t}", "task_id": str(g), "trial": t, "termination_reason": "user_stop",
         "reward_info": {"reward": r, "db_check": None}, "messages": []}
        for g, t, r in EACH
    ]  # fmt: skip
    rows[0].update(reward_info=None, termination_reason="infrastructure_error")
    document = {"timestamp": "x", "info": {}, "tasks": [{"id": "0"}], "simulations": rows}
    (tmp_path / "t.json").write_text(json.dumps(document))
    reading = read(tmp_path / "t.json")
    assert reading.format == "tau-bench"
    assert reading.counts.provenance.num_missing == 1
    assert reading.counts.group_size.sum() == 23


def test_swe_bench_reports_over_runs(tmp_path):
    ids = [f"repo__{g}" for g in range(6)]
    for t in range(4):
        right = [ids[g] for g in range(6) if VERDICTS[g, t]]
        failed = [ids[5]] if t == 3 else []
        wrong = [i for i in ids if i not in right and i not in failed]
        report = {
            "total_instances": 6, "submitted_ids": ids, "completed_ids": [*right, *wrong[1:]],
            "resolved_ids": right, "unresolved_ids": wrong[1:], "empty_patch_ids": wrong[:1],
            "error_ids": failed, "incomplete_ids": [], "schema_version": 2,
        }  # fmt: skip
        (tmp_path / f"model.run{t}.json").write_text(json.dumps(report))
    reading = read(tmp_path)
    assert reading.format == "swe-bench"
    assert reading.counts.num_correct.sum() == VERDICTS.sum()
    assert reading.counts.group_size.sum() == 23
    assert reading.counts.provenance.num_missing == 1


@pytest.mark.parametrize("form", ["runs", "one", "list"])
def test_opencompass(tmp_path, form):
    if form == "runs":
        details = [
            {"example_abbr": f"gsm8k_{g}", "pred": ["1"] * 4, "correct": [bool(v) for v in row]}
            for g, row in enumerate(VERDICTS)
        ]
    else:
        rows = [{"pred": "1", "answer": "2", "correct": bool(v)} for v in VERDICTS[:, 1]]
        details = rows if form == "list" else {str(i): r for i, r in enumerate(rows)}
    path = tmp_path / "gsm8k.json"
    path.write_text(json.dumps({"accuracy": 40.0, "details": details}))
    reading = read(path)
    assert reading.format == "opencompass"
    if form == "runs":
        assert groups(reading) == EXPECTED
    else:
        assert reading.counts.num_correct.tolist() == VERDICTS[:, 1].astype(int).tolist()


def promptfoo(provider="openai:m"):
    return [
        {"testIdx": 6 * t + g, "promptIdx": 0, "vars": {"q": g}, "prompt": {"raw": "say {{q}}"},
         "provider": {"id": provider}, "success": bool(r), "score": r, "failureReason": int(not r),
         "error": None if r else "Expected output to contain", "response": {"output": "x"}}
        for g, t, r in EACH
    ]  # fmt: skip


def test_promptfoo(tmp_path):
    rows = promptfoo()
    rows[0].update(failureReason=2, error="429", success=False)
    path = tmp_path / "out.json"
    path.write_text(json.dumps({"evalId": "e", "results": {"version": 3, "results": rows}}))
    reading = read(path)
    assert reading.format == "promptfoo"
    assert reading.counts.provenance.num_missing == 1
    assert reading.counts.group_size.sum() == 23
    both = promptfoo() + promptfoo("other:m")
    path.write_text(json.dumps({"results": {"results": both}}))
    with pytest.raises(ChoiceNeeded, match="--group-by provider"):
        read(path)
    assert len(read_all(path, ReadOptions(group_by="provider"))) == 2


def evalplus(samples):
    return {"date": "d", "hash": "h", "eval": {f"HumanEval/{g}": s for g, s in samples.items()}}


def test_evalplus_of_the_base_tests_alone(tmp_path):
    status = {True: "pass", False: "fail"}
    samples = {
        g: [{"base_status": status[bool(v)], "plus_status": None, "solution": "x"} for v in row]
        for g, row in enumerate(VERDICTS)
    }
    path = tmp_path / "eval_results.json"
    path.write_text(json.dumps(evalplus(samples)))
    reading = read(path)
    assert (reading.format, groups(reading)) == ("evalplus", EXPECTED)
    assert "--base-only" in reading.notes[0]
    assert reading.counts.provenance.verdict == "base tests"
    samples[0][0]["plus_status"] = "pass"
    path.write_text(json.dumps(evalplus(samples)))
    with pytest.raises(ChoiceNeeded, match="23 of 24 solutions; pass --score base"):
        read(path)


def test_evalplus_before_0_2_and_bigcodebench(tmp_path):
    path = tmp_path / "old.json"
    base = {g: {"nfiles": 4, "base": [["success", []]] * 4,
                "plus": [["success" if v else "fail", []] for v in row]}
            for g, row in enumerate(VERDICTS)}  # fmt: skip
    path.write_text(json.dumps(evalplus(base)))
    assert groups(read(path)) == EXPECTED
    one = {
        f"BigCodeBench/{g}": [
            {"task_id": g, "solution": f"{t}", "status": "pass" if v else "timeout", "details": {}}
            for t, v in enumerate(row)
        ]
        for g, row in enumerate(VERDICTS)
    }
    path.write_text(json.dumps({"date": "d", "eval": one}, indent=2))
    reading = read(path)
    assert (reading.format, groups(reading)) == ("bigcodebench", EXPECTED)
    assert "timed out and count as wrong" in reading.notes[0]
    assert reading.samples is not None
    assert reading.samples.text is not None


def lm_eval(filters, metric="exact_match"):
    return [
        {"doc_id": g, "resps": [["a"] * 4], "filtered_resps": ["a"], "filter": name,
         "metrics": [metric], metric: float(row[0])}
        for name in filters
        for g, row in enumerate(VERDICTS)
    ]  # fmt: skip


def test_lm_eval_as_an_array_and_the_vote_of_the_majority(tmp_path):
    path = tmp_path / "samples.json"
    path.write_text(json.dumps(lm_eval(["strict", "flexible"])))
    with pytest.raises(ChoiceNeeded, match="--filter"):
        read(path)
    reading = read(path, ReadOptions(filter="strict"))
    assert reading.counts.num_correct.tolist() == VERDICTS[:, 0].astype(int).tolist()
    path.write_text(json.dumps(lm_eval(["maj@4", "score-first"])))
    reading = read(path)
    assert reading.counts.num_correct.tolist() == VERDICTS[:, 0].astype(int).tolist()
    assert "maj@4 is a majority vote" in reading.notes[0]
    for options in (ReadOptions(filter="maj@4"), ReadOptions()):
        path.write_text(json.dumps(lm_eval(["maj@4"] + ["x"] * (options.filter is not None))))
        with pytest.raises(UserError, match="majority of the samples"):
            read(path, options)


def test_lighteval_of_a_majority_is_no_pass_at_1(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"doc": {"id": "0"}, "metric": {"maj@n:n=4": 1.0}, "model_response": {"text": ["a"] * 4}}
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    with pytest.raises(UserError, match="majority vote"):
        read(tmp_path / "d.parquet")


def test_a_folder_of_tasks_is_one_input_each(tmp_path):
    for task in ("gsm8k", "math"):
        lines(tmp_path / "model" / f"samples_{task}_2026.jsonl", lm_eval(["strict"]))
    (tmp_path / "model" / "results_2026.json").write_text('{"results": {"gsm8k": {"alias": "g"}}}')
    found = read_all(tmp_path)
    assert [r.label for r in found] == ["model/samples_gsm8k_2026.jsonl",
                                        "model/samples_math_2026.jsonl"]  # fmt: skip
    with pytest.raises(UserError, match="2 inputs"):
        read(tmp_path)


def test_trl_with_a_constant_extra_reward(tmp_path):
    """Float32 sums of equal rewards differ from their mean, and TRL divides that by 1e-4."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "completions"
    folder.mkdir()
    for step in range(1, 4):
        rows = []
        for g, row in enumerate(VERDICTS):
            for extra in (np.float32(0.22),):
                reward = row.astype(np.float32) + extra
                centred = reward - np.float32(0.22000001 if not row.any() else reward.mean())
                std = reward.std(ddof=1) if row.any() and not row.all() else np.float32(1e-8)
                rows += [
                    {"step": step, "prompt": f"p{step}-{g}", "completion": f"{i}",
                     "correct": float(v), "fmt": float(extra), "advantage": float(a)}
                    for i, (v, a) in enumerate(zip(row, centred / (std + 1e-4), strict=True))
                ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / f"completions_{step:05d}.parquet")
    reading = read(tmp_path, ReadOptions(score="correct"))
    assert groups(reading) == sorted(EXPECTED * 3)


def test_inspect_samples_with_an_error_have_no_verdict(tmp_path):
    samples = [
        {"id": g, "epoch": t + 1, "scores": {"match": {"value": "C" if r else "I"}},
         "error": {"message": "docker"} if (g, t) == (0, 0) else None}
        for g, t, r in EACH
    ]  # fmt: skip
    log = {"version": 2, "status": "success", "eval": {}, "samples": samples}
    (tmp_path / "a.json").write_text(json.dumps(log))
    reading = read(tmp_path / "a.json")
    assert reading.counts.provenance.num_missing == 1
    assert reading.counts.group_size.sum() == 23


def test_swe_bench_reports_of_two_models_are_asked_about(tmp_path):
    for name in ("a.run1", "b.run1"):
        report = {"resolved_ids": ["x"], "unresolved_ids": ["y"], "error_ids": []}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    with pytest.raises(ChoiceNeeded, match="2 reports of 2 models"):
        read(tmp_path)
    found = read_all(tmp_path, ReadOptions(group_by="file"))
    assert [r.label for r in found] == ["a.run1.json", "b.run1.json"]


def human_eval_rows(**more):
    return [
        {"task_id": f"HumanEval/{g}", "completion": f"return {g, t}", "passed": bool(v),
         "result": "passed" if v else "timed out", **more}
        for g, t, v in EACH
    ]  # fmt: skip


def test_human_eval_of_two_models_or_written_twice(tmp_path):
    path = lines(tmp_path / "t.jsonl", human_eval_rows())
    reading = read(path)
    assert (reading.format, groups(reading)) == ("human-eval", EXPECTED)
    assert "completions timed out and count as wrong" in reading.notes[0]
    assert len(reading.samples.starts) == 24
    with pytest.raises(ChoiceNeeded, match="--repeats drop"):
        read(lines(path, human_eval_rows() * 2))
    assert groups(read(path, ReadOptions(repeats="drop"))) == EXPECTED
    lines(path, human_eval_rows(model="a") + human_eval_rows(model="b"))
    with pytest.raises(ChoiceNeeded, match="--group-by model"):
        read(path)
    assert len(read_all(path, ReadOptions(group_by="model"))) == 2


def test_results_of_a_tool_that_were_written_twice(tmp_path):
    rows = [
        {"input": f"q{g}", "output": f"{g} {t}", "gts": "1", "score": r, "step": 1}
        for g, t, r in EACH
    ]
    assert groups(read(lines(tmp_path / "1.jsonl", rows))) == EXPECTED
    graded = [{"question_id": f"{i}", "graded_list": [bool(v) for v in row]}
              for i, row in enumerate(VERDICTS)]  # fmt: skip
    (tmp_path / "e.json").write_text(json.dumps(graded * 2))
    with pytest.raises(UserError, match="appears twice"):
        read(tmp_path / "e.json")


def test_cruxeval_with_answers_that_look_like_verdicts(tmp_path):
    scores = {f"sample_{g}": [bool(v) for v in row] for g, row in enumerate(VERDICTS)}
    texts = {key: ["1", "0", "True", f"[{key}]"] for key in scores}
    document = {"raw_generations": texts, "raw_scored_generations": scores, "pass_at_1": 40.0,
                "pass_at_5": 80.0}  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps(document))
    reading = read(tmp_path / "t.json")
    assert reading.format == "cruxeval"
    assert reading.counts.num_correct.tolist() == VERDICTS.sum(axis=1).tolist()
    assert set(reading.samples.starts) == {"1", "0", "True", *(f"[{key}]" for key in scores)}


@pytest.mark.parametrize("solution", [{}, {"solution": "so it is $2$"}])
def test_qwen_math_lists_beside_the_solution_of_the_data(tmp_path, solution):
    rows = [
        {"idx": g, "question": f"q{g}", "gt_cot": "so", "gt": "2", "type": "Algebra", **solution,
         "code": [f"{g} {t}" for t in range(4)], "pred": ["2"] * 4, "report": [None] * 4,
         "score": [bool(v) for v in row]}
        for g, row in enumerate(VERDICTS)
    ]  # fmt: skip
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read(tmp_path / "t.jsonl")
    assert reading.counts.num_correct.tolist() == VERDICTS.sum(axis=1).tolist()
    assert len(reading.samples.starts) == VERDICTS.size


def test_evalplus_0_1_as_its_source_writes_it(tmp_path):
    word = {0: "failed", 1: "success"}
    tasks = {
        f"HumanEval/{g}": {"nfiles": 4, "base": [[word[int(v)], [1, 0]] for v in row],
                           "plus": [[word[int(v)], [1]] for v in row]}
        for g, row in enumerate(VERDICTS)
    }  # fmt: skip
    (tmp_path / "t.json").write_text(json.dumps({"date": "x", "hash": "h", "eval": tasks}))
    assert read(tmp_path / "t.json").counts.num_correct.tolist() == VERDICTS.sum(axis=1).tolist()


def test_tau2_simulations_that_the_tool_does_not_count(tmp_path):
    rows = [
        {"id": f"s{g}-{t}", "task_id": str(g), "trial": t, "termination_reason": "agent_stop",
         "reward_info": {"reward": r}}
        for g, t, r in EACH
    ]  # fmt: skip
    rows[1].update(reward_info={"reward": 0.0}, termination_reason="context_window_exceeded")
    rows[2].update(reward_info={"reward": 0.0}, termination_reason="max_steps")
    (tmp_path / "t.json").write_text(json.dumps({"simulations": rows, "tasks": [], "info": {}}))
    assert read(tmp_path / "t.json").counts.group_size.sum() == 23
    kept = read(tmp_path / "t.json", ReadOptions(errors="wrong"))
    assert kept.counts.group_size.sum() == 24


@pytest.mark.parametrize("lines", [False, True])
def test_promptfoo_errors_of_the_grader_and_labels(tmp_path, lines):
    def row(g, t, r, label):
        return {
            "testIdx": 6 * t + g, "promptIdx": 0, "vars": {"q": g}, "prompt": {"raw": f"say {g}"},
            "provider": {"id": "openai:x", "label": label}, "success": bool(r), "score": float(r),
            "failureReason": 0 if r else 1, "response": {"output": f"{g} {t}"},
            "gradingResult": {"pass": bool(r), "score": float(r), "reason": "", "metadata": {}},
        }  # fmt: skip

    def write(rows):
        path = tmp_path / "t.jsonl"
        document = {"evalId": "e", "results": {"version": 3, "results": rows, "prompts": []}}
        path.write_text(
            "".join(json.dumps(r) + "\n" for r in rows) if lines else json.dumps(document)
        )
        return path

    rows = [row(g, t, r, "warm") for g, t, r in EACH]
    failed = {
        "success": False,
        "failureReason": 1,
        "gradingResult": {
            "pass": False,
            "componentResults": [{"pass": False, "metadata": {"graderError": True}}],
        },
    }
    rows[5] |= failed  # fmt: skip
    reading = read(write(rows))
    assert (reading.format, reading.counts.group_size.sum()) == ("promptfoo", 23)
    both = rows + [row(g, t, r, "cold") for g, t, r in EACH]
    with pytest.raises(ChoiceNeeded, match="column provider has 2 values"):
        read(write(both))


def test_a_group_of_areal_that_ended_under_two_versions_is_one(tmp_path):
    for task in range(6):
        for version in (7, 8):
            rows = [
                {"task_id": task, "sample_idx": i, "seqlen": 9, "prompt_len": 4, "head_version": 7,
                 "tail_version": version, "reward": float(i % 2), "prompt": f"q{task}",
                 "completion": f"{i}"}
                for i in range(2 * (version - 7), 2 * (version - 6))
            ]  # fmt: skip
            lines(tmp_path / "rollout" / f"{version}" / f"{task}.jsonl", rows)
    reading = read(tmp_path / "rollout")
    assert reading.format == "areal"
    assert reading.counts.group_size.tolist() == [4] * 6
    assert set(reading.counts.step.tolist()) == {8}
    assert any("6 groups ended under several versions" in note for note in reading.notes)


def test_flags_beside_the_rewards_of_swift_are_no_rewards(tmp_path):
    row = {
        "gen_step": [1] * 4, "prompt": ["a", "a", "b", "b"], "completion": list("wxyz"),
        "MathAccuracy": [1.0, 0.0, 0.0, 0.0], "is_truncated": [False, True, False, False],
        "advantages": [0.5, -0.5, 0.0, 0.0],
    }  # fmt: skip
    reading = read(lines(tmp_path / "completions.jsonl", [row]))
    assert (reading.format, reading.counts.num_correct.tolist()) == ("ms-swift", [1, 0])


def test_answers_without_verdicts_are_to_be_graded(tmp_path):
    row = {"idx": 0, "question": "q", "gt": "18", "code": ["c"], "pred": ["18"], "report": [None]}
    with pytest.raises(UserError, match="pred and gt hold answers"):
        read(lines(tmp_path / "t.jsonl", [row | {"idx": i} for i in range(3)]))


def test_the_filter_that_lm_eval_calls_none_can_be_asked_for(tmp_path):
    rows = [
        {"doc_id": i, "doc": {}, "target": "3", "resps": [["a"]], "filtered_resps": ["a"],
         "filter": name, "metrics": ["acc"], "acc": float(i % 2 == (name == "none"))}
        for i in range(4) for name in ("none", "math_verify")
    ]  # fmt: skip
    path = tmp_path / "samples_x.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(ChoiceNeeded, match="holds the filters math_verify, none; pass --filter"):
        read(path)
    assert read(path, ReadOptions(filter="none")).counts.num_correct.tolist() == [0, 1, 0, 1]
