"""Length-prefixed frames over file descriptors, with a cap on what the reader accepts."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence


class Broken(Exception):
    """The other end is gone, or sends what is no frame."""


def read_exactly(fd: int, size: int) -> bytes:
    """``size`` bytes; Broken when the stream ends before."""
    parts = []
    while size:
        part = _read(fd, min(size, 1 << 20))
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read(fd: int, size: int) -> bytes:
    try:
        part = os.read(fd, size)
    except OSError as err:
        raise Broken(str(err)) from err
    if not part:
        raise Broken("end of stream")
    return part


def read_frame(fd: int, *, cap: int) -> bytes:
    """One frame; Broken when it claims more than ``cap`` bytes."""
    size = int.from_bytes(read_exactly(fd, 4), "big")
    if size > cap:
        raise Broken(f"a frame of {size} bytes, more than {cap}")
    return read_exactly(fd, size)


def write_frame(fd: int, payload: bytes | memoryview) -> None:
    """Write one frame whole; Broken when nobody reads."""
    write_all(fd, b"".join((len(payload).to_bytes(4, "big"), payload)))


def write_all(fd: int, data: bytes) -> None:
    """Write all of it; Broken when nobody reads."""
    try:
        sent = os.write(fd, data)
        with memoryview(data) as view:
            while sent < len(data):
                sent += os.write(fd, view[sent:])
    except OSError as err:
        raise Broken(str(err)) from err


def send_job(sock: socket.socket, payload: bytes, fds: Sequence[int] = ()) -> None:
    """One frame over a Unix socket, file descriptors attached to its length."""
    socket.send_fds(sock, [len(payload).to_bytes(4, "big")], fds)
    sock.sendall(payload)


def receive_job(sock: socket.socket, *, max_fds: int = 1) -> tuple[bytes, list[int]]:
    """What `send_job` sent; Broken at the end of the stream."""
    head, fds, _, _ = socket.recv_fds(sock, 4, max_fds)
    if not head:
        raise Broken("end of stream")
    head += read_exactly(sock.fileno(), 4 - len(head))
    return read_exactly(sock.fileno(), int.from_bytes(head, "big")), list(fds)
