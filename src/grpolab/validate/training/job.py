"""One training run, whichever trainer does it: what it depends on, and how it is run."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grpolab.errors import UserError, require
from grpolab.streams import stream_seed
from grpolab.theory.pass_at_k import pass_at_k
from grpolab.validate.models.load import check_checkpoint, load_model, torch_device
from grpolab.validate.models.precision import check_trainable, compute_in
from grpolab.validate.rollouts.collect import collect
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.plan import RolloutPlan, model_hash, prompts_hash
from grpolab.validate.rollouts.prompts import asked, check_context, encode
from grpolab.validate.training.config import GRPOConfig, interventions
from grpolab.validate.training.ending import is_first_process, num_processes, process_group
from grpolab.validate.training.log_to import check_log_to
from grpolab.validate.training.policy import load_policy
from grpolab.validate.training.restart import RESTARTS, describe, restart
from grpolab.validate.training.rundir import GROUPS, RunDir, good_checkpoint, number
from grpolab.validate.training.trl_config import check_expressible

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task
TRAINERS = ("own", "trl")
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class TrainJob:
    """A run of ``trainer`` on a checkpoint folder or hub id.

    ``reference`` is the checkpoint of the KL term, empty for the model at the start. ``held_out``
    prompts are answered ``eval_samples`` times every ``config.eval_every`` steps. At most
    ``batch_rows`` rollouts (0: all) go through the loss at once. ``chat`` sends prompts through the
    chat template. ``restart`` changes the weights before the first step (see `restart`).
    ``vllm_memory`` is TRL's (see `TrlOptions`). ``log_to`` names tools that get the scalars (see
    `log_to`).
    """

    model: str
    trainer: str
    task: Task
    prompts: Sequence[Prompt]
    config: GRPOConfig
    seed: int
    reference: str = ""
    restart: str = ""
    lora_rank: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    chat: bool = False
    batch_rows: int = 0
    vllm_memory: float = 0.0
    save_every: int = 50
    keep: int = 0
    held_out: Sequence[Prompt] = ()
    eval_samples: int = 4
    log_to: tuple[str, ...] = ()


def check_job(job: TrainJob) -> None:
    """UserError for whatever can be seen to be wrong before anything is loaded."""
    if job.trainer not in TRAINERS:
        raise UserError(f"--trainer must be own or trl, got {job.trainer!r}")
    for module in ("torch", "transformers", *(["trl"] if job.trainer == "trl" else [])):
        require(module, extra="train")
    torch_device(job.device)
    check_trainable(job.dtype)
    check_log_to(job.log_to)
    if job.restart not in ("", *RESTARTS):
        raise UserError(f"--restart must be {' or '.join(RESTARTS)}, got {job.restart!r}")
    if job.restart and job.lora_rank:
        raise UserError("--restart changes weights that --lora-rank leaves as they are: drop one")
    if len(job.prompts) < job.config.prompts_per_step:
        raise UserError(
            f"{len(job.prompts)} prompts are fewer than --prompts-per-step"
            f" {job.config.prompts_per_step}"
        )
    processes = num_processes()
    if processes > 1 and job.held_out:
        raise UserError(
            "--eval-every needs one process: evaluate the checkpoints by grpolab rollout instead"
        )
    if job.trainer == "own":
        _check_own(job, processes)
    else:
        _check_trl(job)


def _check_own(job: TrainJob, processes: int) -> None:
    if processes > 1:
        raise UserError(
            f"the own loop runs in one process, and {processes} were started: use --trainer trl"
        )
    if job.vllm_memory:
        raise UserError("--vllm-memory needs --trainer trl")


def _check_trl(job: TrainJob) -> None:
    check_expressible(job.config)
    if job.task.stop:
        raise UserError("--stop: TRL ends completions at the end token only; use --trainer own")
    other = job.reference not in ("", job.model)
    if job.config.beta > 0 and job.lora_rank and other:
        raise UserError(
            "TRL's reference under LoRA is the model without its adapter: leave --reference out,"
            " or use --trainer own"
        )
    if job.vllm_memory and job.device == "cpu":
        raise UserError("--vllm-memory needs a GPU: give --device cuda")


def manifest(job: TrainJob, *, task: dict[str, Any]) -> dict[str, Any]:
    """``run.json``: everything that the run depends on, and what each intervention is."""
    config, lora = job.config, job.lora_rank > 0
    reference = (job.reference or job.model) if config.beta > 0 else ""
    names = ["grpolab", "torch", "transformers"]
    names += (["trl", "accelerate"] if job.trainer == "trl" else []) + (["peft"] if lora else [])
    return {
        "trainer": job.trainer,
        "model": job.model,
        "model_hash": model_hash(job.model),
        "task": {
            **task,
            "chat": job.chat,
            "num_prompts": len(job.prompts),
            "prompts_hash": prompts_hash(job.prompts),
        },
        "max_new_tokens": job.config.law(job.task).max_new_tokens,
        "seed": job.seed,
        "group_size": config.group_size,
        "reference": reference,
        "reference_hash": model_hash(reference) if reference else "",
        "lora_rank": job.lora_rank,
        **({"restart": job.restart} if job.restart else {}),
        "dtype": job.dtype,
        "sampler": "vllm" if job.vllm_memory else "transformers",
        "evaluation": {"prompts": len(job.held_out), "samples": job.eval_samples},
        "config": asdict(config),
        "interventions": {
            **interventions(config, reference=reference, lora_rank=job.lora_rank),
            **({"restart": describe(job.restart)} if job.restart else {}),
        },
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def is_finished(job: TrainJob, run: RunDir) -> bool:
    """Whether all steps are done and the trained model is there, as it was written."""
    return run.is_whole(steps=job.config.steps)


def resume_step(job: TrainJob, run: RunDir) -> int:
    """The step from which a run goes on, that of its last whole checkpoint; 0 at the start."""
    found, updates = _checkpoints(job, run)
    return number(found[-1]) // updates if found else 0


def _checkpoints(job: TrainJob, run: RunDir) -> tuple[list[Path], int]:
    """Checkpoints, the latest last, and the number of updates per step by which they count."""
    if job.trainer == "own":
        from grpolab.validate.training.own import own_checkpoints

        return own_checkpoints(run), 1
    from grpolab.validate.training.trl_saving import trl_checkpoints

    return trl_checkpoints(run.checkpoints), job.config.inner_epochs


def run_job(job: TrainJob, run: RunDir, *, progress: Progress) -> None:
    """Train to the end, from where an earlier process stopped; see `train_own`, `train_trl`.

    UserError where the last checkpoint, or a line of the steps before it, is not as it was written.
    """
    if is_first_process():
        found, updates = _checkpoints(job, run)
        good_checkpoint(found, lambda saved: run.fault(saved, number(saved) // updates))
        (run.path / GROUPS).unlink(missing_ok=True)
    if job.trainer == "own":
        _run_own(job, run, progress)
    else:
        with process_group():
            _run_trl(job, run, progress)


def _run_own(job: TrainJob, run: RunDir, progress: Progress) -> None:
    from grpolab.validate.training.own import last_checkpoint, train_own

    model, tokenizer = load_policy(
        job.model, seed=job.seed, lora_rank=job.lora_rank, checkpoint=last_checkpoint(run),
        device=job.device, dtype=job.dtype,
    )  # fmt: skip
    check_lengths(job, model, tokenizer)
    if last_checkpoint(run) is None:
        restart(model, job.restart, seed=job.seed)
    reference = None
    if job.config.beta > 0:
        reference, _ = load_model(job.reference or job.model, device=job.device)
        compute_in(reference, job.dtype)  # as the policy does: equal weights, equal numbers
        _check_vocabulary(job, model.config, reference.config)
    train_own(
        model, tokenizer, run=run, task=job.task, prompts=asked(job.prompts, chat=job.chat),
        config=job.config,
        seed=job.seed, reference=reference, batch_rows=job.batch_rows,
        evaluate=_evaluator(job, model, tokenizer), save_every=job.save_every, keep=job.keep,
        log_to=job.log_to, progress=progress,
    )  # fmt: skip


def _run_trl(job: TrainJob, run: RunDir, progress: Progress) -> None:
    from grpolab.validate.training.trl_grpo import TrlOptions, train_trl

    model, tokenizer = load_model(job.model)
    check_lengths(job, model, tokenizer)
    restart(model, job.restart, seed=job.seed)  # a checkpoint is loaded over it
    if job.config.beta > 0:
        from transformers import AutoConfig

        check_checkpoint(job.reference or job.model)
        found = AutoConfig.from_pretrained(job.reference or job.model)
        _check_vocabulary(job, model.config, found)
    options = TrlOptions(
        device=job.device, dtype=job.dtype, lora_rank=job.lora_rank, batch_rows=job.batch_rows,
        save_every=job.save_every, keep=job.keep, vllm_memory=job.vllm_memory, chat=job.chat,
        log_to=job.log_to,
    )  # fmt: skip
    train_trl(
        model, tokenizer, run=run, task=job.task, prompts=job.prompts, config=job.config,
        seed=job.seed, options=options, reference=job.reference or job.model,
        evaluate=_evaluator(job, model, tokenizer), progress=progress,
    )  # fmt: skip


def _evaluator(job: TrainJob, model: Any, tokenizer: Any) -> Callable[[int], dict[str, Any]] | None:
    """A function of the step that asks the held-out prompts; None where there are none.

    The draws are the same at every step: two steps differ by the policy, not by the luck of the
    draw.
    """
    if not job.held_out:
        return None
    n = job.eval_samples
    engine = HFEngine.of(model, tokenizer)
    plan = RolloutPlan(
        job.config.law(job.task), num_samples=n, group_size=n,
        seed=stream_seed(job.seed, "evaluation"), chat=job.chat,
    )  # fmt: skip
    ks = [k for k in (1, 4, 16, 64) if k <= n]
    named = prompts_hash(job.held_out)

    def evaluate(step: int) -> dict[str, Any]:
        was_training = model.training
        model.eval()  # no dropout, and no checkpointing, which would forbid the cache
        table = collect(engine, plan, task=job.task, prompts=job.held_out)
        model.train(was_training)
        counts = table.counts()
        size, correct = counts.group_size, counts.num_correct
        judged = len(counts) > 0
        return {
            "num_prompts": len(job.held_out),
            "num_samples": n,
            "mean_reward": float(np.nanmean(table.reward)) if judged else None,
            "pass_at_k": {k: float(np.nanmean(pass_at_k(size, correct, k))) for k in ks if judged},
            "token_entropy": table.token_entropy,
            "frac_truncated": float(table.truncated.mean()),
            "prompts_hash": named,
            "counts": {
                "prompt_id": counts.prompt_id, "num_correct": correct, "num_samples": size,
            },
        }  # fmt: skip

    return evaluate


def check_lengths(job: TrainJob, model: Any, tokenizer: Any) -> None:
    """UserError for a prompt that leaves too little of the model's context."""
    prompts = [*job.prompts, *job.held_out]
    check_context(
        encode(tokenizer, prompts, chat=job.chat), prompts,
        max_new_tokens=job.config.law(job.task).max_new_tokens,
        context=getattr(model.config, "max_position_embeddings", None),
    )  # fmt: skip


def _check_vocabulary(job: TrainJob, ours: Any, theirs: Any) -> None:
    if ours.vocab_size != theirs.vocab_size:
        raise UserError(
            f"--reference {job.reference}: its vocabulary of {theirs.vocab_size} is not the"
            f" model's of {ours.vocab_size}"
        )
