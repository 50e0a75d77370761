"""Compiled loops: group draws and independent GRPO chains. Arrays and scalars only, no checks.

Counter of every draw: (index, step, chain low word, chain high word << 8 | purpose). A group is
drawn by inverting the binomial distribution function in double precision: K is the number of
k < g with u >= F(k), so that its law is exact up to the 53 bits of u and rounding of F.

Counts are integers. Sums of p are doubles over blocks of a fixed number of chains, around the first
chain of the block, so that neither threads nor chunks change their order and a small spread keeps
its digits.
"""

# mypy: allow-untyped-defs, allow-untyped-decorators, allow-untyped-calls
from __future__ import annotations

import math

import numpy as np
from numba import njit

from grpolab.simulate._philox import philox, unit

BLOCK = 512  # chains that move together: their work arrays stay in the first-level cache
LANES = 64  # sums of a block that are kept apart, so that adding up is a vector operation
UNROLL = 4  # terms of the distribution function per pass over a block
NEVER = 2**62  # a time that was not reached
LEAST, MOST = 1e-300, 1e300  # odds stay inside, so that their inverse is finite
_FAR = 1e150  # odds beyond which a group is all right for sure; their square is finite

GROUP = np.uint64(0)  # purposes of a draw, the low byte of the last counter word
PROMPT = np.uint64(1)
GAMMA_A = np.uint64(2)
GAMMA_B = np.uint64(3)
MIXING = np.uint64(4)
SOURCE = np.uint64(5)

INDEPENDENT, COPY, COMMON, SHOCK, ANTITHETIC, PREFIX, POOL = range(7)  # dependence in a group

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_BYTE = np.uint64(8)
_HALF = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def two_uniforms(index, step, chain, purpose, k0, k1):
    """Two independent doubles in [0, 1) that belong to (index, step, chain, purpose)."""
    a, b, c, d = philox(index, step, chain & _MASK, ((chain >> _HALF) << _BYTE) | purpose, k0, k1)
    return unit(a, b), unit(c, d)


@njit(cache=True, nogil=True, error_model="numpy")
def binomial(u, size, p):
    """Successes of ``size`` trials of probability p, by inversion of u."""
    swapped = p > 0.5
    common = p if swapped else 1.0 - p
    odds = (1.0 - common) / common if swapped else p / common
    term = 1.0
    power = common
    left = size
    while left > 0:
        if left & 1:
            term *= power
        left >>= 1
        if left > 0:
            power *= power
    count = 0
    total = term
    while count < size and u >= total:
        term *= (size - count) / (count + 1.0) * odds
        total += term
        count += 1
    return size - count if swapped else count


@njit(cache=True, nogil=True, error_model="numpy")
def _log_gamma_variate(shape, step, chain, purpose, k0, k1):
    """Logarithm of a Gamma(shape) variate (Marsaglia & Tsang 2000; any shape > 0)."""
    boost = 0.0
    if shape < 1.0:
        u, _ = two_uniforms(_ZERO, step, chain, purpose, k0, k1)
        boost = math.log1p(-u) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    index = _ONE
    while True:
        u, w = two_uniforms(index, step, chain, purpose, k0, k1)
        normal = math.sqrt(-2.0 * math.log1p(-u)) * math.cos(2.0 * math.pi * w)
        v = (1.0 + c * normal) ** 3
        if v > 0.0:
            reject, _ = two_uniforms(index + _ONE, step, chain, purpose, k0, k1)
            square = normal * normal
            if (
                reject > 0.0331 * square * square  # decides most cases without a logarithm
                or math.log1p(-reject) < 0.5 * square + d * (1.0 - v + math.log(v))
            ):
                return math.log(d * v) + boost
        index += _TWO


@njit(cache=True, nogil=True, error_model="numpy")
def _beta_variate(a, b, step, chain, k0, k1):
    """Return a Beta(a, b) variate as the share of two Gamma variates."""
    top = _log_gamma_variate(a, step, chain, GAMMA_A, k0, k1)
    bottom = _log_gamma_variate(b, step, chain, GAMMA_B, k0, k1)
    return 1.0 / (1.0 + math.exp(min(bottom - top, 700.0)))


@njit(cache=True, nogil=True, error_model="numpy")
def beta_chances(a, b, first, k0, k1, out):
    """Independent Beta(a, b) probabilities of prompts first, first + 1, ..."""
    for i in range(len(out)):
        out[i] = _beta_variate(a, b, _ZERO, first + np.uint64(i), k0, k1)


@njit(cache=True, nogil=True, error_model="numpy")
def uniforms(purpose, first, k0, k1, out):
    """One uniform of each of the chains first, first + 1, ... for a purpose."""
    for i in range(len(out)):
        out[i], _ = two_uniforms(_ZERO, _ZERO, first + np.uint64(i), purpose, k0, k1)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_members(chance, first, k0, k1, out):
    """Rewards of groups first, first + 1, ... whose members have chances [g] of their own."""
    for i in range(len(out)):
        row = first + np.uint64(i)
        u = w = 0.0
        for j in range(len(chance)):
            if j % 2 == 0:
                u, w = two_uniforms(np.uint64(j // 2), _ZERO, row, SOURCE, k0, k1)
            out[i, j] = (w if j % 2 else u) < chance[j]


@njit(cache=True, nogil=True, error_model="numpy")
def draw_groups(kind, strength, parts, chance, size, first, k0, k1, out):
    """Correct rollouts of groups first, first + 1, ...: chance [M], size [M], out [M]."""
    for i in range(len(out)):
        row = first + np.uint64(i)
        p = chance[i]
        g = size[i]
        u, w = two_uniforms(_ZERO, _ZERO, row, GROUP, k0, k1)
        if kind == INDEPENDENT:
            out[i] = binomial(u, g, p)
        elif kind == COPY:  # one draw for the whole group
            out[i] = (g if u < p else 0) if w < strength else binomial(u, g, p)
        elif kind == COMMON:  # each rollout copies one hidden draw or makes its own
            source, _ = two_uniforms(_ZERO, _ZERO, row, SOURCE, k0, k1)
            copies = binomial(w, g, strength)
            out[i] = (copies if source < p else 0) + binomial(u, g - copies, p)
        elif kind == SHOCK:  # the whole group fails together
            out[i] = 0 if w < strength else binomial(u, g, p)
        elif kind == ANTITHETIC:
            out[i] = _antithetic(p, g, row, k0, k1)
        elif kind == PREFIX:
            out[i] = _branches(p, g, strength, parts, row, k0, k1)
        else:
            out[i] = _from_pool(p, g, parts, row, k0, k1)


@njit(cache=True, nogil=True, error_model="numpy")
def _antithetic(p, g, row, k0, k1):
    """Pairs share a uniform; one member uses its mirror image."""
    correct = 0
    for pair in range((g + 1) // 2):
        u, _ = two_uniforms(np.uint64(pair), _ZERO, row, SOURCE, k0, k1)
        correct += int(u < p)
        if 2 * pair + 1 < g:
            correct += int(1.0 - u <= p)
    return correct


@njit(cache=True, nogil=True, error_model="numpy")
def _branches(p, g, rho, branches, row, k0, k1):
    """Each branch draws its own chance from a Beta law with mean p and correlation rho."""
    correct = 0
    total = (1.0 - rho) / rho if rho > 0.0 else np.inf
    for branch in range(branches):
        step = np.uint64(branch)
        u, w = two_uniforms(_ZERO, step, row, SOURCE, k0, k1)
        chance = p
        if 0.0 < p < 1.0 and rho == 1.0:
            chance = 1.0 if w < p else 0.0
        elif 0.0 < p < 1.0 and rho > 0.0:
            chance = _beta_variate(p * total, (1.0 - p) * total, step, row, k0, k1)
        correct += binomial(u, g // branches, chance)
    return correct


@njit(cache=True, nogil=True, error_model="numpy")
def _from_pool(p, g, pool, row, k0, k1):
    """Draws without replacement from a pool with p * pool correct responses."""
    start = round(p * pool)
    left = start
    for draw in range(g):
        u, w = two_uniforms(np.uint64(draw >> 1), _ZERO, row, SOURCE, k0, k1)
        left -= int((w if draw & 1 else u) * (pool - draw) < left)
    return start - left


# The plain chain: one binary group per step, a centred advantage rule, plain gradient steps. Then
# the logit moves by an amount that depends on K alone, and the odds are multiplied by factor[K]:
# no exponential is evaluated. All inner loops run over contiguous chains and vectorise.
@njit(cache=True, nogil=True, error_model="numpy")
def plain_chains(
    odds, first, k0, k1, start, ratio, factor, stats, moments, threshold, moved, above
):
    """Advance odds [C] by len(stats) steps; stats [T, 3]: groups all wrong, all right, K(g-K).

    moments [ceil(C/BLOCK), T, 3] holds p of the first chain of a block, and the sums of the
    differences from it and of their squares. ratio [g rounded up to UNROLL] holds (g-k)/(k+1),
    then zeros; factor [g+1] the multipliers. If moved and above have shape [C] and not [0], they
    hold on return the steps after which the odds had moved and had reached the threshold for the
    first time, or stay as they were.
    """
    size = len(factor) - 1
    u = np.empty((2, BLOCK))
    small, term, total, origin, chance = np.empty((5, BLOCK))
    lanes, squares = np.empty((2, LANES))
    count = np.empty(BLOCK, np.int64)
    for low in range(0, len(odds), BLOCK):
        block = odds[low : low + BLOCK]
        origin[: len(block)] = block
        for t in range(len(stats)):
            step = start + np.uint64(t)
            if t == 0 or step & _ONE == _ZERO:
                _fill(u, len(block), first + np.uint64(low), step >> _ONE, k0, k1)
            _open_block(block, chance, small, term, total, count, size)
            _add_moments(chance, len(block), lanes, squares, moments[low // BLOCK, t])
            _invert_block(u[np.int64(step & _ONE)], small, term, total, count, len(block), ratio)
            _close_block(block, count, size, factor, stats[t])
            if len(above) > 0:
                now = np.int64(step) + 1
                _note_times(block, origin, threshold, now, moved[low:], above[low:])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _fill(u, length, first, pair, k0, k1):
    """The uniforms of two consecutive steps, from one Philox block per chain."""
    for i in range(length):
        u[0, i], u[1, i] = two_uniforms(_ZERO, pair, first + np.uint64(i), GROUP, k0, k1)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _open_block(block, chance, small, term, total, count, size):
    """Chances, odds of the rarer outcome and the distribution function at 0."""
    length = len(block)
    for i in range(length):
        x = min(block[i], _FAR)
        more = 1.0 + x
        inverse = 1.0 / (more * max(x, 1.0))  # one division for both 1 / (1 + x) and 1 / x
        q = inverse * max(x, 1.0)
        p = x * q
        chance[i] = p
        small[i] = x if x <= 1.0 else inverse * more
        term[i] = max(p, q)
        total[i] = 1.0
        count[i] = 0
    left = size
    while left > 0:
        if left & 1:
            for i in range(length):
                total[i] *= term[i]
        left >>= 1
        if left > 0:
            for i in range(length):
                term[i] *= term[i]
    for i in range(length):
        term[i] = total[i]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _add_moments(chance, length, lanes, squares, out):
    """First chance, and the sums of differences from it and of their squares, lane by lane."""
    shift = chance[0]
    for j in range(LANES):
        lanes[j] = 0.0
        squares[j] = 0.0
    whole = length - length % LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):
            d = chance[i + j] - shift
            lanes[j] += d
            squares[j] += d * d
    for j in range(length - whole):
        d = chance[whole + j] - shift
        lanes[j] += d
        squares[j] += d * d
    width = LANES
    while width > 1:
        width //= 2
        for j in range(width):
            lanes[j] += lanes[j + width]
            squares[j] += squares[j + width]
    out[0] = shift
    out[1] = lanes[0]
    out[2] = squares[0]


@njit(cache=True, nogil=True, error_model="numpy")
def note_chance(p, first, out):
    """Add one chance to [shift, sum, sum of squares]; the first of a block is the shift."""
    if first:
        out[0] = p
        out[1] = 0.0
        out[2] = 0.0
    d = p - out[0]
    out[1] += d
    out[2] += d * d


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _invert_block(u, small, term, total, count, length, ratio):
    """Count the k with u >= F(k), UNROLL terms per pass."""
    for k in range(0, len(ratio), UNROLL):
        r0, r1, r2, r3 = ratio[k], ratio[k + 1], ratio[k + 2], ratio[k + 3]
        for i in range(length):
            x, m, f, v = small[i], term[i], total[i], u[i]
            n = np.int64(v >= f)
            m *= r0 * x
            f += m
            n += np.int64(v >= f)
            m *= r1 * x
            f += m
            n += np.int64(v >= f)
            m *= r2 * x
            f += m
            n += np.int64(v >= f)
            m *= r3 * x
            term[i] = m
            total[i] = f + m
            count[i] += n


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _close_block(block, count, size, factor, stats):
    """Move the odds and add up what the groups of one step held."""
    wrong, right, spread = np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(block)):
        x = block[i]
        rare = min(count[i], size)  # rounding of F(g - 1) may let u past the end
        k = rare if x <= 1.0 else size - rare
        wrong += np.int64(k == 0)
        right += np.int64(k == size)
        spread += k * (size - k)
        block[i] = min(max(x * factor[np.uint64(k)], LEAST), MOST)  # unsigned: a vector gather
    stats[0] += wrong
    stats[1] += right
    stats[2] += spread


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _note_times(block, origin, threshold, now, moved, above):
    """Remember the first step at which the odds differ from the origin and reach the threshold."""
    for i in range(len(block)):
        x = block[i]
        moved[i] = min(moved[i], now if x != origin[i] else NEVER)
        above[i] = min(above[i], now if x >= threshold else NEVER)
