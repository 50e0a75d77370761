"""The engine protocol: token ids in, token ids and their log-probabilities out.

Both engines get the same token ids and give back the same kind of arrays, so that everything after
the draw (texts, verdicts, tables, entropies) is one piece of code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from grpolab.streams import stream_seed
from grpolab.theory.groups import FloatArray, IntArray
from grpolab.validate.rollouts.table import SamplingLaw

NO_TOKEN = -1
Watch = Callable[[int, int], None]


class Draws(NamedTuple):
    """Completions of a batch of prompts, row-major in (prompt, sample).

    The end token counts as drawn; behind it tokens are `NO_TOKEN` and the other arrays 0.
    """

    tokens: IntArray  # [R, L]
    logprob: FloatArray  # [R, L], nats, under the sampling law
    entropy: FloatArray | None  # [R, L], nats, of the sampling law; None if the engine has it not
    truncated: npt.NDArray[np.bool_]  # [R], no end token within the budget

    @property
    def num_tokens(self) -> IntArray:
        """Tokens drawn, the end token included, shape [R]."""
        return np.asarray((self.tokens != NO_TOKEN).sum(axis=1), dtype=np.int64)

    def select(self, rows: npt.NDArray[Any]) -> Draws:
        """The rows that a mask or an index array names."""
        entropy = None if self.entropy is None else self.entropy[rows]
        return Draws(self.tokens[rows], self.logprob[rows], entropy, self.truncated[rows])


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What must be the same for two halves of a run to be one run."""

    name: str
    model: str
    model_hash: str
    tokenizer: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Engine(Protocol):
    """Draws completions; ``info`` must not load the weights."""

    @property
    def info(self) -> EngineInfo:
        """Model, versions and settings for the manifest."""
        ...

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer of the model."""
        ...

    @property
    def device(self) -> Any:
        """Where tensors for the model belong: a torch device or its name."""
        ...

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and completion together, None without a limit."""
        ...

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        law: SamplingLaw,
        seed: int,
        first: int = 0,
        watch: Watch | None = None,
    ) -> Draws:
        """Draw ``num_samples`` completions for each list of token ids.

        ``watch`` hears after every batch how many prompts it had and how many tokens were drawn.

        ``first`` is the place of the first prompt in the whole run: draws depend on (seed, place),
        so that a run that is stopped and continued gives what it would have given in one go.
        """
        ...


def prompt_seeds(seed: int, places: npt.ArrayLike, *, num_samples: int) -> IntArray:
    """Request seeds [P] that are ``num_samples`` apart: ``base(seed) + num_samples * place``.

    An engine that gives child i of a request the seed s + i, and makes its noise of nothing but
    that seed, draws the same noise for two requests whose ranges of seeds overlap. Here no two
    prompts of a run share a child seed, and the base is hashed so that runs do not either.

    >>> np.diff(prompt_seeds(0, [0, 1, 5], num_samples=8)).tolist()
    [8, 32]
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be >= 1, got {num_samples}")
    # below 2^62: base plus the range of any run stays a signed 64-bit number
    base = stream_seed(seed, "requests", bits=62)
    return base + num_samples * np.asarray(places, dtype=np.int64)


def end_tokens(tokenizer: Any, generation_config: Any = None) -> tuple[int, ...]:
    """Ids that end a completion: the tokenizer's, and those that the model card adds (chat models).

    Sorted, without repeats. Both engines stop at exactly these.
    """
    listed = getattr(generation_config, "eos_token_id", None)
    more = [] if listed is None else [listed] if isinstance(listed, int) else list(listed)
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return tuple(sorted({*own, *more}))


def texts(tokenizer: Any, tokens: IntArray, law: SamplingLaw | None = None) -> list[str]:
    """Completions [R] without special tokens, cut where ``law`` says; equal rows decoded once."""
    rows, index = np.unique(tokens, axis=0, return_inverse=True)
    decoded = tokenizer.batch_decode(
        [row[row != NO_TOKEN].tolist() for row in rows], skip_special_tokens=True
    )
    if law is not None and law.stop:
        decoded = [law.cut(text) for text in decoded]
    return [decoded[i] for i in index.reshape(-1)]


def join_draws(parts: Sequence[Draws]) -> Draws:
    """The draws of several batches of prompts as one; entropy only where all have it."""
    width = max(part.tokens.shape[1] for part in parts)

    def wide(array: Any, fill: float) -> Any:
        return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=fill)

    entropies = [part.entropy for part in parts if part.entropy is not None]
    return Draws(
        tokens=np.concatenate([wide(p.tokens, NO_TOKEN) for p in parts]),
        logprob=np.concatenate([wide(p.logprob, 0.0) for p in parts]),
        entropy=np.concatenate([wide(e, 0.0) for e in entropies])
        if len(entropies) == len(parts)
        else None,
        truncated=np.concatenate([p.truncated for p in parts]),
    )
