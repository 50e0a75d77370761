"""``grpolab pstar``: the mean at which a wanted share of the groups carries no signal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from grpolab.cli._options import OUTPUT, OneOf, expanded
from grpolab.cli._output import JsonFlag, drawable, print_json, print_table, say
from grpolab.errors import UserError, input_errors, named
from grpolab.figures.tables import Column, Table
from grpolab.figures.words import percent, significant
from grpolab.theory.critical import Event
from grpolab.theory.dependence import MODELS
from grpolab.theory.model import Model

_GRADER = "A grader that errs"


@expanded
def pstar(
    group_size: Annotated[int, typer.Option("-g", "--group-size", help="Rollouts per prompt.")],
    rho: Annotated[
        float, typer.Option(help="Correlation of two rewards of a group; 0 for one prompt.")
    ] = 0.0,
    model: Annotated[
        str, OneOf(MODELS, own=True), typer.Option(help="How rewards depend on each other.")
    ] = "beta-binomial",
    event: Annotated[
        str,
        OneOf(get_args(Event)),
        typer.Option(help="Count groups with equal rewards, or all-wrong ones only."),
    ] = "identical",
    frac: Annotated[float, typer.Option(help="Share of such groups at the threshold.")] = 0.5,
    true_positive: Annotated[
        float,
        typer.Option(help="Chance that the grader passes a right answer.", rich_help_panel=_GRADER),
    ] = 1.0,
    false_positive: Annotated[
        float, typer.Option(help="Chance that it passes a wrong one.", rich_help_panel=_GRADER)
    ] = 0.0,
    plot: Annotated[
        Path | None,
        typer.Option(
            callback=drawable,
            help="Draw the share of such groups against the mean.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Mean success rate p* below which more than a share FRAC of the groups has no signal.

    With --rho 0 it is a statement about one prompt; with --rho > 0 about the mean over prompts,
    whose success rates follow --model. Also shown: the range of p* over all possible distributions
    of success rates with this correlation. For a grader that errs, --rho and p* are
    those of its verdicts, and the true success rate at p* is shown beside.

    Example: grpolab pstar -g 8 --rho 0.2 --model probit
    """
    with input_errors():
        family = named("model", model, MODELS)
        answer = _answer(group_size, rho, model, family, event, frac)
        answer |= _truth(answer, true_positive, false_positive)
    if plot is not None:
        _draw(plot, answer, family)
    if json:
        print_json(answer)
    else:
        _show(answer)


def _answer(
    group_size: int, rho: float, model: str, family: type[Model], event: Any, frac: float
) -> dict[str, Any]:
    from grpolab.theory import critical_p, critical_p_band, critical_p_upper, critical_rho

    number = critical_p(group_size, rho=rho, model=family, event=event, frac=frac)
    answer = {
        "p_star": _number(number),
        "p_star_upper": None,
        "group_size": group_size,
        "rho": rho,
        "model": model,
        "event": event,
        "frac": frac,
        "critical_rho": None,
        "band": None,
    }
    if event == "identical":
        upper = critical_p_upper(group_size, rho=rho, model=family, frac=frac)
        answer["p_star_upper"] = _number(upper)
        answer["critical_rho"] = _number(critical_rho(group_size, model=family, frac=frac))
        band = critical_p_band(group_size, rho=rho, frac=frac)
        answer["band"] = [_number(band.low), _number(band.high)]
    return answer


def _truth(
    answer: dict[str, Any], true_positive: float, false_positive: float
) -> dict[str, dict[str, float | None] | None]:
    """The true rates behind p*, where the grader errs; None where no true rate shows p*."""
    from grpolab.theory import true_rate

    errs = {"true_positive": true_positive, "false_positive": false_positive}
    if errs == {"true_positive": 1.0, "false_positive": 0.0}:
        return {"truth": None}
    truth: dict[str, float | None] = dict(errs)
    for name in ("p_star", "p_star_upper"):
        seen = answer[name]
        truth[name] = None if seen is None else _number(true_rate(seen, **errs))
    return {"truth": truth}


def _number(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _show(answer: dict[str, Any]) -> None:
    what = "equal rewards" if answer["event"] == "identical" else "no correct rollout"
    title = (
        f"Groups of {answer['group_size']}: mean success rate at which a share of"
        f" {answer['frac']:g} has {what} ({answer['model']}, rho {answer['rho']:g})"
    )
    share = percent(answer["frac"])
    rows: list[tuple[str, object]] = [
        (f"p*: below this mean, more than {share} of the groups have {what}", answer["p_star"])
    ]
    if answer["event"] == "identical":
        low, high = answer["band"]
        rows += [
            ("... and above this mean", answer["p_star_upper"]),
            ("lowest p* that any distribution with this rho allows", low),
            ("highest p* that any distribution with this rho allows", high),
            (f"{answer['model']}: rho above which every mean is affected", answer["critical_rho"]),
        ]
    none = any(value is None for _, value in rows)
    caption = "-: there is none; the share is larger at every mean" if none else ""
    if answer["truth"] is not None:
        errs, truth = "true success rate that the grader shows as", answer["truth"]
        rows.append((f"{errs} p*", truth["p_star"]))
        if answer["event"] == "identical":
            rows.append((f"{errs} the upper end", truth["p_star_upper"]))
        if None in truth.values() and not none:
            caption = "-: there is none; the grader shows no true rate as this"
    print_table(Table(("", Column("value", significant)), rows, caption, title=title))


def _draw(path: Path, answer: dict[str, Any], family: type[Model]) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a file, such as {path / 'pstar.svg'}")
    path = path if path.suffix else path.with_suffix(".png")
    from grpolab.figures.style import BLUE, styled

    mean = np.linspace(0.0, 1.0, 401)
    mean = mean[family(mean=mean, rho=np.full(len(mean), answer["rho"])).has_law]
    law = family(mean=mean, rho=answer["rho"])
    size = answer["group_size"]
    wrong_only = answer["event"] == "all-wrong"
    share = law.prob_all_wrong(size) if wrong_only else law.prob_zero_std(size)
    with styled():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(mean, share, color=BLUE, label=f"{answer['model']}, rho = {answer['rho']:g}")
        axes.axhline(answer["frac"], linestyle=":", color="grey")
        for key in ("p_star", "p_star_upper"):
            if answer[key] is not None:
                axes.axvline(answer[key], linestyle="--", color="grey")
        axes.set_xlabel("mean success rate")
        axes.set_ylabel(f"share of groups of {size}: {answer['event']}")
        axes.set_ylim(0, 1.02)
        axes.legend()
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except (OSError, ValueError) as err:
            raise UserError(f"cannot draw to {path}: {err}") from err
    say(f"wrote {path}", err=True)
