"""Thresholds: the mean at which a wanted share of the groups has no signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from grpolab.theory import _check
from grpolab.theory._numeric import find_minimum, find_root
from grpolab.theory.dependence import Model, family
from grpolab.theory.groups import FloatArray

BoolArray = npt.NDArray[np.bool_]
Event = Literal["identical", "all-wrong"]
_EVENTS = ("identical", "all-wrong")
_TANGENT = 4e-15  # a minimum this close to the wanted share touches it (g = 2, rho = 0)


def critical_p(
    group_size: npt.ArrayLike,
    *,
    rho: npt.ArrayLike = 0.0,
    model: str | type[Model] = "beta-binomial",
    event: Event = "identical",
    frac: npt.ArrayLike = 0.5,
) -> FloatArray:
    """p*: the smallest mean m with ``P(event; m, rho, g) <= frac``, nan where there is none.

    At rho = 0 every model is the binomial, p* is a per-prompt quantity and all-wrong has
    ``p* = 1 - frac^(1/g)``; with rho > 0 it is a mean over prompts. arXiv 2606.18487 has g = 8,
    rho = 0; the rest derived here. A family of one's own that has no law at small means has its
    least mean as p* where the share is below ``frac`` there already.

    Parameters
    ----------
    group_size : array_like of int
        Rollouts per group, >= 1.
    rho : array_like
        Correlation of two rewards of a group, in [0, 1].
    model : str or type
        How rewards depend on each other: a name of `MODELS`, or a class of one's own.
    event : {"identical", "all-wrong"}
        Count groups whose rewards are all equal, or those without a correct rollout.
    frac : array_like
        Share of such groups at the threshold, in (0, 1).

    Returns
    -------
    ndarray
        p*, of the broadcast shape of group_size, rho and frac.

    Raises
    ------
    ValueError
        An argument outside of its range, or an unknown name.

    Examples
    --------
    >>> critical_p(8).round(6).item(), critical_p(2).item()
    (0.082996, 0.5)
    >>> critical_p([4, 8], rho=0.5).round(4).tolist()
    [nan, 0.2839]
    """
    return _threshold(group_size, rho, model, event, frac, upper=False)


def critical_p_upper(
    group_size: npt.ArrayLike,
    *,
    rho: npt.ArrayLike = 0.0,
    model: str | type[Model] = "beta-binomial",
    frac: npt.ArrayLike = 0.5,
) -> FloatArray:
    """The largest mean at which at most ``frac`` of the groups have identical rewards, or nan.

    ``1 - critical_p`` for every model that treats right and wrong alike, that is all but the shock.
    Derived here.

    >>> critical_p_upper(8).round(6).item()
    0.917004
    """
    return _threshold(group_size, rho, model, "identical", frac, upper=True)


def _threshold(
    group_size: npt.ArrayLike,
    rho: npt.ArrayLike,
    model: str | type[Model],
    event: str,
    frac: npt.ArrayLike,
    *,
    upper: bool,
) -> FloatArray:
    _check.choice("event", event, _EVENTS)
    g, corr, share = np.broadcast_arrays(
        _check.whole("group_size", group_size),
        _check.probability("rho", rho),
        _check.within("frac", frac, 0.0, 1.0, ends="none"),
    )

    at = family(model)
    best, some = _safest(at, g, corr, event)
    corr = np.where(some, corr, 0.0)  # nan in the end; at rho = 0 every family has a law

    def excess(mean: FloatArray) -> FloatArray:
        return _check.result(_share(at, mean, corr, g, event) - share)

    end = np.full(g.shape, 1.0 if upper else 0.0)
    edge = last_law(lambda mean: at(mean=mean, rho=corr).has_law, best, end)
    least, last = excess(best), excess(edge)
    root = np.where(last <= 0, edge, find_root(excess, best, edge))
    touches = np.abs(least) <= _TANGENT
    found = np.where(touches, best, np.where(least < 0, root, np.nan))
    return _check.result(np.where(some, found, np.nan))


def _share(
    at: type[Model], mean: FloatArray, rho: FloatArray, g: FloatArray, event: str
) -> FloatArray:
    """P(event)."""
    law = at(mean=mean, rho=rho)
    return np.asarray(law.prob_all_wrong(g) if event == "all-wrong" else law.prob_zero_std(g))


def last_law(
    has_law: Callable[[FloatArray], BoolArray], inside: FloatArray, end: FloatArray
) -> FloatArray:
    """The place next to ``end`` up to which a family has a law, coming from ``inside``."""
    # at a mean of 0 or 1 every family has one, also where none has next to it
    there = has_law(end) & has_law(end + (inside - end) * 1e-9)
    if np.all(there):
        return end
    good, bad = inside, end
    for _ in range(60):
        middle = (good + bad) / 2
        held = has_law(middle)
        good, bad = np.where(held, middle, good), np.where(held, bad, middle)
    return np.where(there, end, good)


_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9, 0.05, 0.95, 0.02, 0.98)  # laws are sought


def _with_a_law(
    at: type[Model], shape: tuple[int, ...], rho: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """A mean at which the family has a law, and whether there is one."""
    start, some = np.full(shape, 0.5), np.zeros(shape, np.bool_)
    for place in _PLACES:
        held = ~some & at(mean=np.full(shape, place), rho=rho).has_law
        start, some = np.where(held, place, start), some | held
        if np.all(some):
            break
    return start, some


def _safest(
    at: type[Model], g: FloatArray, rho: FloatArray, event: str
) -> tuple[FloatArray, BoolArray]:
    """Mean with the fewest such groups among those that have a law, and whether any has."""
    start, some = _with_a_law(at, g.shape, rho)
    rho = np.where(some, rho, 0.0)

    def edge(end: float) -> FloatArray:
        law = np.full(g.shape, end)
        return last_law(lambda mean: at(mean=mean, rho=rho).has_law, start, law)

    if event == "all-wrong":
        return edge(1.0), some
    if at.symmetric:
        return start, some

    def share(mean: FloatArray) -> FloatArray:
        return _share(at, mean, rho, g, event)

    found = find_minimum(share, edge(0.0), edge(1.0))
    return np.where(share(start) <= share(found), start, found), some


def critical_rho(
    group_size: npt.ArrayLike,
    *,
    model: str | type[Model] = "beta-binomial",
    frac: npt.ArrayLike = 0.5,
) -> FloatArray:
    """rho_c: from this correlation on, ``P(zero std) >= frac`` at every mean; no p* exists above.

    nan where that is so already at rho = 0 (g = 1, or frac below 2^(1-g)), and for a family of
    one's own that has no law up to such a rho. The copy model has ``(frac - 2^(1-g))/(1 -
    2^(1-g))``. group_size >= 1 and frac in (0, 1) broadcast; ValueError outside. Derived here.

    >>> critical_rho([4, 8]).round(3).tolist()
    [0.447, 0.595]
    """
    at = family(model)
    g, share = np.broadcast_arrays(
        _check.whole("group_size", group_size),
        _check.within("frac", frac, 0.0, 1.0, ends="none"),
    )
    g = np.asarray(g, dtype=np.float64)

    def least_excess(rho: FloatArray) -> FloatArray:
        best, some = _safest(at, g, rho, "identical")
        least = _share(at, best, np.where(some, rho, 0.0), g, "identical")
        return _check.result(np.where(some, least, np.inf) - share)

    start = np.zeros(g.shape)
    top = last_law(lambda rho: _with_a_law(at, g.shape, rho)[1], start, start + 1.0)
    at_start = least_excess(start)
    root = find_root(least_excess, start, top)
    return _check.result(
        np.where(np.abs(at_start) <= _TANGENT, 0.0, np.where(at_start < 0, root, np.nan))
    )


def group_size_for(
    frac_mixed: npt.ArrayLike,
    *,
    mean: npt.ArrayLike,
    rho: npt.ArrayLike = 0.0,
    model: str | type[Model] = "beta-binomial",
    largest: int = 1_000_000,
) -> FloatArray:
    """The smallest g with ``P(mixed) >= frac_mixed``; nan when no g up to ``largest`` reaches it.

    frac_mixed in (0, 1), mean and rho in [0, 1] broadcast; ValueError outside. Mixed groups only
    become more likely with g in every exchangeable model, so bisection finds it. Derived here.

    >>> group_size_for(0.5, mean=[0.083, 0.5, 0.0]).tolist()
    [8.0, 2.0, nan]
    """
    want, m, corr = np.broadcast_arrays(
        _check.within("frac_mixed", frac_mixed, 0.0, 1.0, ends="none"),
        _check.probability("mean", mean),
        _check.probability("rho", rho),
    )
    law = family(model)(mean=m, rho=corr)
    low, high = np.ones(m.shape), np.full(m.shape, float(_check.one_whole("largest", largest)))
    # 1 - frac_mixed may not be a float, and a share met exactly counts as met
    limit = (1.0 - want) * (1.0 + 4e-15)
    reached = law.prob_zero_std(high) <= limit
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        enough = law.prob_zero_std(middle) <= limit
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return _check.result(np.where(reached, high, np.nan))
