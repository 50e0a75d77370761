"""The filter of system calls: an allow-list, searched as a tree, with conditions on arguments."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

from grpolab.validate.sandbox.child.syscalls import ARCHITECTURES, RECVMSG, allowed, conditional

_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_DONE_NOTHING = 0x00050000
"""The call returns 0 and changes nothing."""
_LOAD, _EQUAL, _ABOVE, _FROM, _AND, _RETURN, _JUMP = 0x20, 0x15, 0x25, 0x35, 0x54, 0x06, 0x05

_CLONE_THREAD = 0x00010000
_SIGKILL = 9
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
_F_SETFL, _O_ASYNC = 4, 0x2000
_FCNTLS = (0, 1, 2, 3, 5, 6, 7, 1030, 1032)
"""Duplicating, flags, locks, the size of a pipe: not F_SETOWN, F_SETSIG, F_NOTIFY, F_SETLEASE."""
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""isatty, window size, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: not FIOASYNC, FIOSETOWN, SIOCSPGRP."""


def _statement(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


_YES, _NO = _statement(_RETURN, _ALLOW), _statement(_RETURN, _EPERM)


def _low(argument: int) -> bytes:
    """Load the low half of an argument (both architectures are little-endian)."""
    return _statement(_LOAD, 16 + 8 * argument)


def _high(argument: int) -> bytes:
    return _statement(_LOAD, 20 + 8 * argument)


def _among(values: Sequence[int], then: bytes, otherwise: bytes) -> bytes:
    """``then`` when the loaded word is one of ``values``, else ``otherwise``; both return."""
    skip = len(otherwise) // 8
    tests = [_statement(_EQUAL, v, len(values) - 1 - i + skip, 0) for i, v in enumerate(values)]
    return b"".join(tests) + otherwise + then


def _masked(mask: int, value: int, then: bytes, otherwise: bytes) -> bytes:
    """``then`` when the loaded word under a mask is ``value``."""
    return _statement(_AND, mask) + _among([value], then, otherwise)


def _null(argument: int, then: bytes, otherwise: bytes) -> bytes:
    """``then`` when a pointer is null."""
    inner = _high(argument) + _among([0], then, otherwise)
    return _low(argument) + _among([0], inner, otherwise)


def _conditions(pid: int) -> dict[str, bytes]:
    """What decides on the calls whose arguments matter; each ends in a return.

    A limit that a program sets for itself is not set: the kernel's SIGKILL at a CPU limit of the
    program's own choice would look like a kill from outside.
    """
    mortal = _among([_SIGKILL], _NO, _YES)
    flags = _low(2) + _masked(_O_ASYNC, 0, _YES, _NO)
    return {
        "kill": _low(0) + _among([pid], _low(1) + mortal, _NO),
        "tgkill": _low(0) + _among([pid], _low(2) + mortal, _NO),
        "prlimit64": _low(0)
        + _among([0, pid], _null(2, _YES, _statement(_RETURN, _DONE_NOTHING)), _NO),
        "setrlimit": _statement(_RETURN, _DONE_NOTHING),
        "ioctl": _low(1) + _among(_IOCTLS, _YES, _NO),
        "fcntl": _low(1) + _among([_F_SETFL], flags, _among(_FCNTLS, _YES, _NO)),
        "clone": _low(0) + _masked(_CLONE_THREAD, _CLONE_THREAD, _YES, _NO),
        "clone3": _statement(_RETURN, _ENOSYS),  # the C library then uses clone
        "socketpair": _low(0)
        + _among([_AF_UNIX], _low(1) + _masked(_SOCK_TYPE, _SOCK_STREAM, _YES, _NO), _NO),
        "sendto": _null(4, _YES, _NO),
    }


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _tree(leaves: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Find the leaf (first, last, body) of the loaded number; refuse where there is none."""
    if len(leaves) == 1:
        ((first, last, body),) = leaves
        return (
            _statement(_FROM, first, 0, 1) + _statement(_ABOVE, last, 0, 1) + _NO + body
        )  # fmt: skip
    middle = len(leaves) // 2
    left, right = _tree(leaves[:middle]), _tree(leaves[middle:])
    fork = _statement(_FROM, leaves[middle][0], 0, 1) + _statement(_JUMP, len(left) // 8)
    return fork + left + right


@functools.cache
def seccomp_program(machine: str, pid: int, *, receives: bool = False) -> bytes:
    """The filter for a process ``pid``.

    ``receives``: it may be given file descriptors, which no process of a program may.
    """
    if machine not in ARCHITECTURES:
        raise OSError(f"no list of system calls for {machine}")
    arch, column = ARCHITECTURES[machine]
    calls, conditions = conditional(column), _conditions(pid)
    leaves = [(first, last, _YES) for first, last in _ranges(list(allowed(column).values()))]
    leaves += [(number, number, conditions[name]) for name, number in calls.items()]
    if receives:
        leaves += [(RECVMSG[column], RECVMSG[column], _YES)]
    return (
        _statement(_LOAD, 4)
        + _statement(_EQUAL, arch, 1, 0)
        + _statement(_RETURN, _KILL)
        + _statement(_LOAD, 0)
        + _tree(sorted(leaves))
    )
