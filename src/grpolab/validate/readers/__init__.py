"""Files that other tools wrote, read into GroupCounts: one module per format.

`read` recognises a format by what is inside a file, not by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from grpolab.errors import UserError
from grpolab.theory.groups import GroupCounts
from grpolab.validate.readers import (
    count_table,
    evalplus,
    grpolab_table,
    human_eval,
    inspect_log,
    lighteval,
    livecodebench,
    lm_eval,
    long_table,
    nemo_rl,
    open_instruct,
    prime_rl,
    trl_completions,
    verifiers_results,
    verl,
)
from grpolab.validate.readers.source import Sample, located
from grpolab.validate.readers.verdicts import Reading, ReadOptions

__all__ = ["FORMATS", "ReadOptions", "Reading", "read"]

# plain tables come last: their tests are the weakest
_MODULES: tuple[ModuleType, ...] = (
    grpolab_table,
    evalplus,
    human_eval,
    inspect_log,
    lighteval,
    livecodebench,
    lm_eval,
    nemo_rl,
    open_instruct,
    prime_rl,
    trl_completions,
    verifiers_results,
    verl,
    count_table,
    long_table,
)
FORMATS: dict[str, ModuleType] = {module.FORMAT: module for module in _MODULES}

_ENDINGS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".eval", ".gz", ".zst")
_MAX_FILES = 5000
_GROUPS = "groups.parquet"


def read(path: Path | str, options: ReadOptions | None = None) -> Reading:
    r"""Read a file or a folder of files that another tool wrote.

    In a folder, files that are no table of verdicts (configurations, metrics) are passed over, and
    all others must be of one format; in a folder of grpolab the table of groups stands for all.

    Parameters
    ----------
    path : Path or str
        File or folder.
    options : ReadOptions, optional
        Format, columns and metric where they cannot be recognised.

    Returns
    -------
    Reading
        ``counts`` (a GroupCounts), the name of the ``format``, and ``notes`` for the reader.

    Raises
    ------
    UserError
        What is wrong, where, and what to do.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "counts.csv"
    ...     _ = file.write_text("problem,num_correct,group_size\na,3,4\nb,0,4\n")
    ...     read(file).counts.num_correct.tolist()
    [3, 0]
    """
    options = options or ReadOptions()
    path = Path(path)
    if options.format not in ("auto", *FORMATS):
        raise UserError(f"unknown format {options.format!r}: use auto, {', '.join(FORMATS)}")
    files = _files(path)
    own = path / _GROUPS
    if own in files and options.format in ("auto", grpolab_table.FORMAT):
        files = [own]  # a folder of ours holds the rollouts, too
    module, chosen = _recognise(path, files, options)
    if len(chosen) > 1 and not module.MANY_FILES:
        names = ", ".join(str(p.relative_to(path)) for p in chosen[:4])
        raise UserError(f"{path}: {len(chosen)} {module.FORMAT} files ({names}, ...); give one")
    notes: list[str] = []
    counts = _call(module, chosen, options, notes)
    return Reading(counts, module.FORMAT, tuple(notes))


def _call(
    module: Any, paths: Sequence[Path], options: ReadOptions, notes: list[str]
) -> GroupCounts:
    with located(str(paths[0])):
        counts: GroupCounts = module.read(paths, options, notes)
    return counts


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.stat().st_size == 0:
            raise UserError(f"{path}: the file is empty")
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    found = sorted(
        p for p in path.rglob("*") if p.suffix in _ENDINGS and p.is_file() and p.stat().st_size
    )
    if not found:
        raise UserError(f"{path}: no files ending in {', '.join(_ENDINGS)}")
    if len(found) > _MAX_FILES:
        raise UserError(f"{path}: {len(found)} files; give a folder with at most {_MAX_FILES}")
    return found


def _recognise(
    path: Path, files: list[Path], options: ReadOptions
) -> tuple[ModuleType, list[Path]]:
    if path.is_file() and options.format != "auto":
        return FORMATS[options.format], files
    by_format: dict[str, list[Path]] = {}
    for file in files:
        with located(str(file)):
            module = _format_of(Sample(file), options)
        if module is not None:
            by_format.setdefault(module.FORMAT, []).append(file)
    if not by_format:
        raise UserError(f"{path}: {_unknown(files, options)}")
    if len(by_format) > 1:
        found = ", ".join(f"{len(v)} {k}" for k, v in by_format.items())
        raise UserError(f"{path}: files of several formats ({found}); pass --format")
    name, chosen = next(iter(by_format.items()))
    return FORMATS[name], chosen


def _format_of(sample: Sample, options: ReadOptions) -> ModuleType | None:
    modules = _MODULES if options.format == "auto" else (FORMATS[options.format],)
    found = next((m for m in modules if m.recognises(sample)), None)
    named = options.problem is not None and options.score is not None
    if found is None and options.format == "auto" and named:
        return long_table if sample.has(options.problem or "", options.score or "") else None
    return found


_HINTS = (
    (("log_history",), "a trainer_state.json holds no verdicts; give the completions folder"),
    (("step", "data"), "a metrics log holds no verdicts; give the rollout_data_dir"),
    (("config", "pass_at_k"), "only aggregates are in this file"),
)  # fmt: skip


def _unknown(files: list[Path], options: ReadOptions) -> str:
    """Why nothing was recognised, from the first file."""
    if options.format != "auto":
        return f"not a file of format {options.format}"
    sample = Sample(files[0])
    for keys, hint in _HINTS:
        if sample.has(*keys):
            return hint
    head = sample.head
    if isinstance(head, dict) and "config" in head and len(head) > 1:
        inner = [v for k, v in head.items() if k != "config"]
        if all(isinstance(v, dict) and any(str(k).startswith("pass@") for k in v) for v in inner):
            return "bigcode metrics hold aggregates only; re-run the generations with a grader"
    if sample.kind == "csv" and any(_is_number(key) for key in sample.keys):
        return "the first line holds data, not column names; add a line such as problem_id,correct"
    present = ", ".join(sorted(sample.keys)[:12]) or "none"
    return (
        f"format not recognised (keys: {present});"
        " name the columns with --problem NAME and --score NAME"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
