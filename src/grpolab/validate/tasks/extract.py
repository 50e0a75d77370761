"""From a completion to the program that it stands for.

Python's own parser decides what is a program, patterns do not. The rules, in order:

1. The reply is the first turn without reasoning and chat tokens, cut at its fences
   (`grpolab.validate.tasks.reply`). Every block is a candidate, and so is the text between blocks.
2. Of a candidate the longest prefix that parses counts. In text without fences, and in a block
   that begins with something else, lines of prose are passed over.
3. Where the prompt is code that a completion goes on with, and the reply begins inside the body
   of its function, that body is the answer. It ends at the first line that is not indented, as if
   the model had been stopped there; of what follows, only what the body needs is kept.
4. Else the answer is the candidate that defines most of the names that the tests ask for, the last
   one of several. An import and a signature without a body define nothing. A method of that name
   stands for a function where there is none. A whole program, of which no name is asked, is the
   last Python block that reads input and prints, or else does one of the two.
5. Names that the answer reads and does not define come from other candidates that define them.
6. Else a candidate is tried as the body of the prompt's function, with its indentation mended.
7. Where functions are asked for, statements at module level that only try them out are left out:
   what calls them, reads input, exits, or reads a name that nothing defines.

A reply in which there is no such program is judged as it is written, and fails.
"""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Collection, Sequence, Set
from functools import lru_cache
from itertools import dropwhile, takewhile

from grpolab.validate.tasks.pieces import Piece, bound, does_nothing, free, longest_prefix, read
from grpolab.validate.tasks.reply import Block, blocks, final_reply

LONGEST = 100_000
"""Characters of the longest candidate that is looked into; a longer one is no candidate."""
_CANDIDATES = 64
"""Blocks that are looked into, from the beginning of a reply and from its end."""
_STARTS = 64
"""Lines of a text without fences at which code is looked for."""
_START = re.compile(
    r"@\w|(?:async|class|def|for|from|if|import|print|try|while|with)\b|[\w.,\[\] ]+=[^=]"
)
_TRIES = frozenset({"SystemExit", "__name__", "exit", "input", "main", "quit", "stdin", "testmod"})
"""Names in statements that run a program or its tests, where a function is asked for."""
_READS = frozenset({"input", "open", "stdin"})
_WRITES = frozenset({"print", "stdout", "write"})
_Imports = ast.Import | ast.ImportFrom
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def extract_program(
    completion: str, *, prompt_code: str = "", entry_point: str = "", names: Collection[str] = ()
) -> str:
    r"""Source of the program that a completion stands for, by the rules of this module.

    ``prompt_code`` is code that a completion may go on with; ``entry_point`` and ``names`` are what
    the program has to define, and without any it is a whole program.

    >>> extract_program("Sure:\n```python\nx = 1\nprint(x)\n```\nIt prints\n```\n1\n```")
    'x = 1\nprint(x)\n'
    >>> extract_program("    return 1\n\nprint(f())\n", prompt_code="def f():\n", entry_point="f")
    'def f():\n    return 1\n\npass\n'
    """
    wanted = {entry_point, *names} - {""}
    reply = _typed(final_reply(completion))
    cut = _blocks(reply)
    is_body = prompt_code and _begins_inside(prompt_code, cut)
    if is_body and (body := _continued(prompt_code, _mended(prompt_code, cut[0].text), wanted)):
        return body
    found = [_candidate(block) for block in cut]
    ranks = [
        _rank(piece, wanted) if wanted else _rank_of_program(block, piece)
        for block, piece in zip(cut, found, strict=True)
    ]
    if any(map(any, ranks)):
        best = len(ranks) - 1 - ranks[::-1].index(max(ranks))
        return _answer(found, best, wanted, context_code(prompt_code, frozenset(wanted)))
    fenced = [block.text for block in reversed(cut) if block.is_fenced]
    if prompt_code:
        for text in (*fenced, reply):
            if body := _continued(prompt_code, _mended(prompt_code, text), wanted):
                return body
    return fenced[0] if fenced else reply


def closed_context(prompt_code: str) -> str:
    r"""A prompt's code with a body for its last function; empty where it is no code even so.

    >>> closed_context("import math\ndef f(x):\n")
    'import math\ndef f(x):\n\n    pass\n'
    """
    for candidate in (prompt_code, f"{prompt_code}\n{_indent(prompt_code)}pass\n"):
        try:
            ast.parse(candidate)
        except (SyntaxError, ValueError):
            continue
        return candidate
    return ""


@lru_cache(maxsize=256)
def context_code(prompt_code: str, wanted: frozenset[str]) -> Piece:
    r"""A prompt's imports and helpers, without the function that it asks for.

    >>> context_code("import math\ndef f(x):\n", frozenset(["f"])).source
    'import math\npass\n'
    """
    context = longest_prefix(closed_context(prompt_code))
    asked = [node for node in context.body if _function([node], wanted) is not None]
    return longest_prefix(context.without(asked))


# --- candidates


def _typed(reply: str) -> str:
    """A reply without what no keyboard types: half characters, and hard blanks as indentation."""
    reply = re.sub("[\ud800-\udfff]", "\ufffd", reply)
    if "\xa0" not in reply:
        return reply
    return re.sub(r"^[ \t\xa0]+", lambda white: white[0].replace("\xa0", " "), reply, flags=re.M)


def _blocks(reply: str) -> list[Block]:
    """The reply's blocks; it may begin inside a fence that the prompt has opened."""
    cut = blocks(reply)
    if len(cut) > 2 * _CANDIDATES:
        cut = cut[:_CANDIDATES] + cut[-_CANDIDATES:]
    if len(cut) > 1 and not cut[0].is_fenced and not cut[1].language and len(reply) <= LONGEST:
        lead = longest_prefix(cut[0].text)
        if lead.source == cut[0].text and not all(isinstance(s, ast.Expr) for s in lead.body):
            return blocks(f"```\n{reply}")
    return cut


def _candidate(block: Block) -> Piece:
    """The code of a block, or of the text between blocks."""
    text = block.text
    if len(text) > LONGEST:
        return Piece()
    if text.lstrip().startswith(">>> "):
        return longest_prefix(_session(text))
    piece = longest_prefix(text)
    return piece if block.is_fenced and piece.body else _runs(text, piece)


def _session(text: str) -> str:
    """The statements of an interactive session."""
    try:
        return "".join(part.source for part in doctest.DocTestParser().get_examples(text))
    except ValueError:
        return ""


def _runs(text: str, begin: Piece) -> Piece:
    """The stretches of code in a text that also holds prose, joined; it may begin with some."""
    if begin.source == text:
        return begin
    plain = textwrap.dedent(text)
    lines = plain.split("\n")
    parts: list[str] = []
    start = tries = 0
    while start < len(lines) and tries < _STARTS:
        if start == 0 or _START.match(lines[start]):
            tries += 1
            is_begin = start == 0 and plain == text
            piece = begin if is_begin else longest_prefix("\n".join(lines[start:]))
            if piece.body:
                parts.append(piece.source)
                start += piece.source.removesuffix("\n").count("\n")
        start += 1
    return longest_prefix("\n".join(parts))


def _rank(piece: Piece, wanted: Collection[str]) -> tuple[int, int]:
    """How many of the names a candidate defines, and how many as methods."""
    methods = {name for _, name in piece.methods()}
    return len(piece.defined() & set(wanted)), len(methods & set(wanted))


def _rank_of_program(block: Block, piece: Piece) -> tuple[int, int]:
    """Whether a candidate may be a whole program: how much of reading and printing it does."""
    if not piece.body or (block.is_fenced and not block.is_python):
        return 0, 0
    names = read(piece.body, attributes=True)
    return bool(names & _READS) + bool(names & _WRITES), int(block.is_python)


# --- the body of the prompt's function


def _begins_inside(prompt_code: str, cut: Sequence[Block]) -> bool:
    """Whether a reply goes on where the prompt stops: in its last line, or indented."""
    if not cut or cut[0].is_fenced:
        return False
    return not prompt_code.endswith("\n") or cut[0].text.lstrip("\n")[:1] in (" ", "\t")


def _indent(prompt_code: str) -> str:
    """White space before the lines of the body that a prompt's last function has or gets."""
    last = prompt_code.rstrip().rpartition("\n")[2]
    white = last[: len(last) - len(last.lstrip())]
    return f"{white}    " if last.endswith(":") else white or "    "


def _mended(prompt_code: str, text: str) -> list[str]:
    """A body as it is; its first line or all lines indented; and only what is indented."""
    indent = _indent(prompt_code)
    start = "" if prompt_code.endswith("\n") else "\n"
    lines = text.split("\n")
    inside = list(takewhile(lambda line: not line[:1].strip(), lines))
    if not "".join(inside).strip():
        inside = lines
    after = "\n".join(["", *lines[len(inside) :]])
    return [
        text,
        f"{start}{indent}{text.lstrip()}",
        start + textwrap.indent(textwrap.dedent("\n".join(inside).expandtabs(4)), indent) + after,
        start + "\n".join(dropwhile(lambda line: line[:1].strip() or not line, lines)),
    ]


def _continued(prompt_code: str, bodies: Sequence[str], wanted: Set[str]) -> str:
    """The prompt and that one of the bodies that goes on longest with its function; else empty."""
    given = prompt_code.rstrip().count("\n") + 1
    is_mid_line = prompt_code.rpartition("\n")[2].strip() != ""
    longest, program = given - is_mid_line, ""
    for body in bodies:
        piece = longest_prefix(prompt_code + body) if len(body) <= LONGEST else Piece()
        before = [node for node in piece.body if node.lineno <= given]
        function = _function(before, wanted)
        if function is None or (end := function.end_lineno or 0) <= longest:
            continue
        new = [node for node in function.body if node.lineno > given - is_mid_line]
        is_body = not any(_rank(Piece("", new), wanted))
        if is_body and not all(map(does_nothing, new)):
            longest = end
            words = [n for n in new if does_nothing(n) and read([n]) - (piece.known() - wanted)]
            program = piece.without([*words, *_after_body(piece.body[len(before) :], before)])
            rest = (prompt_code + body).split("\n")[end:]
            after = next((line for line in rest if line.strip()), "")
            if body is bodies[0] and after[:1] not in (" ", "\t"):
                break  # nothing of the body as it is written is lost
    return program


def _function(nodes: Sequence[ast.stmt], wanted: Collection[str]) -> _Function | None:
    """The last function or method that is asked for."""
    inner = [
        n for outer in nodes for n in (outer.body if isinstance(outer, ast.ClassDef) else [outer])
    ]
    found = [n for n in inner if isinstance(n, _Function) and n.name in wanted]
    return found[-1] if found else None


def _after_body(rest: Sequence[ast.stmt], given: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements after the body, but for those that define a name that it reads."""
    there = bound(given)
    binding: dict[str, list[ast.stmt]] = {}
    for node in rest:
        names = bound([node])
        for name in names if not names & there else ():
            binding.setdefault(name, []).append(node)
    kept: set[ast.stmt] = set()
    needed = list(free(given))
    while needed:
        new = set(binding.pop(needed.pop(), ())) - kept
        kept |= new
        needed += free(new)
    return [node for node in rest if node not in kept]


# --- the answer


def _answer(found: Sequence[Piece], best: int, wanted: Set[str], context: Piece) -> str:
    """The chosen candidate after what it needs of the others and of the prompt."""
    around = context.known()
    parts = [found[best]]
    missing = (parts[0].missing() | (wanted - parts[0].known())) - around
    for i in (*reversed(range(best)), *range(best + 1, len(found))):
        if bound(found[i].body) & missing:
            parts.insert(0, found[i])
            missing = (missing | found[i].missing()) - found[i].known() - around
    source = "\n".join(part.source for part in parts)
    piece = longest_prefix(source) if len(parts) > 1 else parts[0]
    leave = _trials(piece, wanted, around)
    futures = [n for n in piece.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    first = "".join(f"{ast.unparse(node)}\n" for node in futures)
    if not leave and (not futures or (not context.body and len(parts) == 1)):
        source, first = piece.source, ""
    else:
        source = piece.without([*leave, *futures])
    before = f"{context.source}\n" if context.body else ""
    return first + before + source + _as_functions(piece, wanted)


def _trials(piece: Piece, wanted: Set[str], around: Set[str]) -> list[ast.stmt]:
    """Statements at module level that only try functions out, or words of prose that parse."""
    unknown = piece.missing() - around
    words: list[ast.stmt] = [
        node for node in piece.body if does_nothing(node) and read([node]) & unknown
    ]
    if not wanted:
        return words
    scopes = [node for node in piece.body if isinstance(node, ast.ClassDef | _Function)]
    readers: dict[str, list[str]] = {}
    for scope in scopes:
        for name in read([scope]):
            readers.setdefault(name, []).append(scope.name)
    tried: set[str] = set()
    reached = [*wanted, *_TRIES]
    while reached:
        name = reached.pop()
        reached += readers.pop(name, ())
        tried.add(name)
    definitions = {*scopes, *(node for node in piece.body if bound([node]) & wanted)}
    used = free(definitions)
    found: list[ast.stmt] = []
    for node in piece.body:
        if node in definitions or isinstance(node, _Imports):
            continue
        names = bound([node])
        is_trial = read([node], attributes=True) & tried and not names & used
        if is_trial or read([node]) & unknown or isinstance(node, ast.Return):
            found.append(node)
            tried |= names
    owners = {owner for owner, name in piece.methods() if name in wanted}
    return found + _only_tests(piece, definitions, tried - wanted - owners - used, found)


def _only_tests(
    piece: Piece, definitions: Set[ast.stmt], names: Set[str], left_out: Sequence[ast.stmt]
) -> list[ast.stmt]:
    """Definitions that try functions out and that nothing reads, and what is imported for them."""
    tests = [node for node in definitions if bound([node]) <= names]
    kept = read([node for node in piece.body if node not in {*tests, *left_out}])
    needed = read([*tests, *left_out]) - kept
    imports = [node for node in piece.body if isinstance(node, _Imports)]
    return tests + [node for node in imports if bound([node]) and bound([node]) <= needed]


def _as_functions(piece: Piece, wanted: Set[str]) -> str:
    """Functions that stand for methods, where only a class defines what is asked for."""
    methods = {name: owner for owner, name in piece.methods()}
    return "".join(
        f"\n\ndef {name}(*args, **kwargs):\n    return {methods[name]}().{name}(*args, **kwargs)\n"
        for name in sorted(wanted - bound(piece.body))
        if name in methods
    )
