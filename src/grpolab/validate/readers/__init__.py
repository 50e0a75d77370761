"""Files that other tools wrote, read into GroupCounts: one module and one `Format` per format.

`read` recognises a format by what is inside a file, not by its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.validate.readers import (
    areal,
    atropos,
    count_table,
    cruxeval,
    evalplus,
    grpolab_table,
    human_eval,
    inspect_log,
    lighteval,
    livecodebench,
    lm_eval,
    long_table,
    ms_swift,
    nemo_rl,
    open_instruct,
    opencompass,
    prime_rl,
    promptfoo,
    rllm,
    skyrl,
    swe_bench,
    tau_bench,
    tinker,
    torchtitan,
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
    Samples,
    single,
)
from grpolab.validate.readers.given import frame_in_memory, is_path, on_disk
from grpolab.validate.readers.source import PLAIN, Remarks, Sample, located
from grpolab.validate.readers.unknown import why_unknown
from grpolab.validate.readers.views import as_meant

__all__ = [
    "FORMATS", "ChoiceNeeded", "Format", "NoVerdicts", "ReadOptions", "Reading", "Samples", "read",
    "read_all",
]  # fmt: skip

FORMATS: tuple[Format, ...] = (
    evalplus.FORMAT,
    evalplus.BIGCODEBENCH,
    cruxeval.FORMAT,
    human_eval.FORMAT,
    inspect_log.FORMAT,
    lighteval.FORMAT,
    livecodebench.FORMAT,
    lm_eval.FORMAT,
    opencompass.FORMAT,
    promptfoo.FORMAT,
    swe_bench.FORMAT,
    tau_bench.FORMAT,
    areal.FORMAT,
    atropos.FORMAT,
    ms_swift.FORMAT,
    nemo_rl.FORMAT,
    open_instruct.FORMAT,
    prime_rl.FORMAT,
    rllm.FORMAT,
    skyrl.FORMAT,
    tinker.FORMAT,
    torchtitan.FORMAT,
    trl_completions.FORMAT,
    verifiers_results.FORMAT,
    verl.FORMAT,
    grpolab_table.FORMAT,
    count_table.FORMAT,
    long_table.FORMAT,
)
"""All formats. Plain tables come last: their tests are the weakest."""
_BY_NAME = {format.name: format for format in FORMATS}

_ENDINGS = (
    ".parquet", ".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".eval", ".xlsx", ".gz", ".zst",
    ".bz2", ".xz", ".arrow", ".feather",
)  # fmt: skip
_MAX_FILES = 5000
_GROUPS = "groups.parquet"


def read(source: Any, options: ReadOptions | None = None) -> Reading:
    r"""Read a file, a folder of files that another tool wrote, or a table in memory.

    In a folder, files that are no table of verdicts (configurations, metrics) are passed over, and
    all others must be of one format; in a folder of grpolab the table of groups stands for all.

    Parameters
    ----------
    source : Path, str or table
        File or folder, ``-`` for standard input, or a table of pandas, polars, Arrow and all that
        speak the Arrow PyCapsule protocol (``__arrow_c_stream__``).
    options : ReadOptions, optional
        Format, columns and metric where they cannot be recognised.

    Returns
    -------
    Reading
        ``counts`` (a GroupCounts), the name of the ``format``, and ``notes`` for the reader.

    Raises
    ------
    UserError
        What is wrong, where, and what to do; also where the source is several inputs (`read_all`).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "counts.csv"
    ...     _ = file.write_text("problem,num_correct,group_size\na,3,4\nb,0,4\n")
    ...     read(file).counts.num_correct.tolist()
    [3, 0]
    """
    return single(read_all(source, options), str(source) if is_path(source) else "table")


def read_all(source: Any, options: ReadOptions | None = None) -> list[Reading]:
    """Read every input of a source: `read` for several tasks of a folder or policies of a file.

    A folder of logs that are one input each gives one reading per file, ``group_by`` one per value
    of a column; ``label`` tells them apart.

    Parameters
    ----------
    source : Path, str or table
        As for `read`.
    options : ReadOptions, optional
        Format, columns and metric where they cannot be recognised.

    Returns
    -------
    list of Reading
        At least one.

    Raises
    ------
    UserError
        What is wrong, where, and what to do.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = pa.table({"id": [1, 1, 1, 1], "model": list("aabb"), "correct": [1, 0, 1, 1]})
    >>> for reading in read_all(rows, ReadOptions(group_by="model")):
    ...     print(reading.label, reading.counts.num_correct.tolist())
    model=a [1]
    model=b [2]
    """
    options = options or ReadOptions()
    if not is_path(source):
        return _read_table(source, options)
    if options.format not in ("auto", *_BY_NAME):
        raise UserError(f"unknown format {options.format!r}: use auto, {', '.join(_BY_NAME)}")
    with on_disk(source) as given:
        return [given.called(reading) for reading in _read_path(given.path, options)]


def _read_table(data: Any, options: ReadOptions) -> list[Reading]:
    remarks = Remarks()
    frame = as_meant(frame_in_memory(data))
    counts = options.num_correct is not None or (
        options.score is None and count_table.fits(frame.names, frame.head)
    )
    with located(frame.where):
        if counts:
            parts, name = count_table.read_frame(frame, options, remarks), count_table.FORMAT.name
        else:
            frame = long_table.as_rows(frame, options)
            parts = long_table.read_frames([frame], options, remarks, where=frame.where)
            name = long_table.FORMAT.name
    notes = remarks.said()
    return [Reading(p.counts, name, (*notes, *p.notes), 0, p.samples, p.label) for p in parts]


def _read_path(path: Path, options: ReadOptions) -> list[Reading]:
    files = _files(path)
    own = path / _GROUPS
    if own in files and options.format in ("auto", grpolab_table.FORMAT.name):
        files = [own]  # a folder of ours holds the rollouts, too
    format, chosen = _recognise(path, files, options)
    if format.many_files or len(chosen) == 1:
        return format.readings(chosen, options)
    found = []
    for file in chosen:
        label = str(file.relative_to(path))
        found += [
            r._replace(label=f"{label} {r.label}".strip()) for r in format.readings([file], options)
        ]
    return found


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
    aside: dict[str, list[Path]] = {}  # tables in JSON documents: perhaps a summary, or settings
    for file in files:
        with located(str(file)):
            sample = Sample(file)
            format = _format_of(sample, options)
            if format is not None:
                plain = format in (count_table.FORMAT, long_table.FORMAT)
                whole = sample.kind == "json" or (sample.is_document and file.suffix == ".json")
                kept = aside if plain and whole else by_format
                kept.setdefault(format.name, []).append(file)
    by_format = by_format or aside
    if not by_format:
        raise UserError(f"{path}: {why_unknown(path, files, options)}")
    if len(by_format) > 1:
        found = ", ".join(f"{len(v)} {k}" for k, v in by_format.items())
        why = f"files of several formats ({found})"
        raise ChoiceNeeded(str(path), why, option="format", choices=tuple(by_format))
    name, chosen = next(iter(by_format.items()))
    return _BY_NAME[name], chosen


def _format_of(sample: Sample, options: ReadOptions) -> Format | None:
    formats = FORMATS if options.format == "auto" else (_BY_NAME[options.format],)
    if options.format == "auto" and options.num_correct is not None:
        return count_table.FORMAT if count_table.could_be(sample, options) else None
    if options.format == "auto" and options.num_samples is not None and options.score is None:
        return count_table.FORMAT if count_table.could_be(sample, options) else None
    if sample.kind in PLAIN:  # no tool writes its records so
        formats = tuple(f for f in formats if f in (count_table.FORMAT, long_table.FORMAT))
    found = next((format for format in formats if format.detect(sample)), None)
    if options.format != "auto":
        return found
    if found is count_table.FORMAT and options.score is not None:
        found = None
    named = (options.problem, options.score, options.group)
    if found is None and any(name is not None for name in named):
        return long_table.FORMAT if long_table.could_be(sample, options) else None
    return found
