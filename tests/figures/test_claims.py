"""Every figure of the documentation: drawn whole, byte-stable, and as it stands in docs/figures."""

import io
import json
import re
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.figures import (
    forecast,
    ladder,
    monitor,
    render,
    sample_audit,
    shootout,
    spread,
    steps,
    throughput,
    weight,
)
from grpolab.figures.handbook import handbook
from grpolab.figures.registry import CLAIMS, find
from grpolab.figures.render import Claim
from grpolab.figures.style import styled
from grpolab.theory import critical_p

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
PICTURES = ROOT / "docs" / "figures"
SLOW = {"p-star", "trap", "kl", "escape"}  # seconds of simulation or root finding
BY_NAME = {"shootout", "throughput", "trial"}  # one row per name
SIZES = [4, 8, 64]

MADE_UP = {
    "p-star": {
        "rows": [
            {"group_size": g, "rho": 0.2, "predicted": p, "estimate": p, "low": p, "high": 1.1 * p}
            for g, p in zip(SIZES, (0.22, 0.14, 0.06), strict=True)
        ],
        "band": {"group_size": SIZES, "low": [0.21, 0.1, 0.01], "high": [0.23, 0.18, 0.17]},
    },
    "trap": {
        "group_size": SIZES, "critical_p": [0.159, 0.083, 0.0108],
        "rules": {
            name: {"derived": p, "played": p, "low": p, "high": [1.1 * v for v in p]}
            for name, p in (("Dr. GRPO", [0.027, 0.023, 0.021]), ("GRPO", [0.012, 0.008, 0.003]))
        },
    },
    "kl": {
        "p_ref": np.array([1e-8, 1e-4, 0.2]), "limit": np.array([13.0, 10.0, 2.0]),
        "limit_stable": np.array([False, False, True]),
        "finite": {g: np.full(3, 0.9 * (g - 1) ** 0.5) for g in (2, 4, 8, 64)},
        "ceiling": {g: (g - 1) ** 0.5 for g in (2, 4, 8, 64)},
    },
    "escape": [
        {"rule": rule, "p0": [0.005, 0.01, 0.05, 0.16], "exact": [800, 400, 90, 40],
         "mean_field": [790, 395, 90, 40], "start": [0.01], "mean": [401], "stderr": [3]}
        for rule in ("Dr. GRPO", "GRPO")
    ],
    "shootout": {
        "values": {
            p: {f"{task}/{r}": 0.1 for task in ("countdown", "boolean")
                for r in ("shift", "no-shift")}
            for p in ("depth", "held_out_nll_sft_class", "pass_at_1")
        },
        "labels": {"held_out_nll_sft_class": "held-out NLL, SFT class"},
    },
    "monitor": {
        "threshold": 100.0,
        "runs": {
            name: {"step": [1, 2, 3], "evidence": [1.0, 9.0, top], "stop": 3 if top > 100 else None}
            for name, top in (("plain", 0.1), ("outage", 0.2), ("grader rejects all", 300.0))
        },
    },
}  # fmt: skip
"""Data of the figures whose own are slow to make or may not be there."""


def load(claim):
    return MADE_UP[claim.name] if claim.name in MADE_UP else claim.load(RESULTS)


def drawn(claim, data):
    with styled():
        return render.picture(claim, data)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.name)
def test_whole_and_legible(claim):
    page = drawn(claim, load(claim))
    size = np.array(page.get_size_inches())
    page.canvas.draw()
    box = page.get_tightbbox()
    assert min(box.x0, box.y0) > -0.01, "something is cut off"
    assert np.all(np.array([box.x1, box.y1]) < size + 0.01), "something is cut off"
    words = [t for t in page.findobj(matplotlib.text.Text) if t.get_text() and t.get_visible()]
    smallest = min(t.get_fontsize() for t in words)
    assert smallest / size[0] >= 1.65, "below 8 pixels on a phone of 360"
    assert len(page.axes) == claim.panels
    assert page.axes[-1].get_xlabel()
    assert any(ax.get_ylabel() for ax in page.axes) or claim.name in BY_NAME


@pytest.mark.parametrize("name", ["weight", "shootout"])
def test_the_same_bytes_again(name, tmp_path):
    (claim,) = find([name])
    first, second = (render.render(claim, load(claim), out=tmp_path / d) for d in "ab")
    assert [p.name for p in first] == [f"{name}.svg", f"{name}.png"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
    svg, png = (p.read_bytes() for p in first)
    assert claim.sentence.encode() in svg
    assert b"dc:date" not in svg
    assert b"dc:creator" not in svg
    assert b"Software" not in png


def text_and_numbers(svg):
    """An SVG without its hashed names, and its numbers, which may differ in the last place."""
    svg = re.sub(r'(?<=["#])[a-z]\w*?[0-9a-f]{10}(?=[")])', "id", svg)
    numbers = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
    return numbers.sub("n", svg), np.array([float(n) for n in numbers.findall(svg)])


def check_committed(claim):
    page = drawn(claim, claim.load(RESULTS))
    made = io.StringIO()
    with styled():
        page.savefig(made, format="svg", metadata=render._metadata(claim, Path("a.svg")))
    kept = (PICTURES / f"{claim.name}.svg").read_text(encoding="utf-8")
    (text, numbers), (kept_text, kept_numbers) = map(text_and_numbers, (made.getvalue(), kept))
    assert text == kept_text
    np.testing.assert_allclose(numbers, kept_numbers, atol=0.02)


HERE = [claim for claim in CLAIMS if not claim.missing(RESULTS)]
pinned = pytest.mark.skipif(
    f"matplotlib=={version('matplotlib')}\n" not in (ROOT / "constraints.txt").read_text(),
    reason="pictures are drawn with the pinned matplotlib",
)


# write them again with: grpolab figures --out docs/figures && rm docs/figures/*.png
@pinned
@pytest.mark.parametrize("claim", [c for c in HERE if c.name not in SLOW], ids=lambda c: c.name)
def test_committed_picture_is_current(claim):
    check_committed(claim)


@pinned
@pytest.mark.slow
@pytest.mark.parametrize("claim", [c for c in HERE if c.name in SLOW], ids=lambda c: c.name)
def test_committed_simulation_is_current(claim):
    check_committed(claim)


def test_the_comparison_sees_a_moved_line():
    same = '<use xlink:href="#m0123456789" x="1.0001"/>'
    moved = '<use xlink:href="#mabcdef0123" x="1.1001"/>'
    (a, x), (b, y) = map(text_and_numbers, (same, moved))
    assert a == b
    assert abs(x - y).max() == pytest.approx(0.1)


def test_a_picture_for_every_figure_that_can_be_drawn():
    assert sorted(p.stem for p in PICTURES.iterdir()) == sorted(claim.name for claim in HERE)
    assert {p.suffix for p in PICTURES.iterdir()} == {".svg"}


def test_page_is_up_to_date():
    # rewrite it with: python -c "from pathlib import Path; from grpolab.figures.handbook import
    # handbook; Path('docs/figures.md').write_text(handbook(Path('docs/results')))"
    assert (ROOT / "docs" / "figures.md").read_text(encoding="utf-8") == handbook(RESULTS)


def test_page_says_what_is_not_there(tmp_path):
    page = handbook(tmp_path)
    assert "No picture yet: `full.json` is not there." in page
    assert "(figures/weight.svg)" in page
    assert "(figures/ladder.svg)" not in page


def test_find():
    assert find([]) == list(CLAIMS)
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    with pytest.raises(ValueError, match=r"no figure is called nothing; there are p-star, "):
        find(["weight", "nothing"])


def test_files_that_are_missing_or_of_another_kind(tmp_path):
    (claim,) = find(["ladder"])
    assert claim.missing(tmp_path) == claim.missing(None) == ["full.json"]
    for place in (tmp_path, None):
        with pytest.raises(UserError, match=r"ladder needs full\.json"):
            claim.load(place)
    (tmp_path / "full.json").write_text('{"findings": []}')
    with pytest.raises(UserError, match=r"full\.json: not what ladder reads \(KeyError"):
        claim.load(tmp_path)


def test_a_fault_of_the_program_is_no_fault_of_a_file():
    claim = Claim("n", "t", "s", "o", data=lambda: {}["x"], draw=lambda ax, data: None)
    with pytest.raises(KeyError):
        claim.load(None)


def test_spread_and_weight_hold_the_formulas():
    found = spread.data()
    curve = next(c for c in found["curves"] if c["rho"] == 0.2)
    assert curve["variance"][100] == pytest.approx(0.25 * 0.8 * 7 / 8)
    iid = found["curves"][0]
    at = float(np.interp(-0.5, -iid["zero_std"][:101], found["mean"][:101]))
    assert at == pytest.approx(float(critical_p(8)), abs=1e-3)
    weights = weight.data()
    assert weights["weights"][2] == pytest.approx(np.ones(120))
    assert weights["weights"][8][0] == pytest.approx(7**0.5, rel=0.01)
    assert weights["limit"][-1] == pytest.approx(2.0)


def test_sample_audit_counts_and_thins():
    rows = [{"problem": p, "correct": c} for p, cs in (("a", "0110"), ("b", "1111")) for c in cs]
    found = sample_audit.data(rows)
    assert found["problems"].tolist() == [0, 0, 1, 0, 1]
    assert found["thinned"] == pytest.approx([(1 / 3 + 1) / 2, 0.5, 0.5])
    assert found["mean_p"][0] == pytest.approx(0.75**2 + 0.25**2)
    with pytest.raises(ValueError, match="unpack"):
        sample_audit.data(rows[:-1])


def test_steps_shows_three_depths_of_the_first_family():
    depths = {str(d): {"measured": [d / 1000]} for d in (512, 8, 128, 32)}
    shown = steps.data({"families": {"t/a": depths, "t/b": {}}})
    assert shown["family"] == "a"
    assert list(shown["depths"]) == ["8", "128", "512"]


def test_committed_steps_belong_to_the_committed_study():
    table = json.loads((RESULTS / "steps.json").read_text())
    study = json.loads((RESULTS / "full.json").read_text())["families"]
    for name, depths in table["families"].items():
        window = study[name]["early_error"][0]
        mean = np.mean([np.mean(one["measured"][window["first"]:window["last"]])
                        for one in depths.values()])  # fmt: skip
        assert mean == pytest.approx(window["zero_std"]["measured"], abs=1e-4)


def test_committed_readers():
    mean = {"zero_std": 0.5, "zero_std/mean-p": 0.1, "zero_std/beta-binomial": 0.4,
            "zero_std/thinning": 0.5}  # fmt: skip
    rung = {"depth": 8, "num_seeds": 1, "mean": mean, "sd": {}, "start": ""}
    study = {"families": {"t/a": {"by_depth": [rung]}}}
    assert forecast.data(study)["mean-p"] == [(0.5, 0.1)]
    assert ladder.data(study) == {"t/a": [ladder.Rung(8, 1, mean, {})]}
    regret = {"depth": {"t/a": 0.25}}
    found = {"shootout": {"regret": {"final_pass_at_1": regret}}, "labels": {"depth": "SFT depth"}}
    assert shootout.data(found) == {"values": regret, "labels": {"depth": "SFT depth"}}


def test_the_threshold_is_the_monitors():
    from grpolab.validate.monitor import MonitorConfig

    threshold = monitor.data({"examples": {}})["threshold"]
    assert threshold == pytest.approx(1 / MonitorConfig().alpha)


def test_throughput_is_sorted():
    rows = {"a": {throughput.SPEED: 1.0}, "b": {throughput.SPEED: 2.0}}
    assert [row["name"] for row in throughput.data({"peers": rows})] == ["b", "a"]


def test_the_sentence_on_throughput_gives_the_measured_ratios():
    committed = json.loads((RESULTS / "benchmarks.json").read_text(encoding="utf-8"))
    speed = {row["name"]: row[throughput.SPEED] for row in throughput.data(committed)}
    ratio = {name: speed["grpolab"] / value for name, value in speed.items()}
    numpy = [value for name, value in ratio.items() if name.startswith("NumPy")]
    said = f"{min(numpy):.0f} to {max(numpy):.0f} times less"
    sentence = find(["throughput"])[0].sentence
    assert said in sentence
    assert f"{ratio['JAX']:.0f} times less than in JAX" in sentence
    assert f"{ratio['C, same algorithm']:.1f} times less than in C" in sentence
