"""What the counts of a prompt say of its success rate: a posterior, and not c/n.

The law of p over prompts is that of `estimate.smoothed`, between a fitted beta and the most likely
law; the posterior of a prompt is this law times the likelihood of its own counts. A prompt with 0
of 4 is therefore neither taken for unsolvable nor for the average. The law itself is estimated:
laws from a Bayesian bootstrap of the prompts stand for its error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grpolab import streams
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray
from grpolab.validate.estimate import bootstrap, cells, likelihood, smoothed
from grpolab.validate.estimate.cells import CountCells

_LAWS = 200  # laws of p that stand for the error of the one that was estimated
_DRAWS = 20  # outcomes under each of them


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The success rate of every prompt, as far as the counts tell.

    ``weight`` [U, G] holds what a prompt with the counts of cell u has of the rates ``support``;
    ``laws`` [B, U, G] the same under resampled laws of p. Prompt i is in ``cell[i]``; ``prompt_id``
    are the ids of the counts.
    """

    support: FloatArray  # [G]
    weight: FloatArray  # [U, G]
    laws: FloatArray  # [B, U, G]
    cells: CountCells  # [U]
    cell: IntArray  # [P]
    prompt_id: IntArray  # [P]

    @property
    def num_prompts(self) -> int:
        """Prompts."""
        return len(self.cell)

    @property
    def mean(self) -> FloatArray:
        """Posterior mean of p of every prompt, [P]; nearer to the others than c/n."""
        return np.asarray((self.weight @ self.support)[self.cell])

    def expect(self, values: FloatArray) -> FloatArray:
        """Posterior mean of a function of p for every prompt; values [G, ...] to [P, ...]."""
        return np.asarray(np.tensordot(self.weight, values, axes=1)[self.cell])

    def predict(
        self, number: IntArray, chance: FloatArray, *, rng: np.random.Generator | int, level: float
    ) -> tuple[float, float]:
        """Interval of how many prompts will show an event, over what p and the event may be.

        ``chance`` [G, N] is that of the event for a prompt of rate p under treatment 0..N-1, and
        ``number`` [P] the treatment of every prompt. Holds the three errors: rates given counts,
        the law of p, and chance itself.
        """
        generator = streams.generator(rng, "plan")
        kinds, size = np.unique(
            self.cell * chance.shape[1] + number, return_counts=True
        )  # prompts with equal counts and treatment
        cell, treatment = np.divmod(kinds, chance.shape[1])
        each = np.tensordot(self.laws, chance, axes=1)[:, cell, treatment]  # [B, kinds]
        each = np.clip(each, 0.0, 1.0)
        drawn = generator.binomial(size, each[:, None], (len(each), _DRAWS, len(size))).sum(axis=-1)
        return bootstrap.percentile_interval(
            drawn.ravel().astype(np.float64), level=level, num_clusters=self.num_prompts
        )


def fit_posterior(counts: GroupCounts, *, rng: np.random.Generator | int) -> Posterior:
    """The posterior of every prompt; groups of a prompt are pooled.

    ValueError for tables marked filtered, for one prompt alone, and where no prompt has two
    samples.

    >>> found = fit_posterior(GroupCounts([0, 0, 0, 4, 2, 3] * 10, 4), rng=0)
    >>> found.mean[[0, 4]].round(2).tolist()
    [0.03, 0.6]
    """
    data = cells.unfiltered(counts)
    cells.require_pairs(data)
    if data.num_clusters < 2:
        raise ValueError("counts must hold at least 2 prompts: one says nothing of a law over them")
    law = smoothed.smoothed_law(data)
    drawn = bootstrap.resample_bayesian(data, num_resamples=_LAWS, rng=rng)
    others = smoothed.resampled_laws(drawn, law).weight
    like = likelihood.cell_likelihood(data, law.support)
    totals = counts.by_prompt()
    base = int(totals.num_samples.max()) + 1
    keys = totals.num_samples * base + totals.num_correct
    return Posterior(
        law.support, _posterior(like, law.weight), _posterior(like, others[:, None]), data,
        np.searchsorted(data.num_samples * base + data.num_correct, keys), totals.prompt_id,
    )  # fmt: skip


def _posterior(like: FloatArray, weight: FloatArray) -> FloatArray:
    """Likelihood [U, G] times weights [..., 1, G], summing to 1 over G."""
    both = like * weight
    total = both.sum(axis=-1, keepdims=True)
    flat = like / like.sum(axis=-1, keepdims=True)  # counts that the law excludes
    return np.asarray(np.where(total > 0, both / np.where(total > 0, total, 1.0), flat))
