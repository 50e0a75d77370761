"""The law of p over prompts, and the law of K that follows: what a group of any size will hold.

A prompt has a success rate p, and K of the g rollouts of its group are correct. A `LawOfP` says how
p is spread over prompts; every share of groups, every moment of a group and pass@k is then one mean
over the law of K. All forecasts of this package, the audit, the triage and the study come from
here, so that one name ("thinning", "beta-binomial", ...) is one estimator everywhere.

>>> law = fit_law(GroupCounts([0, 2, 4], 4), "thinning")
>>> law.group_pmf(2).round(6).tolist(), law.zero_std(2).round(6).item()
([0.388889, 0.222222, 0.388889], 0.777778)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np

from grpolab.theory.dependence import BetaBinomial, FiniteMixture
from grpolab.theory.groups import Exchangeable, FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import thin_all_right, thin_all_wrong, thin_pmf, thin_pq
from grpolab.validate.estimate import bootstrap, cells, likelihood, mixture, smoothed
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast import _batch, partly

Method = Literal["thinning", "posterior", "beta-binomial", "mixture", "smoothed mixture", "mean-p"]

_Share = Callable[["LawOfP", int], FloatArray]
_Statistic = Callable[["LawOfP"], FloatArray]

METHODS: tuple[Method, ...] = get_args(Method)
"""How a law is estimated from counts: see `fit_law`."""

_MIXTURE_RESAMPLES = 200  # one optimisation each
_TOLERANCE = 1e-4  # nats per prompt that any other mixture could gain


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LawOfP(ABC):
    """How the success rate p is spread over prompts: one law, or a batch of laws of shape [...].

    Every result has the shape of the batch, () for one law. ``data`` are the counts that the law
    was estimated from, None for a law that was given. Group sizes are whole numbers >= 1;
    ValueError outside, and for g > n where the law is known by thinning only.
    """

    data: CountCells | None = None
    method: Method | None = None

    @property
    @abstractmethod
    def mean(self) -> FloatArray:
        """Mean success rate, E[p]."""

    @abstractmethod
    def all_wrong(self, group_size: int) -> FloatArray:
        """P(K = 0) = E[(1-p)^g]; cheap at any g."""

    @abstractmethod
    def all_right(self, group_size: int) -> FloatArray:
        """P(K = g) = E[p^g]; cheap at any g."""

    @abstractmethod
    def group_pmf(self, group_size: int) -> FloatArray:
        """P(K = k), the law of the number correct in a group of g; shape [..., g + 1]."""

    @abstractmethod
    def bernoulli_variance(self) -> FloatArray:
        """E[p(1-p)], the variance of a reward given its prompt."""

    @abstractmethod
    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """``size`` success rates drawn from one law; ValueError for a batch."""

    def zero_std(self, group_size: int) -> FloatArray:
        """P(K = 0 or K = g): the share of groups without a signal; 1 at g = 1."""
        if group_size == 1:
            return np.ones_like(self.mean)
        total = self.all_wrong(group_size) + self.all_right(group_size)
        return np.asarray(np.minimum(total, 1.0))

    def mixed(self, group_size: int) -> FloatArray:
        """P(0 < K < g): the share of groups with a signal."""
        return np.asarray(1.0 - self.zero_std(group_size))

    def pass_at(self, k: int) -> FloatArray:
        """pass@k = 1 - P(K = 0) in a group of k."""
        return np.asarray(1.0 - self.all_wrong(k))

    def expected_std(self, group_size: int, *, ddof: int = 0) -> FloatArray:
        """E[sigma] = E[sqrt(K(g-K))]/g; times sqrt(g/(g-1)) for ddof 1, as `torch.std` has it."""
        k = np.arange(group_size + 1)
        std = self.group_pmf(group_size) @ (np.sqrt(k * (group_size - k)) / group_size)
        return np.asarray(std * _batch.unbiased(group_size, ddof) ** 0.5)

    def expected_variance(self, group_size: int, *, ddof: int = 0) -> FloatArray:
        """E[sigma^2] = E[p(1-p)] (g-1)/g; without the factor for ddof 1. Needs no g samples."""
        shrink = (group_size - 1) / group_size
        return np.asarray(self.bernoulli_variance() * shrink * _batch.unbiased(group_size, ddof))

    @property
    def icc(self) -> FloatArray:
        """Var p/(m(1-m)) = 1 - E[p(1-p)]/(m(1-m)); 0 where the mean m is 0 or 1."""
        spread, inner = self.mean * (1.0 - self.mean), self.bernoulli_variance()
        return np.where(spread > 0, 1.0 - inner / np.where(spread > 0, spread, 1.0), 0.0)

    def num_fitted(self, group_size: int) -> int:
        """Prompts whose groups of this size come from a fitted model: all, unless it thins."""
        return 0 if self.data is None else self.data.num_clusters

    def resampled(self, num_resamples: int, rng: np.random.Generator | int) -> LawOfP:
        """A batch of laws [B], each estimated anew from resampled prompts.

        At most 200 for the mixtures. ValueError for a law that was given or holds single prompts.
        """
        if self.data is None or self.method is None:
            raise ValueError("the law was not estimated from a sample of prompts: none to resample")
        if self.method in ("mixture", "smoothed mixture"):
            num_resamples = min(num_resamples, _MIXTURE_RESAMPLES)
        drawn = bootstrap.resample(self.data, num_resamples=num_resamples, rng=rng)
        return fit_rows(drawn, self.method)

    def interval(
        self,
        statistic: _Statistic,
        *,
        rng: np.random.Generator | int,
        level: float = 0.95,
        num_resamples: int = 1000,
        share: bool = True,
    ) -> tuple[float, float]:
        """Interval of a number of the law by resampling prompts.

        ``statistic`` maps a batch of laws to values [B]. ``share``: it is a mean over prompts of
        numbers in [0, 1]; the interval of a mean that few prompts carry is then widened to what
        their number can exclude (`bootstrap.floored`), and that of one prompt is [0, 1].

        >>> law = fit_law(GroupCounts([0, 1, 2, 4] * 25, 4), "thinning")
        >>> low, high = law.interval(lambda one: one.zero_std(2), rng=0)
        >>> round(low, 2), round(law.zero_std(2).item(), 2), round(high, 2)
        (0.65, 0.71, 0.77)
        """
        draws = statistic(self.resampled(num_resamples, rng))
        assert self.data is not None
        prompts = self.data.num_clusters
        ends = bootstrap.percentile_interval(draws, level=level, num_clusters=prompts)
        if isinstance(self, EmpiricalLaw) and np.ptp(self.data.num_samples) > 0:
            other = self.drawn_under_mixture(statistic, num_resamples, rng)
            if other is not None:
                wider = bootstrap.percentile_interval(other, level=level, num_clusters=prompts)
                ends = min(ends[0], wider[0]), max(ends[1], wider[1])
        if not share:
            return ends
        if isinstance(self, EmpiricalLaw):
            each = statistic(self.each())
            return bootstrap.floored(ends, each, self.data.weight, rng=rng, level=level)
        value = float(statistic(self))
        return bootstrap.share_interval(draws, value=value, level=level, num_clusters=prompts)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EmpiricalLaw(LawOfP):
    """The law of p as far as n samples per prompt know it without a model: thinning.

    ``counts`` are cells with weights [..., U]. The share of g-subsets of a prompt's samples with k
    correct is unbiased for P(K = k). A prompt with fewer than g samples has no such subset and
    takes its ``posterior`` under the beta fitted to all prompts (see `partly`). ValueError where
    half of the prompts have fewer, and where one has and there is no posterior.
    """

    counts: CountCells
    posterior: Callable[[CountCells], LawOfP] | None = None

    def num_fitted(self, group_size: int) -> int:
        """Prompts with fewer than ``group_size`` samples, for which a fitted beta speaks."""
        return partly.num_short(self.counts, group_size)

    def _mean(
        self,
        group_size: int,
        thin: Callable[[IntArray, IntArray], FloatArray],
        fitted: Callable[[LawOfP], FloatArray],
    ) -> FloatArray:
        """Mean over prompts of K numbers per cell, [V, K], of groups of this size; [..., K]."""
        if group_size < 1:
            raise ValueError(f"group_size must be >= 1, got {group_size}")
        known = self.posterior
        rest = None if known is None else lambda short: fitted(known(short))
        return partly.mean_over_prompts(self.counts, group_size, thin=thin, fitted=rest)

    def _share(
        self, g: int, thin: Callable[[IntArray, IntArray, int], FloatArray], share: _Share
    ) -> FloatArray:
        """`_mean` of one number per cell."""
        return self._mean(
            g, lambda n, c: thin(n, c, g)[..., None], lambda post: share(post, g)[..., None]
        )[..., 0]

    @property
    def mean(self) -> FloatArray:
        """Mean over prompts of c/n."""
        return cells.cell_mean(self.counts, self.counts.rate)

    def all_wrong(self, group_size: int) -> FloatArray:
        """Mean over prompts of C(n-c, g)/C(n, g)."""
        return self._share(group_size, thin_all_wrong, lambda post, g: post.all_wrong(g))

    def all_right(self, group_size: int) -> FloatArray:
        """Mean over prompts of C(c, g)/C(n, g)."""
        return self._share(group_size, thin_all_right, lambda post, g: post.all_right(g))

    def group_pmf(self, group_size: int) -> FloatArray:
        """Mean over prompts of the hypergeometric law, [..., g + 1]."""
        g = group_size
        return self._mean(g, lambda n, c: thin_pmf(n, c, g), lambda post: post.group_pmf(g))

    def bernoulli_variance(self) -> FloatArray:
        """Mean over prompts of c(n-c)/(n(n-1)), which needs 2 samples of a prompt."""
        return self._share(
            2, lambda n, c, _: thin_pq(n, c), lambda post, _: post.bernoulli_variance()
        )

    def drawn_under_mixture(
        self, statistic: _Statistic, num_resamples: int, rng: np.random.Generator | int
    ) -> FloatArray | None:
        """The number of at most 200 resampled laws, the smoothed mixture in place of the beta.

        None where no prompt is short. A beta is wrong where prompts are of two kinds: with 30% to
        45% of them short the interval under it covers 85% to 94% there, that of both 92% and more.
        """
        assert self.data is not None
        data, number = self.data, min(num_resamples, _MIXTURE_RESAMPLES)
        drawn = bootstrap.resample(data, num_resamples=number, rng=rng)
        laws = cache(lambda: smoothed.resampled_laws(drawn, smoothed.smoothed_law(data)))
        found = statistic(EmpiricalLaw(counts=drawn, posterior=lambda s: _under_mixture(laws(), s)))
        return found if laws.cache_info().misses else None

    def each(self) -> EmpiricalLaw:
        """A batch of one law per cell, [..., U], under the prior of all."""
        alone = self.counts._replace(weight=np.eye(len(self.counts.num_samples)))
        return replace(self, counts=alone, data=None)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Measured rates c/n of random prompts.

        They are spread more than p: their variance is that of p plus E[p(1-p)]/n, so groups drawn
        at these rates have zero std more often than groups of the prompts. To simulate groups take
        a law without the noise of the samples: "posterior", "beta-binomial" or "mixture".
        """
        weight = _batch.one_law(self.counts.weight)
        return np.asarray(rng.choice(self.counts.rate, size, p=weight / weight.sum()))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelLaw(LawOfP):
    """A model of grpolab.theory (its ``mean`` and ``rho`` of shape [...]), or a mixture of such.

    With ``weight`` [..., C] the last axis of the model holds the C components of a mixture. Groups
    of any size.
    """

    model: Exchangeable
    weight: FloatArray | None = None

    def _average(self, values: FloatArray) -> FloatArray:
        weight = self.weight
        return values if weight is None else _batch.weighted(weight, values[..., None])[..., 0]

    @property
    def mean(self) -> FloatArray:
        """Mean of the model."""
        return self._average(self.model.mean)

    def all_wrong(self, group_size: int) -> FloatArray:
        """P(K = 0) of the model."""
        return self._average(self.model.prob_all_wrong(group_size))

    def all_right(self, group_size: int) -> FloatArray:
        """P(K = g) of the model."""
        return self._average(self.model.prob_all_right(group_size))

    def group_pmf(self, group_size: int) -> FloatArray:
        """P(K = k) of the model, [..., g + 1]."""
        each = self.model.pmf(group_size)
        return each if self.weight is None else _batch.weighted(self.weight, each)

    def bernoulli_variance(self) -> FloatArray:
        """``m (1-m)(1-rho)`` of the model."""
        return self._average(_batch.variance(self.model))

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Success rates drawn from the model.

        ValueError for a batch, and for a model whose groups are no mixture over a p per prompt.
        """
        if isinstance(self.model, BetaBinomial):
            weight = np.ones(1) if self.weight is None else _batch.one_law(self.weight)
            part = rng.choice(len(weight), size, p=weight / weight.sum())
            ends = (self.model.mean, self.model.rho)
            mean, rho = (v[None] if self.weight is None else v for v in ends)
            return _batch.draw_beta(_batch.one_law(mean)[part], _batch.one_law(rho)[part], rng)
        if isinstance(self.model, FiniteMixture) and self.weight is None:
            atoms = self.model.atoms()
            weight = _batch.one_law(atoms.weight)
            if np.all(weight >= 0) and np.all((atoms.p >= 0) & (atoms.q >= 0)):
                return np.asarray(rng.choice(atoms.p, size, p=weight / weight.sum()))
        raise ValueError(f"{type(self.model).__name__} has no law of p to sample from")


def model_law(model: Exchangeable) -> LawOfP:
    """The law of a model of grpolab.theory.

    >>> model_law(BetaBinomial(mean=0.5, rho=1 / 3)).pass_at(9).round(6).item()
    0.9
    """
    return ModelLaw(model=model)


def fit_law(counts: GroupCounts, method: Method = "thinning") -> LawOfP:
    """Estimate the law of p over the prompts of ``counts``.

    "thinning": no model, groups up to the samples of most prompts (`EmpiricalLaw`).
    "beta-binomial": p ~ Beta, mean and ICC by maximum likelihood (`betabin`).
    "mixture": any law of p, by non-parametric maximum likelihood (`mixture.fit_mixture`).
    "smoothed mixture": the same with a prior around that beta (`smoothed.smoothed_law`).
    "posterior": every prompt has the posterior of its p under that beta (empirical Bayes).
    "mean-p": every prompt has the mean rate, which leaves out that prompts differ.
    Groups of a prompt are pooled. ValueError for tables marked ``filtered``, and, but for
    "thinning" and "mean-p", where no prompt has two samples.

    >>> counts = GroupCounts([0, 0, 4, 4], 4)
    >>> [fit_law(counts, m).zero_std(4).round(3).item() for m in ("thinning", "mean-p")]
    [1.0, 0.125]
    """
    data = cells.unfiltered(counts)
    if method not in ("thinning", "mean-p"):
        cells.require_pairs(data)
    return fit_rows(data, method)


def fit_rows(data: CountCells, method: Method) -> LawOfP:
    """`fit_law` for cells with weights [..., U]: a batch of laws, one for every row of weights."""
    _check_method(method)
    if method == "thinning":
        law: LawOfP = EmpiricalLaw(counts=data, posterior=lambda short: _posterior(data, short))
    elif method == "mean-p":
        rate = np.clip(cells.cell_mean(data, data.rate), 0.0, 1.0)
        law = ModelLaw(model=BetaBinomial(mean=rate, rho=0.0))
    elif method == "mixture":
        weight = mixture.grid_weights(data, tolerance=_TOLERANCE)
        law = ModelLaw(model=BetaBinomial(mean=mixture.GRID, rho=0.0), weight=weight)
    elif method == "smoothed mixture":
        found = smoothed.smoothed_law(data)
        law = ModelLaw(model=BetaBinomial(mean=found.support, rho=0.0), weight=found.weight)
    elif method == "posterior":
        law = replace(_posterior(data, data), weight=data.weight)
    else:
        law = ModelLaw(model=partly.fit_prior(data))
    return replace(law, data=data, method=method)


def _posterior(data: CountCells, each: CountCells) -> ModelLaw:
    """That of every cell of ``each`` under the beta of all prompts."""
    return ModelLaw(model=partly.posterior(partly.fit_prior(data), each))


def _under_mixture(law: smoothed.GridLaw, short: CountCells) -> LawOfP:
    """Posterior of every cell of ``short`` under a batch of laws on a grid."""
    like = likelihood.cell_likelihood(short, law.support)
    return ModelLaw(
        model=BetaBinomial(mean=law.support, rho=0.0), weight=law.weight[..., None, :] * like
    )


def prompt_laws(counts: GroupCounts, method: Method = "thinning") -> LawOfP:
    """What is known of each prompt: a batch of P laws, in order of prompt id.

    "thinning": from its own samples; "posterior": Beta(a + c, b + n - c) under the beta of all.

    >>> prompt_laws(GroupCounts([0, 2, 4], 4)).mixed(2).round(6).tolist()
    [0.0, 0.666667, 0.0]
    """
    totals = counts.by_prompt()
    each = CountCells(totals.num_correct[:, None], totals.num_samples[:, None],
                 np.ones((len(totals.prompt_id), 1)))  # fmt: skip
    if method == "thinning":
        return EmpiricalLaw(counts=each)
    if method == "posterior":
        cells.require_pairs(data := cells.unfiltered(counts))
        return replace(_posterior(data, each), weight=each.weight)
    raise ValueError(f"method must be thinning or posterior, got {method!r}")


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
