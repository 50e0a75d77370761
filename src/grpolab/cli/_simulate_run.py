"""What the commands of `grpolab simulate` share: a sweep, its settings, its folder, its plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import UserError, input_errors


def run(
    name: str,
    grid: dict[str, list[Any]],
    *,
    seed: int,
    out: Path | None,
    workers: int,
    backend: Any,
) -> list[dict[str, Any]]:
    """Results of an experiment at every point of a grid; UserError for an unknown experiment."""
    from grpolab.progress import ProgressBar
    from grpolab.simulate import EXPERIMENTS, grid_points, run_sweep
    from grpolab.validate.power import independence_experiment

    experiments = {**EXPERIMENTS, "independence": independence_experiment}
    if name not in experiments:
        raise UserError(f"experiment must be one of {sorted(experiments)}, got {name}")
    with input_errors():
        points = grid_points(grid)
    note = f"{name}: {len(points)} points"
    try:
        with input_errors(), ProgressBar(len(points), note=note, patience=2.0) as bar:
            return run_sweep(
                experiments[name], points, seed=seed, out=out, backend=backend, workers=workers,
                progress=lambda done, total: bar.part(note, done, finished=done == total),
            )  # fmt: skip
    except TypeError as err:
        raise UserError(f"{name}: {err}") from err


def parse_setting(item: str) -> tuple[str, list[Any]]:
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


def plot_ending(path: Path | None) -> Path | None:
    """Refuse a plot of an unknown kind before the run and not after it."""
    from grpolab.cli._simulate_plots import ENDINGS

    if path is not None and path.suffix not in ENDINGS:
        raise UserError(f"--plot must end in one of {', '.join(ENDINGS)}, got {path}")
    return path


def draw(path: Path | None, what: str, results: list[dict[str, Any]]) -> None:
    """Write a plot if one was asked for."""
    if path is not None:
        from grpolab.cli._simulate_plots import draw as write_plot

        write_plot(path, what, results)
