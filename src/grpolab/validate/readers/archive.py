"""Archives of several files, unpacked into a folder that is read as one."""

from __future__ import annotations

import contextlib
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from grpolab.errors import UserError, first_line
from grpolab.packed import refuse_bomb
from grpolab.validate.readers.arrays import is_numpy_archive

_TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz")
_OF_OTHERS = ("xl/workbook.xml", "header.json", "_journal/start.json")
"""Members of archives that are one file: spreadsheets and logs of inspect."""
_DAMAGE = (
    OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
"""What damaged archives raise; a version that is not supported is a RuntimeError."""


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of files, and no spreadsheet, log or arrays that are packed."""
    if path.name.lower().endswith(_TARS):
        return True
    with path.open("rb") as handle:
        if handle.read(4) != b"PK\x03\x04" or not zipfile.is_zipfile(path):
            return False
    with contextlib.suppress(*_DAMAGE), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return not is_numpy_archive(names) and not set(names).intersection(_OF_OTHERS)
    return False


def unpack(path: Path, folder: Path) -> None:
    """The files of an archive, below a folder; UserError where it is damaged or too large."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if _is_wanted(m.filename)]
                refuse_bomb(path, sum(m.file_size for m in members), path.stat().st_size)
                archive.extractall(folder, members)
            return
        with tarfile.open(path) as tar:
            files = [m for m in tar if m.isfile() and _is_wanted(m.name)]
            refuse_bomb(path, sum(m.size for m in files), path.stat().st_size)
            tar.extractall(folder, files, filter="data")
    except _DAMAGE as err:
        raise UserError(f"{path}: not an archive that can be read ({first_line(err)})") from None


def _is_wanted(name: str) -> bool:
    """Whether a member is a file of the user, not one of the system that packed it."""
    return not any(part.startswith(("__MACOSX", "._")) for part in name.split("/"))
