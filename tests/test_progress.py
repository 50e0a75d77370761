"""Progress: nothing for short jobs, and time left for long ones, on stderr only."""

from __future__ import annotations

import time

import pytest

from grpolab import progress
from grpolab.progress import ProgressBar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands where the test puts it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(4, note="4 jobs", every=15) as bar:
        for second, done in ((0, 0.0), (10, 0.5), (20, 1.0), (30, 2.0)):
            clock[0] = 100.0 + second
            bar.part("fit", done, finished=done == 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "4 jobs",
        " 25%  fit  (0:20 so far, about 1:00 left)",
        " 50%  fit done  (0:30 so far, about 0:30 left)",
    ]


def test_what_was_there_before_is_no_speed(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressBar(1, note="resumed") as bar:
        bar.part("run", 0.8)
        clock[0] += 20
        bar.part("run", 0.9)
    assert "about 0:20 left" in capsys.readouterr().err


def test_a_late_first_report_is_pace(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressBar(1, note="slow") as bar:
        clock[0] += 20
        bar.part("run", 0.2)
    assert "(0:20 so far, about 1:20 left)" in capsys.readouterr().err


def test_short_jobs_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(2, note="short", patience=60.0) as bar:
        bar.part("a", 1, finished=True)
        bar.part("b", 1, finished=True)
    assert capsys.readouterr() == ("", "")


def test_a_long_job_is_shown_before_its_first_part(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(1, note="long", patience=0.01):
        said, until = "", time.monotonic() + 10
        while not said and time.monotonic() < until:
            said = capsys.readouterr().err
            time.sleep(0.01)
    assert said == "long\n"


def test_a_bar_on_a_terminal(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with ProgressBar(2, note="work") as bar:
        bar.part("one", 1, finished=True)
        bar.part("two", 1, finished=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err
