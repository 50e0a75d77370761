"""Walls around the calling process: limits, no capabilities, landlock, seccomp.

Nothing here can be undone by the process that called it. Every failure is an OSError: a wall that
does not stand must stop the run, never pass in silence.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence

from grpolab.validate.sandbox.child.syscalls import ARCHITECTURES, allowed, conditional

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
_CLONE_THREAD = 0x00010000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # isatty, window size, FION*, FIO*CLEX

_libc = ctypes.CDLL(None, use_errno=True)


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


def set_limits(*, cpu_seconds: float, memory_bytes: int, threads: int | None) -> None:
    """Hard limits; the CPU limit is the backstop of a finer clock, hence a second above.

    ``threads`` only where the process has a user namespace of its own: elsewhere the kernel counts
    every process of the user.
    """
    seconds = int(cpu_seconds) + 2
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: 0,
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
    """No capability in any set, and none through any later exec."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    _call("capset", header, bytes(24))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int32))


_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FIRST_ABI_RIGHTS = (1 << 13) - 1


def landlock_abi() -> int:
    """Version of landlock in this kernel; OSError where there is none."""
    return _call("syscall", 444, None, 0, 1)


def file_rules(readable: Sequence[str], listable: Sequence[str]) -> int:
    """Landlock rules, as a file descriptor: read below these, list below those, nothing else."""
    abi = landlock_abi()
    handled = _FIRST_ABI_RIGHTS
    for version, bit in ((2, 13), (3, 14), (5, 15)):
        handled |= (1 << bit) if abi >= version else 0
    attribute = struct.pack("=Q", handled)
    ruleset = _call("syscall", 444, attribute, ctypes.c_size_t(len(attribute)), 0)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | _EXECUTE | (_READ_DIR if os.path.isdir(path) else 0))
    for path in listable:
        _allow(ruleset, path, _READ_DIR)
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    _allow(ruleset, "/dev/urandom", _READ_FILE)
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


def _statement(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


_LOAD, _EQUAL, _ABOVE, _AND, _RETURN = 0x20, 0x15, 0x25, 0x54, 0x06


def _low(argument: int) -> bytes:
    """Load the low half of an argument (both architectures are little-endian)."""
    return _statement(_LOAD, 16 + 8 * argument)


def _when(number: int, body: bytes) -> bytes:
    """``body``, which always returns, where the loaded call number is this one."""
    return _statement(_EQUAL, number, 0, len(body) // 8) + body


def _one_of(argument: int, values: Sequence[int]) -> bytes:
    """Allow when the argument is one of ``values``, else refuse."""
    tests = [
        _statement(_EQUAL, value, len(values) - i, 0) for i, value in enumerate(values)
    ]  # a match jumps over the remaining tests and the refusal
    return (
        _low(argument) + b"".join(tests) + _statement(_RETURN, _EPERM) + _statement(_RETURN, _ALLOW)
    )


def seccomp_program(machine: str, pid: int) -> bytes:
    """The filter for a process ``pid``: an allow-list, with conditions on a few arguments."""
    if machine not in ARCHITECTURES:
        raise OSError(f"no list of system calls for {machine}")
    arch, column = ARCHITECTURES[machine]
    calls = conditional(column)
    threads_only = (
        _low(0)
        + _statement(_AND, _CLONE_THREAD)
        + _statement(_EQUAL, _CLONE_THREAD, 1, 0)
        + _statement(_RETURN, _EPERM)
        + _statement(_RETURN, _ALLOW)
    )
    parts = [
        _statement(_LOAD, 4),
        _statement(_EQUAL, arch, 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, 0),
        _when(calls["kill"], _one_of(0, [pid])),
        _when(calls["tgkill"], _one_of(0, [pid])),
        _when(calls["prlimit64"], _one_of(0, [0, pid])),
        _when(calls["ioctl"], _one_of(1, _IOCTLS)),
        _when(calls["clone"], threads_only),
        _when(calls["clone3"], _statement(_RETURN, _ENOSYS)),  # the C library then uses clone
    ]
    numbers = sorted(allowed(column).values())
    parts += [_when(number, _statement(_RETURN, _ALLOW)) for number in numbers]
    return b"".join(parts) + _statement(_RETURN, _EPERM)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def filter_calls() -> None:
    """Install the filter for the calling process."""
    code = seccomp_program(platform.machine(), os.getpid())
    holder = ctypes.create_string_buffer(code, len(code))
    program = _Filter(len(code) // 8, ctypes.cast(holder, ctypes.c_char_p))
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)


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
