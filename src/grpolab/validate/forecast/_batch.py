"""Arithmetic of batches of laws of p: weighted means, variances and draws."""

from __future__ import annotations

import numpy as np

from grpolab.theory.groups import Exchangeable, FloatArray


def unbiased(group_size: int, ddof: int) -> float:
    """g/(g-1) for ddof 1, which turns the variance with ddof 0 into that with ddof 1."""
    if ddof not in (0, 1):
        raise ValueError(f"ddof must be 0 or 1, got {ddof}")
    factor = group_size / (group_size - 1) if group_size > 1 else np.nan
    return factor if ddof else 1.0


def weighted(weight: FloatArray, each: FloatArray) -> FloatArray:
    """Weighted mean [..., K] over the axis U of K numbers per component, [..., U, K]."""
    total = np.einsum("...u,...uk->...k", weight, each)
    return np.asarray(total / weight.sum(axis=-1)[..., None])


def variance(model: Exchangeable) -> FloatArray:
    """E[p(1-p)] = m (1-m)(1-rho)."""
    return np.asarray(model.mean * (1.0 - model.mean) * (1.0 - model.rho))


def one_law(values: FloatArray) -> FloatArray:
    """Values [C] of the components of one law; ValueError where they are those of a batch."""
    if values.ndim > 1:
        raise ValueError(f"rates are drawn from one law, got a batch of {list(values.shape[:-1])}")
    return values


def draw_beta(mean: FloatArray, rho: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One rate per entry from Beta(mean, rho); the mean at rho = 0, and 0 or 1 at rho = 1."""
    out = np.where(rng.random(len(mean)) < mean, 1.0, 0.0)
    out[rho == 0] = mean[rho == 0]
    inner = (rho > 0) & (rho < 1) & (mean > 0) & (mean < 1)
    scale = 1.0 / rho[inner] - 1.0
    out[inner] = rng.beta(mean[inner] * scale, (1.0 - mean[inner]) * scale)
    return out
