"""The words of a path decide nothing: a run reads the same wherever it lies."""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from run_files import DOWN, NONE, SOME, WRITERS, age, lines

import grpolab
from grpolab.errors import UserError
from grpolab.validate.monitor.follow import Follower, find_source
from grpolab.validate.readers import ReadOptions, read

SRC = Path(grpolab.__file__).parent
READING = [
    path
    for names in ("*.py", "validate/monitor/*.py", "validate/readers/*.py", "cli/monitor.py")
    for path in SRC.glob(names)
]
"""Modules that a look at a run passes through."""
LONGEST = 200  # bytes of one folder's name; file systems allow 255
TOGETHER = 3500  # bytes of a path; Linux allows 4096


def phrases(modules: Sequence[Path]) -> list[str]:
    """Every text of the modules that has several words or is a flag, docstrings left out."""
    found: dict[str, None] = {}
    for path in sorted(modules):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in docs:
                continue
            if isinstance(node.value, str) and (" " in node.value or node.value[:2] == "--"):
                words = " ".join(node.value.replace("/", " ").replace("\0", " ").split())
                found[words.encode()[:LONGEST].decode(errors="ignore")] = None
    return [phrase for phrase in found if phrase.strip(". ")]


def folders(names: list[str]) -> Iterator[Path]:
    """Nested folders that use up all names."""
    path = Path()
    for name in names:
        if len(str(path / name).encode()) > TOGETHER:
            yield path
            path = Path()
        path = path / name
    yield path


def write(folder: Path, trainer: str) -> None:
    """Steps with a signal, with none, not graded, graded in part, and one that is cut off."""
    partly = [[0, 1, None, 1], [None, 0, 0, 0]]
    WRITERS[trainer](folder, {1: SOME, 2: NONE, 3: DOWN, 4: SOME, 5: partly})
    for path in sorted(folder.rglob("*.jsonl")):
        if path.parent.name == "rollouts" and path.stem == "4":
            path.write_text(path.read_text()[:-10])
        age(path, 100)


def told(folder: Path, trainer: str) -> tuple[object, ...]:
    """All that a look at the run says, without the name of its folder."""
    found = Follower(find_source(folder)).look()
    notes = [note.replace(str(folder), "RUN") for note in found.notes]
    return found.trainer, found.history, notes


@pytest.mark.parametrize("trainer", WRITERS)
def test_no_message_in_the_path_changes_what_is_read(tmp_path: Path, trainer: str) -> None:
    write(tmp_path / "plain", trainer)
    expected = told(tmp_path / "plain", trainer)
    assert len(expected[1]) >= 4
    for place in folders(["cut off", "no sample has a verdict", *phrases(READING)]):
        folder = tmp_path / place / "run"
        write(folder, trainer)
        assert told(folder, trainer) == expected, place


def test_the_phrases_are_those_of_the_messages() -> None:
    said = phrases(READING)
    for phrase in ("is cut off and was left out", "no sample has a verdict", "--once"):
        assert any(phrase in text for text in said), phrase
    assert __doc__ not in phrases([Path(__file__)])


def test_no_message_in_the_path_turns_a_broken_file_into_a_choice(tmp_path: Path) -> None:
    folder = tmp_path / "pass --score NAME" / "no sample has a verdict" / "--threshold"
    lines(folder / "rollouts" / "1.jsonl", [{"input": "p", "output": "o", "score": "good"}] * 2)
    age(folder / "rollouts" / "1.jsonl", 100)
    found = Follower(find_source(folder)).look()
    assert found.monitor.state.num_unseen == 0
    assert [note.replace(str(folder), "RUN") for note in found.notes] == [
        "RUN/rollouts/1.jsonl:1: score must be a number or a word such as true/false or pass/fail,"
        " got 'good'"
    ]


def test_a_folder_reads_the_same_whatever_it_is_called(tmp_path: Path) -> None:
    row = {"input": "p", "output": "o", "score": 1.0, "step": 1}
    for name in ("plain", "last line is cut off", "no sample has a verdict; pass --score"):
        lines(tmp_path / name / "1.jsonl", [row, {**row, "score": 0.0}])
        reading = read(tmp_path / name)
        assert (reading.counts.num_correct.tolist(), reading.cut_off) == ([1], 0)
        lines(tmp_path / name / "1.jsonl", [{**row, "score": "good"}])
        with pytest.raises(UserError) as caught:
            read(tmp_path / name, ReadOptions(format="verl"))
        assert type(caught.value) is UserError
