"""``grpolab rollout``: completions of a model and their verdicts, on disk and resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli import _rollout_options as opt
from grpolab.cli._output import JsonFlag, print_json
from grpolab.errors import UserError

if TYPE_CHECKING:
    from grpolab.validate.rollouts import Worker


def rollout(
    model: Annotated[str, typer.Argument(help="Checkpoint folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped run goes on.")],
    task: opt.TaskName,
    num_samples: Annotated[int, typer.Option(min=1, help="Completions per prompt.")] = 32,
    group_size: Annotated[
        int, typer.Option("-g", "--group-size", min=1, help="Completions per group.")
    ] = 8,
    split: opt.Split = "eval",
    limit: opt.Limit = 0,
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
    adapter: opt.Adapter = "",
    tensor_parallel: opt.TensorParallel = 1,
    max_model_len: opt.MaxModelLen = 0,
    gpu_memory: opt.GpuMemory = 0.9,
    shard_rows: opt.ShardRows = 4096,
    worker: Annotated[
        str, typer.Option(help="I/N: take every N-th shard from the I-th on (data parallel).")
    ] = "0/1",
    as_json: JsonFlag = False,
) -> None:
    """Sample completions, judge them, and keep texts, tokens, log-probabilities and verdicts.

    Example: grpolab rollout ckpt-100 --task countdown --num-samples 32 --out runs/ckpt-100
    """
    from grpolab.validate.rollouts.make import EngineOptions, make_engine

    part = _worker(worker)
    options = EngineOptions(engine, device, dtype, batch_rows, adapter, tensor_parallel,
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
            top_k=top_k, num_samples=num_samples, group_size=group_size, seed=seed, chat=chat,
            rows_per_shard=shard_rows,
        )  # fmt: skip
        made = make_engine(model, options)
        table = opt.run_one(made, plan, task=the_task, prompts=prompts, out=out, worker=part)
    summary = _summary(out, finished=table is not None)
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _worker(text: str) -> Worker:
    from grpolab.validate.rollouts import Worker

    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise UserError(f"--worker must be I/N with 0 <= I < N, got {text!r}")
    return Worker(int(first), int(second))


def _summary(out: Path, *, finished: bool) -> dict[str, Any]:
    from grpolab.store import read_json
    from grpolab.validate.rollouts import read_run
    from grpolab.validate.rollouts.stream import RESULT
    from grpolab.validate.rollouts.table import entropies

    if not finished:
        return {"out": str(out), "finished": False}
    table = read_run(out)
    return {
        "out": str(out),
        "finished": True,
        **read_json(out / RESULT),
        "entropies": entropies(table)._asdict(),
        "provenance": table.provenance.as_dict(),
    }


def _print(summary: dict[str, Any]) -> None:
    if not summary["finished"]:
        typer.echo(f"this worker is done; other shards of {summary['out']} are still missing")
        return
    mean = summary["mean_reward"]
    typer.echo(
        f"{summary['num_rollouts']} rollouts, mean reward"
        f" {'unknown' if mean is None else format(mean, '.3f')},"
        f" {100 * summary['frac_truncated']:.1f}% truncated, {summary['num_empty']} empty"
    )
    for name, value in summary["entropies"].items():
        if value is not None and value == value:
            typer.echo(f"{name.replace('_', ' ')}: {value:.3f}")
    if summary["sandbox"]:
        counts = ", ".join(f"{count} {name}" for name, count in summary["outcomes"].items())
        typer.echo(f"judged in a sandbox of level {', '.join(summary['sandbox'])}: {counts}")
    if summary["num_missing"]:
        typer.echo(
            f"! {summary['num_missing']} completions have no verdict;"
            f" {summary['num_verifier_errors']} because the verifier raised"
            f" ({summary['first_verifier_error'] or 'no error'}). Remove"
            f" {summary['out']}/verdicts and run again to judge them anew."
        )
    typer.echo(f"wrote {summary['out']}; next: grpolab audit {summary['out']}/groups.parquet")
