"""Pages for a keyboard, a screen reader and weak eyes: names, scopes, order, contrast, print."""

from __future__ import annotations

import html.parser
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

sys.path.insert(0, str(Path(__file__).parent))
from test_hostile_names import WRITERS

from grpolab.figures import page, style
from grpolab.figures.explorer import write_explorer

TEXT, SHAPE = 4.5, 3.0
"""The least contrast of letters and of what shows the focus (WCAG 2.2, level AA)."""
KINDS = [*WRITERS, "explorer"]


class Outline(html.parser.HTMLParser):
    """Every tag with its attributes and the tags around it."""

    VOID = frozenset({"meta", "input", "br", "use", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.found: list[tuple[str, dict[str, str], list[tuple[str, dict[str, str]]]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found.append((tag, given, list(self.open)))
        if tag not in self.VOID:
            self.open.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def all(self, *tags: str) -> list[tuple[str, dict[str, str], list[tuple[str, dict[str, str]]]]]:
        return [one for one in self.found if one[0] in tags]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One page of every kind, with an ordinary name."""
    folder = tmp_path_factory.mktemp("pages")
    for kind, write in WRITERS.items():
        write(folder / f"{kind}.html", "runs/step 8", folder / kind)
    write_explorer(folder / "explorer.html")
    return {kind: (folder / f"{kind}.html").read_text(encoding="utf-8") for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_screen_reader_finds_its_way(kind: str, pages: dict[str, str]) -> None:
    outline = Outline(pages[kind])
    assert [given.get("lang") for _, given, _ in outline.all("html")] == ["en"]
    assert len(outline.all("main")) == len(outline.all("h1")) == 1
    levels = [int(tag[1]) for tag, _, _ in outline.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert max(np.diff(levels), default=0) <= 1
    for _, given, _ in outline.all("th"):
        assert given.get("scope") in ("col", "row")
    for _, _, around in outline.all("table"):
        _, box = around[-1]
        assert (box.get("role"), box.get("tabindex")) == ("region", "0")
        assert box.get("aria-label") or box.get("aria-labelledby")
    for _, given, around in outline.all("svg"):
        assert given["role"] == "img"
        assert given.get("aria-label") or "aria-label" in pages["explorer"]
        assert around[-1][0] != "p"
    labelled = {given.get("for") for _, given, _ in outline.all("label")}
    for _, given, _ in outline.all("input", "select"):
        assert given.get("aria-label") or given["id"] in labelled
    for _, given, _ in outline.found:
        assert given.get("tabindex", "0") == "0"  # the order of the page is the order of the keys
    for _, given, around in outline.all("summary"):
        assert around[-1][0] == "details", given


@pytest.mark.parametrize("kind", KINDS)
def test_the_style_serves_keys_and_paper(kind: str, pages: dict[str, str]) -> None:
    css = pages[kind].partition("<style>")[2].partition("</style>")[0]
    assert ":focus-visible { outline: 3px" in css
    assert not re.search(r"outline: *(none|0)", css)
    paper = css[css.index("@media print") :]
    assert "details::details-content { content-visibility: visible" in paper


# ---- contrast


def luminance(colour: str | tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str | tuple[float, ...], other: str | tuple[float, ...]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def darkened(colour: str | tuple[float, ...]) -> tuple[float, ...]:
    """What the dark page makes of a colour of a picture: the filter of its style, step by step."""
    shown = 0.93 - 0.86 * np.array(to_rgb(colour))  # invert(.93)
    turn = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])
    shown = np.clip(turn @ shown, 0, 1)  # hue-rotate(180deg)
    return tuple(np.clip(1.3 * shown, 0, 1))


def variables(css: str) -> list[dict[str, str]]:
    """The colours of the light and of the dark page."""
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    return [dict(re.findall(r"--(\w+): (#[0-9a-f]+)", block)) for block in blocks]


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#777777", "#fff") < TEXT


def test_words_can_be_read_in_both_themes() -> None:
    light, dark = variables(page._STYLE)
    assert light.keys() <= dark.keys() | {"scheme"}
    for theme in (light, dark):
        for name in ("ink", "soft", "accent"):
            for ground in ("page", "wash"):
                assert contrast(theme[name], theme[ground]) >= TEXT, (name, ground)
        assert contrast(theme["focus"], theme["page"]) >= SHAPE


def test_words_of_the_explorer_can_be_read_in_both_themes(pages: dict[str, str]) -> None:
    css = pages["explorer"].partition("<style>")[2].partition("</style>")[0]
    own = css[css.index(".explorer {") :]
    light_rules, dark_rules = own.split("@media screen and (prefers-color-scheme: dark)", 1)
    light, dark = variables(css)
    names = ("solid", "dashed", "wrong", "right")
    for name in names:
        for rules, theme in ((light_rules, light), (dark_rules, dark)):
            found = re.search(rf"(?<![\w-])\.{name} \{{ color: (#\w+)", rules)
            assert found, name
            assert contrast(found[1], theme["page"]) >= TEXT, (name, theme)
    for fill in re.findall(r"svg \.inside-\w+ \{ fill: (#\w+)", light_rules):
        assert contrast(fill, light["page"]) >= TEXT
        assert contrast(darkened(fill), dark["page"]) >= TEXT


@pytest.mark.parametrize("name", ["BLUE", "ORANGE", "GREEN", "RED", "GREY", "PURPLE", "SKY"])
def test_names_of_lines_can_be_read(name: str) -> None:
    colour = style.ink(getattr(style, name))
    dark = variables(page._STYLE)[1]
    assert contrast(colour, "#fff") >= TEXT
    assert contrast(darkened(colour), dark["page"]) >= TEXT


def test_every_word_of_a_figure_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, object]] = []
    made = page.drawn

    def watched(*given: object, **named: object) -> object:
        figure = made(*given, **named)  # type: ignore[arg-type]
        texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text().strip()]
        seen.extend((t.get_text(), t.get_color()) for t in texts)
        return figure

    monkeypatch.setattr(page, "drawn", watched)
    for kind in ("audit", "triage", "monitor"):
        WRITERS[kind](tmp_path / "page.html", "runs/step 8", tmp_path / kind)
    assert len(seen) > 100
    pale = {text for text, colour in seen if contrast(colour, "#fff") < TEXT}  # type: ignore[arg-type]
    assert not pale
