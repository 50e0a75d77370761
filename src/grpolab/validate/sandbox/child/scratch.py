"""The private folder of a program: emptied after it, whatever it left there."""

from __future__ import annotations

import itertools
import os

_MANY = 4096
"""Files and folders beyond which a program has too many."""


def empty(path: str) -> None:
    """Remove all that is below a folder, in steps that no depth and no mode can stop.

    A folder's entries are moved to the top before it is removed, so that nothing is ever walked
    deeper than one level. OSError where something stays.
    """
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    free = itertools.count()
    try:
        while names := os.listdir(top):
            for name in names:
                try:
                    os.unlink(name, dir_fd=top)
                except OSError:
                    _flatten(top, name, free)
    finally:
        os.close(top)


def _flatten(top: int, name: str, free: itertools.count[int]) -> None:
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for entry in os.listdir(inner):
            place = next(p for i in free if not _exists(p := f".{i}", top))
            try:
                os.rename(entry, place, src_dir_fd=inner, dst_dir_fd=top)
            except PermissionError:  # a folder that may not be written cannot change its parent
                os.chmod(entry, 0o700, dir_fd=inner)
                os.rename(entry, place, src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _exists(name: str, top: int) -> bool:
    try:
        os.lstat(name, dir_fd=top)
    except FileNotFoundError:
        return False
    return True


def size(path: str, *, enough: int) -> int:
    """Bytes below a folder, or more than ``enough`` where they or the files are too many."""
    total, seen, waiting = 0, 0, [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    total += entry.stat(follow_symlinks=False).st_size
                    if total > enough or seen > _MANY:
                        return enough + 1
        except FileNotFoundError:
            continue
        except OSError:  # a path too long to walk, or a folder that hides its content
            return enough + 1
    return total
