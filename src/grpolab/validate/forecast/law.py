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
from functools import cache, partial
from typing import Literal, get_args

import numpy as np

from grpolab.theory.dependence import BetaBinomial, FiniteMixture
from grpolab.theory.groups import Exchangeable, FloatArray, GroupCounts, IntArray
from grpolab.theory.pass_at_k import thin_all_right, thin_all_wrong, thin_pmf, thin_pq
from grpolab.validate.estimate import bootstrap, cells, mixture, smoothed
from grpolab.validate.estimate.cells import CountCells
from grpolab.validate.forecast import partly

Method = Literal["thinning", "posterior", "beta-binomial", "mixture", "smoothed mixture", "mean-p"]

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
        return np.asarray(std * _unbiased(group_size, ddof) ** 0.5)

    def expected_variance(self, group_size: int, *, ddof: int = 0) -> FloatArray:
        """E[sigma^2] = E[p(1-p)] (g-1)/g; without the factor for ddof 1. Needs no g samples."""
        shrink = (group_size - 1) / group_size
        return np.asarray(self.bernoulli_variance() * shrink * _unbiased(group_size, ddof))

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
        statistic: Callable[[LawOfP], FloatArray],
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
        if not share:
            return ends
        if isinstance(self, EmpiricalLaw):
            each = statistic(self.each())
            return bootstrap.floored(ends, each, self.data.weight, rng=rng, level=level)
        value = float(statistic(self))
        return bootstrap.share_interval(draws, value=value, level=level, num_clusters=prompts)


def _unbiased(group_size: int, ddof: int) -> float:
    """g/(g-1) for ddof 1, which turns the variance with ddof 0 into that with ddof 1."""
    if ddof not in (0, 1):
        raise ValueError(f"ddof must be 0 or 1, got {ddof}")
    factor = group_size / (group_size - 1) if group_size > 1 else np.nan
    return factor if ddof else 1.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EmpiricalLaw(LawOfP):
    """The law of p as far as n samples per prompt know it without a model: thinning.

    ``counts`` are cells with weights [..., U]. The share of g-subsets of a prompt's samples with k
    correct is unbiased for P(K = k). A prompt with fewer than g samples has no such subset and
    takes its posterior under ``prior``, the beta fitted to all prompts (see `partly`). ValueError
    where half of the prompts have fewer, and where one has and there is no prior.
    """

    counts: CountCells
    prior: Callable[[], Exchangeable] | None = None

    def num_fitted(self, group_size: int) -> int:
        """Prompts with fewer than ``group_size`` samples, for which a fitted beta speaks."""
        return partly.num_short(self.counts, group_size)

    def _mean(
        self,
        group_size: int,
        thin: Callable[[IntArray, IntArray, int], FloatArray],
        fitted: Callable[[BetaBinomial, int], FloatArray],
    ) -> FloatArray:
        """Mean over prompts of one number per cell, of groups of this size."""
        if group_size < 1:
            raise ValueError(f"group_size must be >= 1, got {group_size}")
        return partly.mean_over_prompts(
            self.counts, group_size, prior=self.prior,
            thin=lambda n, c: thin(n, c, group_size)[..., None],
            fitted=lambda post: fitted(post, group_size)[..., None],
        )[..., 0]  # fmt: skip

    @property
    def mean(self) -> FloatArray:
        """Mean over prompts of c/n."""
        return cells.cell_mean(self.counts, self.counts.rate)

    def all_wrong(self, group_size: int) -> FloatArray:
        """Mean over prompts of C(n-c, g)/C(n, g)."""
        return self._mean(group_size, thin_all_wrong, BetaBinomial.prob_all_wrong)

    def all_right(self, group_size: int) -> FloatArray:
        """Mean over prompts of C(c, g)/C(n, g)."""
        return self._mean(group_size, thin_all_right, BetaBinomial.prob_all_right)

    def group_pmf(self, group_size: int) -> FloatArray:
        """Mean over prompts of the hypergeometric law, [..., g + 1]."""
        return partly.mean_over_prompts(
            self.counts, group_size, prior=self.prior,
            thin=lambda n, c: thin_pmf(n, c, group_size), fitted=lambda post: post.pmf(group_size),
        )  # fmt: skip

    def bernoulli_variance(self) -> FloatArray:
        """Mean over prompts of c(n-c)/(n(n-1)), which needs 2 samples of a prompt."""
        return self._mean(2, lambda n, c, _: thin_pq(n, c), lambda post, _: _variance(post))

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
        weight = _one_law(self.counts.weight)
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
        return values if self.weight is None else _weighted(self.weight, values[..., None])[..., 0]

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
        return each if self.weight is None else _weighted(self.weight, each)

    def bernoulli_variance(self) -> FloatArray:
        """``m (1-m)(1-rho)`` of the model."""
        return self._average(_variance(self.model))

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Success rates drawn from the model.

        ValueError for a batch, and for a model whose groups are no mixture over a p per prompt.
        """
        if isinstance(self.model, BetaBinomial):
            weight = np.ones(1) if self.weight is None else _one_law(self.weight)
            part = rng.choice(len(weight), size, p=weight / weight.sum())
            ends = (self.model.mean, self.model.rho)
            mean, rho = (v[None] if self.weight is None else v for v in ends)
            return _draw_beta(_one_law(mean)[part], _one_law(rho)[part], rng)
        if isinstance(self.model, FiniteMixture) and self.weight is None:
            atoms = self.model.atoms()
            weight = _one_law(atoms.weight)
            if np.all(weight >= 0) and np.all((atoms.p >= 0) & (atoms.q >= 0)):
                return np.asarray(rng.choice(atoms.p, size, p=weight / weight.sum()))
        raise ValueError(f"{type(self.model).__name__} has no law of p to sample from")


def _weighted(weight: FloatArray, each: FloatArray) -> FloatArray:
    """Weighted mean [..., K] over the axis U of K numbers per component, [..., U, K]."""
    total = np.einsum("...u,...uk->...k", weight, each)
    return np.asarray(total / weight.sum(axis=-1)[..., None])


def _variance(model: Exchangeable) -> FloatArray:
    """E[p(1-p)] = m (1-m)(1-rho)."""
    return np.asarray(model.mean * (1.0 - model.mean) * (1.0 - model.rho))


def _one_law(values: FloatArray) -> FloatArray:
    """Values [C] of the components of one law; ValueError where they are those of a batch."""
    if values.ndim > 1:
        raise ValueError(f"rates are drawn from one law, got a batch of {list(values.shape[:-1])}")
    return values


def _draw_beta(mean: FloatArray, rho: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One rate per entry from Beta(mean, rho); the mean at rho = 0, and 0 or 1 at rho = 1."""
    out = np.where(rng.random(len(mean)) < mean, 1.0, 0.0)
    out[rho == 0] = mean[rho == 0]
    inner = (rho > 0) & (rho < 1) & (mean > 0) & (mean < 1)
    scale = 1.0 / rho[inner] - 1.0
    out[inner] = rng.beta(mean[inner] * scale, (1.0 - mean[inner]) * scale)
    return out


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
    _check_method(method)
    data = cells.unfiltered(counts)
    if method not in ("thinning", "mean-p"):
        cells.require_pairs(data)
    return fit_rows(data, method)


def fit_rows(data: CountCells, method: Method) -> LawOfP:
    """`fit_law` for cells with weights [..., U]: a batch of laws, one for every row of weights."""
    _check_method(method)
    if method == "thinning":
        law: LawOfP = EmpiricalLaw(counts=data, prior=cache(partial(partly.fit_prior, data)))
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
        law = ModelLaw(model=partly.posterior(partly.fit_prior(data), data), weight=data.weight)
    else:
        law = ModelLaw(model=partly.fit_prior(data))
    return replace(law, data=data, method=method)


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
        prior = fit_law(counts, "beta-binomial")
        assert isinstance(prior, ModelLaw)
        return ModelLaw(model=partly.posterior(prior.model, each), weight=each.weight)
    raise ValueError(f"method must be thinning or posterior, got {method!r}")


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
