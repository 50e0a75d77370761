"""From draws to `Rollouts`: the one way by which completions of a model become a table.

`describe` turns what an engine drew into columns, `rollouts` puts verdicts beside them. `collect`
does both for all prompts in memory; `stream` does the same shard by shard on disk and ends with the
same table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from grpolab import __version__
from grpolab.theory.groups import FloatArray, IntArray, Provenance
from grpolab.theory.samples import pack
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws, Engine, EngineInfo, texts
from grpolab.validate.rollouts.judge import judge
from grpolab.validate.rollouts.plan import RolloutPlan
from grpolab.validate.rollouts.prompts import check_context, encode
from grpolab.validate.rollouts.table import Rollouts, text_hash
from grpolab.validate.tasks import Prompt, Task


def describe(prompt_ids: Sequence[int], draws: Draws) -> dict[str, npt.NDArray[Any]]:
    """Columns [R] of what was drawn for P prompts, row-major in (prompt, sample), without texts.

    ``entropy`` is the mean token entropy of a completion in nats, NaN where the engine gives none;
    ``logprob`` the sum of its tokens' log-probabilities; ``token_hash`` tells its tokens apart;
    ``start`` codes its first three tokens.
    """
    n = len(draws.tokens) // len(prompt_ids)
    size = draws.num_tokens
    entropy = np.full(len(size), np.nan)
    if draws.entropy is not None:
        entropy = draws.entropy.sum(axis=1) / size
    return {
        "prompt_id": np.repeat(np.asarray(prompt_ids, dtype=np.int64), n),
        "sample": np.tile(np.arange(n), len(prompt_ids)),
        "num_tokens": size,
        "truncated": draws.truncated,
        "entropy": entropy,
        "logprob": draws.logprob.sum(axis=1),
        "token_hash": _token_hash(draws.tokens),
        "start": _starts(draws.tokens),
    }


def rollouts(
    columns: dict[str, npt.NDArray[Any]],
    text: Sequence[str],
    reward: FloatArray,
    *,
    group_size: int,
    provenance: Provenance | None = None,
    keep_text: bool = False,
) -> Rollouts:
    """The table of columns as `describe` gives them, texts and rewards (NaN: no verdict), all [R].

    Samples 0..g-1 of a prompt are its group 0, the next g its group 1, and so on.
    """
    rest = dict(columns)
    known = {t: text_hash(t) for t in set(text)}
    return Rollouts(
        group=rest.pop("sample") // group_size,
        reward=reward,
        text_hash=np.array([known[t] for t in text], dtype=np.int64),
        text=np.array(text, dtype=object) if keep_text else None,
        provenance=provenance or Provenance(),
        **rest,
    )


def provenance(plan: RolloutPlan, engine: EngineInfo) -> Provenance:
    """Where the rollouts of a plan come from."""
    return Provenance(
        source=engine.model,
        sampling={**plan.law.as_dict(), "engine": engine.name, "chat": plan.chat},
        seed=plan.seed,
        versions={**engine.versions, "grpolab": __version__},
    )


def collect(
    engine: Engine,
    plan: RolloutPlan,
    *,
    task: Task,
    prompts: Sequence[Prompt],
    progress: Callable[[float], None] = lambda share: None,
) -> Rollouts:
    """Draw and judge in memory: the table that `stream` would end with, without its texts.

    UserError where a prompt is empty or does not fit the context.
    """
    ids = encode(engine.tokenizer, prompts, chat=plan.chat)
    check_context(ids, prompts, max_new_tokens=plan.law.max_new_tokens, context=engine.context)
    parts = []
    for places in plan.shards(len(prompts)):
        asked = [prompts[i] for i in places]
        draws = engine.draw(
            [ids[i] for i in places], num_samples=plan.num_samples, law=plan.law, seed=plan.seed,
            first=places.start,
        )  # fmt: skip
        text = texts(engine.tokenizer, draws.tokens, plan.law)
        verdicts = judge(task, asked, text)
        parts.append(
            rollouts(
                describe([p.id for p in asked], draws), text,
                np.array(verdicts, dtype=np.float64), group_size=plan.group_size,
            )
        )  # fmt: skip
        progress(places.stop / len(prompts))
    return Rollouts.concatenate(parts, provenance=provenance(plan, engine.info))


def _starts(tokens: IntArray) -> IntArray:
    """The first three tokens of every row, as one number."""
    first = np.full((len(tokens), 3), NO_TOKEN, np.int64)
    first[:, : tokens.shape[1]] = tokens[:, :3]
    return pack(first)


def _token_hash(tokens: IntArray) -> IntArray:
    """63-bit hashes of the rows without their padding; equal rows are hashed once."""
    rows, index = np.unique(tokens, axis=0, return_inverse=True)
    drawn = (row[row != NO_TOKEN].astype(np.int64).tobytes() for row in rows)
    digests = (hashlib.blake2b(part, digest_size=8).digest() for part in drawn)
    hashes = np.array([int.from_bytes(d, "little") >> 1 for d in digests], dtype=np.int64)
    return np.asarray(hashes[index.reshape(-1)])
