"""Options of the commands that run a model, in groups, and what is done with them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grpolab.cli._options import Group, OneOf
from grpolab.cli._output import say
from grpolab.errors import UserError, input_errors
from grpolab.streams import generator
from grpolab.validate.rollouts.hf import DTYPES
from grpolab.validate.rollouts.make import ENGINES, EngineOptions
from grpolab.validate.study.tasks import TASKS
from grpolab.validate.tasks.verifiers import VERIFIERS

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
System = Annotated[str, typer.Option(help="System message before every conversation.")]
Stop = Annotated[
    list[str],
    typer.Option(
        help="Text that ends a completion, which is cut before it; may be given again. \\\\n is a"
        " line end, \\\\t a tab."
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0: as torch chooses.")]
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
            help=f"{', '.join(TASKS)}, humaneval, a jsonl or parquet file, the id of a data set,"
            " or reasoning-gym:NAME?setting=value."
        ),
    ]
    split: Annotated[str, typer.Option(help="Split of the task to take prompts from.")] = "eval"
    limit: Annotated[
        int, typer.Option(min=0, help="Use only the first N prompts of the split (0 = all).")
    ] = 0
    shuffle: Annotated[
        bool,
        typer.Option("--shuffle", help="Shuffle the prompts, by --task-seed, before --limit."),
    ] = False
    verifier: Annotated[
        str,
        typer.Option(
            help=f"How answers are checked: {', '.join(VERIFIERS)}, or FILE.py:FUNCTION. Leave"
            " out for code problems."
        ),
    ] = ""
    extract: Annotated[
        str,
        typer.Option(
            help="Pattern with one group: judge its last match in a completion; none is wrong."
        ),
    ] = ""
    threshold: Annotated[
        float | None,
        typer.Option(help="Score from which on a completion is right, if the verifier grades."),
    ] = None
    allow_errors: Annotated[
        bool,
        typer.Option(
            "--allow-errors", help="Go on where the verifier raises on more than 5% of all."
        ),
    ] = False
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
        return take_prompts(self)


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
    top_p: Annotated[
        float, typer.Option(help="Probability of the nucleus; 1 keeps all tokens.")
    ] = 1.0
    top_k: Annotated[int, typer.Option(help="Number of likeliest tokens kept; 0 keeps all.")] = 0
    max_new_tokens: MaxNewTokens = 0
    seed: Seed = 0
    chat: Chat = False
    system: System = ""
    stop: Stop = dataclasses.field(default_factory=list)
    shard_rows: Annotated[int, typer.Option(min=1, help="Completions per file.")] = 4096
    rejudge: Annotated[
        bool, typer.Option("--rejudge", help="Judge all completions anew; none is drawn again.")
    ] = False

    def plan(self, task: Task, *, num_samples: int, group_size: int) -> RolloutPlan:
        """The plan of a run, see `make_plan`."""
        return make_plan(
            task, max_new_tokens=self.max_new_tokens, temperature=self.temperature,
            top_p=self.top_p, top_k=self.top_k, num_samples=num_samples, group_size=group_size,
            seed=self.seed, chat=self.chat, rows_per_shard=self.shard_rows,
            stop=read_stops(self.stop) or task.stop,
        )  # fmt: skip

    def asked(self, prompts: list[Prompt]) -> list[Prompt]:
        """The prompts with the system message; the plan sends the others through the template."""
        from grpolab.validate.rollouts.prompts import asked

        return asked(prompts, chat=self.chat, system=self.system) if self.system else prompts


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
    batch_rows: Annotated[
        int, typer.Option(min=0, help="hf: completions drawn at once; 0: what memory holds.")
    ] = 0
    threads: Threads = 0
    adapter: Annotated[str, typer.Option(help="Folder of a LoRA adapter for the model.")] = ""
    tensor_parallel: Annotated[
        int, typer.Option(min=1, help="vllm: GPUs per copy of the model.")
    ] = 1
    max_model_len: Annotated[
        int, typer.Option(min=0, help="vllm: context to reserve; 0: the model's.")
    ] = 0
    gpu_memory: Annotated[float, typer.Option(help="vllm: share of GPU memory to use.")] = 0.9

    def engine_options(self) -> EngineOptions:
        """As the library takes them; sets the number of threads."""
        use_threads(self.threads)
        return EngineOptions(
            self.engine, self.device, self.dtype, self.batch_rows, self.adapter,
            self.tensor_parallel,
            self.max_model_len or None, self.gpu_memory,
        )  # fmt: skip


def use_threads(number: int) -> None:
    """Have torch, and vLLM in this process, use so many threads; 0 leaves it to them."""
    if number:
        from grpolab.errors import require

        require("torch", extra="train")
        os.environ["OMP_NUM_THREADS"] = str(number)
        import torch

        torch.set_num_threads(number)


def read_stops(texts: list[str]) -> tuple[str, ...]:
    r"""Stop texts as they are typed: ``\n`` is a line end and ``\t`` a tab.

    >>> read_stops([r"\nQ:", "</s>"])
    ('\nQ:', '</s>')
    """
    if not all(texts):
        raise UserError("--stop must not be empty")
    return tuple(text.replace(r"\n", "\n").replace(r"\t", "\t") for text in texts)


def warn_of_form(model: str, prompts: list[Prompt], *, chat: bool) -> None:
    """Say on stderr where a model was trained on plain text and is asked in chats, or reversed."""
    from grpolab.validate.models.form import trained_in_chats

    trained = trained_in_chats(model)
    talks = {chat or bool(prompt.messages) for prompt in prompts}
    if trained is None or talks == {trained}:
        return
    ways = "through the chat template", "as plain text"
    then, now = ways if trained else ways[::-1]
    advice = "give --chat" if trained else "leave out --chat"
    say(f"! {model} was trained on prompts {then} and is asked {now} here: {advice}", err=True)


@contextlib.contextmanager
def take_prompts(options: TaskOptions) -> Iterator[tuple[Task, list[Prompt]]]:
    """The task and the prompts to sample; a sandbox that the task opens is closed at the end.

    Problems of code have passed their own reference, see `checked`.
    """
    task, split = find_task(options)
    try:
        prompts = list(task.prompts(split))
        if not prompts:
            raise UserError(f"task {options.task}: split {split!r} has no prompts")
        if options.shuffle:
            order = generator(options.task_seed, "shuffle").permutation(len(prompts))
            prompts = [prompts[i] for i in order]
        taken = prompts[: options.limit] if options.limit else prompts
        yield task, checked(task, taken, leave_out=options.leave_out_broken)
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


def find_task(options: TaskOptions) -> tuple[Task, str]:
    """A task by name, or the records in a file or data set; with the split to ask it for."""
    from grpolab.validate.study.tasks import make_task
    from grpolab.validate.tasks import humaneval, load_task
    from grpolab.validate.tasks.load import HUMANEVAL
    from grpolab.validate.tasks.reasoning_gym import PREFIX, ReasoningGymTask

    name, split, extract = options.task, options.split, options.extract or None
    if name.startswith(PREFIX):
        _refuse(options, "verifier", "columns")
        made = ReasoningGymTask(
            name, seed=options.task_seed, threshold=options.threshold, extract=extract
        )
        return made, split
    if name == HUMANEVAL and not Path(name).exists():
        _refuse(options, "verifier", "columns", "extract", "threshold")
        return humaneval(unsafe=options.unsafe), "eval"
    if name in TASKS or not (Path(name).exists() or "/" in name or "." in name):
        built_in = make_task(name, seed=options.task_seed)
        _refuse(options, "verifier", "columns", "extract", "threshold")
        return built_in, split
    prompt, _, answer = (options.columns or "prompt,answer").partition(",")
    loaded = load_task(
        name, verifier=options.verifier or None, prompt=prompt, answer=answer or "answer",
        split="test" if split == "eval" else split, unsafe=options.unsafe, extract=extract,
        threshold=options.threshold,
    )  # fmt: skip
    return loaded, "eval"


def _refuse(options: TaskOptions, *names: str) -> None:
    """UserError for options that the task has no use for: it has a judge of its own."""
    for name in names:
        if getattr(options, name) not in ("", None):
            raise UserError(f"task {options.task} has prompts and a judge of its own: no --{name}")


def make_plan(task: Task, *, max_new_tokens: int, **options: Any) -> RolloutPlan:
    """The plan of a run; UserError where an option is out of range."""
    from grpolab.validate.rollouts import RolloutPlan, SamplingLaw

    budget = max_new_tokens or task.max_new_tokens
    if not budget:
        raise UserError(f"task {task.name} sets no length: give --max-new-tokens")
    law = {name: options.pop(name) for name in ("temperature", "top_k", "top_p", "stop")}
    with input_errors():
        return RolloutPlan(SamplingLaw(max_new_tokens=budget, **law), **options)


def size_of(plan: RolloutPlan, num_prompts: int) -> str:
    """How much a plan draws, in words."""
    return (
        f"{num_prompts:,} prompts x {plan.num_samples:,} samples ="
        f" {num_prompts * plan.num_samples:,} completions of at most"
        f" {plan.law.max_new_tokens:,} tokens"
    )


def run_one(
    engine: Engine,
    plan: RolloutPlan,
    *,
    task: Task,
    prompts: list[Prompt],
    out: Path,
    worker: Worker | None = None,
    note: str = "",
    rejudge: bool = False,
    allow_errors: bool = False,
) -> Rollouts | None:
    """Stream one run with progress on stderr."""
    from grpolab.progress import ProgressBar
    from grpolab.validate.rollouts import stream

    with ProgressBar(1.0, note=note or str(out)) as bar:
        return stream(
            engine, plan, task=task, prompts=prompts, out=out, worker=worker, rejudge=rejudge,
            allow_errors=allow_errors, note=lambda words: say(words, err=True),
            progress=lambda share, speed: bar.part(
                note or out.name, share, finished=share >= 1, speed=speed
            ),
        )  # fmt: skip
