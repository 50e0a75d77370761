"""Fixtures: the levels that work here, and a world with something to steal."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from grpolab.validate.sandbox import Level, Limits, Sandbox, broken_walls
from grpolab.validate.sandbox.child.confine import landlock_abi

HALVES = ("tok", "en-")
"""A token begins with both; apart, so that no program finds its own source."""


def missing(level: Level) -> str:
    """What this machine lacks for a level: asked of the machine, not of the sandbox."""
    if level is Level.LANDLOCK:
        try:
            landlock_abi()
        except OSError as err:
            return f"no landlock: {err}"
        return ""
    words = [
        "bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/",
        "unshare", "--user", "--pid", "--fork", "true",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except OSError as err:
        return f"no bubblewrap: {err}"
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture(scope="session", params=[Level.BUBBLEWRAP, Level.LANDLOCK], ids=str)
def level(request: pytest.FixtureRequest) -> Level:
    """A level that must work here; a wall of ours that does not stand is a failure, not a skip."""
    chosen: Level = request.param
    lack = missing(chosen)
    if lack:
        pytest.skip(f"{chosen} cannot work here: {lack}")
    assert broken_walls(chosen) == ""
    return chosen


@pytest.fixture(scope="session")
def one_level() -> Level:
    """The level for what is the same at every level."""
    return Level.BUBBLEWRAP if missing(Level.LANDLOCK) else Level.LANDLOCK


@pytest.fixture(scope="session")
def sandbox(level: Level) -> Iterator[Sandbox]:
    with Sandbox(level=level, limits=Limits(memory_bytes=256 << 20), workers=2) as pool:
        yield pool


@dataclass
class World:
    """Where the tokens lie, what programs must not touch, and who called at the two servers."""

    tokens: tuple[str, str]
    folder: Path
    secret: Path
    port: int
    abstract: str
    callers: list[str]

    @property
    def places(self) -> dict[str, str]:
        return {
            "SECRET_FILE": str(self.secret),
            "CANARY_DIR": str(self.folder),
            "TCP_PORT": str(self.port),
            "ABSTRACT_NAME": self.abstract,
            "OWNER_PID": str(os.getpid()),
            "TOKEN_A": HALVES[0],
            "TOKEN_B": HALVES[1],
        }

    def state(self) -> object:
        """All that a program could have changed."""
        info = self.secret.stat()
        return (
            sorted(os.listdir(self.folder)),
            self.secret.read_text(),
            (info.st_mode, info.st_uid, info.st_mtime_ns, info.st_nlink),
            list(self.callers),
        )


def _serve(server: socket.socket, answer: bytes, callers: list[str], name: str) -> None:
    with contextlib.suppress(OSError):  # the server is closed at the end
        while True:
            connection, _ = server.accept()
            callers.append(name)
            with connection:
                connection.sendall(answer)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    tokens = ("".join(HALVES) + secrets.token_hex(16), "".join(HALVES) + secrets.token_hex(16))
    for folder in (tmp_path, *tmp_path.parents[:3]):
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o011)  # anybody may pass through
    canary = tmp_path / "canary"
    canary.mkdir()
    canary.chmod(0o777)
    secret = tmp_path / "secret"
    secret.write_text(" ".join(tokens))
    secret.chmod(0o666)
    monkeypatch.setenv("SANDBOX_TOKENS", " ".join(tokens))
    abstract = f"grpolab-{secrets.token_hex(8)}"
    callers: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{abstract}")
        unix.listen()
        for server, name in ((tcp, "tcp"), (unix, "unix")):
            args = (server, " ".join(tokens).encode(), callers, name)
            threading.Thread(target=_serve, args=args, daemon=True).start()
        yield World(tokens, canary, secret, tcp.getsockname()[1], abstract, callers)
        tcp.shutdown(socket.SHUT_RDWR)
        unix.shutdown(socket.SHUT_RDWR)
