"""Levels of isolation, strongest first, and the command line of a server at each of them."""

from __future__ import annotations

import enum
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from grpolab.validate.sandbox import child


class Level(enum.StrEnum):
    """How a program is walled in.

    ``bubblewrap``: namespaces of its own for files, processes, network; seccomp; limits.
    ``landlock``: landlock, seccomp, limits. ``unsafe``: limits only; a program can reach the tests,
    its verdict, its owner and the machine as any process of the user can, so neither the machine
    nor a verdict is safe from it.
    """

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    UNSAFE = "unsafe"


class Interpreter(NamedTuple):
    """The Python that runs programs, and the files that it needs."""

    executable: str
    library: str
    shared: tuple[str, ...]


_PACKAGES = ("site-packages", "dist-packages")
"""Folders in the library that are not the interpreter's: they may hold data sets with answers."""

_BOOT = """
import sys, types
for name in ("grpolab", "grpolab.validate", "grpolab.validate.sandbox"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
sys.modules["grpolab.validate.sandbox"].__path__ = [sys.argv[1]]
import json
from grpolab.validate.sandbox.child import server
level, role, readable, listable, path, scratch = json.loads(sys.argv[2])
sys.path += path
server.main(server.Walls(level, role, tuple(readable), tuple(listable), scratch))
"""


def interpreter() -> Interpreter:
    """The base interpreter of this process: never its virtual environment."""
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = sysconfig.get_path("stdlib")
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    own = [str(Path(folder) / name)] if folder and name else []
    multi = sysconfig.get_config_var("MULTIARCH") or ""
    system = [f"/lib/{multi}", f"/usr/lib/{multi}"] if multi else []
    system += ["/lib64", "/usr/lib64"]
    if not any(Path(place).is_dir() for place in system[:-2]) and not Path("/usr/lib64").is_dir():
        system.append("/usr/lib")
    shared = [p for p in (*own, *system, "/etc/ld.so.cache") if Path(p).exists()]
    return Interpreter(str(base), library, tuple(shared))


def _command(
    level: Level, python: Interpreter, packages: Sequence[str], sandbox: str, scratch: str
) -> list[str]:
    inside = [
        entry.path
        for entry in os.scandir(python.library)
        if entry.name not in _PACKAGES and entry.name != "__pycache__"
    ]
    readable = [*inside, *python.shared, *packages]
    role = "programs" if scratch else "tests"
    walls = json.dumps([level, role, readable, [python.library], list(packages), scratch])
    flags = ["-s", "-S", "-P", "-B", "-X", "utf8"]
    return [python.executable, *flags, "-c", _BOOT, sandbox, walls]


def _bubblewrap(python: Interpreter, packages: Sequence[str], scratch: str) -> list[str]:
    words = [shutil.which("bwrap") or "bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc",
             "--unshare-uts", "--unshare-cgroup-try", "--clearenv", "--new-session"]  # fmt: skip
    if os.geteuid() == 0:  # the server gives root up itself, once it can see its files
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    own = str(Path(child.__file__).resolve().parent)
    places = [python.library, python.executable, *python.shared, *packages, own]
    for folder in sorted({str(up) for place in places for up in Path(place).parents} - {"/"}):
        words += ["--dir", folder]  # else a private home hides what is shown below it
    for place in places:
        words += ["--ro-bind", place, place]
    for name in _PACKAGES:
        place = f"{python.library}/{name}"
        if Path(place).is_dir():
            words += ["--tmpfs", place, "--remount-ro", place]
    words += ["--dir", "/dev"]
    words += ["--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom"]
    if scratch:
        words += ["--tmpfs", scratch]
    else:
        words += ["--dir", "/tmp"]
    words += ["--remount-ro", "/", "--chdir", "/"]
    for name, value in environment().items():
        words += ["--setenv", name, value]
    return [*words, "--"]


def environment() -> dict[str, str]:
    """All that a program finds in its environment.

    The fixed hash seed makes runs repeatable; without the arena limit every thread would reserve
    64 MiB of the memory that a program may have.
    """
    return {
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }


def server_command(level: Level, packages: Sequence[Path] = (), scratch: str = "") -> list[str]:
    """The command line of a server at this level.

    ``packages`` are folders put on its path, ``scratch`` the folder that its programs may write
    to, made for them alone (see `inside_scratch`). A server without one is for tests.
    """
    python = interpreter()
    folders = [str(path.resolve()) for path in packages]
    sandbox = str(Path(child.__file__).resolve().parents[1])
    wrapped = _bubblewrap(python, folders, scratch) if level is Level.BUBBLEWRAP else []
    return [*wrapped, *_command(level, python, folders, sandbox, scratch)]


def inside_scratch(packages: Sequence[Path] = ()) -> str:
    """The private folder inside bubblewrap: ``/tmp``, unless something is shown below it."""
    python = interpreter()
    places = (python.executable, python.library, *python.shared, str(child.__file__))
    shown = [*map(Path, places), *packages]
    return "/scratch" if any(path.resolve().is_relative_to("/tmp") for path in shown) else "/tmp"


def is_installed(level: Level) -> bool:
    """Whether a level can be tried at all: whether it works is for a probe to find out."""
    return level is not Level.BUBBLEWRAP or shutil.which("bwrap") is not None
