"""GRPOConfig in TRL's terms, and which parts of it TRL cannot express."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.errors import UserError
from grpolab.streams import stream_seed
from grpolab.theory.advantage import TRL, AdvantageRule
from grpolab.validate.training.config import GRPOConfig, loss_type


def check_expressible(config: GRPOConfig) -> None:
    """UserError naming every setting that TRL's GRPOTrainer has no counterpart of."""
    wrong = []
    if config.dynamic_sampling != "off":
        wrong.append(f"dynamic_sampling={config.dynamic_sampling!r}")
    if config.decay_to != "zero" and config.weight_decay > 0:
        wrong.append(f"decay_to={config.decay_to!r}")
    if config.objective:
        wrong.append(f"advantage {config.objective!r}")
    if config.only_unsolved:
        wrong.append("only_unsolved")
    if not config.objective and scale_rewards(config.rule) is None:
        wrong.append(f"advantage rule {config.rule.name!r} (TRL has trl and dr-grpo)")
    if config.group_size < 2:
        wrong.append(f"group_size={config.group_size} (TRL needs 2)")
    if wrong:
        raise UserError(f"TRL cannot express {', '.join(wrong)}: use --trainer own")


def scale_rewards(rule: AdvantageRule) -> str | None:
    """TRL's ``scale_rewards`` with the same advantages, None where there is none.

    >>> from grpolab.theory.advantage import DR_GRPO, RLOO
    >>> [scale_rewards(rule) for rule in (TRL, DR_GRPO, RLOO)]
    ['group', 'none', None]
    """
    if rule.baseline != "mean":
        return None
    if rule.scale == "none":
        return "none"
    same = (rule.scale, rule.ddof, rule.eps) == (TRL.scale, TRL.ddof, TRL.eps)
    return "group" if same else None


def rows_per_step(config: GRPOConfig, *, batch_rows: int, processes: int) -> tuple[int, int]:
    """(rows at once per process, times per update) for all rollouts of a step.

    ``batch_rows`` is the most rows at once, 0 for no limit. UserError where the rollouts do not
    divide among processes.

    >>> rows_per_step(GRPOConfig(prompts_per_step=6, group_size=8), batch_rows=10, processes=2)
    (8, 3)
    """
    total = config.prompts_per_step * config.group_size
    if total % processes:
        raise UserError(
            f"{config.prompts_per_step} prompts x {config.group_size} rollouts do not divide among"
            f" {processes} processes: change --prompts-per-step"
        )
    mine = total // processes
    rows = min(batch_rows or mine, mine)
    while mine % rows:
        rows -= 1
    return rows, mine // rows


def trl_arguments(
    config: GRPOConfig,
    *,
    output_dir: Path,
    max_new_tokens: int,
    seed: int,
    rows: tuple[int, int],
    save_every: int,
    device: str,
    dtype: str,
    vllm_memory: float = 0.0,
) -> dict[str, Any]:
    """Arguments of TRL's GRPOConfig with the same meaning; ``vllm_memory`` > 0 samples by vLLM.

    TRL counts updates, this config counts batches of rollouts: with ``inner_epochs`` each batch is
    that many of TRL's steps.
    """
    updates = config.inner_epochs
    at_once, times = rows
    vllm = {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": vllm_memory,
    }
    return {
        "output_dir": str(output_dir),
        "max_steps": config.steps * updates,
        "num_iterations": updates,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": times,
        "steps_per_generation": times,
        "num_generations": config.group_size,
        "max_completion_length": max_new_tokens,
        "temperature": config.temperature,
        "loss_type": loss_type(config),
        "scale_rewards": scale_rewards(config.rule),
        "beta": config.beta,
        "use_bias_correction_kl": config.kl_correction,
        "epsilon": config.clip_low,
        "epsilon_high": config.clip_high,
        "entropy_coef": config.entropy_coef,
        "learning_rate": config.lr,
        "optim": "adamw_torch",
        "adam_beta1": config.betas[0],
        "adam_beta2": config.betas[1],
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "disable_dropout": True,
        "shuffle_dataset": False,  # the order of the prompts is that of the own loop
        "seed": stream_seed(seed, "rollouts", bits=32),
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # would show the last finite loss in the place of NaN
        "save_strategy": "steps",
        "save_steps": save_every * updates,
        "bf16": dtype == "bfloat16",
        "use_cpu": device == "cpu",
        "gradient_checkpointing": device != "cpu",
        "dataloader_pin_memory": device != "cpu",
        "ddp_find_unused_parameters": False,
        "report_to": "none",
        "disable_tqdm": True,
        **(vllm if vllm_memory else {}),
    }
