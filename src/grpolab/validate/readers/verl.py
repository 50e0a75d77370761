"""verl rollout dumps: ``{step}.jsonl`` of both trainers.

The older trainer writes no group id and reorders the rows, so a group is a (step, input) pair, and
two copies of one prompt in one batch cannot be told apart. The newer one writes
``uid = {sample}_{session}_{output}``; a session with several outputs is one rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grpolab.errors import UserError
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.readers import over_files
from grpolab.validate.readers.columns import Codes, Column, encoded, scores, texts_of, whole_numbers
from grpolab.validate.readers.format import Format, Part, ReadOptions
from grpolab.validate.readers.frame import LinesFrame
from grpolab.validate.readers.gather import Piece
from grpolab.validate.readers.repeats import chosen
from grpolab.validate.readers.source import Remarks, Sample
from grpolab.validate.readers.verdicts import count_piece, whole


def recognises(sample: Sample) -> bool:
    """Rows with input, output and score."""
    return sample.kind == "jsonl" and sample.has("input", "output", "score")


class _Rows(NamedTuple):
    """One file: its samples, what was trained on, and outputs that later ones replace."""

    piece: Piece
    trained: FloatArray
    repeated: int


def read(paths: Sequence[Path], options: ReadOptions, remarks: Remarks) -> list[Part]:
    """Verdict: the asked field, else ``acc`` where there is one, else ``score``."""
    files = sorted(paths, key=lambda p: (len(p.stem), p.stem))
    found = [_file(path, options, remarks) for path in files]
    repeated = sum(rows.repeated for rows in found)
    if repeated:
        remarks.add(f"{repeated} outputs belong to a session with a later output, which counts")
    piece = over_files.pooled([rows.piece for rows in found], [str(path) for path in files])
    _note_collisions(piece, options, remarks)
    source = str(paths[0] if len(paths) == 1 else paths[0].parent)
    learned = np.concatenate([rows.trained for rows in found])
    return count_piece(piece, source, options, remarks, learned=learned)


def _file(path: Path, options: ReadOptions, remarks: Remarks) -> _Rows:
    frame = LinesFrame(path, remarks)
    name = options.score or ("acc" if "acc" in frame.names else "score")
    more = [n for n in ("score", "step", "uid", "output") if n in frame.names and n != name]
    columns = frame.columns(("input", name, *more), ("input", name))
    _require_text(columns["input"], frame)
    problem, score = encoded(columns["input"]), scores(columns[name], frame.place, name)
    lost = np.flatnonzero(problem.code < 0)
    if len(lost):
        raise UserError(f"{frame.place(int(lost[0]))}: input must be text, got none")
    step = (
        whole_numbers(columns["step"], name="step", place=frame.place)
        if "step" in columns
        else np.full(len(score), whole(path.stem.partition(".")[0], name="step", where=f"{path}:1"))
    )
    piece = Piece(
        problem=problem, score=score, place=frame.place, step=step, label=name,
        group=Codes(problem.code, problem.values),
        text=texts_of(columns["output"]) if "output" in columns else None,
    )  # fmt: skip
    trained = scores(columns["score"], frame.place) if "score" in columns else score
    if "uid" not in columns:
        return _Rows(piece, trained, 0)
    piece.group, session = _sessions(columns["uid"], problem, frame)
    steps = np.unique(step, return_inverse=True)[1]
    key = session * (int(steps.max()) + 1) + steps
    _, last = np.unique(key[::-1], return_index=True)
    keep = np.sort(len(key) - 1 - last)
    return _Rows(chosen(piece, keep), trained[keep], len(key) - len(keep))


def _require_text(column: Column, frame: LinesFrame) -> None:
    import pyarrow as pa

    if not isinstance(column, list) and pa.types.is_string(column.type):
        return
    for row, value in enumerate(column if isinstance(column, list) else column.to_pylist()):
        if not isinstance(value, str):
            raise UserError(f"{frame.place(row)}: input must be text, got {value!r:.40}")


def _sessions(column: Column, problem: Codes, frame: LinesFrame) -> tuple[Codes, IntArray]:
    """The sample of every row, and its session; a row without uid is a session of its prompt."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, list):
        column = pa.chunked_array([[None if v is None else str(v) for v in column]], pa.string())
    column = column.cast(pa.string())
    fits = pc.match_substring_regex(column, "_[^_]*_[^_]*$").fill_null(True).to_numpy()
    if not fits.all():
        row = int(np.argmin(fits))
        value = column[row].as_py()
        where = frame.place(row)
        raise UserError(f"{where}: uid must read sample_session_output, got {value!r:.40}")
    sample = encoded(pc.replace_substring_regex(column, "_[^_]*_[^_]*$", ""))
    session = encoded(pc.replace_substring_regex(column, "_[^_]*$", ""))
    none = ~column.is_valid().to_numpy()
    code = np.where(none, len(sample.values) + problem.code, sample.code)
    own = len(session.values) + np.arange(len(none))
    return Codes(code, [*sample.values, *problem.values]), np.where(none, own, session.code)


def _note_collisions(piece: Piece, options: ReadOptions, remarks: Remarks) -> None:
    """Without uid, a prompt that is twice in a batch makes one group of double size."""
    if piece.group is None or piece.step is None or not len(piece.score):
        return
    steps = np.unique(piece.step, return_inverse=True)[1]
    key = piece.group.code * (int(steps.max()) + 1) + steps
    sizes = np.unique(key, return_counts=True)[1]
    usual = options.group_size or Counter(sizes.tolist()).most_common(1)[0][0]
    merged, short = int((sizes > usual).sum()), int((sizes < usual).sum())
    if merged:
        remarks.add(
            f"{merged} groups hold more than {usual} rollouts: a prompt drawn twice in a step"
        )
    if short:
        remarks.add(f"{short} groups hold fewer than {usual} rollouts")


FORMAT = Format(
    name="verl",
    tool="verl",
    files="`rollout_data_dir` or `validation_data_dir`",
    tested_on="records built from its source",
    detect=recognises,
    read=read,
    options=("score", "group_size"),
    many_files=True,
)
