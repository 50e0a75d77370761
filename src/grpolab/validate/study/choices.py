"""What the reader must know to judge the study: terms, choices and limits, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TERMS = (
    "A small decoder-only transformer is trained from scratch on a broad and partly wrong corpus of"
    " a task whose answers a program can verify and where most prompts have several right answers."
    " It is then fine-tuned (SFT) on a few demonstrations; checkpoints along that one trajectory"
    " are the depths of the ladder. From every depth the same GRPO run is started: same prompts,"
    " same number of steps, same learning rate.",
    "GRPO samples a group of g answers per prompt and learns from the differences of their rewards"
    " inside the group. If all g rewards are equal (a zero-std group, all wrong or all right) the"
    " prompt gives no signal in that step. The question is how many such groups there are, whether"
    " a formula can tell beforehand, and whether that says which depth to start RL from.",
    "pass@k is the chance that at least one of k answers is right. ICC is the intraclass"
    " correlation of the rewards: the share of their variance that lies between prompts. It is 0"
    " if all prompts are equally hard and 1 if every prompt is always right or always wrong.",
)

CHOICES: Mapping[str, str] = MappingProxyType(
    {
        "base.steps": "pilot: enough for pass@10 above .8 before SFT",
        "base.lr": "taken over from an earlier experiment, not tuned",
        "sft.depths": "beforehand: factors of 4, from a fraction of an epoch to 256 epochs",
        "sft.lr": "taken over from an earlier experiment, not tuned",
        "sft.batch_size": "taken over from an earlier experiment, not tuned",
        "grpo.lr": "pilot: best mean final pass@1 over all five depths among 3e-5, 1e-4, 3e-4,"
        " 1e-3 on a seed that no study uses (`grpolab study --preset tune`; table in"
        " docs/results/tune.json); too high a rate makes a collapse of its own",
        "grpo.steps": "beforehand: 500; 400, as in the source paper, where many runs are compared",
        "grpo.warmup": "beforehand; without it high rates wreck every depth",
        "grpo.group_size": "beforehand: that of the source paper, arXiv 2606.18487",
        "grpo.beta": "beforehand: no KL term, as in the source paper",
        "grpo.rule": "beforehand: TRL's advantages (group mean, ddof-1 standard deviation)",
        "grpo.prompts_per_step": "beforehand",
        "eval_prompts": "beforehand; held out from base training, SFT and RL",
        "num_samples": "beforehand",
        "seeds": "beforehand; a seed changes the split, all training and all sampling",
    }
)

LIMITS = (
    "The regimes were chosen beforehand to differ: a shift between SFT and RL prompts, none, a"
    " broad mix on which deep SFT can only memorise, and ample demonstrations, on which it need"
    " not. The first was known from an earlier experiment to show an inversion; that it appears"
    " says that it can happen, not that it must.",
    "A noisy base corpus (40 % wrong targets) was kept because without noise pass@1 does not rise"
    " with SFT depth, so that there is no dilemma to study.",
    "Intervals are over prompts. With one seed they say nothing about other seeds.",
    "The model is tiny and the answers are short. What is exact (the formulas, the forecasts from"
    " counts) carries over; which depth wins need not.",
)
