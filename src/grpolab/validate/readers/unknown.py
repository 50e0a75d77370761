"""Why nothing was recognised in a file: what was seen, what is missing, the option that helps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grpolab.validate.readers.count_columns import are_shares, is_share
from grpolab.validate.readers.format import ReadOptions
from grpolab.validate.readers.shapes import frame_of
from grpolab.validate.readers.source import Remarks, Sample, is_number, no_table
from grpolab.validate.readers.verdict_columns import common_name, families, fields, known_score
from grpolab.validate.readers.verdict_words import fraction_of
from grpolab.validate.readers.views import COLUMNS, ROW, problem_columns
from grpolab.validate.readers.words import GOLD, PROBLEM, SCORE, TEXT_OF_PROBLEM, WEAK, find

_KINDS = 4  # kinds of files that a refusal names
_HINTS = (
    (("log_history",), "a trainer_state.json holds no verdicts; give the completions folder"),
    (("step", "data"), "a metrics log holds no verdicts; give the rollout_data_dir"),
    (("config", "pass_at_k"), "only aggregates are in this file"),
)  # fmt: skip


def why_unknown(path: Path, files: Sequence[Path], options: ReadOptions) -> str:
    """Why nothing was recognised: what every kind of file holds, and the option that helps."""
    if options.format != "auto":
        return f"not a file of format {options.format}"
    sample = Sample(files[0])
    if len(files) == 1:
        for keys, hint in _HINTS:
            if sample.has(*keys):
                return hint
    head = sample.head
    if isinstance(head, dict) and "config" in head and len(head) > 1:
        inner = [v for k, v in head.items() if k != "config"]
        if all(isinstance(v, dict) and any(str(k).startswith("pass@") for k in v) for v in inner):
            return "bigcode metrics hold aggregates only; re-run the generations with a grader"
    if sample.kind == "csv" and any(is_number(key) for key in sample.keys):
        return "the first line holds data, not column names; add a line such as problem_id,correct"
    if sample.kind == "unknown" and len(files) == 1:
        return no_table(*sample.first_lines)
    return f"format not recognised ({_seen(path, files)}); {_missing(sample, options)}"


def _seen(path: Path, files: Sequence[Path]) -> str:
    """The keys of the files; those of every kind of file in a folder."""
    kinds: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        kinds.setdefault(tuple(sorted(Sample(file).keys)[:12]), []).append(file)
    if len(files) == 1:
        return f"keys: {', '.join(next(iter(kinds))) or 'none'}"
    shown = [
        f"{paths[0].relative_to(path)}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}:"
        f" {', '.join(keys) or 'no keys'}"
        for keys, paths in list(kinds.items())[:_KINDS]
    ]
    return "; ".join(shown)


def _missing(sample: Sample, options: ReadOptions) -> str:
    """What a table would need, and the option that names it."""
    frame = frame_of(sample, Remarks(), fits=lambda names, head: True)
    if frame is None or (sample.is_document and _is_of_lists(sample.head)):
        return _no_rows(sample.head)
    names, head = frame.names, frame.head
    is_column = options.problem not in (None, COLUMNS, ROW)
    wanted = options.problem if is_column else options.score
    if wanted is not None and wanted not in names:
        return f"no column {wanted!r}; name one that is there"
    problem = options.problem or find((*PROBLEM, *WEAK, *TEXT_OF_PROBLEM), names)
    score = options.score or next(iter(known_score(names, head)), None)
    held = problem_columns([n for n in names if n != problem], head)
    if problem and not score:
        return _no_verdict(problem, names, head, held)
    if score and not problem:
        return (
            "a column with the problem is missing: --problem NAME, or --problem row (or columns)"
            " where every row (every column) is a problem"
        )
    if len(held) > 1:
        return (
            f"{held[0]} to {held[-1]} hold verdicts: pass --problem columns where every column is a"
            " problem, or --score NAME of one column"
        )
    return "name the columns with --problem NAME and --score NAME"


def _no_verdict(
    problem: str, names: Sequence[str], head: Sequence[Mapping[str, Any]], held: Sequence[str]
) -> str:
    """What to do where a table has problems, and no column that is known to hold verdicts."""
    given = find(("pred", "preds", "prediction", "predicted", "predicted_answer"), names)
    gold = find(GOLD, names)
    if given and gold:
        return (
            f"{given} and {gold} hold answers, and no column says which of them are right: grade"
            " them, and pass --score NAME of the verdicts"
        )
    if len(held) > 1:
        return (
            f"{', '.join(held[:3])} hold verdicts: pass --score NAME of one column, or --score"
            f" {','.join(held[:2])},... where they are samples of one policy"
        )
    rates = next((m for m in families(names) if any(are_shares(n, head) for n in m)), None)
    if rates:
        return (
            f"{rates[0]} to {rates[-1]} hold numbers from 0 to 1, no verdicts: pass --num-correct"
            f" {rates[0]} --num-samples N where each is the share of N samples, or --score"
            f" {shlex.quote(common_name(rates))} --threshold T where each is the score of one"
        )
    inner = next((f"{n}[].{key}" for n in names if (key := find(SCORE, fields(n, head)))), None)
    if inner:
        return (
            f"{inner} is of the tests, turns or judges of one sample: add a column with one verdict"
            f" per sample, or pass --score '{inner}' where each is a sample"
        )
    parts = next((n for n in names if _are_fractions(n, head)), None)
    if parts:
        return (
            f"{parts} holds numbers of samples such as 3/8: pass --num-correct {shlex.quote(parts)}"
        )
    share = next((n for n in names if is_share(n) or are_shares(n, head)), None)
    ids = [str(row.get(problem)) for row in head]
    if share and len(set(ids)) < len(ids):
        named = shlex.quote(share)
        return f"{share} holds scores that are no verdicts: pass --score {named} --threshold T"
    if share:
        named = shlex.quote(share)
        return f"{share} is a share: pass --num-correct {named} --num-samples NAME (or a number)"
    return (
        "a column with the verdict is missing: --score NAME, or for counts"
        " --num-correct NAME --num-samples NAME"
    )


def _are_fractions(name: str, head: Sequence[Mapping[str, Any]]) -> bool:
    values = [v for row in head if (v := row.get(name)) not in (None, "")]
    return bool(values) and all(isinstance(v, str) and fraction_of(v) for v in values)


def _is_of_lists(value: Any) -> bool:
    """Whether a document has nothing but lists under names that no column has."""
    known = (*PROBLEM, *WEAK, *TEXT_OF_PROBLEM, *SCORE)
    is_lists = isinstance(value, dict) and all(isinstance(v, list) for v in value.values())
    return is_lists and find(known, value) is None


def _no_rows(value: Any) -> str:
    """What a JSON value without a table is, and how to write it."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inner, list) and inner and all(isinstance(v, list) for v in inner):
        if isinstance(value, dict):
            return (
                f"lists such as {inner[0]!s:.40} are no verdicts: write counts as"
                ' {"id": {"correct": 3, "total": 8}}, verdicts as lists of 0 and 1'
            )
        return "rows without names: write records (pandas' to_json with orient='records')"
    if isinstance(inner, list) and inner and not any(isinstance(v, list | dict) for v in inner):
        return "single values, and nothing says which of them are of one problem"
    return "name the columns with --problem NAME and --score NAME"
