"""The explorer as a page: self-contained, and in a real browser right, labelled and narrow."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpolab.figures.explorer import write_explorer
from grpolab.theory import (
    MODELS,
    PRESETS,
    critical_p,
    escape_time,
    expected_update,
    expected_variance,
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the PATH")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    write_explorer(path)
    return path


def ask(page: Path, code: str, *, address: str = "", width: int = 1100, ready: str = "true") -> Any:
    """What a script gives in a frame of that width, 200 ms after its first half and ``ready``.

    The browser's clock stops only for requests: a wait for something else is one of requests.
    """
    assert BROWSER is not None
    inner = page.with_name("inner.html")
    script = (
        # a browser without a screen draws frames at leisure, while its clock runs ahead
        "<script>window.errors = []; window.onerror = (m) => errors.push(m);"
        "window.requestAnimationFrame = (draw) => setTimeout(draw, 0);</script>",
        f"""<script>{code};
        function wait(number) {{
          const image = new Image();
          image.onerror = () => wait(number + 1);
          if ({ready}) setTimeout(() => parent.postMessage(after(), "*"), 200);
          else image.src = `none-${{number}}`;
        }}
        wait(0)</script>""",
    )
    text = page.read_text(encoding="utf-8").replace("<head>", "<head>" + script[0], 1)
    inner.write_text(text.replace("</body>", script[1] + "</body>"), encoding="utf-8")
    outer = page.with_name("outer.html")
    outer.write_text(
        f"<body><iframe src='inner.html#{address}' width={width} height=800></iframe>"
        "<pre></pre><script>onmessage = (e) =>"
        " { document.querySelector('pre').textContent = JSON.stringify(e.data); }</script>",
        encoding="utf-8",
    )
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update",
        "--virtual-time-budget=3000", f"--user-data-dir={page.parent / 'profile'}",
    )  # fmt: skip
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.search(r"<pre>(.+)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


READ = """
function after() {
  const exact = (id) => document.getElementById(id).value;
  const number = (id) => (exact(id) === "" ? null : Number(exact(id)));
  const ids = ["zero-std", "all-wrong", "all-right", "p-star", "variance", "weight", "escape"];
  return {
    ...Object.fromEntries(ids.map((id) => [id, number(id)])),
    errors, hash: location.hash, said: document.getElementById("said").textContent,
    shown: Object.fromEntries(ids.map((id) => [id, document.getElementById(id).textContent])),
    too_wide: document.documentElement.scrollWidth - innerWidth,
    chart: document.getElementById("share").clientWidth,
    paths: document.querySelectorAll("svg path").length,
    nan: document.querySelector(".results").innerHTML.includes("NaN"),
  };
}
"""


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<link|@import|url\(|\bsrc=|\bimport\b\s*[({'\"]|fetch\(", text)
    assert "$" + "models" not in text
    assert len(text) < 60_000
    assert sum(1 for name in PRESETS if f'value="{name}"' in text) == len(PRESETS)
    assert sum(1 for name in MODELS if f'value="{name}"' in text) == len(MODELS)


def test_one_write_is_like_the_next(page: Path, tmp_path: Path) -> None:
    write_explorer(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_every_control_has_a_name(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for tag in re.findall(r"<(?:input|select)\b[^>]*>", text):
        name = re.search(r'id="([^"]+)"', tag)
        assert name
        assert "aria-label=" in tag or f'<label for="{name[1]}">' in text, tag


@in_browser
@pytest.mark.parametrize(
    ("g", "p", "rho", "model", "rule"),
    [
        (8, 0.151, 0.2, "beta-binomial", "trl"),
        (16, 0.02, 0.1, "probit", "dr-grpo"),
        (64, 0.7, 0.45, "shock", "maxrl"),
    ],
)
def test_a_linked_setting_shows_what_the_library_says(
    page: Path, g: int, p: float, rho: float, model: Any, rule: str
) -> None:
    address = f"g={g}&p={p}&rho={rho}&model={model}&rule={rule}&rate=0.05"
    found = ask(page, READ, address=address)
    assert (found["errors"], found["nan"]) == ([], False)
    assert found["chart"] > 600
    law, chosen = MODELS[model](mean=p, rho=rho), PRESETS[rule]
    time = escape_time(chosen, p, 0.5, group_size=g, learning_rate=0.05) if p < 0.5 else None
    wanted = {
        "zero-std": law.prob_zero_std(g), "all-wrong": law.prob_all_wrong(g),
        "all-right": law.prob_all_right(g), "p-star": critical_p(g, rho=rho, model=model),
        "variance": expected_variance(p, g, rho=rho),
        "weight": expected_update(chosen, p, group_size=g), "escape": time,
    }  # fmt: skip
    for name, value in wanted.items():
        if value is None or np.isnan(value):
            assert found[name] is None, name
        else:
            assert found[name] == pytest.approx(float(value), rel=1e-9, abs=1e-9), name


@in_browser
def test_moving_a_slider_redraws_and_changes_the_address(page: Path) -> None:
    move = """
    const slider = document.getElementById("rho-slider");
    slider.value = "0.7";
    slider.dispatchEvent(new Event("input"));
    const size = document.getElementById("g");
    size.value = "4";
    size.dispatchEvent(new Event("input"));
    """
    found = ask(page, move + READ, address="g=8&p=0.5", width=360)
    assert found["errors"] == []
    assert "rho=0.7" in found["hash"]
    assert "g=4&" in found["hash"]
    assert found["shown"]["p-star"] == "no safe zone"
    assert found["zero-std"] == pytest.approx(
        MODELS["beta-binomial"](mean=0.5, rho=0.7).prob_zero_std(4).item(), abs=1e-9
    )
    assert found["said"].startswith(
        "Of 32 groups of 4, expect 23 without any signal, 50% of them all wrong;"
    )
    assert found["paths"] == 6
    assert found["chart"] > 300
    assert found["too_wide"] <= 0


RESULT = {
    "label": "eval </script><b>.csv", "num_prompts": 128, "num_samples": 2048,
    "mean_reward": 0.549, "icc": {"estimate": 0.94},
    "zero_std": {
        "4": {"predicted": 0.948, "low": 0.9, "high": 0.98, "mixed_per_1000_rollouts": 13.1},
        "16": {"predicted": 0.92, "low": 0.86, "high": 0.96, "mixed_per_1000_rollouts": 4.9},
    },
}  # fmt: skip
OWN = """
const shown = () => ({
  errors, g: document.getElementById("g").value, p: document.getElementById("p").value,
  rho: document.getElementById("rho").value,
  label: document.getElementById("own").selectedOptions[0].text,
  words: document.getElementById("own-words").textContent,
  said: document.getElementById("said").textContent,
  rows: [...document.querySelectorAll("#plan-rows tr")].map((row) => row.textContent),
  plan: document.getElementById("plan").hidden ? ""
    : document.getElementById("plan-note").textContent,
  paths: document.querySelectorAll("#share path").length,
  too_wide: document.documentElement.scrollWidth - innerWidth,
});
"""


@in_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_sliders_start_from_audited_results(tmp_path: Path, width: int) -> None:
    page = tmp_path / "explorer.html"
    write_explorer(page, [RESULT])
    found = ask(page, OWN + "const after = shown;", width=width)
    assert (found["errors"], found["too_wide"] <= 0) == ([], True)
    assert (found["g"], found["p"], found["rho"]) == ("4", "0.549", "0.94")
    assert found["label"] == RESULT["label"]
    assert found["said"].endswith(f"The samples of {RESULT['label']} say 30 (29 to 31).")
    assert found["rows"][0] == "494.8%90.0% to 98.0%94.6%13.176.3"
    assert found["plan"].startswith("Groups of 4 give the most mixed groups per rollout: 7,634")
    assert found["paths"] == 5
    linked = ask(page, OWN + "const after = shown;", address="g=8&p=0.2", width=width)
    assert (linked["g"], linked["p"], linked["label"]) == ("8", "0.2", RESULT["label"])
    assert "The samples" not in linked["said"]  # they have no groups of 8


@in_browser
@pytest.mark.parametrize("text", [json.dumps({"inputs": [RESULT, RESULT]}), "[1]", "no json"])
def test_results_are_dropped_on_the_page(page: Path, text: str) -> None:
    drop = f"""
    const bag = new DataTransfer();
    bag.items.add(new File([{json.dumps(text).replace("</", "<" + chr(92) + "/")}], "a.json"));
    window.dispatchEvent(new DragEvent("drop", {{ dataTransfer: bag, cancelable: true }}));
    const after = shown;
    """
    told = 'document.getElementById("own-words").textContent'
    found = ask(page, OWN + drop + f"const before = {told};", ready=f"{told} !== before")
    assert found["errors"] == []
    if "inputs" in text:
        assert (found["g"], len(found["rows"]), found["label"]) == ("4", 2, RESULT["label"])
    else:
        assert found["words"] == "a.json is no output of grpolab audit --json."
        assert (found["plan"], found["label"]) == ("", "none yet")


@in_browser
def test_an_address_out_of_range_is_brought_back(page: Path) -> None:
    found = ask(page, READ, address="g=9999&p=-3&rho=x&model=gauss&rule=sign&rate=7", width=360)
    assert (found["errors"], found["nan"]) == ([], False)
    assert found["all-wrong"] == pytest.approx(
        MODELS["beta-binomial"](mean=1e-4, rho=0.2).prob_all_wrong(1024).item(), abs=1e-9
    )
    assert found["weight"] == pytest.approx(2, rel=1e-9)
    assert "equal" in found["said"]
