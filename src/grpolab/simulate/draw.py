"""Groups drawn from every dependence model: correlated over prompts, or even given the prompt.

A model is a law of the prompt's success chance and, if rewards of one group depend on each other
given the prompt, a mechanism within the group. Models are drawn by their `Mechanism` and not from
their distribution of K, so that theory can be tested against them. A model of one's own is drawn by
its `rates`; one that has no success rate of a prompt, or does not say it, by its P(K = k).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from grpolab.simulate import _kernels
from grpolab.simulate._philox import Key, stream_key
from grpolab.simulate._threads import map_chunks
from grpolab.theory import _check
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, Mechanism, Provenance
from grpolab.theory.model import Model

Kind = Literal["independent", "copy", "common-source", "shock", "antithetic"]
_KINDS: dict[str, int] = {
    "independent": _kernels.INDEPENDENT,
    "copy": _kernels.COPY,
    "common-source": _kernels.COMMON,
    "shock": _kernels.SHOCK,
    "antithetic": _kernels.ANTITHETIC,
}
_PREFIX, _POOL = "prefix", "pool"  # only by their own models
_OWN_KINDS = {**_KINDS, _PREFIX: _kernels.PREFIX, _POOL: _kernels.POOL}
_CHUNK = 1 << 16
_SPAN = 64 * _CHUNK  # groups whose tallies are kept before they are added up
MAX_GROUP_SIZE = 1024


class Within(NamedTuple):
    """How the rewards of one group depend on each other although the prompt is given.

    copy: with probability ``strength`` one draw serves the whole group. common-source: each
    rollout repeats one hidden draw with probability ``strength``. shock: with probability
    ``strength`` the whole group is marked wrong. antithetic: rollouts come in pairs that share a
    uniform and its mirror image, which correlates them negatively.
    """

    kind: Kind
    strength: float = 0.0


class _Law(NamedTuple):
    """Success chances of prompts low..high, and the dependence within a group.

    ``pmf`` draws a group whose model knows P(K = k) and nothing else.
    """

    chances: Callable[[int, int, Key], FloatArray]
    kind: str = "independent"
    strength: float = 0.0
    parts: int = 1  # branches, or the size of the pool
    pmf: Callable[[int], FloatArray] | None = None


def draw_groups(
    model: Any,
    *,
    group_size: npt.ArrayLike,
    num_groups: int | None = None,
    seed: int,
    groups_per_prompt: int = 1,
    within: Within | None = None,
    threads: int | None = None,
) -> GroupCounts:
    """Simulate M groups of g rollouts; group i belongs to prompt ``i // groups_per_prompt``.

    One seed gives the same table for any number of threads.

    Parameters
    ----------
    model : float, array_like or model
        A success rate p, an array of them (one per prompt; num_groups then follows) or a dependence
        model of `grpolab.theory`.
    group_size : array_like of int
        Rollouts per group, a number in 1..1024 or an array [M].
    num_groups : int, optional
        Number of groups M; needed unless ``model`` is an array.
    seed : int
        In [0, 2**64).
    groups_per_prompt : int
        Groups that share one success rate, >= 1.
    within : Within, optional
        Dependence of the rewards of a group although the prompt is given.
    threads : int, optional
        Threads; all cores if left out.

    Returns
    -------
    GroupCounts
        One row per group.

    Raises
    ------
    ValueError
        An argument outside of its range, or a model that cannot be simulated.

    Examples
    --------
    >>> draw_groups(0.5, group_size=8, num_groups=5, seed=0).num_correct.tolist()
    [2, 5, 5, 4, 2]
    """
    rows = _num_groups(model, num_groups, groups_per_prompt)
    law = _law(model, within)
    size = _sizes(group_size, rows)
    key = stream_key(seed, "groups")
    _check_parts(law, size)
    work = _chunk_drawer(law, size, groups_per_prompt, key)
    parts = map_chunks(work, rows, chunk=_CHUNK, threads=threads)
    return GroupCounts(
        np.concatenate(parts) if parts else np.empty(0, np.int64),
        size,
        prompt_id=np.arange(rows) // groups_per_prompt,
        provenance=Provenance(
            source="grpolab.simulate", sampling=_describe(model, within), seed=seed
        ),
    )


def draw_members(
    p: npt.ArrayLike, *, num_groups: int, seed: int, threads: int | None = None
) -> npt.NDArray[np.bool_]:
    """Rewards [M, g] of groups whose member j is correct with chance p[j]: stale or mixed groups.

    `grpolab.theory.unequal_zero_std` and its kin have their laws. Raises ValueError for p outside
    [0, 1] or of another shape than [g], g up to 1024.

    >>> draw_members([0.0, 0.5, 1.0], num_groups=3, seed=0)[:, [0, 2]].tolist()
    [[False, True], [False, True], [False, True]]
    """
    chance = _check.probability("p", p)
    if chance.ndim != 1 or not 1 <= chance.size <= MAX_GROUP_SIZE:
        raise ValueError(f"p must have shape [g], g <= {MAX_GROUP_SIZE}, got {list(chance.shape)}")
    rows = _check.one_whole("num_groups", num_groups, least=0)
    chance = np.ascontiguousarray(chance)
    out = np.empty((rows, chance.size), np.bool_)
    key = stream_key(seed, "members")

    def work(low: int, high: int) -> None:
        _kernels.draw_members(chance, np.uint64(low), key.low, key.high, out[low:high])

    map_chunks(work, rows, chunk=_CHUNK, threads=threads)
    return out


def tally_groups(
    model: Any,
    *,
    group_size: int,
    num_groups: int,
    seed: int,
    groups_per_prompt: int = 1,
    within: Within | None = None,
    threads: int | None = None,
) -> IntArray:
    """How many of the groups of `draw_groups` have K = 0..g correct, shape [g + 1].

    Nothing but the tally is kept, so that 1e9 groups need no more memory than 1e5.

    >>> tally_groups(0.5, group_size=2, num_groups=1000, seed=1).tolist()
    [254, 513, 233]
    """
    rows = _num_groups(model, num_groups, groups_per_prompt)
    size = int(_sizes(group_size, 1)[0])
    sizes = np.broadcast_to(np.int64(size), (rows,))
    law = _law(model, within)
    _check_parts(law, np.array([size]))
    draw = _chunk_drawer(law, sizes, groups_per_prompt, stream_key(seed, "groups"))

    def count(low: int, high: int) -> IntArray:
        return np.bincount(draw(low, high), minlength=size + 1)

    tally = np.zeros(size + 1, np.int64)
    for low in range(0, rows, _SPAN):
        high = min(low + _SPAN, rows)
        tally += np.sum(map_chunks(count, high, low=low, chunk=_CHUNK, threads=threads), axis=0)
    return tally


def _chunk_drawer(
    law: _Law, size: IntArray, groups_per_prompt: int, key: Key
) -> Callable[[int, int], IntArray]:
    if law.pmf is not None:
        return _count_drawer(law.pmf, size, groups_per_prompt, key)

    def work(low: int, high: int) -> IntArray:
        first = low // groups_per_prompt
        chances = law.chances(first, (high - 1) // groups_per_prompt + 1, key)
        if groups_per_prompt > 1:
            chances = chances[np.arange(low, high) // groups_per_prompt - first]
        out = np.empty(high - low, np.int64)
        _kernels.draw_groups(
            _OWN_KINDS[law.kind], law.strength, law.parts, chances,
            np.ascontiguousarray(size[low:high]), np.uint64(low), key.low, key.high, out,
        )  # fmt: skip
        return out

    return work


def _count_drawer(
    pmf: Callable[[int], FloatArray], size: IntArray, groups_per_prompt: int, key: Key
) -> Callable[[int, int], IntArray]:
    """K by inverting its distribution function, for models that say no more."""
    if groups_per_prompt > 1:
        raise ValueError("groups_per_prompt must be 1: the model has no success rate of a prompt")
    edges = {int(g): np.cumsum(pmf(int(g))) for g in np.unique(size)}
    for g, edge in edges.items():
        if edge.shape != (g + 1,) or not abs(edge[-1] - 1.0) < 1e-9:
            raise ValueError(f"model must have a pmf of {g + 1} numbers that sum to 1 for g = {g}")

    def work(low: int, high: int) -> IntArray:
        u = np.empty(high - low)
        _kernels.uniforms(_kernels.GROUP, np.uint64(low), key.low, key.high, u)
        out = np.empty(high - low, np.int64)
        here = size[low:high]
        for g in np.unique(here):
            rows = here == g
            out[rows] = np.minimum(np.searchsorted(edges[int(g)], u[rows], side="right"), g)
        return out

    return work


def _num_groups(model: Any, num_groups: int | None, groups_per_prompt: int) -> int:
    _check.one_whole("groups_per_prompt", groups_per_prompt)
    if num_groups is not None:
        num_groups = _check.one_whole("num_groups", num_groups, least=0)
    if _is_plain(model) and np.ndim(model) == 1:
        implied = len(model) * groups_per_prompt
        if num_groups not in (None, implied):
            raise ValueError(
                f"num_groups must be {implied} (prompts times groups_per_prompt), got {num_groups}"
            )
        return implied
    if num_groups is None:
        raise ValueError("num_groups must be given unless model is an array")
    return num_groups


def _sizes(group_size: npt.ArrayLike, rows: int) -> IntArray:
    raw = _check.numbers("group_size", group_size)
    if raw.shape not in ((), (1,), (rows,)):
        raise ValueError(f"group_size must be a number or {rows}, got shape {list(raw.shape)}")
    if not np.all((raw >= 1) & (raw <= MAX_GROUP_SIZE) & (raw == np.floor(raw))):
        raise ValueError(f"group_size must be whole numbers in 1..{MAX_GROUP_SIZE}, got {raw}")
    return np.ascontiguousarray(np.broadcast_to(raw, (rows,)).astype(np.int64))


def _check_parts(law: _Law, size: IntArray) -> None:
    if law.kind == _PREFIX and np.any(size % law.parts):
        raise ValueError(f"group_size must be a multiple of the {law.parts} branches, got {size}")
    if law.kind == _POOL and np.any(size > law.parts):
        raise ValueError(f"group_size must be at most the pool of {law.parts}, got {size}")


def _is_plain(model: Any) -> bool:
    return isinstance(model, int | float | np.number | np.ndarray | list | tuple)


def _law(model: Any, within: Within | None) -> _Law:
    """The prompt law and the mechanism of a model; its own mechanism excludes another one."""
    law = _Law(_given(np.asarray(model, np.float64))) if _is_plain(model) else _model_law(model)
    if within is None:
        return law
    if law.kind != "independent" or law.pmf is not None:
        raise ValueError(f"within: {type(model).__name__} already correlates the group by itself")
    if within.kind not in _KINDS or not 0 <= within.strength <= 1:
        raise ValueError(
            f"within must be one of {sorted(_KINDS)} with strength in [0, 1], got {within}"
        )
    return law._replace(kind=within.kind, strength=float(within.strength))


def _model_law(model: Any) -> _Law:
    """How the mechanism of a model is drawn; mean and correlation must be single numbers."""
    name = type(model).__name__
    for part in ("mean", "rho"):
        if np.ndim(getattr(model, part, 0.0)):
            raise ValueError(f"model must have one {part}, got {np.shape(getattr(model, part))}")
    mechanism = getattr(model, "mechanism", None)
    if mechanism is None and not isinstance(model, type) and callable(getattr(model, "pmf", None)):
        mechanism = Mechanism(float(model.mean), "own")
    if not isinstance(mechanism, Mechanism):
        raise ValueError(f"model must be p, an array [P] or a dependence model, got {name}")
    mean, spread = float(mechanism.mean), mechanism.spread
    match mechanism.law:
        case "fixed":
            chances = _given(np.float64(mean))
        case "beta":
            chances = _beta(mean, spread)
        case "probit":
            chances = _probit(mean, spread)
        case "own":
            if getattr(type(model), "rates", Model.rates) is Model.rates:
                return _Law(_given(np.float64(mean)), pmf=model.pmf)
            chances = _rates(model, model.rates)
        case _:
            raise ValueError(f"mechanism of {name} must have a known law, got {mechanism.law!r}")
    return _Law(chances, mechanism.kind, mechanism.strength, mechanism.parts)


def _given(p: FloatArray | np.float64) -> Callable[[int, int, Key], FloatArray]:
    if np.ndim(p) > 1 or not np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1)):
        raise ValueError(f"p must be a number or an array [P] in [0, 1], got {p}")
    if np.ndim(p) == 0:
        return lambda low, high, key: np.full(high - low, float(p))
    table = np.asarray(p, dtype=np.float64)
    return lambda low, high, key: table[low:high]


def _beta(mean: float, rho: float) -> Callable[[int, int, Key], FloatArray]:
    if rho == 0.0 or mean in (0.0, 1.0):
        return _given(np.float64(mean))

    def chances(low: int, high: int, key: Key) -> FloatArray:
        out = np.empty(high - low)
        if rho == 1.0:  # every prompt is all right or all wrong
            _kernels.uniforms(_kernels.MIXING, np.uint64(low), key.low, key.high, out)
            return (out < mean).astype(np.float64)
        total = (1 - rho) / rho
        _kernels.beta_chances(
            mean * total, (1 - mean) * total, np.uint64(low), key.low, key.high, out
        )
        return out

    return chances


def _probit(mean: float, latent: float) -> Callable[[int, int, Key], FloatArray]:
    """``p = Phi((Phi^-1(mean) + sqrt(r) Z) / sqrt(1 - r))`` with one Z per prompt."""

    def chances(low: int, high: int, key: Key) -> FloatArray:
        out = np.empty(high - low)
        _kernels.uniforms(_kernels.MIXING, np.uint64(low), key.low, key.high, out)
        factor = ndtri(np.maximum(out, 2.0**-54))
        if latent == 1.0:
            return np.where(ndtri(mean) + factor > 0, 1.0, 0.0)
        shifted: FloatArray = ndtr(
            (ndtri(mean) + math.sqrt(latent) * factor) / math.sqrt(1 - latent)
        )
        return shifted

    return chances


def _rates(
    model: Any, rates: Callable[[FloatArray], FloatArray]
) -> Callable[[int, int, Key], FloatArray]:
    """Success chances that the model makes of uniforms."""

    def chances(low: int, high: int, key: Key) -> FloatArray:
        out = np.empty(high - low)
        _kernels.uniforms(_kernels.MIXING, np.uint64(low), key.low, key.high, out)
        p = np.asarray(rates(out), dtype=np.float64)
        if p.shape != out.shape or not np.all((p >= 0) & (p <= 1)):
            raise ValueError(f"rates of {type(model).__name__} must lie in [0, 1], one per uniform")
        return p

    return chances


def _describe(model: Any, within: Within | None) -> dict[str, Any]:
    """What was drawn, in plain types, for the provenance of the table."""
    info: dict[str, Any] = {"within": within._asdict()} if within else {}
    if _is_plain(model):
        return info | {"model": "given p", "num_prompts": int(np.size(model))}
    return info | {
        "model": type(model).__name__,
        "mean": float(model.mean),
        **({"rho": float(model.rho)} if hasattr(model, "rho") else {}),
    }
