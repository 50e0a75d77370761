"""Correct programs, each with its tests: all must pass, at every level."""

# ruff: noqa: E501 (programs in one line each)

from __future__ import annotations

from grpolab.validate.sandbox import CaseTests, CodeTests, Job, TextTests


def _code(program: str, tests: str, **more: object) -> Job:
    return Job(program, CodeTests(tests=tests, **more))  # type: ignore[arg-type]


CORRECT: dict[str, Job] = {
    "plain": _code("def f(a, b): return a + b", "def check(c):\n    assert c(1, 2) == 3",
                   entry_point="f"),
    "asserts": _code("def f(a): return sorted(a)", "assert f([2, 1]) == [1, 2]\nassert f([]) == []"),
    "helper in the prompt": _code(
        "def twice(x): return 0\ndef f(x): return x / 2",
        "def check(c):\n    assert twice(c(3)) == 3", entry_point="f",
        context="def twice(x): return 2 * x",
    ),
    "import from solution": _code(
        "def f(x): return x + 1",
        "from solution import f\ndef test_one():\n    assert f(1) == 2",
    ),
    "pytest raises": _code(
        "def f(x):\n    if x < 0: raise ValueError('negative x')\n    return x",
        "import pytest\nfrom solution import f\n"
        "def test_raises():\n    with pytest.raises(ValueError, match='negative'): f(-1)\n"
        "@pytest.mark.parametrize('a, b', [(1, 1), (2, 2)])\n"
        "def test_same(a, b):\n    assert f(a) == pytest.approx(b)",
    ),
    "unittest": _code(
        "def f(x): return [x] * 2",
        "import unittest\nclass TestF(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(f(1), [1, 1])",
    ),
    "printing": _code("def f(x):\n    print('hello' * 1000)\n    return x", "assert f(1) == 1"),
    "in place": _code("def f(x): x.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]"),
    "in place, nested": _code(
        "def f(m):\n    for row in m: row.reverse()\n    m.reverse()",
        "m = [[1, 2], [3, 4]]\nassert f(m) is None\nassert m == [[4, 3], [2, 1]]",
    ),
    "in place, with a value": _code(
        "def f(x):\n    x[:] = list(dict.fromkeys(x))\n    return len(x)",
        "a = [1, 1, 2]\nassert f(a) == 2\nassert a == [1, 2]", in_place=True,
    ),
    "class": _code(
        "class Stack:\n    def __init__(self, items=()): self.items = list(items)\n"
        "    def push(self, x): self.items.append(x); return self\n"
        "    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)",
        "s = Stack([1])\ns.push(2).push(3)\nassert len(s) == 3\nassert s.pop() == 3\n"
        "assert s.items == [1, 2]\nassert isinstance(s, Stack)\n"
        "try:\n    Stack().pop()\n    assert False\nexcept IndexError:\n    pass",
    ),
    "objects as arguments": _code(
        "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n"
        "def total(pairs): return sum(p.a * p.b for p in pairs)",
        "assert total([Pair(1, 2), Pair(3, 4)]) == 14",
    ),
    "callback": _code(
        "def compose(*fs):\n    def run(x):\n        for f in fs: x = f(x)\n        return x\n"
        "    return run",
        "seen = []\nassert compose(lambda x: x + 1, lambda x: seen.append(x) or x * 2)(3) == 8\n"
        "assert seen == [4]\nassert compose(int, str)('7') == '7'",
    ),
    "generator": _code(
        "def f(n):\n    for i in range(n): yield i * i",
        "assert list(f(3)) == [0, 1, 4]\nassert next(f(1)) == 0\nassert sum(f(4)) == 14",
    ),
    "subclasses of plain types": _code(
        "from collections import Counter, defaultdict, namedtuple, OrderedDict\nimport enum\n"
        "class Color(enum.IntEnum):\n    RED = 1\n"
        "def f(x): return [Counter(x), defaultdict(int, a=1), OrderedDict(b=2),"
        " namedtuple('P', 'x y')(1, 2), Color.RED, True]",
        "assert f('aab') == [{'a': 2, 'b': 1}, {'a': 1}, {'b': 2}, (1, 2), 1, True]",
    ),
    "standard types": _code(
        "from decimal import Decimal\nfrom fractions import Fraction\nfrom collections import deque\n"
        "import datetime\n"
        "def f(): return [Decimal('0.1'), Fraction(1, 3), deque([1]), datetime.date(2020, 1, 2),"
        " datetime.timedelta(1), 1j, b'\\xff', frozenset({1}), {(1, 2): {3}}, range(3), 10 ** 5000]",
        "from decimal import Decimal\nfrom fractions import Fraction\nfrom collections import deque\n"
        "import datetime\nassert f() == [Decimal('0.1'), Fraction(1, 3), deque([1]),"
        " datetime.date(2020, 1, 2), datetime.timedelta(1), 1j, b'\\xff', frozenset({1}),"
        " {(1, 2): {3}}, range(3), 10 ** 5000]",
    ),
    "large output": _code("def f(n): return list(range(n))", "assert f(50000) == list(range(50000))"),
    "large input": _code("def f(x): return sum(x)", "assert f(list(range(50000))) == 1249975000"),
    "many calls": _code("def f(x): return x * x", "for i in range(500):\n    assert f(i) == i * i"),
    "slow but legal": _code(
        "def f(n):\n    total = 0\n    for i in range(n): total += i\n    return total",
        "assert f(1500000) == 1124999250000",
    ),
    "short sleep": _code("import time\ndef f():\n    time.sleep(0.3)\n    return 1",
                         "assert f() == 1"),
    "threads": _code(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def f(x):\n    with ThreadPoolExecutor(4) as pool: return list(pool.map(abs, x))",
        "assert f([-1, 2, -3]) == [1, 2, 3]",
    ),
    "asyncio": _code(
        "import asyncio\nasync def g(x):\n    await asyncio.sleep(0.01)\n    return x\n"
        "def f(x): return asyncio.run(g(x))", "assert f(3) == 3",
    ),
    "recursion": _code(
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)",
        "assert f(15000) == 15000",
    ),
    "lazy imports": _code(
        "def f(x):\n    import xml.etree.ElementTree as E, sqlite3, zlib, secrets\n"
        "    return E.fromstring(x).text", "assert f('<a>b</a>') == 'b'",
    ),
    "uncommon text": _code("def f(x): return x[::-1]",
                           "assert f('né\\ud800\\x00😀') == '😀\\x00\\ud800én'"),
    "swallows its own errors": _code(
        "def f(x):\n    try: return 1 / x\n    except ZeroDivisionError: return None",
        "assert f(0) is None and f(2) == 0.5",
    ),
    "random and time": _code(
        "import random, time\ndef f(n):\n    time.perf_counter()\n    return random.sample(range(n), n)",
        "assert sorted(f(5)) == [0, 1, 2, 3, 4]",
    ),
    "data classes": _code(
        "from __future__ import annotations\nfrom dataclasses import dataclass, astuple\n"
        "@dataclass(order=True)\nclass P:\n    x: int\n    y: list[int] | None = None\n"
        "def f(x): return astuple(max(P(1), P(x)))", "assert f(2) == (2, None)",
    ),
    "main guard": _code(
        "def f(x): return x\nif __name__ == '__main__':\n    print(f(int(input())))",
        "assert f(1) == 1",
    ),
    "method of Solution": Job(
        "class Solution:\n    def two(self, nums, target): return [0, 1]",
        CaseTests(cases=[(([2, 7], 9), [0, 1])], entry_point="two"),
    ),
    "cases": Job(
        "def f(x): return (x, 0.1 + 0.2, float('nan'), {'a': [True]})",
        CaseTests(cases=[((1,), [1, 0.3, float("nan"), {"a": [True]}])], entry_point="f"),
    ),
    "cases in place": Job(
        "def f(x): x.reverse()",
        CaseTests(cases=[(([1, 2],), [2, 1])], entry_point="f", in_place=True),
    ),
    "text": Job(
        "n = int(input())\nprint(sum(int(x) for x in input().split()[:n]))",
        TextTests(cases=[("3\n1 2 3\n", "6\n"), ("1\n5", "5")]),
    ),
    "text, main guard and exit": Job(
        "import sys\ndef main():\n    for line in sys.stdin: print(line.strip()[::-1])\n    sys.exit()\n"
        "if __name__ == '__main__': main()",
        TextTests(cases=[("ab\ncd\n", "ba\ndc")]),
    ),
    "text, fast input": Job(
        "import sys, os\ndata = os.read(0, 10 ** 6) + sys.stdin.buffer.read()\n"
        "sys.stdout.write(' '.join(map(str, sorted(map(int, data.split())))))",
        TextTests(cases=[(" ".join(map(str, range(20000, 0, -1))),
                          " ".join(map(str, range(1, 20001))))]),
    ),
    "text, numbers": Job(
        "print(1 / 3)", TextTests(cases=[("", "0.333333")], tolerance=1e-5),
    ),
    "text, thread and exit handler": Job(
        "import threading, atexit, time\natexit.register(lambda: print('b'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('a'))).start()",
        TextTests(cases=[("", "a\nb")]),
    ),
}  # fmt: skip
