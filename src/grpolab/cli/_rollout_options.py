"""Options that ``rollout`` and ``triage`` share, and what they do with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.errors import UserError, input_errors

if TYPE_CHECKING:
    from grpolab.validate.rollouts import RolloutPlan, Rollouts, Worker
    from grpolab.validate.rollouts.engine import Engine
    from grpolab.validate.tasks import Prompt, Task

TaskName = Annotated[
    str, typer.Option("--task", help="countdown, coins, a jsonl or parquet file, or a data set id.")
]
VerifierName = Annotated[
    str,
    typer.Option(
        "--verifier", help="exact, numeric, regex, math, or FILE.py:FUNCTION; code needs none."
    ),
]
Columns = Annotated[
    str, typer.Option(help="Columns of prompt and answer of a file, as PROMPT,ANSWER.")
]
TaskSeed = Annotated[int, typer.Option(help="Seed of the task's splits.")]
Split = Annotated[str, typer.Option(help="Split of the task to take prompts from.")]
Limit = Annotated[int, typer.Option(min=0, help="First so many prompts of the split; 0: all.")]
Temperature = Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")]
TopP = Annotated[float, typer.Option(help="Nucleus; 1 cuts nothing.")]
TopK = Annotated[int, typer.Option(help="Likeliest tokens kept; 0 cuts nothing.")]
MaxNewTokens = Annotated[
    int, typer.Option(min=0, help="Tokens of a completion, end token included; 0: the task's.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sampling.")]
Chat = Annotated[bool, typer.Option(help="Send prompts through the chat template.")]
EngineName = Annotated[str, typer.Option("--engine", help="hf (transformers) or vllm.")]
Device = Annotated[str, typer.Option(help="hf: cpu, cuda, cuda:1, or auto for all GPUs.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
BatchRows = Annotated[int, typer.Option(min=1, help="hf: completions at once.")]
Adapter = Annotated[str, typer.Option(help="vllm: folder of a LoRA adapter.")]
TensorParallel = Annotated[int, typer.Option(min=1, help="vllm: GPUs per copy of the model.")]
MaxModelLen = Annotated[int, typer.Option(min=0, help="vllm: context to reserve; 0: the model's.")]
GpuMemory = Annotated[float, typer.Option(help="vllm: share of GPU memory to use.")]
Unsafe = Annotated[
    bool, typer.Option("--unsafe", help="Run code without walls where no sandbox works.")
]
ShardRows = Annotated[int, typer.Option(min=1, help="Completions per file.")]


@contextlib.contextmanager
def take_prompts(
    name: str,
    *,
    seed: int,
    split: str,
    limit: int,
    verifier: str = "",
    columns: str = "",
    unsafe: bool = False,
) -> Iterator[tuple[Task, list[Prompt]]]:
    """The task and the prompts to sample; a sandbox that the task opens is closed at the end."""
    task, split = _find_task(
        name, seed=seed, split=split, verifier=verifier, columns=columns, unsafe=unsafe
    )
    try:
        prompts = list(task.prompts(split))
        if not prompts:
            raise UserError(f"task {name}: split {split!r} has no prompts")
        yield task, prompts[:limit] if limit else prompts
    finally:
        task.close()


def _find_task(
    name: str, *, seed: int, split: str, verifier: str, columns: str, unsafe: bool
) -> tuple[Task, str]:
    """A task by name, or the records in a file or data set; with the split to ask it for."""
    from grpolab.validate.study.tasks import TASKS, make_task
    from grpolab.validate.tasks import load_task

    if name in TASKS or not (Path(name).exists() or "/" in name or "." in name):
        return make_task(name, seed=seed), split
    prompt, _, answer = (columns or "prompt,answer").partition(",")
    loaded = load_task(
        name, verifier=verifier or None, prompt=prompt, answer=answer or "answer",
        split="test" if split == "eval" else split, unsafe=unsafe,
    )  # fmt: skip
    return loaded, "eval"


def make_plan(task: Task, *, max_new_tokens: int, **options: Any) -> RolloutPlan:
    """The plan of a run; UserError where an option is out of range."""
    from grpolab.validate.rollouts import RolloutPlan, SamplingLaw

    budget = max_new_tokens or task.max_new_tokens
    if not budget:
        raise UserError(f"task {task.name} sets no length: give --max-new-tokens")
    law = {name: options.pop(name) for name in ("temperature", "top_k", "top_p")}
    with input_errors():
        return RolloutPlan(SamplingLaw(max_new_tokens=budget, **law), **options)


def run_one(
    engine: Engine,
    plan: RolloutPlan,
    *,
    task: Task,
    prompts: list[Prompt],
    out: Path,
    worker: Worker | None = None,
    note: str = "",
) -> Rollouts | None:
    """Stream one run with progress on stderr."""
    from grpolab.progress import ProgressBar
    from grpolab.validate.rollouts import stream

    with ProgressBar(1.0, note=note or str(out)) as bar:
        return stream(
            engine, plan, task=task, prompts=prompts, out=out, worker=worker,
            progress=lambda share: bar.part(note or out.name, share, finished=share >= 1),
        )  # fmt: skip
