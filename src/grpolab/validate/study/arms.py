"""Arms: what a GRPO run of the study changes, and what the change is to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from grpolab.validate.training.restart import PERTURB, SHRINK, Restart

Question = Literal["plain", "tune", "control", "rescue"]
Selection = Literal["all", "solved", "unsolved", "solved-by", "mean-of"]

SFT_VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "plain": {},
        "smooth": {"label_smoothing": 0.1},
        "smooth05": {"label_smoothing": 0.05},
        "smooth20": {"label_smoothing": 0.2},
        "l2-start": {"l2_start": 1e-2},
        "decay": {"weight_decay": 0.1},
        "pear": {"pear": "token"},
    }
)
"""Changes of the SFT settings; each variant is a ladder of its own from the same base."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to run GRPO from a checkpoint.

    ``depths``: the depths that it starts from; empty: everywhere. ``sft`` names an SFT variant.
    ``changes`` are fields of GRPOConfig. ``reference`` of the KL term: ``start`` (the checkpoint
    itself), ``base`` (before SFT) or ``depth8`` (that depth). ``entropy_of``: the temperature is
    set so that the token entropy is that of another depth; with ``match_step`` the learning rate is
    multiplied by the temperature, so that a step moves log-probabilities as far as before.
    ``prompts``: those that this checkpoint solved at least once before RL but not always
    (``solved``), those that it never solved (``unsolved``), those that depth ``other`` ever solved
    (``solved-by``), or a subset on which the mean p is that of depth ``other`` (``mean-of``).
    ``restart`` changes the checkpoint before RL (see `training.restart`).
    """

    name: str
    question: Question
    summary: str
    depths: tuple[int, ...] = ()
    sft: str = "plain"
    changes: tuple[tuple[str, Any], ...] = ()
    reference: str = ""
    entropy_of: int = 0
    match_step: bool = True
    prompts: Selection = "all"
    other: int = 0
    restart: Restart = ""

    def at(self, depth: int) -> bool:
        """Whether the arm starts from a depth."""
        return not self.depths or depth in self.depths


PLAIN = Arm("plain", "plain", "the study's GRPO settings")


def rates(values: tuple[float, ...]) -> tuple[Arm, ...]:
    """One arm per learning rate, for tuning.

    >>> [arm.name for arm in rates((1e-4, 3e-4))]
    ['lr0.0001', 'lr0.0003']
    """
    return tuple(
        Arm(f"lr{lr:g}", "tune", f"learning rate {lr:g}", changes=(("lr", lr),)) for lr in values
    )


def controls(shallow: int, deep: int) -> tuple[Arm, ...]:
    """Same weights at another entropy, and equal p, support or zero-std share by other means."""
    ends = (shallow, deep)
    return (
        Arm("cooled", "control", f"entropy of depth {deep}, step size matched",
            depths=(shallow,), entropy_of=deep),
        Arm("cooled-unmatched", "control", f"entropy of depth {deep}, learning rate as it is",
            depths=(shallow,), entropy_of=deep, match_step=False),
        Arm("warmed", "control", f"entropy of depth {shallow}, step size matched",
            depths=(deep,), entropy_of=shallow),
        Arm("warmed-unmatched", "control", f"entropy of depth {shallow}, learning rate as it is",
            depths=(deep,), entropy_of=shallow, match_step=False),
        Arm("smooth", "control", "label smoothing .1 in SFT", depths=ends, sft="smooth"),
        Arm("equal-support", "control", f"only prompts that depth {deep} ever solved",
            depths=ends, prompts="solved-by", other=deep),
        Arm("equal-p", "control", f"prompts on which the mean p is that of depth {deep}",
            depths=(shallow,), prompts="mean-of", other=deep),
        Arm("dynamic", "control", "dynamic sampling: every group informative",
            depths=ends, changes=(("dynamic_sampling", "filter"),)),
        Arm("dynamic-matched", "control", "dynamic sampling, averaged over all groups drawn",
            depths=(deep,), changes=(("dynamic_sampling", "matched"),)),
    )  # fmt: skip


def entropy_controls(shallow: int, deep: int) -> tuple[Arm, ...]:
    """The controls that set the entropy: by temperature, and by label smoothing."""
    names = ("cooled", "warmed", "smooth")
    return tuple(arm for arm in controls(shallow, deep) if arm.name in names)


def rescues(shallow: int, deep: int) -> tuple[Arm, ...]:
    """Attempts to save the deepest start; each is compared with the plain run of that depth."""

    def arm(name: str, summary: str, **kw: Any) -> Arm:
        return Arm(name, "rescue", summary, depths=(deep,), **kw)

    kl = (("beta", 0.05),)
    return (
        arm("kl-start", "KL .05 to the deep checkpoint itself", changes=kl, reference="start"),
        arm("kl-early", f"KL .05 to depth {shallow}", changes=kl, reference=f"depth{shallow}"),
        arm("kl-early-strong", f"KL .5 to depth {shallow}", changes=(("beta", 0.5),),
            reference=f"depth{shallow}"),
        arm("kl-base", "KL .05 to the base model", changes=kl, reference="base"),
        arm("entropy-bonus", "entropy bonus .01", changes=(("entropy_coef", 0.01),)),
        arm("epochs", "4 inner epochs, clip .2", changes=(("inner_epochs", 4),)),
        arm("clip-higher", "4 inner epochs, clip .2 / .28",
            changes=(("inner_epochs", 4), ("clip_high", 0.28))),
        arm("decay-zero", "weight decay 1 towards zero", changes=(("weight_decay", 1.0),)),
        arm("decay-start", "weight decay 1 towards the start",
            changes=(("weight_decay", 1.0), ("decay_to", "start"))),
        arm("betas", "Adam's second beta .999", changes=(("betas", (0.9, 0.999)),)),
        arm("larger-groups", "g = 32 at equal rollouts",
            changes=(("group_size", 32), ("prompts_per_step", 8))),
        arm("solved-prompts", "only prompts with 0 < p < 1 before RL", prompts="solved"),
        arm("sft-decay", "weight decay .1 in SFT", sft="decay"),
        arm("sft-pear", "PEAR-weighted SFT loss", sft="pear"),
    )  # fmt: skip


def cures(shallow: int, deep: int) -> tuple[Arm, ...]:
    """What the literature names and the other arms do not try, from both ends of the ladder.

    Loss of plasticity as the rival explanation (L2 towards the start in SFT, a restart before RL),
    pass@k as the objective, updates only where no success was seen, and rescues at other strengths.
    """

    def arm(name: str, summary: str, *, ends: bool = True, **kw: Any) -> Arm:
        return Arm(name, "rescue", summary, depths=(shallow, deep) if ends else (deep,), **kw)

    def pull(beta: float) -> Arm:
        return arm(f"kl-start-{beta:g}", f"KL {beta:g} to the deep checkpoint itself", ends=False,
                   changes=(("beta", beta),), reference="start")  # fmt: skip

    return (
        arm("sft-l2-start", "L2 .01 towards the start in SFT", sft="l2-start"),
        arm("shrink-perturb", f"{SHRINK:g} x weights + {PERTURB:g} x fresh ones before RL",
            restart="shrink-perturb"),
        arm("reset-block", "last block freshly initialised before RL",
            restart="reset-last-block"),
        arm("pass-at-4", "pass@4 as the objective", changes=(("objective", "pass-at-k:4"),)),
        arm("pass-at-8", "pass@8 as the objective", changes=(("objective", "pass-at-k:8"),)),
        arm("pass-at-4-training", "pass@4 training, normalised over subsets",
            changes=(("objective", "pass-at-k-training:4"),)),
        arm("unsolved", "updates only on prompts never solved before RL", prompts="unsolved"),
        arm("unsolved-so-far", "updates on a prompt until its first success",
            changes=(("only_unsolved", True),)),
        *(pull(beta) for beta in (0.01, 0.05, 0.5)),
        arm("smooth-05", "label smoothing .05 in SFT", sft="smooth05", ends=False),
        arm("smooth-10", "label smoothing .1 in SFT", sft="smooth", ends=False),
        arm("smooth-20", "label smoothing .2 in SFT", sft="smooth20", ends=False),
    )  # fmt: skip
