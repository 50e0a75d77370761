"""From prompts to token ids: as plain text, or as a conversation through the chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grpolab.errors import UserError, first_line
from grpolab.validate.models.tokens import token_ids

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt


def asked(prompts: Sequence[Prompt], *, chat: bool = False, system: str = "") -> list[Prompt]:
    """Prompts as a model is asked them: with ``chat`` as conversations, ``system`` said first.

    UserError where there is no conversation for the system message, or one with its own.

    >>> from grpolab.validate.tasks import Prompt
    >>> asked([Prompt(0, "hi", "all")], chat=True, system="Be brief.")[0].messages
    (('system', 'Be brief.'), ('user', 'hi'))
    """
    if not chat and not system:
        return list(prompts)
    found = []
    for prompt in prompts:
        talk = prompt.messages or ((("user", prompt.text),) if chat else ())
        if system and not talk:
            raise UserError("--system needs conversations: give --chat as well")
        if system and any(role == "system" for role, _ in talk):
            raise UserError(f"--system: prompt {prompt.id} has a system message of its own")
        first = (("system", system),) if system else ()
        found.append(replace(prompt, messages=(*first, *talk)))
    return found


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
            " give the prompts as text and leave out --chat"
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
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as err:  # templates raise on roles that they do not know
        raise UserError(f"the chat template refuses a conversation ({first_line(err)})") from err
    system = next((content for role, content in pairs if role == "system"), "").strip()
    if system and system not in text:
        raise UserError("the chat template leaves the system message out: this model knows none")
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
