"""The law of the next token from logits: its log-probabilities, its entropy, and draws from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from grpolab.validate.rollouts.table import SamplingLaw

if TYPE_CHECKING:
    import torch

_CHUNK = 1 << 28
"""Bytes that the arithmetic on logits takes at most, beside the logits themselves."""
_PER_LOGIT = 40
"""Bytes of it per logit: log-probabilities, their masses and sums in float64, their entropy."""


class BrokenLaw(RuntimeError):
    """The next-token law of a model holds NaN; the words are those of torch's own sampler."""

    def __init__(self) -> None:
        super().__init__("probability tensor contains nan or inf")


def chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    """Rows of logits that are worked on together, so that no copy of all of them is made.

    >>> [part.stop - part.start for part in chunks(300, 50_000)]
    [134, 134, 32]
    """
    size = max(1, _CHUNK // (_PER_LOGIT * vocabulary))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def apply_law(logits: torch.Tensor, law: SamplingLaw) -> torch.Tensor:
    """Log-probabilities [N, V] of the law: temperature, then top-k, then top-p, renormalised."""
    import torch

    if law.temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf, dtype=torch.float32).scatter_(-1, best, 0.0)
    logp = torch.log_softmax(logits.float() / law.temperature, dim=-1)
    if 0 < law.top_k < logp.shape[-1]:
        floor = logp.topk(law.top_k, dim=-1).values[..., -1:]
        logp = logp.masked_fill(logp < floor, -torch.inf)
    if law.top_p < 1:
        ordered, index = logp.softmax(dim=-1).sort(dim=-1, descending=True)
        # a token stays while the mass before it is below top_p, so the first one always stays
        drop = ordered.cumsum(dim=-1) - ordered >= law.top_p
        logp = logp.masked_fill(drop.scatter(-1, index, drop), -torch.inf)
    return logp if law.top_k == 0 and law.top_p == 1 else torch.log_softmax(logp, dim=-1)


def entropy_of(logp: torch.Tensor) -> torch.Tensor:
    """Entropies [N] in nats of log-probabilities [N, V]."""
    weighted = logp.exp() * logp
    return -weighted.nan_to_num(nan=0.0).sum(dim=-1)


def invert(logp: torch.Tensor, node: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """The token at which the distribution function of law ``node[r]`` passes ``chance[r]``.

    ``logp`` [N, V], the others [R]. The sums are in float64: a rounded float32 sum over a large
    vocabulary would lose its rare tokens.
    """
    import torch

    mass = logp.double().exp().cumsum(dim=1)
    if not bool(torch.isfinite(mass[:, -1]).all()):
        raise BrokenLaw
    order = node.argsort(stable=True)
    count = torch.bincount(node, minlength=len(logp))
    column = torch.arange(len(node), device=node.device) - (count.cumsum(0) - count)[node[order]]
    asked = torch.zeros(len(logp), int(count.max()), dtype=torch.float64, device=node.device)
    asked[node[order], column] = chance[order]
    whole = mass[:, -1:]
    below = torch.nextafter(whole, torch.zeros_like(whole))  # a product may round up to the whole
    found = torch.searchsorted(mass, torch.minimum(asked * whole, below), right=True)
    token = torch.empty_like(node)
    token[order] = found[node[order], column]
    return token


def score(
    model: Any,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    law: SamplingLaw,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability and entropy [R, L] of given tokens under the law, by one forward pass.

    Row r scores ``completions[r]`` after ``prompts[r]``; 0 behind its end. This is how draws of
    another engine are compared with this one.
    """
    import torch

    length = max(map(len, completions))
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    seen = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
    logprob = torch.zeros(len(rows), length, device=model.device)
    entropy = torch.zeros_like(logprob)
    vocabulary = int(model.config.get_text_config().vocab_size)
    with torch.inference_mode():
        for part in chunks(len(rows), width * vocabulary):
            logits = model(input_ids=ids[part], attention_mask=seen[part]).logits
            for r in range(part.start, part.stop):
                start, size = len(prompts[r]), len(completions[r])
                place = slice(start - 1, start - 1 + size)
                law_logp = apply_law(logits[r - part.start, place], law)
                picked = law_logp.gather(1, ids[r, start : start + size, None])[:, 0]
                logprob[r, :size], entropy[r, :size] = picked, entropy_of(law_logp)
    return logprob, entropy
