"""Runs of fresh command-line processes that are killed, starved and corrupted: the same bytes.

Every kind of run is done once undisturbed. Then it is done again by a row of processes, each of
which meets a mishap: kill -9 at a random moment, a disk that takes no more, a bit that flips. After
each the next process either goes on or refuses in one line with status 2; it is then given what the
line asks for. In the end the bytes are those of the undisturbed run. The clock of every process is
behind that of the one before it. ``GRPOLAB_CHAOS=SEED`` chooses other moments.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

import pytest

from grpolab.files import SCRATCH

pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.slow
SEED = int(os.environ.get("GRPOLAB_CHAOS", "0"))
PRELOADED = ("grpolab.cli", "grpolab.validate.study.report", "grpolab.validate.training.trl_grpo",
             "grpolab.simulate.pstar", "trl.trainer.grpo_trainer", "pyarrow.parquet",
             "pandas", "matplotlib.backends.backend_svg")  # fmt: skip
"""Imported once, by the server that processes are forked from: most of a run of seconds."""
FORKS = multiprocessing.get_context("forkserver")
START = """
import os, resource, sys, time
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(err.fileno(), 2)
err.close()
sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1, errors="backslashreplace")
os.chdir(place)
real = time.time
time.time = lambda: real() - late
if "micro" in words:
    import dataclasses, multiprocessing
    real_context = multiprocessing.get_context  # its worker: forked too, not started anew
    multiprocessing.get_context = lambda method: real_context("fork")
    from grpolab.cli import study
    from grpolab.validate.models import TinyConfig
    from grpolab.validate.study import config
    from grpolab.validate.study.base import BaseConfig
    from grpolab.validate.training.config import GRPOConfig
    config.PRESETS = {"smoke": config.StudyConfig(
        "micro", families=("coins/broad",), model=TinyConfig(hidden=32, layers=1),
        base=BaseConfig(steps=20, batch_size=16, lr=1e-2),
        sft=dataclasses.replace(config.LADDER, depths=(1, 2), lr=2e-3),
        grpo=GRPOConfig(steps=2, prompts_per_step=4, group_size=4, eval_every=2),
        eval_prompts=16, num_samples=16, quick_samples=10, train_prompts=8, train_samples=4,
        simulated_groups=200)}
    words[words.index("micro")] = "smoke"
from grpolab.cli import main
sys.argv = ["grpolab", *words]
if file_size:  # Python 3.11 keeps what it compiled of a module in part where that is too large
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
main()
"""
"""The command line with a clock that is late, and a study of a few seconds for a preset."""


@dataclass(frozen=True)
class Run:
    """Words of the command, what a run must end with, and what of a run is read back."""

    words: Sequence[str]
    final: Sequence[str]
    read_back: Sequence[str]
    kills: int = 1


TASK = ("--task", "t.jsonl", "--verifier", "exact", "--max-new-tokens", "2")
TRAIN = ("train", "m", *TASK, "--prompts-per-step", "4", "-g", "4", "--steps", "4", "--lr", "1e-2",
         "--save-every", "1", "--eval-every", "2", "--limit", "6")  # fmt: skip
TRAINED = ("steps.jsonl", "evals.jsonl", "groups.parquet", "final/model.safetensors",
           "rollouts/*.parquet")  # fmt: skip
LINES = ("steps.jsonl", "evals.jsonl")
RUNS = {
    "rollout": Run(
        ("rollout", "m", *TASK, "--num-samples", "4", "-g", "4", "--shard-rows", "4"),
        ("samples/*", "verdicts/*", "rollouts.parquet", "groups.parquet", "result.json"),
        ("samples/*", "verdicts/*"), kills=2,
    ),
    "own": Run(TRAIN, TRAINED, ("checkpoints/step-*/*", *LINES, "final/*", "groups.parquet"), 2),
    "trl": Run(
        (*TRAIN, "--trainer", "trl"), TRAINED,
        ("checkpoints/checkpoint-*/*", *LINES, "final/*", "groups.parquet"),
    ),
    "sft": Run(
        ("sft", "m", "--data", "d.jsonl", "--depths", "1,2,3", "--batch-size", "4", "--lr", "1e-2"),
        ("ladder.json", "depth-*/model.safetensors"),
        ("checkpoints/*/*", "depth-*/*", "ladder.json"),
    ),
    "sweep": Run(
        ("simulate", "sweep", "pstar", "--set", "group_size=2,4,8,16", "--set", "num_groups=9000"),
        ("*.json",), ("*.json",), kills=2,
    ),
    "study": Run(
        ("study", "--preset", "micro", "--workers", "1"), ("results.json", "record/*"),
        ("coins/*/**/*.safetensors", "coins/*/**/*.parquet", "coins/*/**/*.json"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of a few thousand weights, a task and demonstrations."""
    FORKS.set_forkserver_preload(list(PRELOADED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        forkserver.ensure_running()
    from grpolab.validate.models import TinyConfig, build_model, save_model

    root = tmp_path_factory.mktemp("chaos")
    config = TinyConfig(hidden=32, layers=1, max_positions=32)
    save_model(*build_model(("q", "r", "s", "a", "b", "c"), config, seed=0), root / "m")
    texts = ["q", "q r", "r", "r s q", "s", "s s", "q q", "r r"]
    for name, answer in (("t.jsonl", "answer"), ("d.jsonl", "completion")):
        rows = [{"prompt": text, answer: "abc"[i % 3]} for i, text in enumerate(texts)]
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


class Started(NamedTuple):
    """A process, and the end of a pipe that its errors come out of."""

    process: ForkServerProcess
    err: Connection

    def end(self) -> tuple[int | None, str]:
        """Its status and its errors, as soon as it and all processes that it started are gone."""
        with open(self.err.fileno(), errors="replace", closefd=False) as lines:
            err = lines.read()
        self.err.close()
        self.process.join()
        return self.process.exitcode, err


class Processes:
    """Starts processes of one run, each with its clock an hour behind the one before."""

    def __init__(self, place: Path, run: Run, out: str) -> None:
        self.place, self.run, self.out = place, run, place / out
        self._hours = 0
        self.told: list[str] = []

    def start(self, *, file_size: int = 0) -> Started:
        """A process; one that may not write files of more than ``file_size`` bytes (0: any)."""
        self._hours += 1
        reads, err = FORKS.Pipe(duplex=False)
        given = {
            "place": str(self.place), "err": err, "late": 3600 * self._hours,
            "file_size": file_size, "words": [*self.run.words, "--out", str(self.out)],
        }  # fmt: skip
        process = FORKS.Process(target=exec, args=(START, given))
        process.start()
        err.close()
        return Started(process, reads)

    def finish(self, started: Started) -> tuple[int, str]:
        """Status of a process, and the line of a refusal."""
        status, err = started.end()
        refused = [line for line in err.splitlines() if line.startswith("grpolab: error: ")]
        self.told.append(f"{status}: {' '.join(refused)}")
        assert status in (0, 2), err
        assert "Traceback" not in err, err
        assert len(refused) == (status == 2), err
        return status, "".join(refused)

    def bytes(self) -> dict[str, bytes]:
        """What the run must end with."""
        paths = [p for pattern in self.run.final for p in sorted(self.out.glob(pattern))]
        assert paths
        return {str(p.relative_to(self.out)): p.read_bytes() for p in paths}


def kill(processes: Processes, chance: random.Random, size: int) -> None:
    """Kill a process and its workers as soon as a random number of files is there."""
    started = processes.start()
    files, then = chance.randrange(1, size), chance.uniform(0, 0.05)
    while started.process.is_alive() and sum(1 for _ in processes.out.rglob("*")) < files:
        time.sleep(0.002)
    time.sleep(then)
    started.process.kill()
    started.end()
    processes.told.append(f"killed at {files} of {size} files")


def fill_the_disk(processes: Processes, chance: random.Random, largest: int) -> None:
    """A process that cannot write beyond a random size says so in one line, or did not need to."""
    size = chance.randrange(200, largest)
    status, line = processes.finish(processes.start(file_size=size))
    assert status == 0 or "File too large" in line or "cannot be written" in line, line


def flip_a_bit(processes: Processes, chance: random.Random) -> None:
    """Turn a random bit of a random file that the run reads back."""
    found = [p for pattern in processes.run.read_back for p in processes.out.glob(pattern)]
    found = sorted(p for p in found if p.is_file() and p.stat().st_size)
    if not found:
        return
    path = chance.choice(found)
    raw = bytearray(path.read_bytes())
    bit = chance.randrange(8 * len(raw))
    raw[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(raw)
    processes.told.append(f"bit {bit} of {path.relative_to(processes.out)}")


def bring_home(processes: Processes) -> None:
    """Run until the end, and do what the refusals ask for."""
    for _ in range(4):
        status, line = processes.finish(processes.start())
        if status == 0:
            return
        asked = re.search(r"; remove (.+?) to ", line)
        if asked is None:  # a bit of a name in the manifest
            assert "holds another run" in line, line
            shutil.rmtree(processes.out)
            continue
        named = [processes.out] if asked[1] in ("it", "this folder") else asked[1].split()
        if asked[1] in ("it", "this folder"):
            named = [re.search(r"error: (/\S+?): ", line)[1]]  # type: ignore[index]
        for name in map(Path, named):
            assert name.is_relative_to(processes.out), line
            shutil.rmtree(name) if name.is_dir() else name.unlink()
    raise AssertionError("it does not come to an end")


def undisturbed(place: Path, kind: str) -> Processes:
    """The run that nothing happened to."""
    alone = Processes(place, RUNS[kind], f"{kind}-alone")
    if not alone.out.exists():
        assert alone.finish(alone.start())[0] == 0
    return alone


@pytest.mark.parametrize("kind", RUNS)
def test_whatever_happens_the_bytes_are_the_same(kind: str, place: Path) -> None:
    chance = random.Random(f"{SEED} {kind}")
    alone = undisturbed(place, kind)
    wanted = alone.bytes()
    files = [p for p in alone.out.rglob("*") if p.is_file()]
    processes = Processes(place, RUNS[kind], kind)
    try:
        for _ in range(RUNS[kind].kills):
            kill(processes, chance, len(files))
        fill_the_disk(processes, chance, max(p.stat().st_size for p in files))
        flip_a_bit(processes, chance)
        bring_home(processes)
        assert processes.bytes() == wanted
        flip_a_bit(processes, chance)
        bring_home(processes)
        found = processes.bytes()
        assert {name for name in wanted if found.get(name) != wanted[name]} == set()
        assert not [p for p in processes.out.rglob("*") if p.name.endswith(SCRATCH)]
    except AssertionError as err:
        raise AssertionError(f"{err}\n{kind}, seed {SEED}: " + "\n".join(processes.told)) from err


@pytest.mark.parametrize("kind", ["rollout", "sweep"])
def test_of_two_processes_at_once_one_works(kind: str, place: Path) -> None:
    wanted = undisturbed(place, kind).bytes()
    both = Processes(place, RUNS[kind], f"{kind}-both")
    found = [both.finish(process) for process in (both.start(), both.start())]
    assert 0 in [status for status, _ in found]
    assert all("another process is working in this folder" in line for _, line in found if line)
    assert both.bytes() == wanted


@pytest.mark.parametrize("kind", ["rollout", "sweep"])
def test_a_folder_that_takes_nothing_is_refused(kind: str, place: Path) -> None:
    folder = place / f"{kind}-sealed"
    folder.mkdir()
    folder.chmod(0o555)
    out = "/proc/grpolab" if os.access(folder, os.W_OK) else str(folder / "run")  # root writes on
    status, line = (nowhere := Processes(place, RUNS[kind], out)).finish(nowhere.start())
    assert (status, "cannot be written to" in line) == (2, True), line
