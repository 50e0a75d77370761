"""The study's report: findings first, then the evidence, then what was chosen and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from grpolab.figures import forecast as forecast_figure
from grpolab.figures import ladder as ladder_figure
from grpolab.figures import page
from grpolab.figures import thresholds as threshold_figure
from grpolab.validate.study import causes_report, shootout_report, starts_report
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.findings import ladder_text
from grpolab.validate.study.summary import FORECASTS

Results = Mapping[str, Any]


def write_report(config: StudyConfig, results: Results, *, out: Path) -> None:
    """Write ``report.html`` from what ``results.json`` holds; nothing is recomputed."""
    lead = (
        f"Preset {config.preset}: {' and '.join(config.tasks)}, SFT depths"
        f" {', '.join(map(str, config.sft.depths))} steps,"
        f" {len(config.seeds)} seed{'s' if len(config.seeds) > 1 else ''}, groups of"
        f" {config.grpo.group_size}, {config.grpo.steps} GRPO steps. Written by grpolab"
        f" {results['version']}."
    )
    if "tuning" in results:
        parts = [page.findings(results["findings"]), _tuning(results["tuning"])]
    else:
        parts = _parts(config, results)
    page.write_page(
        out / "report.html",
        title="When does GRPO have a signal to learn from?",
        lead=lead,
        parts=parts,
    )


def _parts(config: StudyConfig, results: Results) -> list[str]:
    families: Mapping[str, Any] = results.get("families", {})
    return [
        page.findings(results["findings"]),
        page.section("What was done", *(page.paragraph(t) for t in TERMS)),
        *(_family(config, name, families[name], results["rows"]) for name in families),
        _signal(results),
        *([_early(config, results)] if families else []),
        *shootout_report.sections(results),
        *causes_report.sections(results),
        *starts_report.sections(results),
        *([_thresholds(results["thresholds"])] if "thresholds" in results else []),
        _choices(config),
    ]


def _family(
    config: StudyConfig, name: str, family: Results, rows: Sequence[Mapping[str, Any]]
) -> str:
    depths = family["by_depth"]

    def draw(axes: list[Any]) -> None:
        ladder_figure.draw(axes[0], depths, title="before and after RL")
        ladder_figure.draw_gain(axes[1], depths, title="what RL adds")
        ladder_figure.draw_entropy(axes[2], depths, title="what SFT does to the rollouts")

    picture = page.figure(
        draw, panels=3, size=(11.0, 3.9), alt=f"SFT ladder, {name}",
        caption="Dashed: before RL. Solid: at the end of RL with the same budget for every depth."
        + (" Bars: standard deviation over seeds." if len(config.seeds) > 1 else ""),
    )  # fmt: skip
    before = page.table(
        ["SFT steps", "pass@1", "greedy", "pass@10", "pass@64", "entropy / token",
         "entropy / answer", "distinct of g", "ICC", "zero-std", "all wrong", "all right",
         "NLL held out", "truncated"],
        [[d["depth"], *(d.get(m) for m in _BEFORE)] for d in depths],
        caption="Before RL, on held-out prompts of this family. Entropies and the negative"
        " log-likelihood (per answer, canonical answers) in nats; zero-std: share of groups with"
        " identical rewards, counted.",
    )  # fmt: skip
    after = page.table(
        ["SFT steps", "pass@1 before", "peak", "final", "gain", "pass@10 before", "peak", "final",
         "gain", "pass@64 before", "peak", "final", "pass@1 on RL prompts"],
        [[d["depth"], *(d.get(m) for m in _AFTER)] for d in depths],
        caption="After RL. The peak is over the evaluation schedule and includes step 0: it shows"
        " an inversion even if RL does nothing. Each prompt is scored at the step that the other"
        " prompts choose, so the peak is free of the winner's curse. The gain is final minus"
        " before, both from the full measurement.",
    )  # fmt: skip
    by_class = page.details("The same by prompt class", _by_class(config, name, rows))
    title = f"Family {name}: {REGIMES[family['regime']].summary}"
    verdict = page.paragraph(ladder_text(name, family))
    return page.section(title, verdict, picture, before, after, by_class)


_BEFORE = (
    "pass_at_1", "greedy", "pass_at_10", "pass_at_64", "token_entropy", "sequence_entropy",
    "distinct", "icc", "zero_std", "all_wrong", "all_right", "held_out_nll", "frac_truncated",
)  # fmt: skip
_AFTER = (
    "pass_at_1", "corrected_peak_pass_at_1", "final_pass_at_1", "gain_pass_at_1",
    "pass_at_10", "corrected_peak_pass_at_10", "final_pass_at_10", "gain_pass_at_10",
    "pass_at_64", "corrected_peak_pass_at_64", "final_pass_at_64", "train_pass_at_1",
)  # fmt: skip


def _by_class(config: StudyConfig, family: str, rows: Sequence[Mapping[str, Any]]) -> str:
    mine = [r for r in rows if r["family"] == family]
    lines = []
    for name in mine[0]["pre"]["by_class"]:
        for depth in config.sft.depths:
            runs = [r for r in mine if r["depth"] == depth]
            paths = [("pre", "by_class", name, *p) for p in _CLASS_PRE]
            paths += [("post", "by_class", name, p) for p in ("pass_at_1", "pass_at_10")]
            lines.append([name, depth, *(_mean(runs, path) for path in paths)])
    columns = [
        "class", "SFT steps", "pass@1", "greedy", "pass@10", "entropy / token",
        "entropy / answer", "distinct of g", "ICC", "zero-std", "all wrong", "all right",
        "at mean p", "thinning", "NLL held out", "final pass@1", "final pass@10",
    ]  # fmt: skip
    return page.table(columns, lines)


_CLASS_PRE = (
    ("pass_at_1",), ("greedy",), ("pass_at_10",), ("token_entropy",), ("sequence_entropy",),
    ("distinct",), ("icc",), ("observed", "zero_std"), ("observed", "all_wrong"),
    ("observed", "all_right"), ("predicted", "mean-p", "zero_std"),
    ("predicted", "thinning", "zero_std"), ("held_out_nll",),
)  # fmt: skip


def _mean(runs: Sequence[Mapping[str, Any]], path: Sequence[str]) -> float:
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        values.append(float(value))
    return sum(values) / len(values)


def _signal(results: Results) -> str:
    rows = results["rows"]
    points = {
        name: [
            (r["pre"]["observed"]["zero_std"], r["pre"]["predicted"][name]["zero_std"])
            for r in rows
        ]
        for name in FORECASTS
    }
    picture = page.figure(
        partial(forecast_figure.draw, points=points), size=(6.4, 3.8),
        alt="predicted against measured zero-std share",
        caption="One mark per checkpoint and forecast. Forecasts come from the first half of the"
        " samples of each held-out prompt, counts from groups of the second half.",
    )  # fmt: skip
    lines = []
    for name, family in results.get("families", {}).items():
        for d in family["by_depth"]:
            lines.append(
                [name, d["depth"], d["pass_at_1"], d["icc"], d["zero_std"],
                 *(d[f"zero_std/{f}"] for f in FORECASTS), d["variance"],
                 *(d[f"variance/{f}"] for f in FORECASTS)]
            )  # fmt: skip
    columns = [
        "family", "SFT steps", "mean p", "ICC", "zero-std counted", "at mean p", "beta-binomial",
        "thinning", "variance counted", "p(1-p)(g-1)/g", "x (1-ICC)", "thinning",
    ]  # fmt: skip
    table = page.table(columns, lines, digits=4) if lines else ""
    return page.section("Does the formula say which groups carry a signal?", picture, table)


def _early(config: StudyConfig, results: Results) -> str:
    depths = config.sft.depths
    shown = (depths[0], depths[len(depths) // 2], depths[-1])
    first = config.parsed[0].name
    picked = {
        r["depth"]: r["early"]
        for r in reversed(results["rows"])
        if r["family"] == first and r["depth"] in shown
    }

    def draw(axes: list[Any]) -> None:
        for ax, depth in zip(axes, shown, strict=True):
            early = picked[depth]
            forecast_figure.draw_steps(
                ax, early["measured"]["zero_std"], formula=early["mean-p"]["zero_std"],
                forecast={n: early["forecast"][n]["zero_std"] for n in FORECASTS},
                title=f"SFT depth {depth}",
            )  # fmt: skip
            ax.set_ylim(0, 1.02)
            if ax is not axes[0]:
                ax.set_ylabel("")
        axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    picture = page.figure(
        draw, panels=3, size=(11.0, 3.7), alt="zero-std share in the first RL steps",
        caption=f"Family {first}, seed {config.seeds[0]}: share of zero-std groups in the first RL"
        " steps (means of 5 steps). The formula is given each step's own mean reward; the other"
        " two were made before RL from rollouts on training prompts.",
    )  # fmt: skip
    lines = [
        [name, f"{w['from']} to {w['to']}", w[what]["measured"], *(w[what][f] for f in FORECASTS)]
        for what, name in (("zero_std", "zero-std share"), ("variance", "within-group variance"))
        for w in _all_windows(results)
    ]
    table = page.table(
        ["quantity", "steps", "measured", "miss: formula at mean p", "miss: beta-binomial",
         "miss: thinning"],
        lines, digits=4,
        caption="Mean over runs of the window's measured value and of the absolute miss of each"
        " forecast of it.",
    )  # fmt: skip
    return page.section("The first GRPO steps", picture, table)


def _all_windows(results: Results) -> list[dict[str, Any]]:
    """Windows averaged over families, which hold equally many runs each."""
    per_family = [family["early_error"] for family in results["families"].values()]
    out = []
    for windows in zip(*per_family, strict=True):
        entry: dict[str, Any] = {"from": windows[0]["from"], "to": windows[0]["to"]}
        for what in ("zero_std", "variance"):
            entry[what] = {
                key: sum(w[what][key] for w in windows) / len(windows) for key in windows[0][what]
            }
        out.append(entry)
    return out


def _thresholds(found: Results) -> str:
    identical = [r for r in found["rows"] if r["event"] == "identical"]
    picture = page.figure(
        partial(threshold_figure.draw, rows=identical), size=(6.4, 3.8),
        alt="p* against group size",
        caption="Lines: derived. Points: found by simulating"
        f" {found['num_groups']:,} groups at each mean tried, with {100 * found['level']:.0f} %"
        " intervals, without use of the formula.",
    )  # fmt: skip
    table = page.table(
        ["event", "g", "ICC", "derived", "simulated", "low", "high"],
        [
            [r["event"], r["group_size"], f"{r['rho']:g}", r["predicted"], r["estimate"], r["low"],
             r["high"]]
            for r in found["rows"]
        ],
        digits=4,
    )  # fmt: skip
    return page.section(
        "p*(g): the mean below which most groups carry no signal", picture,
        page.details("All thresholds, derived and simulated", table),
    )  # fmt: skip


def _choices(config: StudyConfig) -> str:
    table = page.table(["setting", "value", "how it was chosen"], _choice_rows(config))
    return page.section(
        "What was chosen, when and why", table,
        "<ul>" + "".join(f"<li>{page.text(t)}</li>" for t in LIMITS) + "</ul>",
    )  # fmt: skip


def _choice_rows(config: StudyConfig) -> list[list[str]]:
    flat = config.as_dict()
    rows = []
    for path, why in CHOICES.items():
        value: Any = flat
        for key in path.split("."):
            value = value[key]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append([f"`{path}`", shown, why])
    return rows


def _tuning(found: Results) -> str:
    depths = list(found["pre_pass_at_1"])
    rows: list[list[object]] = [["before RL", "", *(found["pre_pass_at_1"][d] for d in depths)]]
    rows += [
        [f"{e['lr']:g}", e["mean_final_pass_at_1"], *(e["final_pass_at_1"][d] for d in depths)]
        for e in found["table"]
    ]
    tenth = [[f"{e['lr']:g}", *(e["final_pass_at_10"][d] for d in depths)] for e in found["table"]]
    return page.section(
        "Learning rates on all depths",
        page.table(["rate", "mean", *(f"depth {d}" for d in depths)], rows,
                   caption="Final pass@1 on held-out prompts."),
        page.table(["rate", *(f"depth {d}" for d in depths)], tenth, caption="Final pass@10."),
    )  # fmt: skip


TERMS = (
    "A small decoder-only transformer is trained from scratch on a broad and partly wrong corpus of"
    " a task whose answers a program can verify and where most prompts have several right answers."
    " It is then fine-tuned (SFT) on a few demonstrations; checkpoints along that one trajectory"
    " are the depths of the ladder. From every depth the same GRPO run is started: same prompts,"
    " same number of steps, same learning rate.",
    "GRPO samples a group of g answers per prompt and learns from the differences of their rewards"
    " inside the group. If all g rewards are equal (a zero-std group, all wrong or all right) the"
    " prompt gives no signal in that step. The question is how many such groups there are, whether"
    " a formula can tell beforehand, and whether that says which depth to start RL from.",
    "pass@k is the chance that at least one of k answers is right. ICC is the intraclass"
    " correlation of the rewards: the share of their variance that lies between prompts. It is 0"
    " if all prompts are equally hard and 1 if every prompt is always right or always wrong.",
)

CHOICES: Mapping[str, str] = MappingProxyType(
    {
        "base.steps": "pilot: enough for pass@10 above .8 before SFT",
        "base.lr": "taken over from an earlier experiment, not tuned",
        "sft.depths": "beforehand: factors of 4, from a fraction of an epoch to 256 epochs",
        "sft.lr": "taken over from an earlier experiment, not tuned",
        "sft.batch_size": "taken over from an earlier experiment, not tuned",
        "grpo.lr": "pilot: best mean final pass@1 over all five depths among 3e-5, 1e-4, 3e-4,"
        " 1e-3 on a seed that no study uses (`grpolab study --preset tune`; table in"
        " docs/results/tune.json); too high a rate makes a collapse of its own",
        "grpo.steps": "beforehand: 500; 400, as in the source paper, where many runs are compared",
        "grpo.warmup": "beforehand; without it high rates wreck every depth",
        "grpo.group_size": "beforehand: that of the source paper, arXiv 2606.18487",
        "grpo.beta": "beforehand: no KL term, as in the source paper",
        "grpo.rule": "beforehand: TRL's advantages (group mean, ddof-1 standard deviation)",
        "grpo.prompts_per_step": "beforehand",
        "eval_prompts": "beforehand; held out from base training, SFT and RL",
        "num_samples": "beforehand",
        "seeds": "beforehand; a seed changes the split, all training and all sampling",
    }
)

LIMITS = (
    "The regimes were chosen beforehand to differ: a shift between SFT and RL prompts, none, a"
    " broad mix on which deep SFT can only memorise, and ample demonstrations, on which it need"
    " not. The first was known from an earlier experiment to show an inversion; that it appears"
    " says that it can happen, not that it must.",
    "A noisy base corpus (40 % wrong targets) was kept because without noise pass@1 does not rise"
    " with SFT depth, so that there is no dilemma to study.",
    "Intervals are over prompts. With one seed they say nothing about other seeds.",
    "The model is tiny and the answers are short. What is exact (the formulas, the forecasts from"
    " counts) carries over; which depth wins need not.",
)
