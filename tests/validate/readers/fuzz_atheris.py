"""Coverage-guided fuzzing of the readers; not a test, run by hand for as long as one likes.

    pip install atheris
    python tests/validate/readers/fuzz_atheris.py corpus/ -max_total_time=600 -max_len=20000

A corpus folder that does not exist is filled from data/, from the inputs of test_bad_input.py and
from fuzz_corpus.zip, what earlier runs found; a test replays that file.
An input that raises anything but a UserError is written to the current folder; add it to
test_bad_input.py.
"""

import contextlib
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent


def fill(corpus: Path) -> None:
    """Seeds: every file that a tool wrote, and every input that once went wrong."""
    sys.path.insert(0, str(HERE))
    from test_bad_input import CORPUS
    from test_shapes import LISTS

    corpus.mkdir(parents=True)
    for i, path in enumerate(p for p in (HERE / "data").rglob("*") if p.is_file()):
        (corpus / f"seed-{i}").write_bytes(path.read_bytes())
    with zipfile.ZipFile(HERE / "fuzz_corpus.zip") as found:
        found.extractall(corpus)
    for i, layout in enumerate(LISTS.values()):
        (corpus / f"layout-{i}").write_text(layout())
    for i, (data, _) in enumerate(CORPUS.values()):
        (corpus / f"bad-{i}").write_bytes(data or b"PK")


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["grpolab.validate.readers"]):
        from grpolab.errors import UserError
        from grpolab.theory.groups import GroupCounts
        from grpolab.validate.readers import ReadOptions, read_all

    scratch = Path(tempfile.mkdtemp()) / "input"
    choices = (
        ReadOptions(),
        ReadOptions(score="correct", group_size=2, threshold=0.5),
        ReadOptions(group_by="none", errors="missing", repeats="drop"),
    )

    def one_input(data: bytes) -> None:
        if not data:
            return
        scratch.write_bytes(data)
        for options in choices:
            with contextlib.suppress(UserError):
                for reading in read_all(scratch, options):
                    assert isinstance(reading.counts, GroupCounts)

    folders = [Path(a) for a in sys.argv[1:] if not a.startswith("-")]
    if folders and not folders[0].exists():
        fill(folders[0])
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
