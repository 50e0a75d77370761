"""Write everything again that follows from the records of studies: no training, no torch.

``python -m grpolab.validate.study.redo docs/results [[NAME=]RUN...]`` first takes the record and
the manifest of each finished RUN, then rewrites the summaries of all records, the trial's result
with the judgement of the forecast of runs, what is explored and, in a checkout, the levels that
`grpolab.forecast_outcome` uses, the tables and figures of the documentation and the findings in
README.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from grpolab.errors import UserError
from grpolab.figures.handbook import handbook
from grpolab.figures.registry import CLAIMS, STUDY, TRIAL
from grpolab.figures.render import render
from grpolab.files import atomic_dir
from grpolab.store import write_text
from grpolab.validate.study.derive import checkpoints, derive, step_table, write_table
from grpolab.validate.study.explore.rewrite import rewrite
from grpolab.validate.study.main import MANIFEST, RECORD
from grpolab.validate.study.record import FILE, Record
from grpolab.validate.study.results import Results

STEPS = {"full": "steps.json", "real": "real-steps.json"}
"""Zero-std shares of early steps, for figures, by study."""
QUOTED = ("zero-std", "variance", "choice final_pass_at_1")
"""Findings of the full study that README quotes, by name."""
LEVELS = "src/grpolab/validate/forecast/levels.json"
"""In a checkout; `grpolab.validate.forecast.levels` reads it."""
_BLOCK = re.compile(r"(<!-- findings:begin -->\n).*?(<!-- findings:end -->)", re.S)


def take(run: Path, results: Path, name: str = "") -> None:
    """Copy the record and the manifest of a finished run to the committed results.

    The record's name is that of the preset, unless another is given. Raises UserError where the
    run has no record, and where that name holds families or seeds that the run lacks.
    """
    if not (run / RECORD / FILE).is_file():
        raise UserError(f"{run}: holds no record of a finished study")
    config = Record.read(run / RECORD).config
    target = results / (name or config.preset)
    if (target / FILE).is_file():
        held = Record.read(target).config
        if set(held.families) - set(config.families) or set(held.seeds) - set(config.seeds):
            raise UserError(
                f"{target} holds families or seeds that this study lacks: give it a name of its"
                f" own, NAME={run}"
            )
    with atomic_dir(target) as folder:
        shutil.copytree(run / RECORD, folder, dirs_exist_ok=True)
    shutil.copyfile(run / MANIFEST, results / f"{target.name}-{MANIFEST}")


def _named(text: str) -> tuple[Path, str]:
    name, equals, run = text.partition("=")
    if equals and not Path(text).exists():
        return Path(run), name
    return Path(text), ""


def redo(results: Path, *, workers: int = 1) -> list[str]:
    """Rewrite what follows from every record of a folder, ``workers`` at a time; their names.

    For a record ``NAME``: ``NAME.json`` and ``NAME-checkpoints.parquet``; for some also a table of
    steps, see `STEPS`. Raises UserError where there is no record.
    """
    names = sorted(path.parent.name for path in results.glob(f"*/{FILE}"))
    if not names:
        raise UserError(f"{results}: holds no record of a study")
    if workers == 1:
        for name in names:
            _summarise(results, name)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_summarise, [results] * len(names), sorted(names, key=_longest_first)))
    return names


def _longest_first(name: str) -> bool:
    return f"{name}.json" != STUDY


def _summarise(results: Path, name: str) -> None:
    found = derive(Record.read(results / name))
    found.summary().write(results / f"{name}.json")
    write_table(results / f"{name}-checkpoints.parquet", checkpoints(found.rows))
    if name in STEPS:
        write_text(results / STEPS[name], json.dumps(step_table(found)) + "\n")


def pages(docs: Path) -> None:
    """Rewrite all tables, the figures of committed studies, and the findings in README."""
    subprocess.run([sys.executable, str(docs / "tables.py")], check=True)
    results, studies = docs / "results", {STUDY, TRIAL, *STEPS.values()}
    with tempfile.TemporaryDirectory() as folder:
        for claim in CLAIMS:
            if studies & set(claim.reads) and not claim.missing(results):
                svg, _ = render(claim, claim.load(results), out=Path(folder))
                shutil.copyfile(svg, docs / "figures" / svg.name)
    write_text(docs / "figures.md", handbook(results))
    readme = docs.parent / "README.md"
    found = Results.read(results / STUDY)
    write_text(readme, quoted(readme.read_text(encoding="utf-8"), found))


def quoted(readme: str, found: Results) -> str:
    """README with the findings between its two marks made anew."""
    texts = [finding.text for finding in found.findings if finding.name in QUOTED]
    items = [
        textwrap.fill(
            text, 98, initial_indent="- ", subsequent_indent="  ", break_long_words=False,
            break_on_hyphens=False,
        )
        for text in texts
    ]  # fmt: skip
    block = "\n".join(items)
    return _BLOCK.sub(lambda m: f"{m[1]}{block}\n{m[2]}", readme)


def main(arguments: Sequence[str]) -> None:
    """Take the records of runs, if any, and rewrite everything."""
    parser = argparse.ArgumentParser(description=__doc__, prog="redo")
    parser.add_argument("results", type=Path, help="folder of committed results")
    parser.add_argument(
        "runs", nargs="*", metavar="[NAME=]RUN", help="finished runs to take the records of"
    )
    given = parser.parse_args(arguments)
    try:
        for run, name in map(_named, given.runs):
            take(run, given.results, name)
        names = redo(given.results, workers=len(os.sched_getaffinity(0)))
        docs = given.results.resolve().parent
        in_checkout = (docs / "tables.py").is_file()
        rewrite(given.results, levels=docs.parent / LEVELS if in_checkout else None)
        if in_checkout:
            pages(docs)
    except UserError as err:
        parser.exit(2, f"{err}\n")
    print(f"rewrote what follows from {', '.join(names)}")


if __name__ == "__main__":
    main(sys.argv[1:])
