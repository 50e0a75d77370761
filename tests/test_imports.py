"""Imports point down, heavy ones wait until they are needed, every module says what it is."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from grpolab.cli import COMMANDS, load_command

SRC = Path(__file__).parents[1] / "src"
DATA = Path(__file__).parent / "validate/readers/data"
LEVELS = {
    "errors": 0, "files": 0, "footer": 0, "frames": 0, "packed": 0, "progress": 0, "streams": 0,
    "terminal": 0, "theory": 1, "store": 2, "simulate": 3, "figures": 4, "validate": 5, "cli": 6,
    "predict": 6, "__main__": 7,
}  # fmt: skip
VALIDATE_MODULES: tuple[str, ...] = ()
VALIDATE_LEVELS = {
    "estimate": 0, "models": 0, "readers": 0, "sandbox": 0, "forecast": 1, "tasks": 1,
    "audit": 2, "monitor": 2, "plan": 2, "rollouts": 2, "verify": 2, "training": 3, "triage": 3,
    "probe": 4, "study": 4,
}  # fmt: skip
"""Packages of ``validate``: each imports from lower levels only, never from one beside it."""
OPTIONAL = {
    "accelerate", "dask", "datasets", "inspect_ai", "joblib", "math_verify", "pandas", "peft",
    "ray", "safetensors", "tokenizers", "torch", "transformers", "trl", "vllm",
}  # fmt: skip
HEAVY = ("numba", "torch", "matplotlib", "transformers")

NEEDS_MODEL = {"model", "probe", "rollout", "sft", "study", "train", "triage"}
"""Commands that may load torch; of these only ``--help`` is run here."""
MODEL_FREE: dict[str, list[str]] = {
    "audit": ["audit", str(DATA / "human_eval.jsonl_results.jsonl"), "-g", "4"],
    "explore": ["explore", "--out", str(Path(tempfile.gettempdir()) / "grpolab-explorer.html")],
    "figures": ["figures", "weight", "--out", str(Path(tempfile.gettempdir()) / "grpolab-figures")],
    "group": ["group", "-g", "8", "-p", "0.1"],
    "monitor": ["monitor", str(DATA / "trl"), "--once", "--score", "correct"],
    "plan": ["plan", str(DATA / "human_eval.jsonl_results.jsonl"), "-g", "4"],
    "pstar": ["pstar", "-g", "8"],
    "simulate dynamics": ["simulate", "dynamics", "--chains", "100", "--steps", "20"],
    "simulate independence": [
        "simulate",
        "independence",
        "--tables",
        "2",
        "--prompts",
        "20",
        "--kind",
        "copy",
    ],
    "simulate ladder": ["simulate", "ladder", "--steps", "5", "--repeats", "1"],
    "simulate pstar": ["simulate", "pstar", "-g", "8", "--groups", "1000"],
    "simulate sweep": [
        "simulate",
        "sweep",
        "pstar",
        "--set",
        "group_size=4",
        "--set",
        "num_groups=1000",
    ],
    "verify": ["verify", "--list"],
}
"""A working call of every other command, by its name."""


def parse(path: Path) -> ast.Module:
    return _parsed(path.read_text(encoding="utf-8"), str(path))


_parsed = cache(ast.parse)  # seven tests read the whole source


@pytest.fixture(scope="module", autouse=True)
def let_go() -> Iterator[None]:
    """Trees are 800,000 objects: every look for dead cycles would pass through them to the end."""
    yield
    _parsed.cache_clear()


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, at any depth; ``from a import b`` is a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{dots}.{alias.name}") for alias in node.names)


def loaded_by(path: Path) -> ast.Module:
    """Code of a file; of ``grpolab/__init__.py`` without the imports for type checkers."""
    tree = parse(path)
    if path.name == "__init__.py" and path.parent.name == "grpolab":
        return ast.Module([node for node in tree.body if not is_type_checking(node)], [])
    return tree


def upward_imports(src: Path) -> list[str]:
    """Imports inside grpolab that are relative, or from a package above their own."""
    problems = []
    for path in sorted((src / "grpolab").rglob("*.py")):
        own = path.relative_to(src / "grpolab").parts[0].removesuffix(".py")
        level = LEVELS.get(own, -1)  # grpolab/__init__.py imports none of them
        if own not in LEVELS and own != "__init__":
            problems.append(f"{own}: no level is given to it")
        for line, name in imports(loaded_by(path)):
            first, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            where = f"{path.relative_to(src)}:{line}"
            if name.startswith("."):
                problems.append(f"{where} imports relatively")
            elif first == "grpolab" and target in LEVELS and LEVELS[target] > level:
                problems.append(f"{where} imports {name}")
    return problems


def upward_packages(src: Path) -> list[str]:
    """Loose modules of ``validate``, and imports from a package that is not below their own."""
    problems = []
    root = src / "grpolab" / "validate"
    for path in sorted(root.rglob("*.py")):
        own, *below = path.relative_to(root).parts
        if not below:
            if own not in ("__init__.py", *VALIDATE_MODULES):
                problems.append(f"{own}: a module outside the packages")
            continue
        if own not in VALIDATE_LEVELS:
            problems.append(f"{own}: no level is given to it")
        for line, name in imports(parse(path)):
            parts = name.split(".")
            if parts[:2] != ["grpolab", "validate"] or len(parts) < 3:
                continue
            target = parts[2]
            if target == own or target not in VALIDATE_LEVELS:
                continue
            if VALIDATE_LEVELS[target] >= VALIDATE_LEVELS.get(own, -1):
                problems.append(f"{path.relative_to(src)}:{line} imports {name}")
    return problems


def module_graph(src: Path) -> dict[str, set[str]]:
    """Modules of grpolab and the modules that each imports, in functions too."""
    files = {
        ".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__"): path
        for path in src.rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found = set()
        for _, target in imports(loaded_by(path)):
            while target not in files and "." in target:
                target = target.rpartition(".")[0]
            if target in files and target != name:
                found.add(target)
        graph[name] = found
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or in a ring."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        return seen

    reach = {name: reached(name) for name in graph}
    rings = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in graph
        if name in reach[name]
    }
    return sorted(map(list, rings))


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: not in functions, not for the checker."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        for field in ("body", "orelse", "finalbody"):
            if field != "body" or not is_type_checking(node):
                yield from run_at_import(getattr(node, field, []))
        for branch in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            yield from run_at_import(branch.body)


def eager_imports(folder: Path, banned: set[str]) -> list[str]:
    """Imports of the banned packages that run as soon as a module of the folder is imported."""
    problems = []
    for path in sorted(folder.rglob("*.py")):
        for node in run_at_import(parse(path).body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {name.partition(".")[0] for _, name in imports(node)}
                problems += [f"{path.name}:{node.lineno} {name}" for name in names & banned]
    return problems


def foreign_imports(folder: Path, allowed: set[str]) -> list[str]:
    """Imports, at any depth, of what is neither the standard library nor allowed."""
    known = {*sys.stdlib_module_names, *allowed, "grpolab"}
    return [
        f"{path.name}:{line} {name.partition('.')[0]}"
        for path in sorted(folder.rglob("*.py"))
        for line, name in imports(parse(path))
        if name.partition(".")[0] not in known
    ]


def undocumented(src: Path) -> list[str]:
    """Modules without a docstring."""
    files = sorted(src.rglob("*.py"))
    return [str(p.relative_to(src)) for p in files if not ast.get_docstring(parse(p))]


def loaded(code: str, watched: tuple[str, ...]) -> list[str]:
    """Those of the watched packages that a fresh interpreter holds after running the code."""
    report = (
        f"{code}\nimport sys; sys.stderr.write(repr([m for m in {watched} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    names = ast.literal_eval(done.stderr.splitlines()[-1])
    assert isinstance(names, list)
    return names


def commands() -> dict[str, list[str]]:
    """Words of every command, by its name with spaces: {"simulate pstar": [...]}."""

    found = {}
    for name in COMMANDS:
        below = getattr(load_command(name), "commands", {})
        found.update({f"{name} {child}": [name, child] for child in below} or {name: [name]})
    return found


def run_commands(calls: list[list[str]]) -> str:
    """Code that runs commands one after the other, each of which must end well."""
    return (
        "from grpolab.cli import app\n"
        f"for words in {calls!r}:\n"
        "    status = app(words, standalone_mode=False)\n"
        "    assert not status, (words, status)\n"
    )


def test_imports_point_down() -> None:
    assert upward_imports(SRC) == []


def test_packages_of_validate_point_down() -> None:
    assert upward_packages(SRC) == []


def test_no_circle_anywhere() -> None:
    assert circles(module_graph(SRC)) == []


def test_nothing_optional_is_imported_eagerly() -> None:
    assert eager_imports(SRC, OPTIONAL) == []


def test_numba_stays_in_the_kernels() -> None:
    files = {problem.partition(":")[0] for problem in eager_imports(SRC, {"numba"})}
    assert [name for name in files if not name.startswith(("_kernels", "_philox"))] == []


def test_theory_needs_numpy_and_scipy_only() -> None:
    problems = foreign_imports(SRC / "grpolab" / "theory", {"numpy", "scipy"})
    assert [p for p in problems if not ("symbolic" in p and p.endswith("sympy"))] == []


def test_every_module_has_a_docstring() -> None:
    assert undocumented(SRC) == []


def test_importing_a_package_loads_nothing_heavy() -> None:
    packages = "import grpolab.theory, grpolab.validate.monitor, grpolab.validate.tasks"
    assert loaded(packages, HEAVY) == []


def test_importing_grpolab_loads_no_package() -> None:
    assert loaded("import grpolab", ("numpy", "grpolab.theory", "typer")) == []


def test_rooms_are_entered_by_name() -> None:
    code = (
        "import grpolab; assert grpolab.theory.critical_p(2).item() == 0.5;"
        "assert 'simulate' in dir(grpolab); grpolab.attic"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "module 'grpolab' has no attribute 'attic'" in found.stderr


def test_the_list_of_commands_needs_no_library() -> None:
    watched = ("numpy", "scipy", "pyarrow", "grpolab.theory", "grpolab.store", "grpolab.cli.pstar")
    assert loaded(run_commands([["--help"]]), watched) == []


def test_every_help_page_loads_nothing_heavy() -> None:
    calls = [["--help"], *([*words, "--help"] for words in commands().values())]
    assert loaded(run_commands(calls), HEAVY) == []


def test_an_audit_loads_what_it_needs() -> None:
    """Half a second of imports each, pandas too, which pyarrow's to_numpy would load.

    Threads of OpenBLAS would wait for each other over matrices of a few rows, at a tenth more time.
    """
    watched = (
        "numba", "torch", "matplotlib", "sympy", "pandas", "scipy.stats", "grpolab.simulate",
        "grpolab.validate.study",
    )  # fmt: skip
    sample = str(SRC.parent / "docs" / "samples" / "depth0008.csv")
    one_thread = "import os; assert os.environ['OPENBLAS_NUM_THREADS'] == '1'"
    calls = run_commands([MODEL_FREE["audit"], ["audit", sample, "-g", "8"]])
    unset = "import os; os.environ.pop('OPENBLAS_NUM_THREADS', None)\n"
    assert loaded(unset + calls + one_thread, watched) == []


def test_commands_without_a_model_load_no_torch() -> None:
    known = set(commands())
    assert known <= NEEDS_MODEL | set(MODEL_FREE), "list the new command in one of the two"
    calls = [words for name, words in MODEL_FREE.items() if name in known]
    assert loaded(run_commands(calls), ("torch", "transformers")) == []


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "grpolab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_upward_guard_can_fail(tmp_path: Path) -> None:
    files = {
        "__init__.py": "import grpolab.theory",
        "errors.py": "from grpolab import __version__",
        "extra.py": "",
        "simulate/good.py": "from grpolab.errors import UserError\nfrom grpolab import store",
        "simulate/late.py": "def f():\n    from grpolab.validate.verify.registry import Check",
        "store.py": "from grpolab import simulate",
        "theory/up.py": "import grpolab.store",
        "validate/near.py": "from . import check",
    }
    assert upward_imports(write_tree(tmp_path, files)) == [
        "grpolab/__init__.py:1 imports grpolab.theory",
        "extra: no level is given to it",
        "grpolab/simulate/late.py:2 imports grpolab.validate.verify.registry.Check",
        "grpolab/store.py:1 imports grpolab.simulate",
        "grpolab/theory/up.py:1 imports grpolab.store",
        "grpolab/validate/near.py:1 imports relatively",
    ]


def test_package_guard_can_fail(tmp_path: Path) -> None:
    files = {
        "validate/__init__.py": "",
        "validate/loose.py": "",
        "validate/attic/a.py": "from grpolab.validate.estimate import icc",
        "validate/estimate/up.py": "def f():\n    from grpolab.validate.audit import audit",
        "validate/audit/good.py": "from grpolab.validate.estimate.icc import icc",
        "validate/audit/beside.py": "import grpolab.validate.monitor.state",
    }
    assert upward_packages(write_tree(tmp_path, files)) == [
        "attic: no level is given to it",
        "grpolab/validate/attic/a.py:1 imports grpolab.validate.estimate.icc",
        "grpolab/validate/audit/beside.py:1 imports grpolab.validate.monitor.state",
        "grpolab/validate/estimate/up.py:2 imports grpolab.validate.audit.audit",
        "loose.py: a module outside the packages",
    ]


def test_circle_guard_can_fail(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "a.py": "from grpolab.b import x",
        "b.py": "def f():\n    from grpolab import c",
        "c.py": "import grpolab.a",
        "d.py": "import grpolab.a",
    }
    graph = module_graph(write_tree(tmp_path, files))
    assert graph["grpolab.d"] == {"grpolab.a"}
    assert circles(graph) == [["grpolab.a", "grpolab.b", "grpolab.c"]]


def test_eager_guard_can_fail(tmp_path: Path) -> None:
    files = {
        "in_class.py": "class A:\n    import torch",
        "in_match.py": "match 1:\n    case _:\n        import ray",
        "in_try.py": "try:\n    import os\nexcept ImportError:\n    from trl import GRPOConfig",
        "in_with.py": "with open('x'):\n    import vllm.engine",
        "lazy.py": "def f():\n    import torch\nclass A:\n    def g(self):\n        import trl",
        "plain.py": "import numpy, torch.nn as nn",
        "types.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        "types_else.py": "if typing.TYPE_CHECKING:\n    x = 1\nelse:\n    import torch",
    }
    assert eager_imports(write_tree(tmp_path, files), OPTIONAL) == [
        "in_class.py:2 torch",
        "in_match.py:3 ray",
        "in_try.py:4 trl",
        "in_with.py:2 vllm",
        "plain.py:1 torch",
        "types_else.py:4 torch",
    ]


def test_foreign_guard_can_fail(tmp_path: Path) -> None:
    files = {
        "a.py": "import math\nimport numpy as np",
        "b.py": "def f():\n    from numba import jit",
    }
    assert foreign_imports(write_tree(tmp_path, files), {"numpy"}) == ["b.py:2 numba"]


def test_docstring_guard_can_fail(tmp_path: Path) -> None:
    files = {"good.py": '"""Says what it is."""', "empty.py": "", "code.py": "x = 1"}
    assert undocumented(write_tree(tmp_path, files)) == ["grpolab/code.py", "grpolab/empty.py"]


def test_loaded_guard_can_fail() -> None:
    assert loaded("import wave, json.decoder", ("wave", "json", "tty")) == ["wave", "json"]
    with pytest.raises(subprocess.CalledProcessError):
        loaded(run_commands([["no-such-command"]]), ())


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    long = {p.name: n for p in SRC.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}
