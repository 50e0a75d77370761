"""Walls around the calling process: limits, no capabilities, landlock, seccomp.

Nothing here can be undone by the process that called it. Every failure is an OSError: a wall that
does not stand must stop the run, never pass in silence.
"""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import struct
import sys
from collections.abc import Sequence

from grpolab.validate.sandbox.child.filters import seccomp_program

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_DUMPABLE = 38, 22, 4

_CAPABILITIES, _NONE = struct.pack("=Ii", 0x20080522, 0), bytes(24)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl, _libc.capset  # noqa: B018 (found here once, not in every child)


def _call(name: str, *arguments: object) -> int:
    result = int(getattr(_libc, name)(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """Leave these namespaces for new ones; a pid namespace is for the next child."""
    _call("unshare", flags)


def enter(process: int, flags: int) -> None:
    """Enter these namespaces of a process, given as a pid file descriptor."""
    _call("setns", process, flags)


def set_limits(
    *, cpu_seconds: float, memory_bytes: int, file_bytes: int, threads: int | None
) -> None:
    """Hard limits; the CPU limit is the backstop of a finer clock, hence a second above.

    ``threads`` only where the process has a user namespace of its own: elsewhere the kernel counts
    every process of the user.
    """
    seconds = int(cpu_seconds) + 2
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_STACK: 64 << 20,
    }
    if threads is not None:
        wanted[resource.RLIMIT_NPROC] = threads + 3  # the program and two servers are counted
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def drop_capabilities() -> None:
    """No capability in any set, none through any later exec, and no view from other processes."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    _call("capset", _CAPABILITIES, _NONE)


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FIRST_ABI_RIGHTS = (1 << 13) - 1
_SCRATCH = _READ_FILE | _WRITE_FILE | _READ_DIR | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8)
"""Read, write, list, remove folders and files, make folders and files."""
_TCP, _SCOPES = 3, 3
"""Bind and connect; abstract sockets and signals."""


def landlock_abi() -> int:
    """Version of landlock in this kernel; OSError where there is none."""
    return _call("syscall", 444, None, 0, 1)


def file_rules(readable: Sequence[str], listable: Sequence[str], scratch: str = "") -> int:
    """Landlock rules, as a file descriptor: read below these, list below those, nothing else.

    Below ``scratch`` files may be written, too. Where the kernel knows them, TCP ports, signals to
    processes outside and abstract sockets of others are refused as well.
    """
    abi = landlock_abi()
    handled = _FIRST_ABI_RIGHTS
    for version, bit in ((2, 13), (3, 14), (5, 15)):
        handled |= (1 << bit) if abi >= version else 0
    words = [handled, *([_TCP] if abi >= 4 else []), *([_SCOPES] if abi >= 6 else [])]
    attribute = struct.pack(f"={len(words)}Q", *words)
    ruleset = _call("syscall", 444, attribute, ctypes.c_size_t(len(attribute)), 0)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _EXECUTE | (_READ_DIR if os.path.isdir(path) else 0))
    for path in listable:
        _allow(ruleset, path, _READ_DIR)
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    _allow(ruleset, "/dev/urandom", _READ_FILE)
    if scratch:
        _allow(ruleset, scratch, _SCRATCH | ((1 << 14) if abi >= 3 else 0))
    return ruleset


def restrict_files(rules: int) -> None:
    """Put the calling process under the rules of `file_rules`."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("syscall", 446, rules, 0)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rule = _Rule(access=access, fd=fd)
    _call("syscall", 445, ruleset, 1, ctypes.byref(rule), 0)
    os.close(fd)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))
    holder: object


@functools.cache
def prepare_filter(pid: int, *, receives: bool = False) -> _Filter:
    """The filter for a process of this number, ready to be installed; see `seccomp_program`."""
    code = seccomp_program(os.uname().machine, pid, receives=receives)
    holder = ctypes.create_string_buffer(code, len(code))
    made = _Filter(len(code) // 8, ctypes.cast(holder, ctypes.c_char_p))
    made.holder = holder
    return made


def filter_calls(*, receives: bool = False) -> None:
    """Install the filter for the calling process, which may not gain privileges any more."""
    program = ctypes.byref(prepare_filter(os.getpid(), receives=receives))
    _call("prctl", _PR_SET_SECCOMP, 2, program, 0, 0)


def leave_root() -> None:
    """Become nobody for good, where the caller is root and may change its user."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def require_linux() -> None:
    """OSError anywhere else."""
    if sys.platform != "linux":
        raise OSError(f"the sandbox needs Linux, this is {sys.platform}")
