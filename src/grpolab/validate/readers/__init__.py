"""Files that other tools wrote, read into GroupCounts: one module and one `Format` per format.

`read` recognises a format by what is inside a file, not by its name.
"""

from __future__ import annotations

from pathlib import Path

from grpolab.errors import UserError
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
from grpolab.validate.readers.format import (
    ChoiceNeeded,
    Format,
    NoVerdicts,
    Reading,
    ReadOptions,
)
from grpolab.validate.readers.source import Sample, located

__all__ = ["FORMATS", "ChoiceNeeded", "Format", "NoVerdicts", "ReadOptions", "Reading", "read"]

FORMATS: tuple[Format, ...] = (
    evalplus.FORMAT,
    human_eval.FORMAT,
    inspect_log.FORMAT,
    lighteval.FORMAT,
    livecodebench.FORMAT,
    lm_eval.FORMAT,
    nemo_rl.FORMAT,
    open_instruct.FORMAT,
    prime_rl.FORMAT,
    trl_completions.FORMAT,
    verifiers_results.FORMAT,
    verl.FORMAT,
    grpolab_table.FORMAT,
    count_table.FORMAT,
    long_table.FORMAT,
)
"""All formats. Plain tables come last: their tests are the weakest."""
_BY_NAME = {format.name: format for format in FORMATS}

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
    if options.format not in ("auto", *_BY_NAME):
        raise UserError(f"unknown format {options.format!r}: use auto, {', '.join(_BY_NAME)}")
    files = _files(path)
    own = path / _GROUPS
    if own in files and options.format in ("auto", grpolab_table.FORMAT.name):
        files = [own]  # a folder of ours holds the rollouts, too
    format, chosen = _recognise(path, files, options)
    if len(chosen) > 1 and not format.many_files:
        names = ", ".join(str(p.relative_to(path)) for p in chosen[:4])
        raise UserError(f"{path}: {len(chosen)} {format.name} files ({names}, ...); give one")
    return format.reading(chosen, options)


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


def _recognise(path: Path, files: list[Path], options: ReadOptions) -> tuple[Format, list[Path]]:
    """The format of the files, and those that have it."""
    if path.is_file() and options.format != "auto":
        return _BY_NAME[options.format], files
    by_format: dict[str, list[Path]] = {}
    for file in files:
        with located(str(file)):
            format = _format_of(Sample(file), options)
        if format is not None:
            by_format.setdefault(format.name, []).append(file)
    if not by_format:
        raise UserError(f"{path}: {_unknown(files, options)}")
    if len(by_format) > 1:
        found = ", ".join(f"{len(v)} {k}" for k, v in by_format.items())
        why = f"files of several formats ({found})"
        raise ChoiceNeeded(str(path), why, option="format", choices=tuple(by_format))
    name, chosen = next(iter(by_format.items()))
    return _BY_NAME[name], chosen


def _format_of(sample: Sample, options: ReadOptions) -> Format | None:
    formats = FORMATS if options.format == "auto" else (_BY_NAME[options.format],)
    found = next((format for format in formats if format.detect(sample)), None)
    named = options.problem is not None and options.score is not None
    if found is None and options.format == "auto" and named:
        is_table = sample.has(options.problem or "", options.score or "")
        return long_table.FORMAT if is_table else None
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
