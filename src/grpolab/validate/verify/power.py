"""Size and power of the independence tests, measured on tables whose dependence is known.

The tests are those that the audit runs, not copies. The pooled test of heterogeneity stands beside
them because it is the one that gets mistaken for a test of the sampler: it rejects whenever prompts
differ, independent rollouts or not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grpolab import theory
from grpolab.simulate import Within, draw_groups
from grpolab.streams import generator
from grpolab.validate.estimate.bootstrap import exact_interval
from grpolab.validate.estimate.heterogeneity import heterogeneity
from grpolab.validate.estimate.independence import pair_contrast
from grpolab.validate.estimate.sampler import duplicate_test

_RESPONSES = 40  # responses per prompt of the duplicate test


class Rate(NamedTuple):
    """Share of tables that a test rejected, with its exact 95% interval."""

    rate: float
    low: float
    high: float
    num_tables: int


def independence_experiment(
    *,
    num_prompts: int = 100,
    groups_per_prompt: int = 2,
    group_size: int = 8,
    kind: str = "independent",
    strength: float = 0.0,
    mean: float = 0.3,
    icc: float = 0.2,
    num_tables: int = 100,
    num_permutations: int = 199,
    level: float = 0.05,
    seed: int,
) -> dict[str, Any]:
    """Rejection rates of the tests on tables with the given dependence inside groups.

    Prompts have success chances Beta with this mean and correlation ``icc``; kind and strength are
    those of `grpolab.simulate.Within`. With kind ``independent`` the rates of the first and third
    test are their sizes. One group per prompt leaves the first test without an answer (rate null).
    """
    if num_tables < 1:
        raise ValueError(f"num_tables must be >= 1, got {num_tables}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    law = theory.BetaBinomial(mean=mean, rho=icc)
    within = Within(kind, strength)  # type: ignore[arg-type]
    streams = generator(seed, "independence tables").spawn(num_tables)
    contrast, pooled, copies = [], [], []
    for rng in streams:
        counts = draw_groups(
            law,
            group_size=group_size,
            num_groups=num_prompts * groups_per_prompt,
            groups_per_prompt=groups_per_prompt,
            seed=int(rng.integers(2**63)),
            within=within,
            threads=1,
        )
        found = pair_contrast(counts, rng=rng, num_permutations=num_permutations)
        contrast.append(found.p_value if found.identifiable else np.nan)
        pooled.append(heterogeneity(counts).tarone_p)
        if kind in ("independent", "copy"):
            copied = strength if kind == "copy" else 0.0
            copies.append(_duplicate_p(num_prompts, group_size, copied, rng))
    return {
        "pair_contrast": _rate(contrast, level),
        "pooled_tarone": _rate(pooled, level),
        "duplicates": _rate(copies, level),
    }


def _duplicate_p(
    num_prompts: int, group_size: int, share_copied: float, rng: np.random.Generator
) -> float:
    """One group per prompt from a Dirichlet policy; some groups are one draw copied."""
    policy = rng.dirichlet(np.full(_RESPONSES, 0.3), num_prompts)
    edges = np.cumsum(policy, axis=1)
    uniform = rng.random((num_prompts, group_size))
    copied = rng.random(num_prompts) < share_copied
    uniform[copied] = uniform[copied, :1]
    text = np.minimum((uniform[..., None] >= edges[:, None]).sum(axis=-1), _RESPONSES - 1)
    row = np.arange(num_prompts)[:, None]
    chance = np.maximum(policy[row, text], 1e-300)
    prompt = np.broadcast_to(row, text.shape).ravel()
    return duplicate_test(text.ravel(), np.log(chance).ravel(), group_id=prompt).p_value


def _rate(p_values: list[float], level: float) -> dict[str, Any] | None:
    known = [p for p in p_values if not np.isnan(p)]
    if not known:
        return None
    hits = sum(p <= level for p in known)
    return Rate(hits / len(known), *exact_interval(hits, len(known)), len(known))._asdict()
