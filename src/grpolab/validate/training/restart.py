"""What is done to a checkpoint right before RL to give it back its plasticity.

``shrink-perturb``: every weight becomes SHRINK x its value + PERTURB x its value in a freshly
initialised model of the same configuration (Ash and Adams, arXiv 1910.08475; Dohare et al. 2024).
``reset-last-block``: the last block of the transformer is freshly initialised, all else stays
(Nikishin et al., arXiv 2205.07802, who reset the last layers).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from grpolab.streams import stream_seed

Restart = Literal["", "shrink-perturb", "reset-last-block"]
RESTARTS = tuple(name for name in get_args(Restart) if name)
SHRINK, PERTURB = 0.9, 0.1


def restart(model: Any, how: str, *, seed: int) -> None:
    """Change a model's weights in place; "" changes nothing. ValueError for another name.

    ``seed`` draws the fresh weights; the state of torch's own generator is left as it was.
    """
    import torch

    if not how:
        return
    if how not in RESTARTS:
        raise ValueError(f"restart must be one of {', '.join(RESTARTS)}, got {how!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "restart"))
        fresh = type(model)(model.config).to(device=model.device, dtype=model.dtype)
    with torch.no_grad():
        if how == "reset-last-block":
            last_block(model).load_state_dict(last_block(fresh).state_dict())
            return
        for weight, new in zip(model.parameters(), fresh.parameters(), strict=True):
            weight.mul_(SHRINK).add_(new, alpha=PERTURB)


def last_block(model: Any) -> Any:
    """The last transformer block: the end of the outermost list of modules, the longest of those.

    A block may hold a longer list: that of its experts.
    """
    import torch

    lists = [
        (name.count("."), -len(part), name)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.ModuleList) and len(part)
    ]
    *_, name = min(lists)
    return model.get_submodule(name)[-1]


def describe(how: str) -> str:
    """A restart in words, with its formula.

    >>> describe("shrink-perturb")
    'before the first step each weight becomes 0.9 x itself + 0.1 x a freshly initialised one'
    """
    return {
        "shrink-perturb": f"before the first step each weight becomes {SHRINK:g} x itself +"
        f" {PERTURB:g} x a freshly initialised one",
        "reset-last-block": "before the first step the last block is freshly initialised",
    }[how]
