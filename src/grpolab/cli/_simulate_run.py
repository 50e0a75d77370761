"""What the commands of `grpolab simulate` share: a sweep, its settings, its folder, its plot."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from grpolab.cli._output import drawable
from grpolab.errors import UserError, input_errors
from grpolab.figures.words import counted


def run(
    name: str,
    grid: dict[str, list[Any]],
    *,
    seed: int,
    out: Path | None,
    workers: int,
    backend: Any,
    begin: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Results of an experiment at every point of a grid; UserError for an unknown experiment."""
    from grpolab.progress import ProgressBar
    from grpolab.simulate import EXPERIMENTS, grid_points, run_sweep
    from grpolab.validate.verify.power import independence_experiment

    experiments = {**EXPERIMENTS, "independence": independence_experiment}
    if name not in experiments:
        raise UserError(f"experiment must be one of {sorted(experiments)}, got {name}")
    _check(name, experiments[name], grid)
    with input_errors():
        points = grid_points(grid)
    begin(len(points))
    note = f"{name}: {counted(len(points), 'point')}"
    with input_errors(), ProgressBar(len(points), note=note, patience=2.0) as bar:
        return run_sweep(
            experiments[name], points, seed=seed, out=out, backend=backend, workers=workers,
            progress=lambda done, total: bar.part(note, done, finished=done == total),
        )  # fmt: skip


_KINDS: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"), float: ((int, float), "a number"), str: (str, "text"),
    bool: (bool, "true or false"),
}  # fmt: skip


def _check(name: str, experiment: Callable[..., Any], grid: dict[str, list[Any]]) -> None:
    """Refuse settings that the experiment does not have, or of another kind, before it starts."""
    from grpolab.simulate.ladder import LadderConfig

    parameters = inspect.signature(experiment).parameters
    loose = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = get_type_hints(LadderConfig if loose else experiment)
    known = {key: kind for key, kind in hints.items() if key not in ("seed", "return", "options")}
    for key, values in grid.items():
        if key not in known:
            raise UserError(f"{name} has no parameter {key}; it has {', '.join(known)}")
        kind, words = _KINDS.get(known[key], (object, ""))
        for value in values:
            flag = isinstance(value, bool) and kind not in (bool, object)
            if flag or not isinstance(value, kind):
                raise UserError(f"{name}: {key} must be {words}, got {value}")
    for key, parameter in parameters.items():
        if key in known and parameter.default is parameter.empty and key not in grid:
            raise UserError(f"{name} needs {key}; it has {', '.join(known)}")


def parse_setting(item: str) -> tuple[str, list[Any]]:
    """``rho=0,0.2`` to ("rho", [0, 0.2])."""
    name, equals, text = item.partition("=")
    if not (name and equals and text):
        raise UserError(f"--set needs name=value, got {item}")
    return name.replace("-", "_"), [_value(part) for part in text.split(",")]


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
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
    return drawable(path)


def draw(path: Path | None, what: str, results: list[dict[str, Any]]) -> None:
    """Write a plot if one was asked for."""
    if path is not None:
        from grpolab.cli._simulate_plots import draw as write_plot

        write_plot(path, what, results)
