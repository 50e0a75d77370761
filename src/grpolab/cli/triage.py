"""``grpolab triage``: which checkpoint gives GRPO more signal, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli._output import JsonFlag, print_json, print_table, shortest_tails
from grpolab.cli._train_options import train_split
from grpolab.errors import input_errors

if TYPE_CHECKING:
    from grpolab.validate.triage.ranking import Triage


TrainSplit = Annotated[
    str, typer.Option(help="Split; empty: what train trains on, rl or a data set's train.")
]


def triage(
    models: Annotated[list[str], typer.Argument(help="Checkpoint folders or hub ids.")],
    task: opt.TaskName,
    group_size: Annotated[
        int, typer.Option("-g", "--group-size", min=2, help="Planned group size.")
    ] = 8,
    num_samples: Annotated[
        int, typer.Option(min=0, help="Completions per prompt; 0: four groups.")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the rollouts; a stopped triage goes on.")] = (
        Path("runs/triage")
    ),
    html: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    split: TrainSplit = "",
    limit: opt.Limit = 256,
    temperature: opt.Temperature = 1.0,
    top_p: opt.TopP = 1.0,
    top_k: opt.TopK = 0,
    max_new_tokens: opt.MaxNewTokens = 0,
    seed: opt.Seed = 0,
    task_seed: opt.TaskSeed = 0,
    verifier: opt.VerifierName = "",
    columns: opt.Columns = "",
    unsafe: opt.Unsafe = False,
    chat: opt.Chat = False,
    engine: opt.EngineName = "hf",
    device: opt.Device = "cpu",
    dtype: opt.Dtype = "float32",
    batch_rows: opt.BatchRows = 1024,
    tensor_parallel: opt.TensorParallel = 1,
    max_model_len: opt.MaxModelLen = 0,
    gpu_memory: opt.GpuMemory = 0.9,
    shard_rows: opt.ShardRows = 4096,
    as_json: JsonFlag = False,
) -> None:
    """Compare checkpoints on the same prompts at the same law, before any RL.

    Ends with status 1 when a test says that the rollouts are not independent draws.

    Example: grpolab triage ckpt-100 ckpt-200 --task countdown -g 8 --html triage.html
    """
    from grpolab.validate.rollouts.make import EngineOptions
    from grpolab.validate.triage.ranking import triage as compare_runs

    split = train_split(task, split)
    options = EngineOptions(engine, device, dtype, batch_rows, "", tensor_parallel,
                            max_model_len or None, gpu_memory)  # fmt: skip
    with opt.take_prompts(
        task,
        seed=task_seed,
        split=split,
        limit=limit,
        verifier=verifier,
        columns=columns,
        unsafe=unsafe,
    ) as (the_task, prompts):
        plan = opt.make_plan(
            the_task, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p,
            top_k=top_k, num_samples=num_samples or 4 * group_size, group_size=group_size,
            seed=seed, chat=chat, rows_per_shard=shard_rows,
        )  # fmt: skip
        names = shortest_tails(models, what="checkpoint")
        runs = {
            label: _run(model, label, options, plan, the_task, prompts, out)
            for label, model in zip(names, models, strict=True)
        }
    with input_errors():
        found = compare_runs(runs, task=the_task.name, group_size=group_size, rng=seed)
    if html is not None:
        from grpolab.validate.triage.page import write_triage

        write_triage(html, found)
    if as_json:
        _print_json(found)
    else:
        _print(found, html, split=split)
    if found.suspects:
        raise typer.Exit(1)


def _run(
    model: str, label: str, options: Any, plan: Any, task: Any, prompts: Any, out: Path
) -> Any:
    """Rollouts of one checkpoint; the engine is let go of before the next one is made."""
    from grpolab.validate.rollouts.make import make_engine

    folder = out / label.replace("/", "__")
    return opt.run_one(
        make_engine(model, options), plan, task=task, prompts=prompts, out=folder, note=label
    )


def _print_json(found: Triage) -> None:
    from grpolab.validate.triage.advice import advise_triage

    print_json({**found.as_dict(), "advice": advise_triage(found)})


def _print(found: Triage, html: Path | None, *, split: str) -> None:
    from grpolab.figures.words import plain
    from grpolab.validate.triage.advice import advise_triage
    from grpolab.validate.triage.tables import tables

    size = f"{found.num_prompts} prompts of {split} x {found.samples_per_prompt} samples"
    typer.echo(f"{size}, g={found.group_size}")
    for table in tables(found):
        print_table(table)
    for sentence in advise_triage(found):
        typer.echo(f"- {plain(sentence)}")
    for checkpoint in found.checkpoints:
        for warning in checkpoint.audit.warnings:
            typer.echo(f"! {checkpoint.label}: {warning}")
    if html is not None:
        typer.echo(f"wrote {html}")
