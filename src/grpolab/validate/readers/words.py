"""Names of columns and words for verdicts, as tools and people write them.

Names are compared without case and without anything but letters and digits, so that ``problem_id``,
``Problem ID`` and ``problemId`` are one name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

PROBLEM = (
    "problem_id", "prompt_id", "task_id", "question_id", "example_id", "doc_id", "instance_id",
    "item_id", "query_id", "qid", "pid", "problem_idx", "prompt_idx", "task_idx", "question_idx",
    "example_idx", "doc_idx", "problem_index", "prompt_index", "question_index", "task_hash",
    "task_index", "doc_index", "ng_task_index",
    "prompt_hash", "problem_hash", "problem_name", "unique_id", "test_id", "case_id", "data_id",
)  # fmt: skip
"""Names that a problem has in tables, the surest first."""
WEAK = ("problem", "prompt", "id", "idx", "index", "uid", "uuid", "key", "name", "item", "example")
"""Names that a problem may have, or a row."""
TEXT_OF_PROBLEM = (
    "question", "query", "input_prompt", "input", "instruction", "instructions", "task",
    "user_prompt", "question_text", "prompt_text", "problem_text", "problem_statement",
)  # fmt: skip
"""Columns that hold the text of a problem; taken where no id is there."""
ABOUT_PROBLEM = (
    "meta", "metadata", "info", "extra_info", "doc", "document", "example", "problem", "task",
    "prompt", "question", "item", "data", "instance", "input", "test", "test_case", "case", "row",
)  # fmt: skip
"""Objects that hold the id of a problem."""
PART_OF_PROBLEM = (
    "subject", "dataset", "dataset_name", "data_source", "subset", "category", "benchmark",
    "task_name", "task_type", "domain", "language", "lang", "topic", "env", "env_id", "env_class",
    "source", "suite", "subtask", "config_name",
)  # fmt: skip
"""Columns beside which ids begin anew; they belong to the name of a problem."""
SCORE = (
    "correct", "passed", "is_correct", "pass", "solved", "is_solved", "success", "is_success",
    "successful", "resolved", "is_resolved", "exact_match", "is_right", "right", "is_passed",
    "answer_correct", "correctness", "reward", "total_reward", "final_reward", "score",
    "acc", "accuracy", "verdict", "judgement", "judgment", "outcome", "result", "grade", "graded",
    "ok", "status", "raw_score", "rewards", "scores", "verdicts", "results", "graded_list",
    "grades", "outcomes",
)  # fmt: skip
"""Names of the verdict of one completion."""
GOLD = (
    "gold", "gold_answer", "target", "reference", "reference_answer", "ground_truth",
    "ground_truth_answer", "gt", "correct_answer", "expected", "expected_answer",
    "expected_output",
)  # fmt: skip
"""Columns with the right answer of a problem."""
TIMES = (
    "count", "counts", "cnt", "freq", "frequency", "times", "occurrences", "n", "num", "size",
    "count(*)", "count_star()", "weight", "multiplicity",
)  # fmt: skip
"""Columns that say how many samples a row stands for."""
GROUP = ("group_id", "group", "group_idx", "group_index")
STEP = (
    "step", "global_step", "training_step", "train_step", "iteration", "gen_step", "tail_version",
    "policy_version", "weight_version",
)  # fmt: skip
SAMPLE = (
    "sample", "sample_id", "sample_idx", "sample_index", "sample_number", "completion_id",
    "completion_idx", "completion_index", "response_id", "response_idx", "rollout_id",
    "rollout_idx", "rollout_index", "generation_id", "generation_idx", "gen_id", "gen_idx",
    "replicate", "repeat", "repetition", "rep", "trial", "trial_id", "trial_idx", "attempt",
    "ng_rollout_index", "attempt_id", "attempt_idx", "traj_idx", "trajectory_id", "try", "draw",
)  # fmt: skip
"""Columns that number the samples of a problem."""
SEED = (
    "seed", "run", "run_id", "run_idx", "epoch", "iter", "random_seed", "rng_seed",
    "sampling_seed", "random_state",
)  # fmt: skip
"""Columns that number samples where a value has one per problem, and policies or runs otherwise."""
POLICY = (
    "model", "model_name", "model_id", "model_path", "model_name_or_path", "checkpoint", "ckpt",
    "checkpoint_path", "policy", "policy_name", "adapter", "lora", "revision", "engine", "llm",
    "agent", "agent_name", "provider", "provider_id", "generator", "temperature", "temp", "top_p",
    "top_k", "sampling_params", "max_tokens", "max_new_tokens", "prompt_template",
    "system_prompt", "reasoning_effort",
)  # fmt: skip
"""Columns that say what was sampled and how: two values of them are two policies."""
SECTION = "section"
"""The column of the keys above tables whose rows name their problems."""
GRADER = ("filter", "metric", "metric_name", "scorer", "grader", "judge", "verifier", "reward_fn")
"""Columns that say who graded: one completion has a row for each."""
BEST_OF = (
    "max_k", "pass_at", "pass_at_k", "at_k", "best_of", "best_of_n", "bon", "maj_at", "maj_k", "k",
    "n_votes", "num_votes", "budget", "top_n",
)  # fmt: skip
"""Columns that say of how many samples a verdict is the best, or the majority."""
NEUTRAL = (
    "worker", "worker_id", "rank", "local_rank", "gpu", "device", "host", "hostname", "node",
    "shard", "shard_id", "batch", "batch_id", "batch_idx", "chunk", "pid", "process", "timestamp",
    "created", "date", "time",
)  # fmt: skip
"""Columns that say where or when a sample was drawn."""
ERROR = (
    "error", "errors", "error_message", "error_msg", "error_type", "exception", "exc", "exc_info",
    "traceback", "is_error", "has_error", "errored", "timed_out", "aborted", "infra_error",
    "harness_error", "system_error", "grader_error", "failed_to_run", "failure_reason",
    "fail_reason", "failure", "error_reason", "error_code", "error_info", "error_detail",
    "error_details", "err", "err_msg", "exception_type", "exception_message",
)  # fmt: skip
"""Columns that say that a sample has no verdict, whatever its score is."""
_ERROR_WORDS = frozenset((
    "error", "errors", "errored", "err", "exception", "exceptions", "exc", "traceback", "crash",
    "crashed", "aborted", "timeout", "outage", "skipped", "ungraded", "unscored", "missing",
))  # fmt: skip
_MEASURES = frozenset((
    "rate", "count", "num", "n", "no", "number", "mean", "avg", "std", "standard", "squared",
    "relative", "abs", "absolute", "max", "min", "margin", "percent", "pct", "prob", "loss",
    "total", "analysis", "budget", "limit", "tolerance", "bar", "s", "sec", "secs", "seconds", "ms",
))  # fmt: skip
"""Words beside an error in the names of measurements and settings."""
UNSET = (
    "is_graded", "was_graded", "scored", "is_scored", "evaluated", "is_evaluated", "judged",
    "has_verdict", "has_score", "has_result", "valid", "is_valid", "completed", "is_completed",
    "finished", "is_finished", "complete", "is_complete", "terminated_normally",
)  # fmt: skip
"""Columns that say by false that a sample may have no verdict."""
STATUS = ("status", "state", "stop_reason", "finish_reason", "exit_status", "termination_reason")
HTTP = ("status_code", "http_status", "http_code", "http_status_code", "response_code")
"""Columns with the answer of a server."""
FAILED = frozenset((
    "error", "errored", "exception", "crashed", "crash", "aborted", "abort", "cancelled",
    "canceled", "infrastructure_error", "infra_error", "system_error", "internal_error",
    "environment_error", "env_error", "unexpected_error", "api_error",
))  # fmt: skip
"""Values of a status that say that there is no verdict."""
AT_FAULT = (
    "wrong_answer", "wrong", "incorrect", "mismatch", "output_mismatch", "compile_error",
    "compilation_error", "compilation_failed", "runtime_error", "test_failed", "tests_failed",
    "failed_test", "assertion", "no_answer", "parse", "parsing", "could_not_parse",
    "failed_to_parse", "expected", "segmentation_fault", "presentation_error", "failed_assertion",
)  # fmt: skip
"""How an error begins that says that the answer is wrong."""
MAYBE = frozenset((
    "failed", "failure", "fail", "incomplete", "killed", "oom", "out_of_memory", "interrupted",
    "terminated", "unfinished", "invalid", "skipped", "not_run", "not_started", "running",
    "pending",
))  # fmt: skip
"""Values of a status that say so where samples without them are wrong, too."""
LATE = frozenset(("timeout", "timed_out", "time_out", "time_limit", "time_limit_exceeded"))
"""Values of a status that may be the fault of a program or of the harness."""
COMPLETION = (
    "completion", "response", "output", "output_response", "generation", "solution", "text",
    "generated_text", "model_output", "answer_text", "code", "generated_code", "raw_output",
    "completion_text", "output_text", "completions", "responses", "generations", "outputs",
)  # fmt: skip
"""Columns that hold what was drawn."""
OF_SAMPLES = frozenset((
    "attempt", "attempts", "sample", "samples", "completion", "completions", "rollout", "rollouts",
    "trial", "trials", "run", "runs", "result", "results", "generation", "generations", "response",
    "responses", "output", "outputs", "trajectory", "trajectories", "episode", "episodes",
    "solution", "solutions", "answer", "answers", "tries", "draws", "candidates", "traces",
))  # fmt: skip
"""Words of lists with one object per sample of a problem."""
OF_ONE_SAMPLE = frozenset((
    "message", "messages", "step", "steps", "turn", "turns", "test", "tests", "case", "cases",
    "check", "checks", "criteria", "criterion", "rubric", "rubrics", "assertion", "assertions",
    "tool", "tools", "call", "calls", "action", "actions", "subtask", "subtasks", "event", "events",
    "unit", "conversation", "conversations", "chat", "observations", "metrics", "scorers", "judges",
))  # fmt: skip
"""Words of lists with several objects of one sample: its tests, its messages."""
CORRECT = (
    "num_correct", "n_correct", "correct_count", "count_correct", "num_samples_correct",
    "n_samples_correct", "num_passed", "n_passed", "num_pass", "n_pass", "passed_count",
    "pass_count", "num_solved", "n_solved", "solved_count", "num_success", "n_success",
    "num_successes", "n_successes", "successes", "success_count", "correct_samples",
    "correct_rollouts", "num_resolved", "n_resolved", "n_right", "num_right", "passes", "hits",
    "correct_n", "wins", "c",
)  # fmt: skip
"""Columns with the number of correct samples of a problem."""
TOTAL = (
    "num_samples", "n_samples", "num_total", "n_total", "group_size", "num_rollouts", "n_rollouts",
    "num_trials", "n_trials", "num_attempts", "n_attempts", "num_generations", "n_generations",
    "num_completions", "n_completions", "num_responses", "n_responses", "num_draws", "n_draws",
    "num_runs", "n_runs", "total_samples", "total_count", "sample_count", "num_tries", "n_tries",
    "total", "rollouts", "trials", "attempts", "samples", "n", "k", "count",
)  # fmt: skip
"""Columns with the number of samples of a problem."""
WITHOUT = (
    "num_errors", "n_errors", "error_count", "errors", "num_error", "n_error", "num_errored",
    "n_errored", "num_failed_to_run", "num_missing", "n_missing", "num_timeouts", "n_timeouts",
    "num_timeout", "n_timeout", "num_invalid", "n_invalid", "num_unscored", "n_unscored",
)  # fmt: skip
"""Columns with the number of samples of a problem that may have no verdict."""
LOOSE_CORRECT = ("correct", "passed", "solved", "success", "resolved", "right", "pass")
"""Numbers of correct samples beside a total, or the verdict of one completion."""
RATE = (
    "accuracy", "acc", "pass_rate", "success_rate", "solve_rate", "solved_rate", "correct_rate",
    "mean_reward", "avg_reward", "mean_score", "avg_score", "avg_acc", "mean_acc", "mean_accuracy",
    "avg_accuracy", "rate", "pass@1", "pass_at_1", "percent_correct", "pct_correct", "frac_correct",
)  # fmt: skip
"""Shares of correct samples of a problem."""


@lru_cache(maxsize=4096)
def squeezed(name: str) -> str:
    """A name without case, blanks and marks.

    >>> squeezed("Num. Samples Correct"), squeezed("pass@1")
    ('numsamplescorrect', 'pass@1')
    """
    return re.sub(r"[^\w@]|_", "", name.lower())


def find(candidates: Iterable[str], names: Iterable[str]) -> str | None:
    """The first of the candidates that is among the names of a table, as it is written there.

    >>> find(("task_id", "id"), ("ID", "Task ID", "n"))
    'Task ID'
    """
    return next(iter(find_all(candidates, names)), None)


def find_all(candidates: Iterable[str], names: Iterable[str]) -> list[str]:
    """All candidates among the names, in the order of the candidates."""
    present: dict[str, str] = {}
    for name in names:
        present.setdefault(squeezed(name), name)
    exact = {name: name for name in present.values()}
    found = (exact.get(c) or present.get(squeezed(c)) for c in candidates)
    return list(dict.fromkeys(name for name in found if name is not None))


def is_one_of(name: str, candidates: Sequence[str]) -> bool:
    """Whether a column has one of the names."""
    return squeezed(name) in {squeezed(c) for c in candidates}


def words_of(name: str) -> list[str]:
    """The words of a name in lower case.

    >>> words_of("errorMessage"), words_of("is_timed-out")
    (['error', 'message'], ['is', 'timed', 'out'])
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[\W_]+", apart.lower()) if word]


def is_error(name: str) -> bool:
    """Whether a column says that a sample has no verdict: a known name, or one made of its words.

    >>> is_error("judge_error"), is_error("error_rate"), is_error("terror"), is_error("timeout_s")
    (True, False, False, False)
    """
    words = words_of(name)
    made = not _ERROR_WORDS.isdisjoint(words) or "_timed_out" in f"_{'_'.join(words)}"
    return is_one_of(name, ERROR) or (made and _MEASURES.isdisjoint(words))


def is_status(name: str) -> bool:
    """Whether a column says how the sampling or the grading of a sample went.

    >>> is_status("grader_status"), is_status("state"), is_status("statement")
    (True, True, False)
    """
    return is_one_of(name, STATUS) or words_of(name)[-1:] in (["status"], ["state"])
