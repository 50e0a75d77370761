"""What a configuration does, in words: one line per intervention, for manifests and reports."""

from __future__ import annotations

from grpolab.theory.advantage import AdvantageRule
from grpolab.validate.training.config import GRPOConfig

_WEIGHTS = {
    "sequence": "mean over the tokens of a completion, then over completions (loss type grpo)",
    "token": "mean over all completion tokens of the batch (loss type dapo)",
    "constant": "sum over tokens / (completions x max_new_tokens) (loss type dr_grpo)",
}


def interventions(config: GRPOConfig, *, reference: str = "", lora_rank: int = 0) -> dict[str, str]:
    """What acts in this run, by name, with its formula; what is off is left out.

    >>> sorted(interventions(GRPOConfig()))
    ['advantage', 'aggregation', 'clip', 'optimiser']
    """
    beta1, beta2 = config.betas
    words = {
        "advantage": _advantage(config.rule),
        "aggregation": _WEIGHTS[config.aggregation],
        "clip": f"ratio of new to old probability within [1 - {config.clip_low:g},"
        f" 1 + {config.clip_high:g}], {config.inner_epochs} update(s) per batch of rollouts",
        "optimiser": f"AdamW, lr {config.lr:g} after a linear warm-up over {config.warmup} steps,"
        f" betas ({beta1:g}, {beta2:g}), gradient norm at most {config.max_grad_norm:g}",
    }
    if config.clip_high > config.clip_low:
        words["clip_higher"] = "the upper bound of the clip lies further off than the lower one"
    if config.beta > 0:
        ratio = " times the importance ratio" if config.kl_correction else ""
        words["kl"] = (
            f"+ {config.beta:g} x mean of (e^d - d - 1){ratio}, d = log ref - log pi;"
            f" reference: {reference}"
        )
    if config.entropy_coef:
        words["entropy_bonus"] = f"- {config.entropy_coef:g} x mean token entropy"
    if config.temperature != 1:
        words["temperature"] = f"logits / {config.temperature:g} in sampling, loss and entropy"
    if config.weight_decay > 0:
        towards = "zero" if config.decay_to == "zero" else "the weights of the start"
        words["weight_decay"] = (
            f"each update takes lr x {config.weight_decay:g} of the distance to {towards}"
        )
    if config.dynamic_sampling != "off":
        over = "kept groups" if config.dynamic_sampling == "filter" else "all groups drawn"
        words["dynamic_sampling"] = (
            f"batches are drawn until {config.prompts_per_step} groups have both rewards, at most"
            f" {config.max_draws}; the others are left out; mean over {over}"
        )
    if lora_rank:
        words["lora"] = (
            f"only adapters of rank {lora_rank} on every linear layer but the head are trained,"
            " W + B A; weight decay acts on A and B"
        )
    return words


def _advantage(rule: AdvantageRule) -> str:
    scale = {
        "none": "",
        "std": f" / (std with ddof {rule.ddof} + {rule.eps:g})",
        "leave-one-out-std": f" / (std of the others + {rule.eps:g})",
        "mean": " / mean",
        "half": " / half",
    }[rule.scale]
    return f"rule {rule.name}: (reward - {rule.baseline}){scale}, within the group"
