"""``grpolab monitor``: follow the files of a run, say when it has no signal, end with status 1."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grpolab.cli._options import Group, expanded
from grpolab.cli._output import HtmlPage, JsonFlag, print_json, say
from grpolab.errors import UserError, input_errors

if TYPE_CHECKING:
    from grpolab.validate.monitor.files import Source
    from grpolab.validate.monitor.follow import Followed, Follower, Moment


@dataclass(frozen=True, slots=True)
class TestOptions(Group):
    """The hypothesis, and how sure a verdict must be."""

    PANEL = "Test"

    min_signal: Annotated[
        float, typer.Option(help="Share of informative groups below which a run has no signal.")
    ] = 0.01
    min_groups: Annotated[
        float,
        typer.Option(min=0, help="Informative groups per step, as the limit instead of a share."),
    ] = 0.0
    alpha: Annotated[
        float, typer.Option(help="False-stop rate over the whole run, however often one looks.")
    ] = 0.01
    patience: Annotated[int, typer.Option(min=1, help="Steps before a verdict of no signal.")] = 20


@dataclass(frozen=True, slots=True)
class ReadingOptions(Group):
    """How the files of the run are read."""

    PANEL = "Reading"

    group_size: Annotated[
        int, typer.Option("-g", "--group-size", min=0, help="Rollouts per group; 0: see the files.")
    ] = 0
    groups_per_step: Annotated[
        int, typer.Option(min=0, help="Groups per step, for logs that only have a share (TRL).")
    ] = 0
    score: Annotated[
        str | None, typer.Option(help="Reward function, field or score that holds the verdict.")
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(help="Scores above THRESHOLD are correct; needed where they are not 0 or 1."),
    ] = None


@expanded
def monitor(
    run_dir: Annotated[Path, typer.Argument(help="Folder of a run, or one of its logs.")],
    test: TestOptions,
    reading: ReadingOptions,
    once: Annotated[bool, typer.Option("--once", help="Read what is there, then end.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 30.0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a run that has not written anything yet.")
    ] = False,
    every: Annotated[
        int, typer.Option(min=0, help="While watching, a line every N steps; 0: none.")
    ] = 50,
    idle: Annotated[
        float, typer.Option(min=0, help="End when nothing has changed for SECONDS; 0: never.")
    ] = 0.0,
    steps: Annotated[
        int, typer.Option(min=0, help="Steps of the run, whose last one ends it; 0: see the files.")
    ] = 0,
    pid: Annotated[
        int | None, typer.Option(min=1, help="Process of the trainer, whose end is the run's.")
    ] = None,
    futility: Annotated[
        bool,
        typer.Option("--futility", help="Estimate the chance that the score ends above its start."),
    ] = False,
    html: HtmlPage = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch a GRPO run of TRL, verl, prime-rl, grpolab or any trainer with a log.

    Prints a line when the verdict or an alarm changes. Ends with status 1 as soon as the run has no
    signal, so that a job script can act; with 0 otherwise (the run is over, --once, --idle), and
    with 2 where there is no run to read, as while its model is being loaded: act on 1 alone.

    Example: grpolab monitor runs/my-run --once
    """
    from grpolab.validate.monitor.follow import Follower
    from grpolab.validate.monitor.state import MonitorConfig
    from grpolab.validate.readers import ReadOptions

    with input_errors():
        config = MonitorConfig(**asdict(test))
        options = ReadOptions(
            score=reading.score, threshold=reading.threshold, group_size=reading.group_size or None
        )
    source = _source(
        run_dir,
        reading.groups_per_step,
        once=once,
        wait=wait,
        interval=interval,
        idle=idle,
        pid=pid,
    )  # fmt: skip
    follower = Follower(source, config, options, planned=steps or None, pid=pid, futility=futility)
    if futility and not follower.look().planned:
        raise UserError(f"{run_dir}: --futility needs the number of steps of the run: give --steps")
    found = _follow(
        follower, name=run_dir.name, interval=0 if once else interval, idle=idle, html=html,
        quiet=as_json, every=0 if once else every,
    )  # fmt: skip
    if as_json:
        print_json(
            {
                "trainer": found.trainer, **found.monitor.as_dict(),
                "planned_steps": found.planned, "ended": found.ended or None,
                "notes": found.notes,
            }
        )  # fmt: skip
    elif html is not None:
        say(f"wrote {html}")
    if found.monitor.verdict == "no-signal":
        raise typer.Exit(1)


def _source(
    folder: Path,
    groups_per_step: int,
    *,
    once: bool,
    wait: bool,
    interval: float,
    idle: float,
    pid: int | None,
) -> Source:
    """The files of the run; an empty folder is waited for unless there is only one look.

    The wait ends as the watch would: with the process of the trainer, and after ``idle`` seconds.
    """
    from grpolab.validate.monitor.follow import NoRunYet, find_source, is_running

    began = time.monotonic()
    while True:
        gone = pid is not None and not is_running(pid)  # before the last look
        try:
            source = find_source(folder, groups_per_step=groups_per_step or None)
        except NoRunYet:
            if not wait:
                raise
            source = None
        if source is not None:
            return source
        if once and not wait:
            raise UserError(f"{folder}: the folder is empty")
        if gone:
            raise UserError(f"{folder}: process {pid} is gone and has written no run there")
        if 0 < idle <= time.monotonic() - began:
            raise UserError(f"{folder}: no run was written there in {idle:g} seconds")
        time.sleep(min(interval, idle or interval))


def _follow(
    follower: Follower,
    *,
    name: str,
    interval: float,
    idle: float,
    html: Path | None,
    quiet: bool,
    every: int,
) -> Followed:
    """Look until the run is over or without signal, or nothing changes for ``idle`` seconds."""
    speaker, seen, changed = _Speaker(quiet, every), None, time.monotonic()
    while True:
        found = follower.look()
        mark = (found.history[-1:], len(found.history), found.notes, found.ended)
        new = mark != seen
        if new:
            seen, changed = mark, time.monotonic()
            speaker.say(found)
        over = idle > 0 and time.monotonic() - changed >= idle
        over = over or bool(found.ended) or found.monitor.verdict == "no-signal"
        last = interval == 0 or over
        if html is not None and (new or last):
            from grpolab.validate.monitor.page import write_run

            write_run(html, found, name=name, reload=0 if last else max(1, round(interval)))
        if last:
            return found
        time.sleep(min(interval, idle or interval))


class _Speaker:
    """Prints what was not said before; to stderr where stdout is kept for JSON."""

    def __init__(self, quiet: bool, every: int) -> None:
        self._quiet, self._every = quiet, every
        self._next = 0  # step of the next line
        self._said: set[str] = set()
        self._verdict = ""

    def say(self, found: Followed) -> None:
        """Notes and alarms that are new, and the verdict when it has changed."""
        from grpolab.validate.monitor.words import describe, standing

        lines = [f"note: {note}" for note in found.notes]
        lines += [f"step {alarm.step}: {alarm.name}{' is over' if alarm.over else ''}"
                  for alarm in found.alarms]  # fmt: skip
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                say(line, err=self._quiet)
        if found.monitor.verdict != self._verdict:
            self._verdict = found.monitor.verdict
            step = found.monitor.state.last_group_step
            place = f"step {step}: " if step >= 0 else ""
            say(f"{place}{describe(found.monitor)}", err=self._quiet)
        if self._every and found.history and found.history[-1].step >= self._next:
            self._next = found.history[-1].step + self._every
            say(progress_line(found.history[-1]), err=self._quiet)
        for line in standing(found.monitor):
            if line not in self._said:
                self._said.add(line)
                say(line, err=self._quiet)
        if found.monitor.config.steps:
            self._say_outlook(found)
        if found.ended:
            say(f"the run has ended: {found.ended}", err=self._quiet)

    def _say_outlook(self, found: Followed) -> None:
        """The outlook of the run, at most once per block of steps."""
        from grpolab.validate.monitor.words import outlook

        line = outlook(found.monitor)
        if line not in self._said:
            self._said.add(line)
            say(line, err=self._quiet)


def progress_line(moment: Moment) -> str:
    """Reward, share of informative groups and evidence after a step.

    >>> from grpolab.validate.monitor.follow import Moment
    >>> progress_line(Moment(40, 16, 4, 0.02, None, 0.3125))
    'step 40: reward 0.312, 25% of 16 groups informative, evidence 0.02'
    """
    from grpolab.figures.words import number, percent, significant

    parts = [] if moment.reward is None else [f"reward {number(moment.reward)}"]
    if moment.num_groups:
        share = percent(moment.num_informative / moment.num_groups)
        if moment.num_low is not None:
            share = f"at most {share}"
        if moment.num_low:
            least = percent(moment.num_low / moment.num_groups)
            share = f"at least {least} (if rewards are 0 or 1) and {share}"
        parts.append(f"{share} of {moment.num_groups:g} groups informative")
    parts.append(f"evidence {significant(moment.evidence, digits=3)}")
    return f"step {moment.step}: {', '.join(parts)}"
