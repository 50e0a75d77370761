"""Options of the commands that run a model, in groups, and what is done with them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli._options import Group, OneOf
from grpolab.errors import UserError, input_errors
from grpolab.validate.rollouts.hf import DTYPES
from grpolab.validate.rollouts.make import ENGINES, EngineOptions
from grpolab.validate.study.tasks import TASKS

if TYPE_CHECKING:
    from grpolab.validate.rollouts import RolloutPlan, Rollouts, Worker
    from grpolab.validate.rollouts.engine import Engine
    from grpolab.validate.tasks import Prompt, Task

_DEVICE = re.compile(r"cpu|auto|cuda(:\d+)?")


def check_device(value: str) -> str:
    """Refuse what cannot be the name of a device, whether or not this machine has it."""
    if not _DEVICE.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not cpu, cuda, cuda:N or auto")
    return value


Device = Annotated[
    str,
    typer.Option(callback=check_device, help="cpu, cuda, cuda:N, or auto: cuda if there is a GPU."),
]
Dtype = Annotated[str, OneOf(DTYPES), typer.Option(help="Type of the weights.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the sampling.")]
Temperature = Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")]
MaxNewTokens = Annotated[
    int, typer.Option(min=0, help="Tokens of a completion, end token included; 0: the task's.")
]
Chat = Annotated[bool, typer.Option(help="Send prompts through the chat template.")]
GroupSize = Annotated[
    int, typer.Option("-g", "--group-size", min=2, help="Completions per planned group.")
]


@dataclass(frozen=True, slots=True)
class TaskOptions(Group):
    """Where prompts come from and how completions are judged."""

    PANEL = "Task"

    task: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(TASKS)}, a jsonl or parquet file, the id of a data set, or"
            " reasoning-gym:NAME?setting=value."
        ),
    ]
    split: Annotated[str, typer.Option(help="Split of the task to take prompts from.")] = "eval"
    limit: Annotated[
        int, typer.Option(min=0, help="Use only the first N prompts of the split (0 = all).")
    ] = 0
    verifier: Annotated[
        str,
        typer.Option(
            help="How answers are checked: exact, numeric, regex, math, or FILE.py:FUNCTION. Leave"
            " out for code problems."
        ),
    ] = ""
    columns: Annotated[
        str, typer.Option(help="Columns of prompt and answer of a file, as PROMPT,ANSWER.")
    ] = ""
    task_seed: Annotated[int, typer.Option(help="Seed of the splits of a built-in task.")] = 0
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe", help="Run code unprotected where no sandbox works: it can forge verdicts."
        ),
    ] = False
    leave_out_broken: Annotated[
        bool,
        typer.Option(
            "--leave-out-broken", help="Leave out code problems whose own reference fails."
        ),
    ] = False

    def open(self) -> contextlib.AbstractContextManager[tuple[Task, list[Prompt]]]:
        """The task and its prompts, see `take_prompts`."""
        return take_prompts(
            self.task, seed=self.task_seed, split=self.split, limit=self.limit,
            verifier=self.verifier, columns=self.columns, unsafe=self.unsafe,
            leave_out_broken=self.leave_out_broken,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainTaskOptions(TaskOptions):
    """The same, of the prompts that RL trains on."""

    split: Annotated[
        str,
        typer.Option(help="Split; default: rl of a built-in task, train of a file or data set."),
    ] = ""

    def open(self) -> contextlib.AbstractContextManager[tuple[Task, list[Prompt]]]:
        """The task and its prompts of the training split."""
        return TaskOptions.open(replace(self, split=self.train_split))

    @property
    def train_split(self) -> str:
        """Where the task has its training prompts."""
        return self.split or ("rl" if self.task in TASKS else "train")


@dataclass(frozen=True, slots=True)
class SamplingOptions(Group):
    """The law that completions are drawn from."""

    PANEL = "Sampling"

    temperature: Temperature = 1.0
    top_p: Annotated[float, typer.Option(help="Nucleus; 1 cuts nothing.")] = 1.0
    top_k: Annotated[int, typer.Option(help="Likeliest tokens kept; 0 cuts nothing.")] = 0
    max_new_tokens: MaxNewTokens = 0
    seed: Seed = 0
    chat: Chat = False
    shard_rows: Annotated[int, typer.Option(min=1, help="Completions per file.")] = 4096

    def plan(self, task: Task, *, num_samples: int, group_size: int) -> RolloutPlan:
        """The plan of a run, see `make_plan`."""
        return make_plan(
            task, max_new_tokens=self.max_new_tokens, temperature=self.temperature,
            top_p=self.top_p, top_k=self.top_k, num_samples=num_samples, group_size=group_size,
            seed=self.seed, chat=self.chat, rows_per_shard=self.shard_rows,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelOptions(Group):
    """The engine that runs the model, and what it may use."""

    PANEL = "Model"

    engine: Annotated[str, OneOf(ENGINES), typer.Option(help="transformers (hf), or vLLM.")] = "hf"
    device: Annotated[
        str,
        typer.Option(
            callback=check_device,
            help="hf: cpu, cuda, cuda:N, or auto: spread over all GPUs, cpu if there is none.",
        ),
    ] = "cpu"
    dtype: Dtype = "float32"
    batch_rows: Annotated[int, typer.Option(min=1, help="hf: completions at once.")] = 1024
    tensor_parallel: Annotated[
        int, typer.Option(min=1, help="vllm: GPUs per copy of the model.")
    ] = 1
    max_model_len: Annotated[
        int, typer.Option(min=0, help="vllm: context to reserve; 0: the model's.")
    ] = 0
    gpu_memory: Annotated[float, typer.Option(help="vllm: share of GPU memory to use.")] = 0.9

    def engine_options(self, adapter: str = "") -> EngineOptions:
        """As the library takes them."""
        return EngineOptions(
            self.engine, self.device, self.dtype, self.batch_rows, adapter, self.tensor_parallel,
            self.max_model_len or None, self.gpu_memory,
        )  # fmt: skip


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
    leave_out_broken: bool = False,
) -> Iterator[tuple[Task, list[Prompt]]]:
    """The task and the prompts to sample; a sandbox that the task opens is closed at the end.

    Problems of code have passed their own reference, see `checked`.
    """
    task, split = _find_task(
        name, seed=seed, split=split, verifier=verifier, columns=columns, unsafe=unsafe
    )
    try:
        prompts = list(task.prompts(split))
        if not prompts:
            raise UserError(f"task {name}: split {split!r} has no prompts")
        taken = prompts[:limit] if limit else prompts
        yield task, checked(task, taken, leave_out=leave_out_broken)
    finally:
        task.close()


def checked(task: Task, prompts: list[Prompt], *, leave_out: bool) -> list[Prompt]:
    """The prompts whose own reference passes, see `sound_prompts`, with progress on stderr."""
    from grpolab.progress import ProgressBar
    from grpolab.validate.tasks import sound_prompts

    note = f"{task.name}: judging the reference solutions"
    with ProgressBar(1.0, note=note, patience=2.0) as bar:

        def progress(done: int, total: int) -> None:
            bar.part("references", done / total, finished=done == total)

        return sound_prompts(task, prompts, leave_out=leave_out, progress=progress)


def _find_task(
    name: str, *, seed: int, split: str, verifier: str, columns: str, unsafe: bool
) -> tuple[Task, str]:
    """A task by name, or the records in a file or data set; with the split to ask it for."""
    from grpolab.validate.study.tasks import make_task
    from grpolab.validate.tasks import load_task
    from grpolab.validate.tasks.reasoning_gym import PREFIX, ReasoningGymTask

    if name.startswith(PREFIX):
        return ReasoningGymTask(name, seed=seed), split
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
