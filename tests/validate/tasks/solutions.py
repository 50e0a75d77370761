r"""Functions of many shapes, each as a prompt, its body, a body that is wrong, and its test.

``SOLUTIONS`` maps a name to a HumanEval row whose ``canonical_solution`` is right, and to a body
that is wrong. The function is always called ``solve``.
"""

from __future__ import annotations

from typing import Any

_SIGNATURE = 'def solve(n: int) -> int:\n    """Return n squared plus one."""\n'
_CASES = "def check(candidate):\n" + "".join(
    f"    assert candidate({n}) == {n * n + 1}\n" for n in (0, 1, 2, 7, -3)
)
_FENCE = "`" * 3


def _row(body: str, prompt: str = _SIGNATURE, test: str = _CASES) -> dict[str, Any]:
    return {"prompt": prompt, "entry_point": "solve", "canonical_solution": body, "test": test}


_TEXT_CASES = f"def check(candidate):\n    assert candidate('x') == '{_FENCE}\\nx\\n{_FENCE}\\n'\n"
_LIST_CASES = "def check(candidate):\n    assert list(candidate(3)) == [1, 2, 5]\n"

SOLUTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "one line": (_row("    return n * n + 1\n"), "    return n * n + 2\n"),
    "nested function": (
        _row("    def square(x):\n        return x * x\n\n    return square(n) + 1\n"),
        "    def square(x):\n        return x * x\n\n    return square(n)\n",
    ),
    "decorator": (
        _row("    return n * n + 1\n", f"import functools\n\n\n@functools.cache\n{_SIGNATURE}"),
        "    return n * n - 1\n",
    ),
    "generator": (
        _row(
            "    for i in range(n):\n        yield i * i + 1\n",
            "from typing import Iterator\n\n\n"
            'def solve(n: int) -> Iterator[int]:\n    """Squares."""\n',
            _LIST_CASES,
        ),
        "    for i in range(n):\n        yield i * i\n",
    ),
    "coroutine": (
        _row(
            "    async def square():\n        return n * n\n\n    try:\n"
            "        square().send(None)\n    except StopIteration as end:\n"
            "        return end.value + 1\n"
        ),
        "    async def square():\n        return n * n\n\n    square().close()\n    return n\n",
    ),
    "string with fences": (
        _row(
            f'    text = """{_FENCE}\n%s\n{_FENCE}\n"""\n    return text % s\n',
            'def solve(s: str) -> str:\n    """Put s into a fence."""\n',
            _TEXT_CASES,
        ),
        f'    text = """{_FENCE}\n%s\n{_FENCE}"""\n    return text % s\n',
    ),
    "docstring with fences": (
        _row(
            f"    def square(x):\n        '''Square.\n\n        {_FENCE}python\n        square(2)\n"
            f"        {_FENCE}\n        '''\n        return x * x\n\n    return square(n) + 1\n"
        ),
        f"    def square(x):\n        '''\n        {_FENCE}\n        '''\n        return x\n\n"
        "    return square(n) + 1\n",
    ),
    "prompt with fences": (
        _row(
            "    return n * n + 1\n",
            f'def solve(n):\n    """Example:\n    {_FENCE}python\n    >>> solve(2)\n    5\n'
            f'    {_FENCE}\n    """\n',
        ),
        "    return n + 1\n",
    ),
    "comments": (
        _row(
            "    # first square it's\n    x = n * n  # ``` no fence\n\n"
            "    # then add\n    return x + 1\n"
        ),
        "    # wrong\n    return n\n",
    ),
    "type hints": (
        _row(
            "    parts: Dict[str, Optional[int]] = {'a': n * n, 'b': None}\n"
            "    return (parts['a'] or 0) + 1\n",
            f"from typing import Dict, Optional\n\n\n{_SIGNATURE}",
        ),
        "    parts: Dict[str, int] = {'a': n}\n    return parts['a'] + 1\n",
    ),
    "recursion": (
        _row("    if n <= 0:\n        return n * n + 1\n    return solve(n - 1) + 2 * n - 1\n"),
        "    if n <= 0:\n        return 1\n    return solve(n - 1) + 2 * n\n",
    ),
    "helpers and imports": (
        _row(
            "    return square(n) + int(math.cos(0))\n",
            f"import math\n\n\ndef square(x):\n    return x * x\n\n\n{_SIGNATURE}",
        ),
        "    return square(n) + int(math.pi)\n",
    ),
    "helper that calls back": (
        _row(
            "    if n < 0:\n        return flip(n)\n    return n * n + 1\n",
            f"def flip(x):\n    return solve(-x)\n\n\n{_SIGNATURE}",
        ),
        "    if n < 0:\n        return n\n    return n * n + 1\n",
    ),
    "class": (
        _row(
            "    return Square(n).value() + 1\n",
            "class Square:\n    side = 0\n\n    def __init__(self, side):\n"
            "        self.side = side\n\n"
            f"    def value(self):\n        return self.side ** 2\n\n\n{_SIGNATURE}",
        ),
        "    return Square(n).side + 1\n",
    ),
    "table": (
        _row(
            "    if n not in TABLE:\n        TABLE[n] = n * n + 1\n    return TABLE[n]\n",
            f"TABLE = {{}}\nfor i in range(3):\n    TABLE[i] = i * i + 1\n\n\n{_SIGNATURE}",
        ),
        "    return TABLE.get(n, 0)\n",
    ),
    "global": (
        _row(
            "    global calls\n    calls += 1\n    return n * n + min(calls, 1)\n",
            f"calls = 0\n\n\n{_SIGNATURE}",
        ),
        "    global calls\n    calls += 1\n    return n * n + calls\n",
    ),
    "match": (
        _row(
            "    match n:\n        case 0:\n            return 1\n        case other:\n"
            "            return other * other + 1\n"
        ),
        "    match n:\n        case 0:\n            return 1\n        case _:\n"
        "            return 2\n",
    ),
    "try": (
        _row(
            "    try:\n        inverse = 1 / n\n    except ZeroDivisionError:\n        return 1\n"
            "    else:\n        return round(n / inverse) + 1\n"
        ),
        "    try:\n        return 1 // n\n    except ZeroDivisionError:\n        return 1\n",
    ),
    "in place": (
        _row(
            "    values.sort()\n    values.append(\n        1,\n    )\n",
            'def solve(values: list) -> None:\n    """Sort and append 1, in place."""\n',
            "def check(candidate):\n    x = [3, 2]\n    candidate(x)\n    assert x == [2, 3, 1]\n",
        ),
        "    values.sort()\n",
    ),
    "long lines": (
        _row(
            "    total = \\\n        n * n; total += 1\n"
            "    return (\n        total\n        + 0\n    )\n"
        ),
        "    total = \\\n        n * n; total += 2\n    return total\n",
    ),
    "input as a name": (
        _row("    input = n\n    main = input * input\n    return main + 1\n"),
        "    input = n\n    return input\n",
    ),
    "tags in strings": (
        _row(
            "    tags = '</think>', '<|im_end|>', \"</s>\", '```'\n"
            "    return n * n + len(tags) - 3\n"
        ),
        "    tags = ('</think>',)\n    return n * n + len(tags) - 3\n",
    ),
}
