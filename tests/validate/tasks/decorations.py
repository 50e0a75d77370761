r"""What models write around a solution: ways to decorate the body of a function, or a whole one.

Every entry of `BODIES` turns the body that continues a prompt into a completion, every entry of
`WHOLES` a program that defines the function. ``name`` is the function's name. A decoration changes
nothing in the solution, so that a right one stays right, and a wrong one wrong.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable

Decoration = Callable[[str, str], str]

_CUT_DEF = "def check_all(values, expected"
_TAILS: dict[str, Callable[[str], str]] = {
    "nothing": lambda name: "",
    "prose": lambda name: "\n\nThis works because it's what the task asks for.\n",
    "prose that parses": lambda name: "\n\nExplanation\n\nO(n)\n- done\nNote: fine\n",
    "output": lambda name: "\n\nOutput:\n5\n",
    "output in a fence": lambda name: "\n\nOutput:\n```\n5\n```\n",
    "usage in a fence": lambda name: f"\n\nUsage:\n```python\nprint({name}(2))\n```\n",
    "import of the answer": lambda name: (
        f"\n\nUse it:\n```python\nfrom solution import {name}\nprint({name}(2))\n```\n"
    ),
    "print": lambda name: f"\n\nprint({name}(2))\nprint({name}())\n",
    "cut print": lambda name: f"\n\nprint({name}(2",
    "wrong assert": lambda name: f"\n\nassert {name}(2) == object(), 'no'\n",
    "cut assert": lambda name: f"\n\n# Tests\nassert {name}(2) ==",
    "main": lambda name: f"\n\nif __name__ == '__main__':\n    {name}()\n    raise SystemExit(1)\n",
    "cut main": lambda name: f"\n\nif __name__ == '__main__':\n    import doctest\n    {name}(",
    "reads input": lambda name: f"\n\nn = int(input())\nresult = {name}(n)\nprint(result)\n",
    "own main": lambda name: (
        f"\n\ndef main():\n    n = int(input())\n    print({name}(n))\n\n\nmain()\nexit()\n"
    ),
    "tests in a loop": lambda name: (
        f"\n\ncases = [(), ()]\nfor case in cases:\n    assert {name}(*case) is cases\n"
    ),
    "test class": lambda name: (
        "\n\nimport unittest\n\n\nclass TestIt(unittest.TestCase):\n    def test_it(self):\n"
        f"        self.assertTrue({name}())\n\n\nunittest.main()\n"
    ),
    "cut def": lambda name: f"\n\n{_CUT_DEF}",
    "cut def with body": lambda name: f"\n\n{_CUT_DEF}):\n    try:\n        for v in values:\n",
    "cut class": lambda name: '\n\nclass Next:\n    """A class that is',
    "cut string": lambda name: "\n\nTEXT = '''never\nclosed\n",
    "cut comment": lambda name: "\n\n# the next function wi",
    "session": lambda name: f"\n\n>>> {name}(2)\n5\n>>> {name}(3)\n",
    "end of text": lambda name: "<|endoftext|>def other():\n    return 1\n",
    "end of turn": lambda name: "<|im_end|>\n<|im_start|>user\nThanks!<|im_end|>\n",
    "slash s": lambda name: "</s>",
    "separator": lambda name: "\n\n---\n\n**Note** that `x` isn't checked.\n",
    "markers": lambda name: "\n[DONE]\n\nProblem 2: write another.\n",
    "tag": lambda name: "\n</code>\n</answer>\n",
}
_RUN_ONS: dict[str, Callable[[str], str]] = {
    "the same again": lambda name: f"\n\ndef {name}(*args):\n    return None\n",
    "another problem": lambda name: (
        "\n\nimport no_such_module\nfrom typing import Dict\n\n\n@decorated\n"
        "def another(x: Unknown) -> Dict:\n    return x\n\n\ndata = another(load())\n"
    ),
    "closing fence": lambda name: "\n```\nThis works.\n",
    "closing fence on the line": lambda name: "```\n",
    "closing fence and a block": lambda name: f"\n```\nUsage:\n```python\n{name}(1)\n```\n",
}


def _after(tail: Callable[[str], str]) -> Decoration:
    return lambda code, name: code.rstrip("\n") + tail(name)


def _fenced(head: str, foot: str = "\n```", margin: str = "") -> Decoration:
    return lambda code, name: head + textwrap.indent(code.strip("\n"), margin) + foot


_BLOCK = _fenced("```python\n")
_FENCES: dict[str, Decoration] = {
    "fence": _BLOCK,
    "plain fence": _fenced("```\n"),
    "tilde": _fenced("~~~python\n", "\n~~~"),
    "four backticks": _fenced("````python\n", "\n````"),
    "unclosed": _fenced("```python\n", "\n"),
    "unclosed with prose": _fenced("Sure:\n\n```python\n", "\n\nThat's the function.\n"),
    "capital": _fenced("```Python3\n"),
    "attributes": _fenced('```python title="a.py" {1,2}\n'),
    "braces": _fenced("```{.python}\n"),
    "wrong language": _fenced("```text\n"),
    "in a list": _fenced("1. Do this:\n\n   ```python\n", "\n   ```\n2. Done.\n", "   "),
    "list marker": _fenced("- ```python\n", "\n  ```\n", "  "),
    "eight blanks": _fenced("Code:\n        ```python\n", "\n        ```\n", "        "),
    "only the fence indented": _fenced("    ```python\n", "\n    ```\n"),
    "quoted": lambda code, name: textwrap.indent(_BLOCK(code, name), "> ", lambda line: True),
    "nested": _fenced("```markdown\n# Title\n```python\n", "\n```\n```\n"),
    "nested, longer": _fenced("````markdown\n# Title\n```python\n", "\n```\n````\n"),
    "opened after text": _fenced("Here you go: ```python\n"),
    "closed on the line": _fenced("```python\n", "```"),
    "line ends": lambda code, name: _BLOCK(code, name).replace("\n", "\r\n"),
    "prose around": _fenced("Here is the solution:\n```python\n", "\n```\nIt's right, isn't it?"),
    "reasoning": _fenced("<think>\n```python\nx = 1\n```\nhm</think>\n```python\n"),
    "opened reasoning": _fenced("It's simple.\n</think>\n\n```python\n"),
    "role": _fenced("<|im_start|>assistant\n```python\n", "\n```<|im_end|>"),
    "channel": _fenced(
        "<|channel|>analysis<|message|>Use a loop.<|end|><|start|>assistant"
        "<|channel|>final<|message|>```python\n", "\n```<|return|>"
    ),
    "output after it": _fenced("```python\n", "\n```\nOutput:\n```\n5\n```\n"),
    "shell before it": _fenced("```bash\npip install x\n```\n```python\n"),
    "shell after it": _fenced("```python\n", "\n```\n```sh\npython a.py\n```\n"),
    "language on its own line": _fenced("```\npython\n"),
    "file name first": _fenced("```python\nsolution.py\n\n"),
    "magic first": _fenced("```python\n!pip install numpy\n%matplotlib inline\n"),
    "prose in the fence": _fenced("```\nHere's the code:\n\n"),
    "tab before the fence": _fenced("1.\tSo:\n\n\t```python\n", "\n\t```\n", "\t"),
    "byte order mark": lambda code, name: "\ufeff" + _BLOCK(code, name),
}  # fmt: skip

BODIES: dict[str, Decoration] = {
    **{f"then {key}": _after(tail) for key, tail in {**_TAILS, **_RUN_ONS}.items()},
    **{f"{key} (body)": decoration for key, decoration in _FENCES.items()},
    "first line stripped": lambda code, name: code.lstrip(),
    "blank line first": lambda code, name: f"\n{code}",
    "one blank less": lambda code, name: code.removeprefix(" "),
    "dedented fence": lambda code, name: _BLOCK(textwrap.dedent(code), name),
    "prose first": lambda code, name: f"The body is:\n```python\n{code}```",
}
"""Ways to decorate the body of a function whose signature is in the prompt."""

WHOLES: dict[str, Decoration] = {
    **{f"then {key}": _after(tail) for key, tail in _TAILS.items()},
    **_FENCES,
    **{
        f"fence that holds {key}": (
            lambda code, name, tail=tail: f"```python\n{code.rstrip()}{tail(name)}\n```\n"  # type: ignore[misc]
        )
        for key, tail in _TAILS.items()
        if "```" not in tail("f") and not tail("f").lstrip().startswith("<")
    },
    **{
        f"fence, then {key}": (
            lambda code, name, tail=tail: f"```python\n{code.rstrip()}\n```{tail(name)}"  # type: ignore[misc]
        )
        for key, tail in _TAILS.items()
    },
    "prose first": lambda code, name: f"Here is the solution:\n\n{code}\nThis is it.\n",
    "one word first": lambda code, name: f"Sure\n\n{code}",
    "markers around": lambda code, name: f"[PYTHON]\n{code}\n[/PYTHON]\n",
    "answer tag": lambda code, name: f"<answer>\n{code}\n</answer>",
    "signature first": lambda code, name: (
        f"```python\ndef {name}(*args):\n    ...\n```\nThen:\n{_BLOCK(code, name)}"
    ),
    "signature last": lambda code, name: (
        f"{_BLOCK(code, name)}\nIts signature:\n```python\ndef {name}(*args):\n    pass\n```\n"
    ),
    "wrong one first": lambda code, name: (
        f"```python\ndef {name}(*args):\n    return object()\n```\nBetter:\n{_BLOCK(code, name)}"
    ),
    "future": lambda code, name: f"```python\nfrom __future__ import annotations\n{code}\n```",
    "prefilled": lambda code, name: f"{code.rstrip()}\n```\nThis works.\n",
    "prefilled, then a block": lambda code, name: (
        f"{code.rstrip()}\n```\n\nTry it:\n\n```python\n{name}(1)\n```\n"
    ),
    "usage first": lambda code, name: (
        f"You call it so:\n```python\nprint({name}(1))\n```\n{_BLOCK(code, name)}"
    ),
    "no line end": lambda code, name: code.rstrip("\n"),
    "indented as a whole": lambda code, name: textwrap.indent(code, "    "),
}
"""Ways to decorate a program that defines the function."""
