"""Runs: values of many small functions, each run once in the sandbox and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from grpolab.validate.sandbox import Job, Outcome, Output, Result

BATCH = 256
"""Most functions in one sandboxed process."""

_DRIVER = """
import json, sys

def values(source, inputs):
    try:
        space = {}
        exec(source, space)
        found = [space["f"](x) for x in inputs]
        return " ".join(repr(v) if type(v) is int else "?" for v in found)
    except MemoryError:
        return "!oom"
    except Exception:
        return "!exception"

sources, inputs = json.loads(sys.stdin.read())
for source in sources:
    print(values(source, inputs))
"""
_FAILED = {"!oom": Outcome.OOM, "!exception": Outcome.EXCEPTION}


class Run(NamedTuple):
    """PASS and the values of a function, as text (``?`` for what is no int), or why there are none.

    The text is what the sandbox printed: to be compared, not parsed.
    """

    outcome: Outcome
    values: str = ""


class Runs:
    """Values of ``f`` at ``inputs`` for sources that define it.

    Sources that ``harmless`` accepts share a process, up to `BATCH` of them: it must hold for a
    source only if that cannot touch anything outside itself. Every other source, and every source
    of a batch that did not end well, runs in a process of its own, so that what comes of it does
    not depend on its company. A source is run once; only failures of the sandbox are forgotten.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        *,
        harmless: Callable[[str], bool],
    ) -> None:
        self._inputs = list(inputs)
        self._harmless = harmless
        self._known: dict[str, Run] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(
        self, sources: Iterable[str], *, run_many: Callable[[Sequence[Job]], list[Result]]
    ) -> dict[str, Run]:
        """A run for each distinct source; SANDBOX_ERROR where the sandbox failed.

        ``run_many`` is asked for what is not known yet, if anything.
        """
        found = {source: self._known.get(source) for source in sources}
        new = [source for source, run in found.items() if run is None]
        together = [source for source in new if self._harmless(source)]
        batches = [together[i : i + BATCH] for i in range(0, len(together), BATCH)]
        fresh = self._run(batches, run_many)
        alone = [source for source in new if source not in fresh]
        fresh |= self._run([[source] for source in alone], run_many)
        self._known |= {s: r for s, r in fresh.items() if r.outcome is not Outcome.SANDBOX_ERROR}
        return {source: run or fresh[source] for source, run in found.items()}

    def _run(
        self,
        batches: Sequence[Sequence[str]],
        run_many: Callable[[Sequence[Job]], list[Result]],
    ) -> dict[str, Run]:
        """Runs of whole batches; a batch of several that did not end well is left out."""
        jobs = [Job(_DRIVER, Output(stdin=json.dumps([b, self._inputs]))) for b in batches]
        runs: dict[str, Run] = {}
        for batch, result in zip(batches, run_many(jobs) if jobs else [], strict=True):
            lines = result.output.splitlines()
            if result.outcome is Outcome.PASS and len(lines) == len(batch):
                runs |= {s: _read(line) for s, line in zip(batch, lines, strict=True)}
            elif result.outcome is Outcome.SANDBOX_ERROR:
                runs |= dict.fromkeys(batch, Run(Outcome.SANDBOX_ERROR))
            elif len(batch) == 1:
                ended = result.outcome is Outcome.PASS  # it printed, or left early
                runs[batch[0]] = Run(Outcome.WRONG if ended else result.outcome)
        return runs


def _read(line: str) -> Run:
    return Run(_FAILED[line]) if line in _FAILED else Run(Outcome.PASS, line)
