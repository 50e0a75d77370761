"""From prompts to token ids: as plain text, or as a conversation through the chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grpolab.errors import UserError
from grpolab.validate.models.tokens import token_ids

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt


def encode(tokenizer: Any, prompts: Sequence[Prompt], *, chat: bool = False) -> list[list[int]]:
    """Token ids of every prompt, unpadded.

    A prompt with ``messages``, (role, content) pairs, is a conversation; with ``chat``
    every other prompt becomes one user message. Conversations go through the tokenizer's own
    template, generation prompt included, which also writes the special tokens. UserError where
    there is no template, and for a prompt without a single token.
    """
    talks = [p.messages or ((("user", p.text),) if chat else ()) for p in prompts]
    if any(talks) and not getattr(tokenizer, "chat_template", None):
        raise UserError(
            "prompts are conversations but the tokenizer has no chat template: use a chat model, or"
            " --no-chat for plain text prompts"
        )
    plain = iter(
        token_ids(tokenizer, [p.text for p, t in zip(prompts, talks, strict=True) if not t])
    )
    ids = [_talk(tokenizer, talk) if talk else next(plain) for talk in talks]
    for prompt, tokens in zip(prompts, ids, strict=True):
        if not tokens:
            raise UserError(f"prompt {prompt.id} ({prompt.text!r}) is empty: it has no tokens")
    return ids


def _talk(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[int]:
    messages = [{"role": role, "content": content} for role, content in pairs]
    # two steps, because what tokenize=True returns has changed between versions
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def check_context(
    ids: Sequence[Sequence[int]],
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    context: int | None,
) -> None:
    """UserError unless every prompt leaves room for its completion; before anything is drawn."""
    if context is None:
        return
    long = [i for i, tokens in enumerate(ids) if len(tokens) + max_new_tokens > context]
    if long:
        worst = max(long, key=lambda i: len(ids[i]))
        raise UserError(
            f"{len(long)} of {len(ids)} prompts do not fit the context of {context} tokens with"
            f" max_new_tokens={max_new_tokens}; the longest, prompt {prompts[worst].id}, has"
            f" {len(ids[worst])}: lower --max-new-tokens or leave these prompts out"
        )
