"""The core works without numba, matplotlib and sympy; what needs one of them says so in a line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from grpolab.errors import EXTRAS

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "docs" / "samples"
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({(*EXTRAS, 'openpyxl', 'pandas')!r}));"
"""What makes the import of a module fail as if it were not installed."""
CORE = (
    ["pstar", "-g", "8", "--rho", "0.2"],
    ["audit", "a.csv", "b.csv", "-g", "8"],
    ["monitor", str(ROOT / "tests/validate/readers/data/trl"), "--once", "--score", "correct"],
    ["explore", "--out", "explorer.html"],
    ["--version"],
)


def without(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_core_needs_none_of_them(tmp_path: Path) -> None:
    for name, most in (("a", 5), ("b", 9)):
        rows = [f"{i},{int(j < i % most)}" for i in range(20) for j in range(8)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["problem,correct", *rows]) + "\n")
    code = (
        f"from grpolab.cli import app\nfor call in {CORE!r}:\n"
        "    status = app(call, standalone_mode=False)\n    assert status in (0, 1, None), call"
    )
    done = without(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_python_needs_none_of_them(tmp_path: Path) -> None:
    code = (
        "import grpolab, grpolab.validate.triage, grpolab.theory, grpolab.validate.estimate\n"
        "from grpolab.validate.forecast import fit_law\n"
        f"counts = grpolab.read({str(SAMPLES / 'depth0128.csv')!r}).counts\n"
        "assert counts.num_correct.sum() > 0\n"
        "assert grpolab.audit(counts, rng=0, group_sizes=[8]).num_prompts == 128\n"
        "law = fit_law(counts, 'beta-binomial'); assert 0 < float(law.zero_std(8)) < 1\n"
        "grpolab.triage, grpolab.Rollouts, grpolab.SignalMonitor"
    )
    done = without(code, tmp_path)
    assert done.returncode == 0, done.stderr


CALLS = (
    ["simulate", "pstar", "-g", "8"],
    ["pstar", "-g", "8", "--plot", "p.svg"],
    ["simulate", "dynamics", "--plot", "p.svg"],
    ["audit", str(SAMPLES / "depth0128.csv"), "--html", "page.html"],
    ["monitor", str(ROOT / "tests/validate/readers/data/trl"), "--once", "--html", "m.html"],
    ["figures"],
    ["verify"],
)


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    code = (
        f"from grpolab.cli import main\nfor call in {CALLS!r}:\n"
        "    sys.argv = ['grpolab', *call]\n"
        "    try: main()\n"
        "    except SystemExit as stop: sys.stderr.write(f'status {stop.code}\\n')\n"
    )
    done = without(code, tmp_path)
    lines = done.stderr.splitlines()
    assert lines[1::2] == ["status 2"] * len(CALLS), done.stderr
    for line in lines[::2]:
        assert any(f"pip install 'grpolab[{extra}]'" in line for extra in EXTRAS.values()), line
    assert list(tmp_path.iterdir()) == []


def test_names_at_the_front_door_say_what_they_need(tmp_path: Path) -> None:
    done = without("import grpolab\ngrpolab.draw_groups", tmp_path)
    assert "grpolab.errors.UserError: this needs numba" in done.stderr
    assert "pip install 'grpolab[sim]'" in done.stderr


def test_every_extra_that_is_named_installs_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = " ".join(project["dependencies"])
    for module, extra in EXTRAS.items():
        assert any(line.startswith(module) for line in project["optional-dependencies"][extra])
        assert module not in core
