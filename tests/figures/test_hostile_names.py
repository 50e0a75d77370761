"""Pages of every command with names that try to be HTML, formulas, or orders to a terminal."""

from __future__ import annotations

import dataclasses
import html.parser
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grpolab.figures import page
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.audit.compare import compare
from grpolab.validate.audit.page import write_audit
from grpolab.validate.audit.summary import audit
from grpolab.validate.monitor.follow import Followed, Follower, find_source
from grpolab.validate.monitor.page import write_run
from grpolab.validate.monitor.state import MonitorConfig
from grpolab.validate.rollouts.table import Rollouts
from grpolab.validate.triage.page import write_triage
from grpolab.validate.triage.ranking import triage

sys.path.insert(0, str(Path(__file__).parents[1] / "validate" / "monitor"))
import run_files

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NAMES = {
    "html": '<script>alert(1)</script>"><img src=x onerror=alert(1)>--><svg onload=alert(1)>'
    "</title></style><iframe src=javascript:alert(1)>",
    "marks and control": "`<b>`**<i>**&lt;u&gt; $\\frac{1}{$ 100$ _x_ ^{ [/red][bold] {0} %s %(x)s"
    "\x1b[2J\x1b]0;pwned\x07\x00\u202egnp.\u2066\u2028\ud800"
    " \u4e2d\u6587 \u05e9 \N{GRINNING FACE}",
}
HARMLESS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li",
    "section", "figure", "figcaption", "div", "table", "thead", "tbody", "tr", "th", "td", "code",
    "strong", "details", "summary", "a", "svg", "g", "path", "defs", "use", "clippath", "rect",
    "metadata", "rdf:rdf", "cc:work", "dc:type", "dc:format", "dc:creator", "cc:agent", "dc:title",
    "lineargradient", "stop", "br", "text", "tspan", "image", "circle", "polygon",
}  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Tags, attributes and words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def check(path: Path, *, shows: str = "") -> None:
    """Only tags of our own, no handler of an event, no address, no character to be obeyed."""
    raw = path.read_bytes()
    text = raw.decode()
    assert all(line.isprintable() for line in text.split("\n")), "a control character"
    found = Reader()
    found.feed(text)
    assert found.tags <= HARMLESS, found.tags - HARMLESS
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    links = [value or "" for name, value in found.attributes if name in ("src", "href")]
    assert not [link for link in links if "alert" in link or link.startswith("java")]
    if shows:
        assert shows in "".join(found.words)


def shown(name: str) -> str:
    """What is left of a name on a page: its own marks are taken for marks."""
    return "" if "`" in name or not name.isprintable() else name


def table(rate: float, seed: int) -> Rollouts:
    rng = np.random.default_rng(seed)
    prompts, n = 12, 16
    size = prompts * n
    return Rollouts(
        prompt_id=np.repeat(np.arange(prompts), n),
        group=np.tile(np.arange(n) // 8, prompts),
        reward=(rng.random(size) < np.repeat(rng.beta(rate, 1, prompts), n)).astype(float),
        num_tokens=np.full(size, 3),
        truncated=np.zeros(size, dtype=bool),
        entropy=np.full(size, 0.3),
        logprob=-rng.gamma(2.0, 0.5, size),
        text_hash=rng.integers(0, 9, size),
        provenance=Provenance(source="made", sampling={"temperature": 1.0, "top_p": 1.0}),
    )


def write_audit_page(path: Path, name: str, folder: Path) -> None:
    counts = [
        GroupCounts([0, 1, 3, 4, 2], 4, prompt_id=np.arange(5), prompt_names={0: name, 1: name * 2})
        for _ in range(2)
    ]
    options = {"rng": 0, "format": name, "notes": (name,), "group_sizes": [4, 8]}
    found = [
        audit(c, label=f"{name}{i}", num_resamples=20, **options) for i, c in enumerate(counts)
    ]
    write_audit(path, found, compare(*found))


def write_triage_page(path: Path, name: str, folder: Path) -> None:
    runs = {f"{name}{i}": table(0.4 + i, seed=i) for i in range(2)}
    write_triage(path, triage(runs, task=name, group_size=8, rng=0))


def followed(folder: Path, name: str) -> Followed:
    run_files.grpolab(folder, dict.fromkeys(range(30), run_files.NONE))
    source = find_source(folder)
    assert source is not None
    found = Follower(source, MonitorConfig(min_signal=0.2, patience=5)).look()
    return dataclasses.replace(found, notes=[name], trainer=name)


def write_monitor_page(path: Path, name: str, folder: Path) -> None:
    write_run(path, followed(folder, name), name=name)


def write_study_page(path: Path, name: str, folder: Path) -> None:
    from grpolab.validate.study.config import preset
    from grpolab.validate.study.report import write_report
    from grpolab.validate.study.results import Finding, Results

    config = dataclasses.replace(preset("smoke"), preset=name)
    given = Results.read(RESULTS / "tune.json")
    results = dataclasses.replace(given, version=name, findings=(Finding("x", name),))
    write_report(config, results, out=folder)
    (folder / "report.html").rename(path)


def write_plain_page(path: Path, name: str, folder: Path) -> None:
    def draw(ax: object) -> None:
        ax.set_title("t")  # type: ignore[attr-defined]

    parts = [
        page.section(name, page.paragraph(name), page.paragraph(name, note=True)),
        page.details(name, page.findings([name])),
        page.table([name], [[name]], caption=name),
        page.figure(draw, caption=name, alt=name),
    ]
    page.write_page(path, title=name, lead=name, parts=parts)


WRITERS: dict[str, Callable[[Path, str, Path], None]] = {
    "audit": write_audit_page,
    "triage": write_triage_page,
    "monitor": write_monitor_page,
    "study": write_study_page,
    "parts": write_plain_page,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_page_shows_a_hostile_name_and_does_nothing_with_it(
    kind: str, name: str, tmp_path: Path
) -> None:
    WRITERS[kind](tmp_path / "page.html", name, tmp_path)
    check(tmp_path / "page.html", shows=shown(name))


def test_the_check_sees_what_gets_through(tmp_path: Path) -> None:
    for raw in ("<script>1</script>", "<p onclick=x>", "<a href=javascript:x>", "<p>\x1b</p>"):
        (tmp_path / "page.html").write_text(raw)
        with pytest.raises(AssertionError):
            check(tmp_path / "page.html")
