"""``grpolab plan``: how many rollouts for which prompt, and which prompts to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli._options import OneOf, expanded
from grpolab.cli._output import JsonFlag, print_json, print_table, say
from grpolab.cli.audit import ReadingOptions
from grpolab.errors import UserError, input_errors

if TYPE_CHECKING:
    from grpolab.theory.groups import GroupCounts
    from grpolab.validate.forecast import Posterior
    from grpolab.validate.plan import Row, Selection
    from grpolab.validate.plan.write import Written

_SELECT = "Selection"


@expanded
def plan(
    path: Annotated[Path, typer.Argument(help="File or folder with verdicts or counts.")],
    reading: ReadingOptions,
    budget: Annotated[int | None, typer.Option(help="Rollouts to spend in all.")] = None,
    group_size: Annotated[
        int | None,
        typer.Option("-g", "--group-size", help="Planned group size; budget: -g per prompt."),
    ] = None,
    most: Annotated[int, typer.Option(help="Rollouts of one prompt at most.")] = 128,
    select: Annotated[
        Path | None,
        typer.Option(
            help="Write the prompts in the band: ids, or with --data the rows of a data set.",
            rich_help_panel=_SELECT,
        ),
    ] = None,
    band: Annotated[
        tuple[float, float],
        typer.Option(help="Success rates of the prompts to keep.", rich_help_panel=_SELECT),
    ] = (0.1, 0.9),
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to filter, .jsonl or .parquet.", rich_help_panel=_SELECT),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Column of --data with the ids; 'row': ids are row numbers from 0.",
            rich_help_panel=_SELECT,
        ),
    ] = None,
    unmeasured: Annotated[
        str | None,
        OneOf(("keep", "drop")),
        typer.Option(help="Rows of --data without counts.", rich_help_panel=_SELECT),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the intervals.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Spread a budget of rollouts over prompts, and choose prompts, from n verdicts each.

    The success rate of a prompt is known as far as its counts and those of the
    others tell, never as c/n. Reads what `grpolab audit` reads.

    Example: grpolab plan docs/samples/depth2048.csv -g 8
    """
    _check(budget, group_size, select, data, id, unmeasured)
    size = group_size or 8
    counts, notes = _counts(path, reading, seed)
    from grpolab.validate.forecast import fit_posterior
    from grpolab.validate.plan import make_rows
    from grpolab.validate.plan import select as choose

    with input_errors():
        found = fit_posterior(counts, rng=seed)
        rows, chosen = [], None
        if budget is not None or select is None:
            total = found.num_prompts * size if budget is None else budget
            rows = make_rows(found, total, group_size=size, rng=seed, most=most)
        if select is not None:
            chosen = choose(found, band=band, group_size=size, rng=seed)
    names = [counts.prompt_names.get(i, str(i)) for i in found.prompt_id.tolist()]
    written = None
    if select is not None and chosen is not None:
        written = _write(select, data, id, unmeasured, names, chosen)
    if as_json:
        print_json(_as_dict(found, rows, chosen, written, names, notes, size))
        return
    _print(found, rows, chosen, notes)
    if written is not None:
        what = "ids" if data is None else "rows"
        more = f"; {written.num_unmeasured} rows had no counts" if written.num_unmeasured else ""
        say(f"wrote {written.num_rows} {what} to {select}{more}")


def _check(
    budget: int | None, group_size: int | None, select: Path | None, data: Path | None,
    id: str | None, unmeasured: str | None,
) -> None:  # fmt: skip
    """What can be said before anything is read."""
    if group_size is not None and group_size < 2:
        raise UserError(f"-g must be >= 2, got {group_size}")
    if budget is None and group_size is None and select is None:
        raise UserError("--budget N says how many rollouts to spend, or -g how many per prompt")
    if select is None and (data is not None or id is not None or unmeasured is not None):
        raise UserError("--data, --id and --unmeasured go with --select OUT")
    if data is None and (id is not None or unmeasured is not None):
        raise UserError("--id and --unmeasured go with --data FILE")
    if data is None and select is not None and select.suffix in (".jsonl", ".parquet"):
        raise UserError(
            f"{select}: a {select.suffix} is filtered from a data set; --data names it (for ids"
            " alone choose another ending)"
        )


def _counts(path: Path, reading: ReadingOptions, seed: int) -> tuple[GroupCounts, list[str]]:
    """The counts of one input, after the tests of the audit; UserError where no plan is right."""
    from grpolab import streams
    from grpolab.validate import readers
    from grpolab.validate.audit.alarms import alarm_sentence
    from grpolab.validate.audit.examine import examine
    from grpolab.validate.audit.summary import ALARM_LEVEL, latest
    from grpolab.validate.estimate.independence import pair_contrast

    parts = readers.read_all(path if str(path) != "-" else "-", reading.read_options())
    if len(parts) > 1:
        labels = ", ".join(part.label for part in parts)
        raise UserError(
            f"{path}: holds {len(parts)} inputs ({labels}); a plan is for one: choose a file, or"
            " --group-by none pools them"
        )
    (part,) = parts
    generator = streams.generator(seed, "audit")
    contrast = pair_contrast(part.counts, rng=generator)
    examined = examine(part.counts, part.samples, contrast, rng=generator, level=ALARM_LEVEL)
    said = [alarm_sentence(alarm) for alarm in examined.alarms]
    if examined.refused or examined.stopped:
        raise UserError(f"{path}: no plan from these counts: {' '.join(said)}")
    counts, span = latest(examined.counts)
    return counts, [*part.notes, *said, *span]


def _write(
    out: Path, data: Path | None, id: str | None, unmeasured: str | None, names: list[str],
    chosen: Selection,
) -> Written:  # fmt: skip
    from grpolab.validate.plan.write import write_filtered, write_ids

    kept = [name for name, keep in zip(names, chosen.keep, strict=True) if keep]
    if data is None:
        return write_ids(out, kept)
    return write_filtered(
        out, data, kept=set(kept), measured=set(names), column=id, unmeasured=unmeasured
    )


def _as_dict(
    found: Posterior, rows: list[Row], chosen: Selection | None, written: Written | None,
    names: list[str], notes: list[str], size: int,
) -> dict[str, Any]:  # fmt: skip
    prompts = [{"name": name, "p": p} for name, p in zip(names, found.mean.tolist(), strict=True)]
    for i, prompt in enumerate(prompts):
        if rows:
            prompt["rollouts"] = int(rows[0].rollouts[i])
        if chosen is not None:
            prompt["selected"] = bool(chosen.keep[i])
    return {
        "group_size": size,
        "rules": [row.as_dict() for row in rows],
        "selection": None if chosen is None else chosen.as_dict(),
        "written": None if written is None else written._asdict(),
        "prompts": prompts,
        "notes": notes,
    }


def _print(found: Posterior, rows: list[Row], chosen: Selection | None, notes: list[str]) -> None:
    from grpolab.validate.plan import tables

    for note in notes:
        say(f"! {note}")
    if rows:
        print_table(tables.rules(rows))
        print_table(tables.kinds(found, rows[0]))
    if chosen is not None:
        print_table(tables.shares(chosen))
