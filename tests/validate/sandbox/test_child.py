"""Plain data, comparison, frames and the filter of system calls."""

from __future__ import annotations

import math
import os
import socket
import struct
import unittest
from collections import Counter, OrderedDict, namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.validate.sandbox.child.compare import same_value
from grpolab.validate.sandbox.child.filters import seccomp_program
from grpolab.validate.sandbox.child.frames import (
    Broken,
    read_frame,
    receive_job,
    send_job,
    write_frame,
)
from grpolab.validate.sandbox.child.syscalls import ARCHITECTURES, allowed, conditional
from grpolab.validate.sandbox.child.values import decode, dumps, encode, loads

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.decimals(allow_nan=False) | st.fractions() | st.dates() | st.datetimes()
    | st.timedeltas() | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.integers() | st.text() | st.tuples(st.booleans(), st.text())
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner) | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
    max_leaves=12,
)  # fmt: skip


def exactly(a: Any, b: Any) -> bool:
    """Equal, type by type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(exactly, a, b))
    if isinstance(a, dict):
        return exactly(list(a), list(b)) and all(exactly(a[k], b[k]) for k in a)
    return bool(a == b)


@settings(deadline=None, derandomize=True)
@given(VALUES)
def test_values_survive_the_journey(value: Any) -> None:
    back = decode(loads(dumps(encode(value))))
    assert exactly(back, value)
    assert same_value(back, value)


def test_lone_surrogates_big_ints_and_nan_survive() -> None:
    value = ["\ud800\x00", 10**5000, -(1 << 63), 1 << 63]
    assert exactly(decode(loads(dumps(encode(value)))), value)
    assert math.isnan(decode(loads(dumps(encode(math.nan)))))


def test_subclasses_lose_their_methods() -> None:
    class Liar(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    pair = namedtuple("pair", "x y")
    values = [Liar("a"), Counter("aab"), OrderedDict(b=1), pair(1, 2), True]
    back = decode(encode(values))
    assert exactly(back, ["a", Counter("aab"), OrderedDict(b=1), (1, 2), True])


@pytest.mark.parametrize("value", [object(), [len], {"a": object()}, unittest.TestCase])
def test_other_objects_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not plain data"):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [{}, {"a": 1, "b": 2}, {"int": "x"}, {"nope": 1}, {"dict": [[[1], 2]]}, {"set": [{"set": []}]}],
)
def test_bad_data_is_refused(data: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        decode(data)


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (1, 1.0, True), (1.0, 1, True), (True, 1, False), (0, False, False), (True, True, True),
        ([1, (2, 3)], ([1, [2, 3]]), True), ([1], [1, 2], False), ("a", "a", True),
        (math.nan, math.nan, True), (math.nan, 1.0, False), (1.0, math.nan, False),
        (math.inf, math.inf, True), (math.inf, 1e308, False), (10**400, 1.0, False),
        (10**400, 10**400, True), ({1: [True]}, {1: [1]}, False), ({1}, {1.0}, True),
        ({(1, True)}, {(1, 1)}, False), (None, None, True), (None, 0, False),
        ({"a": 1.0}, {"a": 1.0 + 1e-9}, True), (1.0, 1 + 1e-3, False), (2, 2 + 1e-9, True),
        (2 + 1e-9, 2, False), ("1", 1, False), (b"a", "a", False), ({}, [], False), ([], (), True),
        ({1: 2}, {1: 2, 3: 4}, False), (frozenset({1}), {1}, True),
    ],
)  # fmt: skip
def test_same_value(got: object, expected: object, same: bool) -> None:
    assert same_value(got, expected, tolerance=1e-6) is same


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.binary(max_size=200_000))
def test_frames_survive_the_journey(payload: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        write_frame(left.fileno(), payload)
        assert read_frame(right.fileno(), cap=len(payload)) == payload
        left.setblocking(False)
        with pytest.raises(Broken):  # more than fits while nobody reads
            write_frame(left.fileno(), bytes(1 << 25))


def test_frames_are_capped_and_end_with_the_stream() -> None:
    left, right = socket.socketpair()
    with right:
        with left:
            write_frame(left.fileno(), b"12345")
            with pytest.raises(Broken, match="5 bytes, more than 4"):
                read_frame(right.fileno(), cap=4)
        read = os.read(right.fileno(), 5)
        assert read == b"12345"
        with pytest.raises(Broken, match="end of stream"):
            read_frame(right.fileno(), cap=4)


def test_jobs_carry_descriptors() -> None:
    left, right = socket.socketpair()
    reader, writer = os.pipe()
    with left, right:
        send_job(left, b"x" * 1000, [writer])
        os.close(writer)
        payload, (received,) = receive_job(right)
        assert payload == b"x" * 1000
        os.write(received, b"y")
        assert os.read(reader, 1) == b"y"
        os.close(received)
        os.close(reader)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises(Broken):
            receive_job(right)


ALLOW, REFUSE, ABSENT, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
IGNORE = 0x00050000


def decide(code: bytes, *, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    """Run a filter, as the kernel would, on one call."""
    words = [*args, *[0] * (6 - len(args))]
    data = struct.pack("<iIQ6Q", number, arch, 0, *words)
    program = list(struct.iter_unpack("=HBBI", code))
    accumulator = at = 0
    while True:
        op, yes, no, value = program[at]
        at += 1
        if op == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif op == 0x54:
            accumulator &= value
        elif op == 0x15:
            at += yes if accumulator == value else no
        elif op == 0x25:
            at += yes if accumulator > value else no
        elif op == 0x35:
            at += yes if accumulator >= value else no
        elif op == 0x05:
            at += value
        else:
            assert op == 0x06
            return int(value)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_filter_decides_as_listed(machine: str) -> None:
    arch, column = ARCHITECTURES[machine]
    code = seccomp_program(machine, 77)
    assert len(code) // 8 < 4096
    free, asked = allowed(column), conditional(column)
    assert not set(free.values()) & set(asked.values())
    for number in {*range(600), 0x40000000, 0x40000001} - set(asked.values()):
        verdict = decide(code, arch=arch, number=number)
        assert verdict == (ALLOW if number in free.values() else REFUSE), number
    assert decide(code, arch=arch ^ 1, number=0) == KILL


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("call", "args", "verdict"),
    [
        ("kill", (77,), ALLOW), ("kill", (78,), REFUSE), ("kill", (2**32 - 1,), REFUSE),
        ("kill", (0,), REFUSE), ("tgkill", (77, 99), ALLOW), ("tgkill", (1, 77), REFUSE),
        ("prlimit64", (0,), ALLOW), ("prlimit64", (77,), ALLOW), ("prlimit64", (1,), REFUSE),
        ("ioctl", (0, 0x5401), ALLOW), ("ioctl", (0, 0x5421), ALLOW),
        ("ioctl", (0, 0x5451), ALLOW), ("ioctl", (0, 0x5412), REFUSE),  # TIOCSTI
        ("clone", (0x3D0F00,), ALLOW), ("clone", (0x01200011,), REFUSE), ("clone", (17,), REFUSE),
        ("clone", (0x10000011,), REFUSE), ("clone3", (0,), ABSENT),
        ("kill", (77, 9), REFUSE), ("kill", (77, 15), ALLOW), ("tgkill", (77, 99, 9), REFUSE),
        ("prlimit64", (0, 0, 0), ALLOW), ("prlimit64", (0, 0, 4096), IGNORE),
        ("prlimit64", (77, 0, 1 << 40), IGNORE), ("prlimit64", (1, 0, 4096), REFUSE),
        ("setrlimit", (0, 4096), IGNORE),
        ("ioctl", (0, 0x5452), REFUSE), ("ioctl", (0, 0x8901), REFUSE),  # FIOASYNC, FIOSETOWN
        ("ioctl", (0, 0x8902), REFUSE),  # SIOCSPGRP
        ("fcntl", (0, 3), ALLOW), ("fcntl", (0, 4, 0x800), ALLOW), ("fcntl", (0, 1030), ALLOW),
        ("fcntl", (0, 4, 0x2800), REFUSE), ("fcntl", (0, 4, 0x2000), REFUSE),  # O_ASYNC
        ("fcntl", (0, 8, 1), REFUSE), ("fcntl", (0, 10, 9), REFUSE),  # F_SETOWN, F_SETSIG
        ("fcntl", (0, 15, 1), REFUSE), ("fcntl", (0, 1024, 0), REFUSE),  # F_SETOWN_EX, F_SETLEASE
        ("fcntl", (0, 1026, 0), REFUSE),  # F_NOTIFY
        ("socketpair", (1, 1), ALLOW), ("socketpair", (1, 0x80801), ALLOW),
        ("socketpair", (1, 2), REFUSE), ("socketpair", (1, 5), REFUSE),
        ("socketpair", (2, 1), REFUSE), ("socketpair", (16, 3), REFUSE),
        ("sendto", (3, 1, 1, 0, 0), ALLOW), ("sendto", (3, 1, 1, 0, 4096), REFUSE),
        ("sendto", (3, 1, 1, 0, 1 << 40), REFUSE),
    ],
)  # fmt: skip
def test_arguments_decide(machine: str, call: str, args: tuple[int, ...], verdict: int) -> None:
    arch, column = ARCHITECTURES[machine]
    number = conditional(column)[call]
    code = seccomp_program(machine, 77)
    assert decide(code, arch=arch, number=number, args=args) == verdict


@pytest.mark.parametrize("column", [0, 1])
def test_dangerous_calls_are_not_listed(column: int) -> None:
    banned = {
        "socket", "connect", "bind", "listen", "accept", "fork", "vfork", "execve", "execveat",
        "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "unshare", "setns",
        "chroot", "pivot_root", "bpf", "io_uring_setup", "userfaultfd", "perf_event_open",
        "keyctl", "add_key", "memfd_create", "shmget", "chmod", "fchmod", "chown", "setxattr",
        "utimensat", "truncate", "prctl", "seccomp", "pidfd_open", "pidfd_send_signal",
        "kexec_load", "open_by_handle_at", "sendmsg", "recvmsg", "tkill", "rt_sigqueueinfo",
        "sched_setaffinity", "setpriority",
    }  # fmt: skip
    assert not banned & (set(allowed(column)) | set(conditional(column)))


def test_unknown_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="mips"):
        seccomp_program("mips", 1)
