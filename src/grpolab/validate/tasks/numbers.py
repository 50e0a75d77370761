r"""The number that an answer in prose states.

A marked answer counts: the last of ``\boxed{42}``, ``<answer>42</answer>``, ``#### 42`` and "the
answer is 42". Without a mark it is the last number before a next question, in the text around code.
"""

from __future__ import annotations

import re

from grpolab.validate.tasks.reply import blocks

_UNSIGNED = r"""(?:
    \d{1,3} (?: (?:,|\{,\}|\\,|\\!) \d{3} ){1,9} (?!\d) (?:\.\d++)?   # 1,200  1{,}200
  | \d{1,2} (?:,\d{2}){1,9} ,\d{3} (?!\d) (?:\.\d++)?                 # 1,00,000
  | \d++ (?:\.\d++)? | \.\d++
) (?:[eE][+-]?\d++)?"""
_NUMBER = re.compile(
    rf"""
    (?P<sign> (?: (?<![\w)\]}}.]) [-+−] \\?[$€£¥]? )? )      # no sign in 10-4 and GPT-4
    (?:
        \\[dt]?frac \{{ (?P<top>{_UNSIGNED}) \}} \{{ (?P<bottom>{_UNSIGNED}) \}}
      | (?<![a-z_^\d]) (?<!\^\{{) (?<![\w)]\*\*)                  # no number in m2 and x^{{2}}
        (?: (?P<whole>\d++) [ ] (?=\d+/\d) )?                    # 2 1/2
        (?P<number>{_UNSIGNED})
        (?! \d | (?:st|nd|rd|th)\b )
        (?: \s?/\s? (?P<over>{_UNSIGNED}) (?![\d/])
          | \s* (?:×|x|\*|·|\\times|\\cdot) \s* 10 (?:\^|\*\*) \{{? (?P<ten>[-+−]?\d{{1,3}}) \}}?
          | (?:\^|\*\*) \{{? (?P<power>[-+−]?\d{{1,3}}) \}}?
        )?
    )
    """,
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(_UNSIGNED, re.VERBOSE | re.ASCII)
_MARK = re.compile(r"\\boxed\s*\{|<answer>|####|\banswer\s+is\b", re.IGNORECASE)
_BEFORE = re.compile(r"[\s:*]*(?:\\?[$€£¥]|\\\(|\\\[)?")
_GOES_ON = re.compile(r"\\?[$%]?[ \t]*(?:[-+*/×·=^]|\\times|\\cdot|\\div)[ \t]*[\d(\\$]")
_HEADING = re.compile(r"[.):][ \t]+\w|[ \t]*:")
_NEXT = re.compile(
    r"\n[ \t]*\n[#* \t]*(?:Q|Question|Problem|Human|User|Instruction)\b[ \d]*[:.]", re.IGNORECASE
)
_TEXT = frozenset({"", "latex", "math", "output", "plaintext", "text", "txt"})
_LONGEST_MARK = 1000


def last_number(text: str) -> float | None:
    r"""The last number that ASCII digits spell; None where there is none.

    Thousands separators, fractions, powers, and a sign before a currency belong to a number. Digits
    in a unit ("m2", "cm^2"), a name ("GPT-4" is 4) and an ordinal ("3rd") count only where there is
    nothing else.

    >>> last_number("so 3 + 4 = 1,007.5."), last_number("none")
    (1007.5, None)
    >>> last_number("1,2,3"), last_number("-$1,200"), last_number("3/4"), last_number("8 m2")
    (3.0, -1200.0, 0.75, 8.0)
    """
    if found := list(_NUMBER.finditer(text)):
        return _value(found[-1])
    plain = _PLAIN.findall(text)
    return _float(plain[-1]) if plain else None


def stated_number(text: str) -> float | None:
    r"""The number of the last marked answer, else the last number; None where there is none.

    >>> stated_number(r"so \boxed{42}, since 40 + 2"), stated_number("5\n\nQ: What is 1 + 1?")
    (42.0, 5.0)
    """
    first = _PLAIN.search(text)
    if first is None:
        return None
    ends = (found.start() for found in _NEXT.finditer(text) if found.start() > first.start())
    text = text[: next(ends, None)]
    for mark in reversed(list(_MARK.finditer(text))):
        kind, start = mark.group().lower(), mark.end()
        if kind == "<answer>":
            return last_number(text[start : start + _LONGEST_MARK].partition("</answer>")[0])
        if kind.startswith("\\"):
            return last_number(_in_braces(text[start : start + _LONGEST_MARK]))
        before = _BEFORE.match(text, start)
        number = _NUMBER.match(text, before.end() if before else start)
        if number is None or _GOES_ON.match(text, number.end()):
            continue
        if kind != "####" or not _HEADING.match(text, number.end()):
            return _value(number)
    prose = "\n".join(block.text for block in blocks(text) if block.language in _TEXT)
    return last_number(prose if _PLAIN.search(prose) else text)


def _in_braces(text: str) -> str:
    """The text up to the brace that closes what an earlier one opened."""
    depth = 1
    for i, char in enumerate(text):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth == 0:
            return text[:i]
    return text


def _value(found: re.Match[str]) -> float | None:
    """The value of a number as `_NUMBER` reads it; None beyond a float's range, and for a / 0."""
    sign = -1.0 if found["sign"][:1] in ("-", "−") else 1.0
    try:
        if found["top"]:
            return sign * _float(found["top"]) / _float(found["bottom"])
        value = _float(found["number"])
        if found["over"]:
            value = float(found["whole"] or 0) + value / _float(found["over"])
        if found["ten"]:
            value *= 10.0 ** _integer(found["ten"])
        if found["power"]:
            value **= _integer(found["power"])
    except (OverflowError, ZeroDivisionError):
        return None
    return sign * value


def _float(digits: str) -> float:
    return float(re.sub(r"\{,\}|\\[,!]|,", "", digits))


def _integer(digits: str) -> int:
    return int(digits.replace("−", "-"))
