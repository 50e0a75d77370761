"""How a number is written, one function for each kind: tables, findings and pages all use these."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence

from grpolab.terminal import printable

DASH = "-"
"""What is written where there is no number."""


def number(value: object, *, digits: int = 3) -> str:
    """Fixed digits for a float, a dash for None and NaN, anything else as it is.

    >>> number(0.0829959), number(None), number(8), number(float("nan"))
    ('0.083', '-', '8', '-')
    """
    if value is None or value != value:
        return DASH
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def significant(value: object, *, digits: int = 4) -> str:
    """Significant digits for a float, whole from that many digits on; else as `number`.

    >>> significant(0.0829959), significant(12345.6), significant(0.0123, digits=2)
    ('0.083', '12,346', '0.012')
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return number(value)
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    """A share as a whole percentage, never rounded to 0 or 100 unless it is.

    >>> percent(0.364), percent(0.0004), percent(0.9999), percent(1.0), percent(None)
    ('36%', '<1%', '>99%', '100%', '-')
    """
    if share is None or share != share:
        return DASH
    if 0 < share <= 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def chance(share: float | None) -> str:
    """A share of resamples as a percentage; no number of resamples proves 0 or 100.

    >>> chance(1.0), chance(0.72), chance(0.0)
    ('>99%', '72%', '<1%')
    """
    return percent(share if share is None else min(max(share, 0.001), 0.999))


def interval(low: float, high: float, *, digits: int = 3) -> str:
    """An interval, low to high.

    >>> interval(0.73, 0.8512)
    '0.730 to 0.851'
    """
    return f"{low:.{digits}f} to {high:.{digits}f}"


def percent_interval(low: float, high: float) -> str:
    """An interval of a share.

    >>> percent_interval(0.734, 0.852)
    '73% to 85%'
    """
    return f"{percent(low)} to {percent(high)}"


def estimate(found: Sequence[float] | None) -> str:
    """A value with its interval (value, low, high); a dash for None.

    >>> estimate((0.5, 0.25, 0.75)), estimate(None)
    ('0.500 (0.250 to 0.750)', '-')
    """
    if found is None:
        return DASH
    value, low, high = found
    return f"{number(value)} ({interval(low, high)})"


def p_value(value: float | None) -> str:
    """A p-value: two significant digits, a dash where no test was made.

    >>> p_value(0.01234), p_value(3.2e-9), p_value(float("nan"))
    ('0.012', '3.2e-09', '-')
    """
    return DASH if value is None or value != value else f"{value:.2g}"


def count(value: float | None) -> str:
    """A count with separators; "no number" where none is enough (infinity), a dash for NaN.

    >>> count(12345), count(float("inf")), count(float("nan"))
    ('12,345', 'no number', '-')
    """
    if value is None or value != value:
        return DASH
    return "no number" if math.isinf(value) else f"{value:,.0f}"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "prompt"), counted(2048, "prompt")
    ('1 prompt', '2048 prompts')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A span of time in the unit that it is planned in, to two digits or so.

    >>> duration(0.2), duration(89), duration(500), duration(10200), duration(4e5), duration(1e7)
    ('1 s', '89 s', '8 min', '2 h 50', '4.6 days', '116 days')
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    return f"{significant(minutes / 1440, digits=2)} days"


def round_up(value: float) -> int:
    """Two significant digits, upwards: nobody plans for 1,037 prompts.

    >>> round_up(1037.0), round_up(12.0), round_up(12.3)
    (1100, 12, 13)
    """
    unit = int(10 ** max(0, len(str(int(value))) - 2))
    return math.ceil(value / unit) * unit


def text(value: str) -> str:
    """Escape text; `code` in backquotes becomes <code>, **words** in stars <strong>.

    Control characters, marks of direction and the like are shown as `printable` shows them.

    >>> text("**below** < `p*`")
    '<strong>below</strong> &lt; <code>p*</code>'
    """
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped(value))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", marked)


def escaped(value: str) -> str:
    r"""Text for a page, between tags or in an attribute; line ends stay.

    >>> escaped("<b>\u202e")
    '&lt;b&gt;\\u202e'
    """
    return html.escape("\n".join(map(printable, value.split("\n"))), quote=False)


def plain(value: str) -> str:
    """Drop the marks that `text` understands, for a terminal.

    >>> plain("**below p*(8)** `p*`")
    'below p*(8) p*'
    """
    return re.sub(r"\*\*(.+?)\*\*", r"\1", value).replace("`", "")
