"""`grpolab simulate`: the experiments of the simulator, as tables, JSON and plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from grpolab.cli import _simulate_tables as show
from grpolab.cli._options import Group, OneOf, expanded
from grpolab.cli._output import DryRun, JsonFlag, announce, end_dry_run, print_json, say
from grpolab.cli._simulate_run import draw, parse_setting, plot_ending, run
from grpolab.cli._simulate_tables import Results
from grpolab.theory.critical import Event
from grpolab.theory.dependence import MODELS
from grpolab.theory.rules import RULE_NAMES

simulate = typer.Typer(
    help="Simulate GRPO: thresholds, training runs, SFT ladders and tests of independence.\n\n"
    "Example: grpolab simulate dynamics",
    no_args_is_help=True,
    add_completion=False,
)

Rule = Annotated[
    list[str] | None,
    OneOf(RULE_NAMES, own=True),
    typer.Option("--rule", help="Advantage rule; repeat for several."),
]
Sizes = Annotated[
    list[int] | None,
    typer.Option("-g", "--group-size", help="Rollouts per group; repeat for several."),
]


@dataclass(frozen=True, slots=True)
class RunOptions(Group):
    """How the points of an experiment are computed, and what is written."""

    PANEL = "Run and output"

    seed: Annotated[int, typer.Option(help="One seed gives one result, bit for bit.")] = 0
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for one file per point; a stopped run goes on there."),
    ] = None
    workers: Annotated[int, typer.Option(min=1, help="Processes; results do not depend on it.")] = 1
    backend: Annotated[
        str, typer.Option(help="Where points are computed: local, or a ray or dask cluster.")
    ] = "local"
    plot: Annotated[
        Path | None, typer.Option(callback=plot_ending, help="Write a plot (.svg, .png, .pdf).")
    ] = None
    as_json: JsonFlag = False

    def points(
        self,
        name: str,
        grid: dict[str, list[Any]],
        *,
        below: str = "",
        begin: Callable[[int], None] = lambda points: None,
    ) -> Results:
        """Results of an experiment at every point of a grid; ``begin`` gets their number."""
        out = self.out / below if self.out and below else self.out
        return run(
            name, grid, seed=self.seed, out=out, workers=self.workers, backend=self.backend,
            begin=begin,
        )  # fmt: skip

    def show(self, name: str, results: Results, tables: Callable[[Results], None]) -> None:
        """Draw, and print the results as JSON or as tables."""
        draw(self.plot, name, results)
        if self.as_json:
            print_json({"experiment": name, "seed": self.seed, "results": results})
        else:
            tables(results)


@simulate.command()
@expanded
def pstar(
    options: RunOptions,
    group_size: Sizes = None,
    rho: Annotated[list[float] | None, typer.Option(help="ICC; repeat for several.")] = None,
    model: Annotated[
        list[str] | None,
        OneOf(MODELS, own=True),
        typer.Option(help="Dependence; repeat for several."),
    ] = None,
    event: Annotated[
        str, OneOf(get_args(Event)), typer.Option(help="Rewards of a group without a signal.")
    ] = "identical",
    groups: Annotated[int, typer.Option(min=100, help="Groups at each mean tried.")] = 1 << 16,
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
    options.show("pstar", options.points("pstar", grid), show.pstar)


@simulate.command()
@expanded
def dynamics(
    options: RunOptions,
    rule: Rule = None,
    p0: Annotated[
        list[float] | None, typer.Option(help="Success rate at the start; repeat for several.")
    ] = None,
    group_size: Annotated[int, typer.Option("-g", "--group-size", help="Rollouts per group.")] = 8,
    learning_rate: Annotated[
        float, typer.Option("--lr", min=1e-6, help="Step size of the policy.")
    ] = 0.1,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the trajectories.")] = 200,
    chains: Annotated[int, typer.Option(min=100, help="Training runs per start.")] = 1 << 14,
    trap: Annotated[
        float, typer.Option(min=0.0, help="Push against the prompt; 0 leaves the trap out.")
    ] = 0.0,
) -> None:
    """Simulate training runs: mean p, zero-std share and escape times against the exact theory.

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
    paths = options.points("trajectory", {**grid, "num_steps": [steps]}, below="path")
    escapes = options.points("escape", grid, below="escape")
    traps, slopes = [], {}
    if trap > 0:
        trap_grid: dict[str, list[Any]] = {
            "rule": rules,
            "group_size": [4, 8, 16, 64],
            "load": [trap],
        }
        traps = options.points("trap", trap_grid, below="trap")
        slopes = show.slopes(traps)
    draw(options.plot, "trajectory", paths)
    if options.as_json:
        found = {"trajectories": paths, "escape": escapes, "trap": traps, "slopes": slopes}
        print_json({"experiment": "dynamics", "seed": options.seed, **found})
        return
    show.paths(paths, steps)
    show.escapes(escapes)
    if traps:
        show.traps(traps, slopes)


@simulate.command()
@expanded
def independence(
    options: RunOptions,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="independent, copy, common-source, shock or antithetic; repeat for several."
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="Strength of the dependence.")] = 0.1,
    prompts: Annotated[list[int] | None, typer.Option(help="Prompts; repeat for several.")] = None,
    repeats: Annotated[
        list[int] | None, typer.Option(help="Groups per prompt; repeat for several.")
    ] = None,
    group_size: Sizes = None,
    tables: Annotated[int, typer.Option(min=1, help="Tables per point.")] = 100,
) -> None:
    """Simulate how often the tests of independence reject, for samples of each kind.

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
    options.show("independence", options.points("independence", grid), show.independence)


@simulate.command()
@expanded
def ladder(
    options: RunOptions,
    accuracy: Annotated[
        list[float] | None, typer.Option(help="Label accuracy of SFT; repeat for several.")
    ] = None,
    interference: Annotated[
        list[float] | None,
        typer.Option(help="Part of the features that prompts share; repeat for several."),
    ] = None,
    steps: Annotated[list[int] | None, typer.Option(help="GRPO steps; repeat for several.")] = None,
    group_size: Sizes = None,
    kl: Annotated[float, typer.Option(min=0.0, help="Weight of the KL penalty.")] = 0.0,
    kl_reference: Annotated[
        str,
        OneOf(("start", "base")),
        typer.Option(help="Policy that the KL penalty pulls towards."),
    ] = "start",
    label_smoothing: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the SFT target spread over answers.")
    ] = 0.0,
    max_tries: Annotated[int, typer.Option(min=1, help="Draws of dynamic sampling.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Random problem sets per point.")] = 8,
) -> None:
    """Simulate SFT depths and GRPO from each: where pass@1 ranks checkpoints upside down.

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
    options.show("ladder", options.points("ladder", grid), show.ladder)


@simulate.command()
@expanded
def sweep(
    experiment: Annotated[
        str, typer.Argument(help="Which: pstar, trajectory, escape, trap, ladder or independence.")
    ],
    options: RunOptions,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter, as name=value or name=v1,v2; repeat for several."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Run any experiment over a grid of its parameters; a stopped run goes on in --out.

    Example: grpolab simulate sweep pstar --set group_size=4,8 --set rho=0,0.2 --out runs/pstar
    """
    grid = dict(parse_setting(item) for item in values or [])
    out = options.out

    def begin(points: int) -> None:
        kept = f"into {out}" if out else "kept nowhere (--out DIR keeps them)"
        size = f"{points} points of {experiment}, {options.workers} at a time, {kept}"
        if dry_run:
            end_dry_run(size, as_json=options.as_json)
        announce(size)

    results = options.points(experiment, grid, begin=begin)
    options.show(experiment, results, partial(show.sweep, experiment, list(grid)))
    if out and not options.as_json:
        say(f"wrote {out}; the same command goes on there, with more values of --set if given")
