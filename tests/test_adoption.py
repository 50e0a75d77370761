"""What other repositories use: the action and the hook run `grpolab audit`, and end as it ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture
def work(tmp_path: Path, warm_path: Path) -> Path:
    """A folder with results in a name that shells split, and ``grpolab`` in its ``bin``."""
    for name, correct in (("hard 1.csv", (0, 0, 4)), ("easy.csv", (1, 2, 3))):
        rows = "".join(f"p{i},{c},4\n" for i, c in enumerate(correct))
        (tmp_path / name).write_text("problem,num_correct,num_samples\n" + rows)
    (tmp_path / "bin").symlink_to(warm_path)
    return tmp_path


def run(work: Path, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{work / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=work, env={**os.environ, "PATH": path, **env},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("files", "fail_on", "status"),
    [
        ("easy.csv", "zero_std(4) > 0.8", 0),
        ("hard*.csv", "zero_std(4) > 0.8", 1),
        ("easy.csv hard*.csv", "pass_at(1) > 2\nzero_std(4) > 0.8\n", 1),
        ("easy.csv", "", 0),
        ("easy.csv", "zero_std(4", 2),
    ],
)
def test_the_action_ends_the_job_where_a_condition_holds(
    work: Path, files: str, fail_on: str, status: int
) -> None:
    (step,) = (
        s for s in load(".github/actions/audit/action.yml")["runs"]["steps"] if "FILES" in s["env"]
    )
    summary = work / "summary.md"
    options = "--group-size\n2"
    done = run(
        work, ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        FILES=files, FAIL_ON=fail_on, OPTIONS=options, GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    text = summary.read_text()
    assert ("| g |" in text) == (status < 2)
    assert text.count("fail: ") == (status == 1)


def test_inputs_of_the_action_reach_its_steps() -> None:
    action = load(".github/actions/audit/action.yml")
    used = {value for step in action["runs"]["steps"] for value in step["env"].values()}
    assert used == {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}


@pytest.mark.parametrize(("file", "status"), [("easy.csv", 0), ("hard 1.csv", 1)])
def test_the_hook_refuses_results_without_a_signal(work: Path, file: str, status: int) -> None:
    (hook,) = load(".pre-commit-hooks.yaml")
    words = [w.replace("(8)", "(4)") for w in hook["args"]]  # the files hold four samples
    assert run(work, [*hook["entry"].split(), *words, file]).returncode == status
    assert words != hook["args"]


def test_the_workflow_runs_what_is_run_before_a_change_lands() -> None:
    steps = load(".github/workflows/ci.yml")["jobs"]["everything"]["steps"]
    assert [s["run"] for s in steps if "run" in s] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
