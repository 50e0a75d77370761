"""Demonstrations as tokens: the prompt as the policy will be asked, the loss on the answer only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grpolab.errors import UserError
from grpolab.streams import generator
from grpolab.validate.tasks.rows import load_rows
from grpolab.validate.training.by_pieces import IGNORED, token_losses

_LOGITS = 1 << 26
"""Logits that are in memory at once for the held-out loss, where a batch has more than one row."""


class Example(NamedTuple):
    """Token ids, and the same ids as labels with the prompt masked."""

    input_ids: list[int]
    labels: list[int]


def load_examples(
    source: str | Path,
    tokenizer: Any,
    *,
    context: int | None,
    chat: bool = False,
    system: str = "",
) -> list[Example]:
    """Demonstrations of a .jsonl or .parquet file with ``prompt`` and ``completion``, or messages.

    With ``chat`` texts are made conversations, and ``system`` is said first in each. UserError
    names the row at fault, and the first one that exceeds the model's context.
    """
    rows = load_rows(source)
    examples = []
    for place, row in enumerate(rows):
        try:
            examples.append(example(as_asked(row, chat=chat, system=system), tokenizer))
        except ValueError as err:
            raise UserError(f"{source}: row {place}: {err}") from None
        length = len(examples[-1].input_ids)
        if context is not None and length > context:
            raise UserError(
                f"{source}: row {place} has {length} tokens, the model's context is {context}:"
                " leave it out"
            )
    return examples


def as_asked(row: Mapping[str, Any], *, chat: bool, system: str) -> Mapping[str, Any]:
    """A demonstration in the form that the policy will be asked in; ValueError where it cannot be.

    >>> row = {"prompt": "2 + 2 =", "completion": "4"}
    >>> [m["role"] for m in as_asked(row, chat=True, system="Add.")["messages"]]
    ['system', 'user', 'assistant']
    """
    left, right = row.get("prompt"), row.get("completion")
    talk = list(row["messages"]) if "messages" in row else None
    if talk is None and chat and isinstance(left, str) and isinstance(right, str):
        talk = [{"role": "user", "content": left}, {"role": "assistant", "content": right}]
    elif talk is None and isinstance(left, list) and isinstance(right, list):
        talk = [*left, *right]
    if talk is None:
        if system:
            raise ValueError("--system needs conversations: give --chat as well")
        return row
    if system and any(message.get("role") == "system" for message in talk):
        raise ValueError("--system: it has a system message of its own")
    first = [{"role": "system", "content": system}] if system else []
    return {"messages": [*first, *talk]}


def in_chats(source: str | Path) -> bool:
    """Whether any demonstration of a file is a conversation."""
    return any("messages" in row or not isinstance(row.get("prompt"), str)
               for row in load_rows(source))  # fmt: skip


def example(row: Mapping[str, Any], tokenizer: Any) -> Example:
    """Tokens of one demonstration; ValueError where the row is none.

    Text: the prompt is tokenised alone, special tokens included, as it is for rollouts; then the
    completion without special tokens, then the end token. Conversations, in ``messages`` or as
    lists in both columns, go through the tokenizer's chat template; only the last message counts.
    """
    if "messages" in row:
        prompt, answer = _talk(list(row["messages"]), tokenizer)
    elif "prompt" in row and "completion" in row:
        left, right = row["prompt"], row["completion"]
        if isinstance(left, str) and isinstance(right, str):
            prompt = list(tokenizer(left)["input_ids"])
            answer = list(tokenizer(right, add_special_tokens=False)["input_ids"])
            answer.append(tokenizer.eos_token_id)
        elif isinstance(left, Sequence) and isinstance(right, Sequence) and right:
            prompt, answer = _talk([*left, *right], tokenizer)
        else:
            raise ValueError("prompt and completion must both be text or both be messages")
    else:
        raise ValueError(
            f"columns prompt and completion, or messages, are needed; it has {', '.join(row)}"
        )
    if not prompt:
        raise ValueError("the prompt is empty")
    return Example([*prompt, *answer], [IGNORED] * len(prompt) + answer)


def _talk(messages: list[Any], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Tokens up to the last answer, and tokens of the answer with its end."""
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError("a conversation, but the tokenizer has no chat template")
    if len(messages) < 2 or messages[-1].get("role") != "assistant":
        raise ValueError("a conversation must end with a message of the assistant")
    asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    system = next((m["content"] for m in messages if m.get("role") == "system"), "").strip()
    if system not in asked:
        raise ValueError("the chat template leaves the system message out")
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    if not whole.startswith(asked):
        raise ValueError("the chat template writes a prompt differently once it is answered")
    answer = list(tokenizer(whole[len(asked) :], add_special_tokens=False)["input_ids"])
    if tokenizer.eos_token_id not in answer:
        answer.append(tokenizer.eos_token_id)
    return list(tokenizer(asked, add_special_tokens=False)["input_ids"]), answer


def split_off(
    examples: Sequence[Example], share: float, *, seed: int
) -> tuple[list[Example], list[Example]]:
    """(kept, held out): a random share of the examples, at least one where it is > 0.

    >>> rows = [Example([i], [i]) for i in range(10)]
    >>> [len(part) for part in split_off(rows, 0.2, seed=0)]
    [8, 2]
    """
    if not 0 <= share < 1:
        raise ValueError(f"held-out share must lie in [0, 1), got {share}")
    number = max(1, round(share * len(examples))) if share else 0
    if number >= len(examples):
        raise ValueError(f"held-out share {share} leaves nothing of {len(examples)} examples")
    order = generator(seed, "held out").permutation(len(examples))
    held = set(order[:number].tolist())
    kept = [row for i, row in enumerate(examples) if i not in held]
    return kept, [examples[i] for i in sorted(held)]


def padded(rows: Sequence[Mapping[str, Any]], *, pad: int) -> dict[str, Any]:
    """A batch of examples as tensors [N, L], padded on the right; no label behind the end.

    >>> rows = [{"input_ids": [5], "labels": [5]}, {"input_ids": [6, 7], "labels": [-100, 7]}]
    >>> {name: batch.tolist() for name, batch in padded(rows, pad=0).items() if name != "labels"}
    {'input_ids': [[5, 0], [6, 7]], 'attention_mask': [[1, 0], [1, 1]]}
    """
    import torch

    width = max(len(row["input_ids"]) for row in rows)

    def filled(name: str, value: int) -> list[list[int]]:
        return [[*row[name], *[value] * (width - len(row[name]))] for row in rows]

    seen = [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": torch.tensor(filled("input_ids", pad)),
        "attention_mask": torch.tensor(seen),
        "labels": torch.tensor(filled("labels", IGNORED)),
    }


class HeldOut(NamedTuple):
    """Cross-entropy of held-out answers, in nats, without label smoothing."""

    per_token: float
    per_answer: float


def held_out_nll(
    model: Any, examples: Sequence[Example], *, pad: int, rows_per_batch: int = 64
) -> HeldOut:
    """Mean -log pi of the labelled tokens, over tokens and over answers."""
    import torch

    total, tokens = 0.0, 0
    was_training = model.training
    model.eval()
    longest = max((len(row.input_ids) for row in examples), default=1)
    rows = min(rows_per_batch, _LOGITS // (longest * model.config.get_text_config().vocab_size))
    for start in range(0, len(examples), max(rows, 1)):
        part = examples[start : start + max(rows, 1)]
        batch = padded([row._asdict() for row in part], pad=pad)
        batch = {name: values.to(model.device) for name, values in batch.items()}
        with torch.inference_mode():
            target = batch.pop("labels")[:, 1:]
            total += float(token_losses(model(**batch).logits, target).sum())
        tokens += int((target != IGNORED).sum())
    model.train(was_training)
    return HeldOut(total / tokens, total / len(examples))
