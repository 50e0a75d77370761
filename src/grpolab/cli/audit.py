"""``grpolab audit``: the zero-std share of planned groups, from files that are already there."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli._options import OUTPUT, Group, OneOf, expanded
from grpolab.cli._output import HtmlPage, JsonFlag, print_json, print_table, say, shortest_tails
from grpolab.errors import UserError, input_errors
from grpolab.validate.readers import FORMATS, ReadOptions

if TYPE_CHECKING:
    from grpolab.figures.tables import Table
    from grpolab.validate.audit.compare import Difference
    from grpolab.validate.audit.summary import Audit


PRINTED = ("terminal", "markdown", "json")
"""Values of ``--format`` that say how the result is printed, not how the files were written."""


@dataclass(frozen=True, slots=True)
class ReadingOptions(Group):
    """How the files are read; None leaves the choice to the format."""

    PANEL = "Reading"

    format: Annotated[
        str,
        OneOf(("auto", *(f.name for f in FORMATS), *PRINTED)),
        typer.Option(help="Tool that wrote the files; auto: recognise it."),
    ] = "auto"
    score: Annotated[
        str | None, typer.Option(help="Column, reward, metric or scorer that holds the verdict.")
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(help="Scores above THRESHOLD are correct; needed where they are not 0 or 1."),
    ] = None
    recorded_group_size: Annotated[
        int | None,
        typer.Option(help="Rollouts per group, for files that do not say it (TRL, NeMo-RL)."),
    ] = None
    problem: Annotated[
        str | None, typer.Option(help="Column of a table: problem id; COLUMN,COLUMN joins two.")
    ] = None
    group: Annotated[str | None, typer.Option(help="Column of a table: group of rollouts.")] = None
    group_by: Annotated[
        str | None,
        typer.Option(help="One input per value of COLUMN[,COLUMN] or 'file'; 'none' pools all."),
    ] = None
    num_correct: Annotated[
        str | None, typer.Option(help="Column of a table of counts: samples that are correct.")
    ] = None
    num_samples: Annotated[
        str | None, typer.Option(help="Column of a table of counts: samples drawn; or a number.")
    ] = None
    errors: Annotated[
        str | None,
        OneOf(("missing", "wrong")),
        typer.Option(help="How samples with an error count; asked for where both make sense."),
    ] = None
    repeats: Annotated[
        str | None,
        OneOf(("keep", "drop")),
        typer.Option(help="What to do with samples that are written twice."),
    ] = None
    id_suffix: Annotated[
        str | None,
        OneOf(("sample", "problem")),
        typer.Option(help="Whether ids q0_0, q0_1 are samples of q0, or problems."),
    ] = None
    missing: Annotated[
        float | None, typer.Option(help="Score that means no verdict, such as -1.")
    ] = None
    step: Annotated[str | None, typer.Option(help="Column: training step; or none.")] = None
    filter: Annotated[str | None, typer.Option(help="Which filter of lm-eval to read.")] = None
    filtered: Annotated[
        bool | None, typer.Option(help="Whether the file was written after dynamic sampling.")
    ] = None

    def read_options(self) -> ReadOptions:
        """As the readers take them."""
        fields = asdict(self)
        if self.format in PRINTED:
            raise UserError(
                f"--format {self.format} is a form of what audit prints, no file format"
            )
        with input_errors():
            return ReadOptions(group_size=fields.pop("recorded_group_size"), **fields)


@expanded
def audit(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders; one per checkpoint.")],
    reading: ReadingOptions,
    group_size: Annotated[
        list[int] | None, typer.Option("-g", "--group-size", help="Planned group size; repeatable.")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(help="Also predict what the first GROUPS groups of a run show.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="End with status 1 if this holds for an input: 'zero_std(8) > 0.8', 'icc > 0.9',"
            " 'pass_at(1) < 0.05'; repeatable.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print Markdown, for a pull request.", rich_help_panel=OUTPUT
        ),
    ] = False,
    html: HtmlPage = None,
    as_json: JsonFlag = False,
) -> None:
    """Say how many groups will carry a signal, from n verdicts per problem.

    Reads what evaluation tools and trainers write (the values of --format name
    them), and csv, xlsx, json, jsonl or parquet with one row per completion, or
    one per problem with num_correct and num_samples; '-' is standard input.
    --format terminal, markdown or json says how the result is printed instead.
    Needs no GPU and no torch.

    Example: grpolab audit docs/samples/depth0008.csv docs/samples/depth2048.csv -g 8
    """
    if reading.format in PRINTED:
        markdown = markdown or reading.format == "markdown"
        as_json = as_json or reading.format == "json"
        reading = replace(reading, format="auto")
    if group_size and min(group_size) < 2:
        raise UserError(f"-g must be >= 2, got {min(group_size)}")
    if groups is not None and groups < 1:
        raise UserError(f"--groups must be >= 1, got {groups}")
    from grpolab.validate.audit.compare import compare_all
    from grpolab.validate.audit.condition import Condition

    with input_errors():
        conditions = [Condition.parse(text) for text in fail_on or ()]
    sizes = list(group_size or ()) + [g for c in conditions if (g := c.group_size) is not None]
    found = audit_all(
        paths, reading.read_options(), seed, group_sizes=sizes or None, num_groups=groups
    )
    with input_errors():
        outcomes = [condition.holds(one) for condition in conditions for one in found]
    differences = compare_all(found)
    if html is not None:
        from grpolab.validate.audit.page import write_audit

        write_audit(html, found, differences)
    if as_json:
        told = [{"fails": fails, "said": said} for fails, said in outcomes]
        print_json({**_as_dict(found, differences), "fail_on": told})
    else:
        _print(found, differences, html, markdown=markdown)
        for fails, said in outcomes:
            say(f"{'fail' if fails else 'ok'}: {said}")
    if any(fails for fails, _ in outcomes):
        raise typer.Exit(1)


def audit_all(
    paths: list[Path],
    options: ReadOptions,
    seed: int,
    *,
    group_sizes: list[int] | None,
    num_groups: int | None,
) -> list[Audit]:
    """Read and audit each path, with progress; a path may hold several inputs."""
    from grpolab.progress import ProgressBar
    from grpolab.validate import readers
    from grpolab.validate.audit.summary import ALARM_LEVEL, GROUP_SIZES
    from grpolab.validate.audit.summary import audit as audit_counts

    labels = shortest_tails([_name(p) for p in paths], what="input")
    found = []
    with ProgressBar(len(paths), note="audit", patience=2.0) as bar:
        for label, path in zip(labels, paths, strict=True):
            bar.part(label, 0.0)
            readings = readers.read_all(path if str(path) != "-" else "-", options)
            bar.part(label, 0.5)
            with input_errors():
                found += [
                    audit_counts(
                        reading, rng=seed, label=_joined(label, reading.label),
                        group_sizes=group_sizes or GROUP_SIZES, num_groups=num_groups,
                        alarm_level=ALARM_LEVEL / (len(paths) * len(readings)),
                    )
                    for reading in readings
                ]  # fmt: skip
            bar.part(label, 1.0, finished=True)
    return found


def _name(path: Path) -> str:
    """How an input is called: its path, or what a pipe is."""
    if str(path) == "-":
        return "stdin"
    return os.path.realpath(path) if path.is_file() or path.is_dir() else str(path)


def _joined(label: str, part: str) -> str:
    """The label of one of the inputs that a source holds."""
    return f"{label} {part}" if part else label


def _as_dict(found: list[Audit], differences: list[Difference]) -> dict[str, Any]:
    from grpolab.validate.audit.advice import advise
    from grpolab.validate.audit.advice_pairs import advise_comparison

    return {
        "inputs": [{**a.as_dict(), "advice": advise(a)} for a in found],
        "comparison": [d.as_dict() for d in differences],
        "comparison_advice": advise_comparison(differences),
    }


def _print(
    found: list[Audit], differences: list[Difference], html: Path | None, *, markdown: bool
) -> None:
    from grpolab.validate.audit.advice import advise
    from grpolab.validate.audit.advice_pairs import advise_comparison
    from grpolab.validate.audit.tables import cover, facts, plans, side_by_side

    def show(table: Table, *, caption: bool = True) -> None:
        if not markdown:
            print_table(table, caption=caption)
            return
        for line in ("", *table.markdown().splitlines(), ""):
            say(line)

    for a in found:
        first, *others = facts(a)
        say(f"### {a.label}: {first}" if markdown else f"{a.label}: {first}")
        for fact in others:
            say(f"{fact}  " if markdown else fact)  # two blanks: a line of its own
        if a.plans:
            show(plans(a), caption=a is found[0])
        if (curve := cover(a)) is not None:
            show(curve, caption=a is found[0])
        for sentence in advise(a):
            say(f"- {sentence}")
        for warning in a.warnings:
            say(f"- **Warning:** {warning}" if markdown else f"! {warning}")
        say("")
    if len(found) > 1:
        table = side_by_side(found)
        if table.rows:
            show(table)
    for sentence in advise_comparison(differences):
        say(f"- {sentence}")
    if html is not None:
        say(f"wrote {html}")
