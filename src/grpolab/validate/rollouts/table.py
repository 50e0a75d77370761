"""Rollouts, one row per completion, and the law that they were sampled under."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

from grpolab.frames import Frame
from grpolab.theory.groups import FloatArray, GroupCounts, IntArray, Provenance
from grpolab.theory.samples import SampleRows, sample_rows


@dataclass(frozen=True, slots=True)
class SamplingLaw:
    """How tokens are drawn: temperature, then top-k, then top-p, renormalised.

    Parameters
    ----------
    max_new_tokens : int
        Most tokens of a completion, the end token included.
    temperature : float
        Divides the logits; 0 is greedy.
    top_k : int
        Likeliest tokens kept; 0 cuts nothing.
    top_p : float
        Mass of the likeliest tokens kept, in (0, 1]; 1 cuts nothing.
    stop : tuple of str
        Texts that end a completion, which is cut before the first of them.

    Raises
    ------
    ValueError
        A number out of its range.

    Examples
    --------
    >>> SamplingLaw(max_new_tokens=64).temperature
    1.0
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be >= 1, got {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be >= 0, got {self.temperature}")
        if self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError("top_k must be >= 0 and top_p lie in (0, 1]")
        if not all(self.stop):
            raise ValueError("stop must hold no empty text")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types; ``stop`` only where there is one."""
        found = asdict(self)
        stop = found.pop("stop")
        return {**found, "stop": list(stop)} if stop else found

    def cut(self, text: str) -> str:
        r"""A completion up to the first text of ``stop``.

        >>> SamplingLaw(max_new_tokens=8, stop=("Q:", "\n")).cut("12\nQ: 3")
        '12'
        """
        return text[: min((text.find(s) for s in self.stop if s in text), default=len(text))]


def text_hash(text: str) -> int:
    """A 63-bit hash of a completion, the same in every process.

    >>> text_hash("a") == text_hash("a"), text_hash("a") == text_hash("b")
    (True, False)
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rollouts(Frame):
    """One row per completion, shape [R]; group g of prompt x holds consecutive rows.

    Parameters
    ----------
    prompt_id : ndarray
        Prompt of every completion.
    group : ndarray
        Number of the group within its prompt.
    reward : ndarray
        0, 1 or NaN (no verdict).
    num_tokens : ndarray
        Tokens drawn, the end token included.
    truncated : ndarray
        Whether the budget ended the completion.
    entropy : ndarray
        Mean token entropy in nats of the sampling law along the completion; NaN where the engine
        has no full distribution, see `entropies`.
    logprob : ndarray
        Sum of the log-probabilities of the tokens under that law; ``-logprob`` is an unbiased
        estimate of the sequence entropy.
    text_hash : ndarray
        Equal for equal texts.
    provenance : Provenance
        Where the table comes from.
    token_hash : ndarray, optional
        Tells completions apart that decode to one text.
    text : ndarray, optional
        The completions.
    step : ndarray, optional
        Training step.
    start : ndarray, optional
        Codes of the first three tokens (`grpolab.theory.samples.pack`).

    Examples
    --------
    >>> one = np.ones(2, dtype=np.int64)
    >>> table = Rollouts(
    ...     prompt_id=0 * one, group=0 * one, reward=np.array([1.0, 0.0]), num_tokens=5 * one,
    ...     truncated=one < 0, entropy=0.5 * one, logprob=-2.0 * one, text_hash=np.arange(2))
    >>> table.counts().num_correct.tolist(), table.token_entropy
    ([1], 0.5)
    """

    prompt_id: IntArray  # [R]
    group: IntArray  # [R]
    reward: FloatArray  # [R]
    num_tokens: IntArray  # [R]
    truncated: npt.NDArray[np.bool_]  # [R]
    entropy: FloatArray  # [R]
    logprob: FloatArray  # [R]
    text_hash: IntArray  # [R]
    provenance: Provenance = field(default_factory=Provenance)
    token_hash: IntArray | None = None  # [R]
    text: npt.NDArray[np.object_] | None = None  # [R]
    step: IntArray | None = None  # [R]
    start: IntArray | None = None  # [R]

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """The arrays by name."""
        names = [f.name for f in fields(self) if f.name != "provenance"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def headline(self) -> str:
        """Completions, prompts and mean reward."""
        mean = float(np.nanmean(self.reward)) if np.any(~np.isnan(self.reward)) else math.nan
        prompts = len(np.unique(self.prompt_id))
        return f"{len(self)} completions of {prompts} prompts, mean reward {mean:.3g}"

    def select(self, mask: npt.ArrayLike) -> Rollouts:
        """Keep the rows that a boolean mask or an index array names."""
        rows = np.asarray(mask)
        picked = {name: column[rows] for name, column in self.columns.items()}
        return Rollouts(**picked, provenance=self.provenance)

    @classmethod
    def concatenate(cls, parts: Sequence[Rollouts], *, provenance: Provenance) -> Rollouts:
        """Several tables below each other; what not all of them have is left out."""
        names = [name for name in parts[0].columns if all(name in p.columns for p in parts)]
        columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in names}
        return cls(**columns, provenance=provenance)

    def counts(self, group_size: int | None = None) -> GroupCounts:
        """Successes per group; ``group_size`` cuts each prompt's rows anew into such groups.

        Rows without a verdict are no observations; a rest that fills no group is left out.
        """
        seen = ~np.isnan(self.reward)
        prompt, reward = self.prompt_id[seen], self.reward[seen].astype(np.int64)
        if group_size is None:
            group = self.group[seen]
        else:
            order = np.argsort(prompt, kind="stable")
            prompt, reward = prompt[order], reward[order]
            start = np.searchsorted(prompt, prompt)
            group = (np.arange(len(prompt)) - start) // group_size
        prompts, place = np.unique(prompt, return_inverse=True)
        span = int(group.max(initial=0)) + 1  # one number per group sorts faster than a pair
        keys, row = np.unique(place * span + group, return_inverse=True)
        size = np.bincount(row, minlength=len(keys))
        correct = np.bincount(row, weights=reward, minlength=len(keys))
        keep = size > 0 if group_size is None else size == group_size
        info = {**self.provenance.as_dict(), "num_missing": int((~seen).sum())}
        return GroupCounts(
            correct[keep],
            size[keep],
            prompt_id=prompts[keys[keep] // span],
            provenance=Provenance(**info),
        )

    def samples(self) -> SampleRows:
        """The rows with a verdict, for tests of the sampler; completions are told by their tokens.

        ``length`` counts tokens as four characters.
        """
        text = self.text_hash if self.token_hash is None else self.token_hash
        return sample_rows(
            prompt=self.prompt_id, reward=self.reward, group=self.group, step=self.step, text=text,
            length=4 * self.num_tokens, start=self.start,
        )  # fmt: skip

    @property
    def token_entropy(self) -> float:
        """Mean over drawn tokens of the entropy of their law, nats; NaN where it is not known.

        A completion counts by its length: ``sum(entropy * num_tokens) / sum(num_tokens)``.
        """
        return float(np.average(self.entropy, weights=self.num_tokens))

    @property
    def completion_entropy(self) -> float:
        """Mean over completions of their mean token entropy, nats; short ones count in full."""
        return float(self.entropy.mean())

    def distinct(self, group_size: int) -> float:
        """Mean number of distinct completions among ``group_size`` rollouts of one prompt.

        Unbiased over subsets of each prompt's n >= group_size samples: sum over texts of
        1 - C(n - m, g) / C(n, g), m the multiplicity of the text.
        """
        from scipy.special import gammaln

        def log_choose(n: IntArray) -> FloatArray:
            safe = np.maximum(n, group_size)
            value = gammaln(safe + 1) - gammaln(group_size + 1) - gammaln(safe - group_size + 1)
            return np.where(n >= group_size, value, -np.inf)

        keys, times = np.unique(
            np.stack([self.prompt_id, self.text_hash]), axis=1, return_counts=True
        )
        prompts, row = np.unique(keys[0], return_inverse=True)
        samples = np.bincount(row, weights=times, minlength=len(prompts)).astype(np.int64)
        if samples.min() < group_size:
            raise ValueError(
                f"group_size must not exceed the samples of any prompt ({samples.min()}), got"
                f" {group_size}"
            )
        n = samples[row]
        seen = 1 - np.exp(log_choose(n - times) - log_choose(n))
        return float(np.bincount(row, weights=seen, minlength=len(prompts)).mean())

    def collision_rate(self) -> float:
        """Share of pairs of a prompt's rollouts with equal texts, unbiased for E[sum_y pi(y)^2]."""
        keys, times = np.unique(
            np.stack([self.prompt_id, self.text_hash]), axis=1, return_counts=True
        )
        prompts, row = np.unique(keys[0], return_inverse=True)
        samples = np.bincount(row, weights=times, minlength=len(prompts))
        same = np.bincount(row, weights=times * (times - 1.0), minlength=len(prompts))
        pairs = samples * (samples - 1)
        return float((same[pairs > 0] / pairs[pairs > 0]).mean())

    def write(self, path: Path) -> None:
        """Write as parquet, whole or not at all."""
        from grpolab.files import atomic_path
        from grpolab.store import write_parquet

        with atomic_path(path) as scratch:
            write_parquet(scratch, self.columns, {"provenance": self.provenance.as_dict()})

    @classmethod
    def read(cls, path: Path) -> Rollouts:
        """Read what `write` wrote; UserError where it is anything else."""
        from grpolab.store import read_parquet

        extra = ("token_hash", "text", "step", "start")
        needed = [f.name for f in fields(cls) if f.name not in ("provenance", *extra)]
        columns, meta = read_parquet(path, needed, optional=extra)
        return cls(**columns, provenance=Provenance(**meta["provenance"]))


class Entropies(NamedTuple):
    """Entropies in nats, of the law that was sampled.

    ``token_entropy``: mean over drawn tokens of the entropy of the full next-token distribution;
    NaN where the engine did not give it. ``token_surprisal``: mean over drawn tokens of
    -log p(token), which estimates the same number from log-probabilities alone (the two sums have
    one expectation, by the chain rule; the quotient by the token count is consistent).
    ``sequence_entropy``: mean over completions of -log p(completion), unbiased for the mean over
    prompts of the entropy of a whole completion. ``answer_entropy``: mean over prompts of the
    entropy of the completion's text, estimated from repeats among the n samples; a lower bound on
    average that cannot exceed psi(n) - psi(1), about log n + 0.58. ``collision_rate``: chance that
    two completions of a prompt are the same text, sum_y pi(y)^2, unbiased; NaN without two samples.
    """

    token_entropy: float
    token_surprisal: float
    sequence_entropy: float
    answer_entropy: float
    collision_rate: float


def entropies(table: Rollouts) -> Entropies:
    """All entropies of a table; a prompt counts as much as any other where samples are equal."""
    size = table.num_tokens.astype(float)
    multiple = int(np.unique(table.prompt_id, return_counts=True)[1].max()) > 1
    return Entropies(
        token_entropy=table.token_entropy,
        token_surprisal=float(-table.logprob.sum() / size.sum()),
        sequence_entropy=float(-table.logprob.mean()),
        answer_entropy=float(answer_entropies(table).mean()) if multiple else math.nan,
        collision_rate=table.collision_rate() if multiple else math.nan,
    )


def answer_entropies(table: Rollouts) -> FloatArray:
    """Entropy of the text per prompt, shape [P], from multiplicities m_i of n samples.

    ``psi(n) - 1/n sum_i m_i psi(m_i)`` is unbiased for ``sum_y pi_y sum_{v<n} (1 - pi_y)^v / v``,
    the entropy but for the terms v >= n of its series (Zhang 2012, Neural Computation 24): a lower
    bound on average, 0 for a single repeated text.
    """
    keys = np.stack([table.prompt_id, table.text_hash])
    keys, times = np.unique(keys, axis=1, return_counts=True)
    prompts, row = np.unique(keys[0], return_inverse=True)
    total = np.bincount(row, weights=times, minlength=len(prompts))
    inner = np.bincount(row, weights=times * digamma(times), minlength=len(prompts))
    found = digamma(total) - inner / total
    return np.asarray(np.maximum(found, 0.0))  # rounding may leave -1e-16
