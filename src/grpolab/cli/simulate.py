"""`grpolab simulate`: the experiments of the simulator, as tables, JSON and plots."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from grpolab.cli._output import JsonFlag, print_json, print_table
from grpolab.errors import UserError, input_errors

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
Plot = Annotated[Path | None, typer.Option(help="Write a plot (.svg, .png, .pdf).")]
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
    results = _run("pstar", grid, seed, out, workers, backend, as_json)
    _draw(plot, "pstar", results)
    if as_json:
        print_json({"experiment": "pstar", "seed": seed, "results": results})
        return
    rows = [
        (
            r["point"]["group_size"],
            r["point"]["rho"],
            r["point"]["model"],
            r["theory"],
            r["estimate"],
            _interval(r),
            r["waiting"] and r["waiting"]["estimate"],
            "" if _covers(r) else "outside",
        )
        for r in results
    ]
    columns = ("g", "rho", "model", "theory", "simulated", "95 %", "from waiting", "")
    print_table("Mean at which half the groups carry no signal", columns, rows)
    typer.echo("At p* a run waits two steps for its first update; nothing else happens there.")


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

    With --trap LOAD also the point below which a push of that size drags a prompt down, for
    g = 4, 8, 16, 64. Example: grpolab simulate dynamics --rule grpo --rule dr-grpo --trap 0.02
    """
    rules, starts = rule or ["grpo", "dr-grpo"], p0 or [0.02, 0.083, 0.3]
    grid: dict[str, list[Any]] = {
        "rule": rules,
        "p0": starts,
        "group_size": [group_size],
        "learning_rate": [learning_rate],
        "num_chains": [chains],
    }
    where = (workers, backend, as_json)
    paths = _run("trajectory", {**grid, "num_steps": [steps]}, seed, _sub(out, "path"), *where)
    escapes = _run("escape", grid, seed, _sub(out, "escape"), *where)
    traps, slopes = [], {}
    if trap > 0:
        trap_grid: dict[str, list[Any]] = {
            "rule": rules,
            "group_size": [4, 8, 16, 64],
            "load": [trap],
        }
        traps = _run("trap", trap_grid, seed, _sub(out, "trap"), *where)
        slopes = _slopes(traps)
    _draw(plot, "trajectory", paths)
    if as_json:
        found = {"trajectories": paths, "escape": escapes, "trap": traps, "slopes": slopes}
        print_json({"experiment": "dynamics", "seed": seed, **found})
        return
    _show_paths(paths, steps)
    _show_escapes(escapes)
    if traps:
        _show_traps(traps, slopes)


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
    results = _run("independence", grid, seed, out, workers, backend, as_json)
    _draw(plot, "independence", results)
    if as_json:
        print_json({"experiment": "independence", "seed": seed, "results": results})
        return
    names = ("kind", "num_prompts", "groups_per_prompt", "group_size")
    tests = ("pair_contrast", "duplicates", "pooled_tarone")
    rows = [
        (*(r["point"][n] for n in names), *(r[t] and f"{r[t]['rate']:.2f}" for t in tests))
        for r in results
    ]
    columns = ("kind", "prompts", "groups", "g", "pair contrast", "duplicates", "pooled")
    print_table("Share of tables rejected at the 5 % level", columns, rows)
    typer.echo("The pooled test answers another question: do prompts differ? They always do.")


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
    results = _run("ladder", grid, seed, out, workers, backend, as_json)
    _draw(plot, "ladder", results)
    if as_json:
        print_json({"experiment": "ladder", "seed": seed, "results": results})
        return
    names = ("label_accuracy", "interference", "num_steps", "group_size")
    rows = [
        (
            *(r["point"][name] for name in names),
            f"{r['pass_at_1'][0]:.2f} {r['pass_at_1'][-1]:.2f}",
            f"{r['outcome'][0]:.2f} {max(r['outcome']):.2f} {r['outcome'][-1]:.2f}",
            f"{r['tau']:.2f}",
            f"{r['inversion']:.3f}",
            "inverted" if r["inverted"] else "",
        )
        for r in results
    ]
    columns = ("labels", "shared", "steps", "g", "before", "after", "tau", "lost", "")
    print_table("Does pass@1 rank the checkpoints as GRPO does?", columns, rows)
    typer.echo(
        "before: pass@1 of the first and the deepest checkpoint; after GRPO: first, best, deepest"
    )
    typer.echo(
        "tau: rank agreement over depths; lost: by taking the checkpoint with the best pass@1"
    )


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
    grid = dict(_parse(item) for item in values or [])
    results = _run(experiment, grid, seed, out, workers, backend, as_json)
    _draw(plot, experiment, results)
    if as_json:
        print_json({"experiment": experiment, "seed": seed, "results": results})
        return
    names = list(grid)
    numbers = [k for k, v in results[0].items() if isinstance(v, int | float) and k != "seed"]
    rows = [(*(r["point"][n] for n in names), *(r[n] for n in numbers)) for r in results]
    print_table(f"{experiment}: {len(results)} points", (*names, *numbers), rows)


def _run(
    name: str,
    grid: dict[str, list[Any]],
    seed: int,
    out: Path | None,
    workers: int,
    backend: Any,
    quiet: bool,
) -> list[dict[str, Any]]:
    from grpolab.simulate import EXPERIMENTS, grid_points, run_sweep
    from grpolab.validate.power import independence_experiment

    experiments = {**EXPERIMENTS, "independence": independence_experiment}
    if name not in experiments:
        raise UserError(f"experiment must be one of {sorted(experiments)}, got {name}")

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty() and not quiet:
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r\x1b[K{name}: {done} of {total} points{end}")
            sys.stderr.flush()

    try:
        with input_errors():
            return run_sweep(
                experiments[name], grid_points(grid), seed=seed, out=out, backend=backend,
                workers=workers, progress=progress,
            )  # fmt: skip
    except TypeError as err:
        raise UserError(f"{name}: {err}") from err


def _sub(out: Path | None, name: str) -> Path | None:
    return None if out is None else out / name


def _parse(item: str) -> tuple[str, list[Any]]:
    """``rho=0,0.2`` to ("rho", [0, 0.2])."""
    name, equals, text = item.partition("=")
    if not (name and equals and text):
        raise UserError(f"--set needs name=value, got {item}")
    return name.replace("-", "_"), [_value(part) for part in text.split(",")]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _interval(result: dict[str, Any]) -> str:
    if result["low"] is None:
        return "none"
    return f"{result['low']:.4g} .. {result['high']:.4g}"


def _covers(result: dict[str, Any]) -> bool:
    if result["low"] is None or result["theory"] is None:
        return result["low"] is None and result["theory"] is None
    return bool(result["low"] <= result["theory"] <= result["high"])


def _slopes(traps: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Slopes on log(g-1) of the trap, simulated and exact, and of p*, per rule."""
    from grpolab.simulate import log_slope

    found: dict[str, dict[str, float]] = {}
    for rule in dict.fromkeys(t["point"]["rule"] for t in traps):
        rows = [t for t in traps if t["point"]["rule"] == rule]
        sizes = [t["point"]["group_size"] for t in rows]
        found[rule] = {
            name: log_slope(sizes, [t[name] or math.nan for t in rows])
            for name in ("estimate", "theory", "p_star")
        }
    return found


def _show_paths(paths: list[dict[str, Any]], steps: int) -> None:
    rows = []
    for r in paths:
        middle = len(r["step"]) // 2
        rows.append((r["point"]["rule"], r["point"]["p0"], r["frac_zero_std"][0],
                     r["mean_p"][middle], r["mean_p"][-1], r["mean_field"][-1],
                     r["frac_zero_std"][-2]))  # fmt: skip
    columns = ("rule", "p0", "zero std at 0", f"p at {steps // 2}", f"p at {steps}",
               "mean field", "zero std at end")  # fmt: skip
    print_table("Training runs, means over chains", columns, rows)


def _show_escapes(escapes: list[dict[str, Any]]) -> None:
    rows = [
        (r["point"]["rule"], r["p0"], r["mean"], r["stderr"], r["exact"], r["mean_field"])
        for r in escapes
    ]
    columns = ("rule", "p0", "steps to 1/2", "stderr", "exact", "mean field")
    print_table("Escape times", columns, rows)


def _show_traps(traps: list[dict[str, Any]], slopes: dict[str, dict[str, float]]) -> None:
    rows = [
        (t["point"]["rule"], t["point"]["group_size"], t["estimate"], _interval(t), t["theory"],
         t["p_star"])
        for t in traps
    ]  # fmt: skip
    print_table("Below p_c the push wins", ("rule", "g", "p_c", "95 %", "small steps", "p*"), rows)
    for rule, slope in slopes.items():
        typer.echo(
            f"{rule}: p_c falls like (g-1)^{slope['estimate']:.2f}"
            f" (small steps {slope['theory']:.2f}), p* like (g-1)^{slope['p_star']:.2f}"
        )


def _draw(path: Path | None, what: str, results: list[dict[str, Any]]) -> None:
    if path is not None:
        from grpolab.cli._simulate_plots import draw

        draw(path, what, results)
