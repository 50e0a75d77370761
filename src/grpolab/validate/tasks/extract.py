"""The program in a completion."""

from __future__ import annotations

import ast
import re

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "python", "python3", "py")


def extract_program(completion: str, *, prompt_code: str = "", entry_point: str = "") -> str:
    r"""Source of the program that a completion stands for.

    The last fenced block of Python counts, else the whole completion. ``prompt_code`` is the
    beginning that a completion may continue: it is put in front, and where the completion brings
    the entry point itself, that definition comes later and holds.

    >>> extract_program("Sure:\n```python\nx = 1\n```\nDone.")
    'x = 1\n'
    >>> extract_program("    return 1", prompt_code="def f():\n", entry_point="f")
    'def f():\n    return 1'
    """
    blocks = [code for language, code in _FENCE.findall(completion) if language.lower() in _PYTHON]
    code = blocks[-1] if blocks else completion
    if not prompt_code:
        return code
    defined = rf"^(async\s+def|def|class)\s+{re.escape(entry_point)}\b"
    if entry_point and re.search(defined, code, re.MULTILINE):
        return f"{closed_context(prompt_code)}\n{code}"
    return prompt_code + code


def closed_context(prompt_code: str) -> str:
    r"""The prompt's own helpers and imports, as code that runs; empty where there is no such code.

    >>> closed_context("import math\ndef f(x):\n")
    'import math\ndef f(x):\n\n    pass\n'
    """
    for candidate in (prompt_code, f"{prompt_code}\n    pass\n"):
        try:
            ast.parse(candidate)
        except (SyntaxError, ValueError):
            continue
        return candidate
    return ""
