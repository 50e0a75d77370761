"""Files of other kinds, known by how they begin: what turns them into a table that is read."""

from __future__ import annotations

from pathlib import Path

from grpolab.errors import UserError

_PANDAS = "save it as parquet or csv (pandas' to_parquet, to_csv)"
_BINARY = (
    (b"SQLite format 3", "a database: sqlite3 -csv -header OLD 'SELECT * FROM NAME' > NEW.csv"),
    (b"\x80\x02", f"a pickle, which runs code where it is loaded: {_PANDAS}"),
    (b"\x80\x03", f"a pickle, which runs code where it is loaded: {_PANDAS}"),
    (b"\x80\x04", f"a pickle, which runs code where it is loaded: {_PANDAS}"),
    (b"\x80\x05", f"a pickle, which runs code where it is loaded: {_PANDAS}"),
    (b"\x89HDF", f"an HDF5 file: {_PANDAS}"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet (.xls): save it as xlsx or csv"),
    (b"ORC", f"an ORC file: {_PANDAS}"),
    (b"Obj\x01", f"an Avro file: {_PANDAS}"),
    (b"%PDF", "a PDF: copy its table into a csv"),
    (b"RDX", "a file of R: save its table with write.csv(TABLE, NAME, row.names = FALSE)"),
    (b"$FL2", f"a file of SPSS: {_PANDAS}"),
)  # fmt: skip
YAML = "YAML: convert it with yq -o json . OLD > NEW.json"
_HTML = "a web page: pandas.read_html(OLD)[0].to_csv(NEW, index=False) saves its first table"
_TEXT = (("<!doctype", _HTML), ("<html", _HTML), ("<table", _HTML))
_ENDINGS = {".yaml": YAML, ".yml": YAML, ".html": _HTML, ".htm": _HTML}


def refuse_foreign(path: Path) -> None:
    """UserError for a file of another kind, with the command that converts it."""
    with path.open("rb") as stream:
        head = stream.read(16)
    advice = next((text for start, text in _BINARY if head.startswith(start)), None)
    begins = head.decode("utf-8", errors="replace").strip().lower()
    advice = advice or next((text for start, text in _TEXT if begins.startswith(start)), None)
    advice = advice or _ENDINGS.get(path.suffix.lower())
    if advice:
        raise UserError(f"{path}: {advice}")
