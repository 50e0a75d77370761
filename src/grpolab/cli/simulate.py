"""`grpolab simulate`: the experiments of the simulator, as tables, JSON and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from grpolab.cli import _simulate_tables as show
from grpolab.cli._output import JsonFlag, print_json
from grpolab.cli._simulate_run import draw, parse_setting, plot_ending, run

simulate_app = typer.Typer(
    help="Play GRPO: thresholds, training runs and SFT ladders, from simulated groups.",
    no_args_is_help=True,
)

Seed = Annotated[int, typer.Option(help="One seed gives one result, bit for bit.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for one file per point; a stopped run goes on there.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes; results do not depend on it.")]
Backend = Annotated[str, typer.Option(help="local, or ray or dask for a cluster.")]
Plot = Annotated[
    Path | None, typer.Option(callback=plot_ending, help="Write a plot (.svg, .png, .pdf).")
]
Rule = Annotated[
    list[str] | None, typer.Option("--rule", help="Advantage rule; repeat for several.")
]


@simulate_app.command()
def pstar(
    group_size: Annotated[
        list[int] | None, typer.Option("-g", "--group-size", help="Repeat for several.")
    ] = None,
    rho: Annotated[list[float] | None, typer.Option(help="ICC; repeat for several.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Dependence; repeat for several.")] = None,
    event: Annotated[str, typer.Option(help="identical or all-wrong.")] = "identical",
    groups: Annotated[int, typer.Option(min=100, help="Groups at each mean tried.")] = 1 << 16,
    seed: Seed = 0,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "local",
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """Derive p* from simulated groups, and from the wait of training runs, without a formula.

    Example: grpolab simulate pstar -g 4 -g 8 --rho 0 --rho 0.2
    """
    grid: dict[str, list[Any]] = {
        "group_size": group_size or [2, 3, 4, 8, 16, 32, 64],
        "rho": rho or [0.0],
        "model": model or ["beta-binomial"],
        "event": [event],
        "num_groups": [groups],
    }
    results = run("pstar", grid, seed=seed, out=out, workers=workers, backend=backend)
    draw(plot, "pstar", results)
    if as_json:
        print_json({"experiment": "pstar", "seed": seed, "results": results})
        return
    show.pstar(results)


@simulate_app.command()
def dynamics(
    rule: Rule = None,
    p0: Annotated[list[float] | None, typer.Option(help="Starts; repeat for several.")] = None,
    group_size: Annotated[int, typer.Option("-g", "--group-size")] = 8,
    learning_rate: Annotated[float, typer.Option("--lr", min=1e-6)] = 0.1,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the trajectories.")] = 200,
    chains: Annotated[int, typer.Option(min=100, help="Training runs per start.")] = 1 << 14,
    trap: Annotated[
        float, typer.Option(min=0.0, help="Push against the prompt; 0 leaves the trap out.")
    ] = 0.0,
    seed: Seed = 0,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "local",
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """Play training runs: mean p, zero-std share and escape times against the exact theory.

    With --trap LOAD also the point below which a push of that size drags a
    prompt down, for g = 4, 8, 16, 64.

    Example: grpolab simulate dynamics --rule grpo --rule dr-grpo --trap 0.02
    """
    rules, starts = rule or ["grpo", "dr-grpo"], p0 or [0.02, 0.083, 0.3]
    grid: dict[str, list[Any]] = {
        "rule": rules,
        "p0": starts,
        "group_size": [group_size],
        "learning_rate": [learning_rate],
        "num_chains": [chains],
    }
    common: dict[str, Any] = {"seed": seed, "workers": workers, "backend": backend}
    paths = run("trajectory", {**grid, "num_steps": [steps]}, out=_below(out, "path"), **common)
    escapes = run("escape", grid, out=_below(out, "escape"), **common)
    traps, slopes = [], {}
    if trap > 0:
        trap_grid: dict[str, list[Any]] = {
            "rule": rules,
            "group_size": [4, 8, 16, 64],
            "load": [trap],
        }
        traps = run("trap", trap_grid, out=_below(out, "trap"), **common)
        slopes = show.slopes(traps)
    draw(plot, "trajectory", paths)
    if as_json:
        found = {"trajectories": paths, "escape": escapes, "trap": traps, "slopes": slopes}
        print_json({"experiment": "dynamics", "seed": seed, **found})
        return
    show.paths(paths, steps)
    show.escapes(escapes)
    if traps:
        show.traps(traps, slopes)


@simulate_app.command()
def independence(
    kind: Annotated[
        list[str] | None,
        typer.Option(help="independent, copy, common-source, shock or antithetic; repeat."),
    ] = None,
    strength: Annotated[float, typer.Option(help="Strength of the dependence.")] = 0.1,
    prompts: Annotated[list[int] | None, typer.Option(help="Prompts; repeat for several.")] = None,
    repeats: Annotated[
        list[int] | None, typer.Option(help="Groups per prompt; repeat for several.")
    ] = None,
    group_size: Annotated[
        list[int] | None, typer.Option("-g", "--group-size", help="Repeat for several.")
    ] = None,
    tables: Annotated[int, typer.Option(min=1, help="Tables per point.")] = 100,
    seed: Seed = 0,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "local",
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """Size and power of the tests of independence; size where the kind is independent.

    Example: grpolab simulate independence --kind copy --strength 0.1 --prompts 50 --prompts 200
    """
    grid: dict[str, list[Any]] = {
        "kind": kind or ["independent", "copy"],
        "strength": [strength],
        "num_prompts": prompts or [50, 200],
        "groups_per_prompt": repeats or [1, 2],
        "group_size": group_size or [8],
        "num_tables": [tables],
    }
    results = run("independence", grid, seed=seed, out=out, workers=workers, backend=backend)
    draw(plot, "independence", results)
    if as_json:
        print_json({"experiment": "independence", "seed": seed, "results": results})
        return
    show.independence(results)


@simulate_app.command()
def ladder(
    accuracy: Annotated[
        list[float] | None, typer.Option(help="Label accuracy of SFT; repeat for several.")
    ] = None,
    interference: Annotated[
        list[float] | None, typer.Option(help="Shared part of the features; repeat for several.")
    ] = None,
    steps: Annotated[list[int] | None, typer.Option(help="GRPO steps; repeat for several.")] = None,
    group_size: Annotated[
        list[int] | None, typer.Option("-g", "--group-size", help="Repeat for several.")
    ] = None,
    kl: Annotated[float, typer.Option(min=0.0, help="Weight of the KL penalty.")] = 0.0,
    kl_reference: Annotated[str, typer.Option(help="start or base.")] = "start",
    label_smoothing: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.0,
    max_tries: Annotated[int, typer.Option(min=1, help="Draws of dynamic sampling.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Worlds per point.")] = 8,
    seed: Seed = 0,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "local",
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """SFT depth ladder, then GRPO from every depth: where pass@1 ranks checkpoints upside down.

    Example: grpolab simulate ladder --accuracy 0.5 --accuracy 0.9 --steps 20 --steps 200
    """
    grid: dict[str, list[Any]] = {
        "label_accuracy": accuracy or [0.5, 0.9],
        "interference": interference or [0.0, 0.3],
        "num_steps": steps or [20, 200],
        "group_size": group_size or [8],
        "kl": [kl],
        "kl_reference": [kl_reference],
        "label_smoothing": [label_smoothing],
        "max_tries": [max_tries],
        "num_repeats": [repeats],
    }
    results = run("ladder", grid, seed=seed, out=out, workers=workers, backend=backend)
    draw(plot, "ladder", results)
    if as_json:
        print_json({"experiment": "ladder", "seed": seed, "results": results})
        return
    show.ladder(results)


@simulate_app.command()
def sweep(
    experiment: Annotated[
        str, typer.Argument(help="pstar, trajectory, escape, trap, ladder or independence.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value or name=v1,v2,...; repeat for several."),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "local",
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """Any experiment over a grid of its parameters; resumes in --out.

    Example: grpolab simulate sweep pstar --set group_size=4,8 --set rho=0,0.2 --out runs/pstar
    """
    grid = dict(parse_setting(item) for item in values or [])
    results = run(experiment, grid, seed=seed, out=out, workers=workers, backend=backend)
    draw(plot, experiment, results)
    if as_json:
        print_json({"experiment": experiment, "seed": seed, "results": results})
        return
    show.sweep(experiment, list(grid), results)


def _below(out: Path | None, name: str) -> Path | None:
    return None if out is None else out / name
