"""Verdicts as people and tools write them: words of many languages, shares, marks."""

from __future__ import annotations

import math
import re

_RIGHT = (
    "true t yes y pass passed correct right c success successful succeeded"
    " solved resolved ok okay accept accepted ac valid win won w match matched hit"
    " equivalent exact_match 1 ja richtig"
    " wahr korrekt bestanden oui vrai juste sí si correcto verdadero cierto"
    " sim correto verdadeiro certo sì vero corretto giusto waar juist tak"
    " prawda poprawny да верно правильно истина 是 对 正确 通过 真 はい 正解 正しい 예 네 맞음"
    " 정답 evet doğru हाँ सही ναι σωστό kyllä oikein igen helyes ano správně"
    " rätt riktigt rett riktig"
    " rigtig đúng benar صحيح نعم כן נכון ใช่ ถูก ✓ ✔ ✅ ☑ √"
)
_WRONG = (
    "false f no n fail failed failure incorrect wrong i unsuccessful"
    " unsolved unresolved not_solved not_resolved reject rejected wa"
    " loss lost lose l mismatch miss missed ko nok 0 nein falsch unwahr inkorrekt"
    " nicht_bestanden non faux"
    " incorrecto falso não nao incorreto errado errato sbagliato nee onwaar"
    " onjuist fout nie fałsz niepoprawny нет неверно неправильно ложь 否 错 错误"
    " 不正确 未通过 假 いいえ 不正解 아니오 아니요 틀림 오답 hayır yanlış नहीं गलत όχι λάθος ei"
    " väärin nem helytelen ne špatně nej fel nei feil forkert sai salah خطأ لا לא שגוי ไม่ ผิด"
    " ✗ ✘ ❌ ☒ ☐ × wrong_answer"
)
_DOUBTFUL = (
    "timeout timed_out time_out tle time_limit time_limit_exceeded mle memory_limit_exceeded"
    " oom"
    " out_of_memory killed re rte runtime_error ce compile_error compilation_error invalid"
    " no_answer"
    " unparsed unparsable unparseable parse_error empty abstain abstained refused refusal truncated"
    " incomplete"
)
_FAILED = "error errored exception crashed crash aborted"
_NONE = (
    "nan none null na n/a n.a. nil - -- ? unknown missing"
    " skipped skip cancelled canceled pending <na> #n/a #value! undefined no_verdict ungraded"
    " unscored unjudged not_run not_graded not_scored running in_progress queued infra infra_error"
    " infrastructure_error api_error rate_limit undetermined inconclusive indeterminate no_result"
)
DOUBTFUL = frozenset(_DOUBTFUL.split())
"""Words that may be the fault of an answer or of the harness: wrong, or no verdict."""
FAILED_WORDS = frozenset(_FAILED.split())
"""Words for no verdict, unless there is no other word for a wrong answer."""
_WORDS: dict[str, float] = {
    "": math.nan,
    **dict.fromkeys((*_NONE.split(), *FAILED_WORDS), math.nan),
    **dict.fromkeys((*_WRONG.split(), *DOUBTFUL), 0.0),
    **dict.fromkeys(_RIGHT.split(), 1.0),
    "[x]": 1.0,  # boxes of Markdown
    "[ ]": 0.0,
    "p": 0.5,
    "partial": 0.5,
}
_NOT = frozenset(("not", "no", "non", "nicht", "pas", "не"))
_PERCENT = re.compile(r"([+-]?\d+(?:[.,]\d+)?) ?%")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_OF = re.compile(r"(\d{1,15}) ?(?:/|of|out of|von|de|sur) ?(\d{1,15})(?: ?\(.*\))?")
_AROUND = " \t\"'`*_[](){}.\ufe0f"
"""What may stand around a word: quotes, marks of Markdown, brackets."""


def plain_word(text: str) -> str:
    """A word in lower case without what stands around it.

    >>> plain_word(" **Time limit exceeded** ")
    'time_limit_exceeded'
    """
    word = text.strip().lower()
    if word in _WORDS:
        return word
    return word.strip(_AROUND).removeprefix("np.").replace(" ", "_")


def number_of(text: str) -> float | None:
    """The number that a word stands for: NaN for no verdict, None where it is no score.

    >>> number_of("Yes"), number_of("falsch"), number_of("85 %"), number_of("0,5"), number_of("x")
    (1.0, 0.0, 0.85, 0.5, None)
    >>> number_of("[CORRECT]"), number_of("not solved"), number_of("3/4"), number_of("timeout")
    (1.0, 0.0, 0.75, 0.0)
    """
    plain = plain_word(text)
    word = text.strip().lower()
    known = _WORDS.get(plain) if plain or not word else None
    if known is not None:
        return known
    percent = _PERCENT.fullmatch(word)
    if percent:
        return float(percent[1].replace(",", ".")) / 100
    part = fraction_of(word)
    if part is not None:
        return part[0] / part[1]
    first, _, rest = plain.partition("_")
    if first in _NOT and rest and _WORDS.get(rest) == 1.0:
        return 0.0
    try:
        return float(word.replace(",", ".") if _COMMA.fullmatch(word) else word)
    except ValueError:
        return None


def fraction_of(text: str) -> tuple[int, int] | None:
    """Numerator and denominator of ``3/6`` or ``3 of 6``; None where a text is none, or above 1.

    >>> fraction_of("3/6"), fraction_of("3 of 6 (50%)"), fraction_of("7/6"), fraction_of("0.5")
    ((3, 6), (3, 6), None, None)
    """
    found = _OF.fullmatch(text.strip().lower())
    if found is None:
        return None
    part, whole = int(found[1]), int(found[2])
    return (part, whole) if 0 <= part <= whole and whole else None
