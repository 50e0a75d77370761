"""How long a run will take, measured by a step or less of it before it begins."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grpolab.validate.models.memory import exhausted
from grpolab.validate.rollouts.law import BrokenLaw
from grpolab.validate.rollouts.prompts import asked
from grpolab.validate.tasks.base import Prompt, Task, Verdict
from grpolab.validate.training.ending import num_processes
from grpolab.validate.training.grpo import GRPOLoop
from grpolab.validate.training.job import TrainJob, check_lengths
from grpolab.validate.training.policy import load_policy
from grpolab.validate.training.sft_data import Example, padded

if TYPE_CHECKING:
    from grpolab.validate.training.sft import SFTConfig

_FEWEST = 20
"""Steps below which a measurement would take a good part of the run."""
_BUDGET = 10.0
"""Seconds that a measurement may take where a part of a step tells enough."""
_LEAST = 0.2
"""Seconds over which short work is repeated, for a mean."""
_CHECKPOINTING = 4 / 3
"""Cost of a step on a GPU, where `sft` computes the activations twice, over one that keeps them."""


class _Alternating(Task):
    """A task whose rewards alternate: every group has a signal, and no verifier is called."""

    def __init__(self, task: Task) -> None:
        self.name, self.max_new_tokens, self.stop = task.name, task.max_new_tokens, task.stop

    def prompts(self, split: str) -> tuple[Prompt, ...]:
        """None: the prompts are given."""
        return ()

    def verify(self, prompt: Prompt, completion: str) -> bool:
        """Right; `verify_many` is what is asked."""
        return True

    def verify_many(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[Verdict]:
        """Right and wrong in turn."""
        return [i % 2 == 1 for i in range(len(completions))]


def grpo_seconds(job: TrainJob) -> float | None:
    """Seconds of a run of the own loop, from a step of a copy of the model; None where not known.

    The step draws completions of the prompts and updates on all groups, as if none had equal
    rewards. Where a whole step would take long, one group stands for it: the estimate is then too
    long where groups run faster together. Verdicts, further draws of dynamic sampling, the
    reference of the KL term and saving are not in it. None for other trainers, for fewer than 20
    steps, and where the step fails as the run would: without memory, or by weights that are NaN.
    ``job`` is one that `check_job` lets pass; UserError where a prompt leaves too little context.
    """
    if job.trainer != "own" or num_processes() > 1 or job.config.steps < _FEWEST:
        return None
    with _measuring():
        model, tokenizer = load_policy(
            job.model, seed=job.seed, lora_rank=job.lora_rank, device=job.device, dtype=job.dtype
        )
        check_lengths(job, model, tokenizer)
        prompts = asked(job.prompts, chat=job.chat)

        def step(groups: int) -> None:
            config = replace(
                job.config, prompts_per_step=groups, beta=0.0, dynamic_sampling="off",
                only_unsolved=False,
            )  # fmt: skip
            GRPOLoop(
                model, tokenizer, task=_Alternating(job.task), prompts=prompts, config=config,
                seed=job.seed, batch_rows=job.batch_rows,
            ).advance()  # fmt: skip

        seconds = _grown(step, job.config.prompts_per_step, device=job.device)
        if seconds is None:
            return None
        rows = job.config.prompts_per_step * job.config.group_size
        evals = job.config.steps // job.config.eval_every + 1 if job.held_out else 0
        more = evals * len(job.held_out) * job.eval_samples
        return seconds * (job.config.steps + more / rows)


def sft_seconds(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    config: SFTConfig,
    device: str,
    dtype: str,
) -> float | None:
    """Seconds of a ladder, from the passes over examples spread evenly over the data.

    Gradients are dropped and weights stay as they are; saving and the held-out loss are not in it.
    None for several processes, fewer than 20 steps, and where memory runs out.
    """
    steps = max(config.steps(len(examples)))
    if num_processes() > 1 or steps < _FEWEST:
        return None
    epochs = steps / math.ceil(len(examples) / config.batch_size)  # the last batch may be short
    rows = min(config.batch_size, len(examples))
    batches = epochs * len(examples) / rows
    with _measuring():
        model.to(device).train()

        def passes(part: int) -> None:
            import torch

            some = [row._asdict() for row in examples[:: len(examples) // part][:part]]
            batch = {k: v.to(device) for k, v in padded(some, pad=tokenizer.pad_token_id).items()}
            with torch.autocast(
                model.device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16"
            ):
                loss = model(**batch, use_cache=False).loss
            loss.backward()
            model.zero_grad(set_to_none=True)

        seconds = _grown(passes, rows, device=device)
        model.eval()
        more = 1.0 if device == "cpu" else _CHECKPOINTING
        return None if seconds is None else seconds * more * batches


@contextlib.contextmanager
def _measuring() -> Iterator[None]:
    """Leave the random numbers of torch as they were, and give the memory back."""
    import torch

    with torch.random.fork_rng():
        yield
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _grown(work: Callable[[int], None], size: int, *, device: str) -> float | None:
    """Seconds of ``work(size)``, or in proportion to less of it; None where it cannot be done."""
    import torch

    def timed(part: int) -> float:
        began, times = time.monotonic(), 0
        while not times or time.monotonic() - began < _LEAST:
            work(part)
            if device != "cpu":
                torch.cuda.synchronize()
            times += 1
        return (time.monotonic() - began) / times

    try:
        began = time.monotonic()
        work(1)
        one = time.monotonic() - began
        if one < _BUDGET:  # the first time is slow by what is set up
            one = timed(1)
        part = max(1, min(size, int(_BUDGET / max(one, 1e-9))))
        return (one if part == 1 else timed(part)) * size / part
    except BrokenLaw:
        return None
    except (RuntimeError, MemoryError) as err:
        if not exhausted(err):
            raise
        return None
