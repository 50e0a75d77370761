"""The explorer: one HTML page that redraws the theory of a group as its sliders move.

The page computes by itself, in ``laws.js``; what comes from the library is shipped with it: the
advantage rules, the names of the models, and the quadrature. Tests hold ``laws.js`` to the library.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from grpolab.figures import page
from grpolab.store import jsonable
from grpolab.theory import MODELS, PRESETS, AdvantageRule
from grpolab.theory._numeric import unit_rule

_MODELS = {
    "iid": "independent (one prompt)",
    "beta-binomial": "beta-binomial",
    "copy": "copy: one draw for all",
    "common-source": "common source",
    "probit": "one-factor probit",
    "shock": "failure shock",
}
_SPELLED = {
    "grpo": "GRPO, the paper", "dr-grpo": "Dr. GRPO", "rloo": "RLOO", "maxrl": "MaxRL",
    "sign": "sign of the reward", "trl": "TRL", "skyrl": "SkyRL", "openrlhf": "OpenRLHF",
    "open-instruct": "open-instruct", "nemo-rl": "NeMo-RL", "prime-rl": "prime-rl",
}  # fmt: skip
_BASELINES = {
    "mean": "reward minus the group's mean",
    "leave-one-out": "reward minus the mean of the others",
    "none": "reward",
    "half": "reward minus 1/2",
}
_SCALES = {
    "none": "",
    "std": ", over the group's standard deviation",
    "leave-one-out-std": ", over the standard deviation of the others",
    "mean": ", over the group's mean",
    "half": ", times 2",
}


def write_explorer(path: Path, results: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the page; it needs no network and no other file.

    ``results`` are audited inputs, as `Audit.as_dict` gives them and ``grpolab audit --json``
    prints them: the page starts from the first and offers the others. Raises OSError where
    ``path`` cannot be written.
    """
    body = Template(_part("body.html")).substitute(
        models=_options({name: _MODELS.get(name, name) for name in ("iid", *MODELS)}),
        rules=_options({name: _SPELLED.get(name, name) for name in PRESETS}),
    )
    shipped = json.dumps(jsonable({**data(), "results": list(results)}), sort_keys=True)
    shipped = shipped.replace("<", "\\u003c")  # a label must not end the script
    script = f"const DATA = {shipped};\n{script_text()}"
    page.write_page(
        path,
        title="Will a group carry a signal?",
        lead="GRPO learns from a prompt only where its group of rollouts holds right and wrong"
        " answers. Move the sliders to see how often it does.",
        parts=[body, f"<script>\n{script}</script>"],
        style=_part("explorer.css"),
    )


def data() -> dict[str, Any]:
    """What the page's script takes from the library."""
    nodes, weights = unit_rule(16)
    return {
        "quadrature": {"nodes": nodes.tolist(), "weights": weights.tolist()},
        "rules": {name: _as_dict(rule) for name, rule in PRESETS.items()},
    }


def script_text() -> str:
    """The script of the page: the laws, the drawing, the controls."""
    return "\n".join(_part(name) for name in ("laws.js", "charts.js", "controls.js"))


def _as_dict(rule: AdvantageRule) -> dict[str, Any]:
    return {
        "baseline": rule.baseline, "scale": rule.scale, "ddof": rule.ddof, "eps": rule.eps,
        "words": _words(rule),
    }  # fmt: skip


def _words(rule: AdvantageRule) -> str:
    """A rule in words.

    >>> _words(PRESETS["trl"])
    "reward minus the group's mean, over the group's standard deviation (ddof 1, eps 0.0001)"
    >>> _words(PRESETS["dr-grpo"])
    "reward minus the group's mean"
    """
    marks = [f"ddof {rule.ddof}"] if "std" in rule.scale else []
    marks += [f"eps {rule.eps:g}"] if rule.eps else []
    return _BASELINES[rule.baseline] + _SCALES[rule.scale] + f" ({', '.join(marks)})" * bool(marks)


def _options(names: dict[str, str]) -> str:
    """Options of a <select>, a value and the words for it."""
    return "".join(
        f'<option value="{html.escape(name)}">{html.escape(words)}</option>'
        for name, words in names.items()
    )


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
