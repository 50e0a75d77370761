r"""What a completion says: the reply between its reasoning and its end token, cut into blocks.

Two steps that know nothing of numbers and next to nothing of Python. `final_reply` leaves out what
is no answer: reasoning, chat tokens, and every turn after the first. `blocks` cuts a reply at its
code fences, in the order of the text. Both take time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

_NAMES = "(?:think|thinking|thought|reasoning)"
_REASONING = re.compile(
    rf"^[ \t]*(?P<opens><{_NAMES}>)|</{_NAMES}>|<\|channel\|>final<\|message\|>",
    re.MULTILINE,
)
_TOKEN = re.compile(
    r"<\|[\w▁]+\|>|<｜[\w▁]+｜>|</?s>|<(?:bos|eos|pad|(?:start|end)_of_turn)>|\[/?INST\]"
)
_ROLE = re.compile(r"\A\s*(?:assistant|model)\s*(?:\n|\Z)")
_FENCE = re.compile(
    r"^(?P<before>.*?)(?P<fence>(?<!`)`{3,}(?!`)|(?<!~)~{3,}(?!~))(?P<info>[^`~\n]*)$"
)
_ONE_LINE = re.compile(
    r"^([ \t>]*)(`{3,})(py(?:thon)?3?)[ \t]+([^`\n]+)\2[ \t]*$", re.MULTILINE | re.IGNORECASE
)
_MARGIN = re.compile(r"[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)?")
_QUOTES = re.compile("\"\"\"|'''")
_NEAR = 300
"""Characters of its line around a tag in which quotes are looked for."""
_LONGEST_STRING = 100
"""Lines after a fence in which the string that it may lie in must end."""


def final_reply(completion: str) -> str:
    r"""The first turn's text without reasoning and chat tokens, with ``\n`` as its line ends.

    Reasoning that is never closed has no reply after it. Tags and tokens in quotes are text.

    >>> final_reply("<think>2 or 3?</think>\r\n3<|im_end|>\n<|im_start|>user\nWhy?")
    '\n3'
    >>> final_reply("<think>2 or"), final_reply("<|im_start|>assistant\n3</s>")
    ('', '3')
    """
    text = completion.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    text = _without_reasoning(text)
    start = 0
    for token in chain(_outside_quotes(_TOKEN, text), [None]):
        turn = text[start : token.start() if token else None]
        turn = _ROLE.sub("", turn) if start else turn
        if turn.strip():
            return turn
        start = token.end() if token else start
    return ""


def _without_reasoning(text: str) -> str:
    """The text outside of reasoning; a tag that only closes ends what the prompt has opened."""
    kept: list[str] = []
    start, is_inside = 0, False
    for tag in _outside_quotes(_REASONING, text):
        if is_inside and tag["opens"]:
            continue
        if tag["opens"]:
            kept.append(text[start : tag.start()])
        elif not is_inside:
            kept.clear()
        start, is_inside = tag.end(), bool(tag["opens"])
    if not is_inside:
        kept.append(text[start:])
    return "".join(kept)


def _outside_quotes(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches, but for those with an open quote before and its end after them in their line."""
    for found in pattern.finditer(text):
        before = text[max(0, found.start() - _NEAR) : found.start()].rpartition("\n")[2]
        after = text[found.end() : found.end() + _NEAR].partition("\n")[0]
        if not any(before.count(quote) % 2 and quote in after for quote in "\"'"):
            yield found


class Block(NamedTuple):
    """A stretch of a reply, between two fences or outside of them.

    ``language`` is the first word after the opening fence, in lower case.
    """

    text: str
    is_fenced: bool
    language: str = ""

    @property
    def is_python(self) -> bool:
        """Fenced, and said to be Python or nothing at all."""
        return self.is_fenced and (not self.language or self.language.startswith(("py", "ipy")))


def blocks(reply: str, *, depth: int = 2) -> list[Block]:
    r"""The blocks of a reply that are not blank, in order; Markdown, and what models make of it.

    Fences are three or more backticks or tildes. A block ends at a fence of its own kind that is at
    least as long, or with the reply. A fence may be indented, in a list or quoted, and its margin
    is taken off its block; it may follow text on its line. A fence inside a triple-quoted string
    belongs to the string. A block that holds fences comes first as a whole, then cut at them,
    ``depth`` times.

    >>> [block.text for block in blocks("So:\n~~~py\nx = 1\n~~~\nDone.")]
    ['So:', 'x = 1\n', 'Done.']
    """
    lines = _ONE_LINE.sub(r"\1\2\3\n\4\n\2", reply).split("\n")
    found: list[Block] = []
    start = i = 0
    quote = ""
    while i < len(lines):
        opening = _FENCE.match(lines[i])
        if opening is None or not _opens(opening) or _in_string(opening, lines, i, quote):
            quote = _open_quote(lines[i], quote)
            i += 1
            continue
        before = opening["before"]
        is_margin = _MARGIN.fullmatch(before) is not None
        outside = [*lines[start:i], *([] if is_margin else [before])]
        found.append(Block("\n".join(outside), is_fenced=False))
        end, code = _closing(lines, i + 1, opening["fence"])
        inside = [*lines[i + 1 : end], *code]
        text = "".join(f"{line}\n" for line in (_without(before, inside) if is_margin else inside))
        words = opening["info"].strip("{}. \t").lower().split()
        found.append(Block(text, is_fenced=True, language=words[0] if words else ""))
        if depth and ("```" in text or "~~~" in text):
            found += [block for block in blocks(text, depth=depth - 1) if block.is_fenced]
        start = i = end + 1
        quote = ""
    found.append(Block("\n".join(lines[start:]), is_fenced=False))
    return [block for block in found if block.text.strip()]


def _opens(fence: re.Match[str]) -> bool:
    """A fence at the beginning of a line; after text one that ends its line or names Python."""
    info = fence["info"].strip().lower()
    return bool(_MARGIN.fullmatch(fence["before"])) or not info or info.startswith("py")


def _closing(lines: Sequence[str], start: int, fence: str) -> tuple[int, list[str]]:
    """The line where a block ends, and the code that stands before the fence on it, if any."""
    quote = ""
    for i in range(start, len(lines)):
        found = _FENCE.match(lines[i]) if fence in lines[i] else None
        if found and found["fence"].startswith(fence) and not found["info"].strip():
            code = found["before"]
            if not code.strip(" \t>"):
                code = ""
            if not ("#" in code or "`" in code or _in_string(found, lines, i, quote)):
                return i, [code] if code else []
        quote = _open_quote(lines[i], quote)
    return len(lines), []


def _open_quote(line: str, quote: str) -> str:
    """The triple quote that is open after a line, given the one that is open before it."""
    for mark in _QUOTES.findall(line) if "'''" in line or '"""' in line else ():
        quote = mark if not quote else "" if mark == quote else quote
    return quote


def _in_string(fence: re.Match[str], lines: Sequence[str], i: int, quote: str) -> bool:
    """Whether the fence on line i lies in a triple-quoted string that ends soon."""
    quote = _open_quote(fence["before"], quote)
    return quote != "" and any(quote in line for line in lines[i + 1 : i + 1 + _LONGEST_STRING])


def _without(margin: str, lines: Sequence[str]) -> list[str]:
    """Lines of a block without what the fence has before it: quote marks, or as much white."""
    if ">" in margin:
        return [re.sub(r"^[ \t]*(?:>[ \t]?)+", "", line) for line in lines]
    width = len(margin)
    if any(line[:width].strip() for line in lines):
        return list(lines)
    return [line[width:] for line in lines]
