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
from grpolab.figures.tables import Table
from grpolab.figures.words import counted
from grpolab.validate.study import predictor_tables, result_tables
from grpolab.validate.study.config import StudyConfig
from grpolab.validate.study.cures import attempts
from grpolab.validate.study.families import REGIMES
from grpolab.validate.study.findings import ladder_text
from grpolab.validate.study.plain import to_plain
from grpolab.validate.study.record import Thresholds
from grpolab.validate.study.results import FamilySummary, Results, Shootout
from grpolab.validate.study.rows import FORECASTS, MAIN_OUTCOMES, QUANTITIES, Row, Window
from grpolab.validate.study.summary import mean_gap


def _model(config: StudyConfig) -> str:
    """The model in a few words."""
    if config.pretrained is None:
        return "a model trained from scratch"
    return f"pretrained model {Path(config.pretrained.path).name}"


def write_report(config: StudyConfig, results: Results, *, out: Path) -> None:
    """Write ``report.html`` from the results; nothing is recomputed."""
    lead = (
        f"Preset {config.preset}: {_model(config)}, {' and '.join(config.tasks)}, SFT depths"
        f" {', '.join(map(str, config.depths))} steps,"
        f" {counted(len(config.seeds), 'seed')}, groups of"
        f" {config.grpo.group_size}, {config.grpo.steps} GRPO steps. Written by grpolab"
        f" {results.version}."
    )
    said = page.takeaways(finding.text for finding in results.findings)
    if results.tuning:
        rates = page.section(
            "Learning rates on all depths", result_tables.tuning(results.tuning).html()
        )
        parts = [said, rates]
    else:
        parts = [said, *_lead_figure(config, results), *_parts(config, results)]
    page.write_page(
        out / "report.html",
        title="When does GRPO have a signal to learn from?",
        lead=lead,
        parts=parts,
    )


def _parts(config: StudyConfig, results: Results) -> list[str]:
    start = FROM_SCRATCH if config.pretrained is None else PRETRAINED
    told = (page.paragraph(t) for t in (start, LADDER, *TERMS))
    parts = [page.details("What was done, and what the words mean", *told)]
    parts += [
        _family(config, n, f, results.rows, drawn=place == 0)  # the first one is drawn on top
        for place, (n, f) in enumerate(results.families.items())
    ]
    parts.append(_signal(results))
    if results.families:
        parts.append(_early(config, results))
    if results.shootout:
        parts.append(_shootout(results.shootout))
    if results.calibration:
        table = predictor_tables.coverage(results.calibration)
        numbers = page.details("Every forecast", table.html())
        parts.append(page.section("Are the forecasts of the early steps calibrated?", numbers))
    if results.independence:
        found = results.independence
        parts.append(
            page.section(
                "Are the rewards of a group independent?",
                page.paragraph(found.verdict.text),
                page.details("Every checkpoint", predictor_tables.independence(found.rows).html()),
            )
        )
    for question, title in ARM_TITLES.items():
        if any(row.question == question for row in results.arms):
            rescue = question == "rescue"
            table = attempts(results.arms) if rescue else result_tables.arms(results.arms, question)
            parts.append(page.section(title, page.details("Every arm", table.html())))
    if results.forces:
        table = result_tables.forces(results.forces)
        numbers = page.details("Every force", table.html())
        parts.append(page.section("Which force moves p where there is no signal?", numbers))
    for task, starts in results.starts.items():
        parts.append(
            page.section(
                f"Starts that differ in their SFT data ({task})",
                page.details("Every start", predictor_tables.starts(starts).html()),
                page.details("Regrets", predictor_tables.start_regrets(starts).html()),
            )
        )
    if results.thresholds:
        parts.append(_thresholds(results.thresholds))
    return [*parts, _choices(config)]


ARM_TITLES = MappingProxyType(
    {
        "control": "Causal controls: the same weights, another entropy, support or selection",
        "rescue": "Attempts to save a start",
    }
)


def _lead_figure(config: StudyConfig, results: Results) -> list[str]:
    """The ladder of the first family."""
    return [_ladder(config, n, f) for n, f in list(results.families.items())[:1]]


def _ladder(config: StudyConfig, name: str, family: FamilySummary) -> str:
    rungs = family.by_depth

    def draw(axes: list[Any]) -> None:
        ladder_figure.draw(axes[0], rungs, title="before and after RL")
        ladder_figure.draw_gain(axes[1], rungs, title="what RL adds")
        ladder_figure.draw_entropy(axes[2], rungs, title="what SFT does to the rollouts")

    return page.figure(
        draw, panels=3, size=(11.0, 3.9), alt=f"SFT ladder, {name}",
        caption=f"Family {name}. Dashed: before RL. Solid: at the end of RL with the same budget"
        " for every depth."
        + (" Bars: standard deviation over seeds." if len(config.seeds) > 1 else ""),
    )  # fmt: skip


def _family(
    config: StudyConfig, name: str, family: FamilySummary, rows: Sequence[Row], *, drawn: bool
) -> str:
    rungs = family.by_depth
    before = result_tables.metrics(
        rungs, result_tables.BEFORE,
        "Before RL, on held-out prompts of this family. Entropies and the negative log-likelihood"
        " (per answer, canonical answers) in nats; zero-std: share of groups with identical"
        " rewards, counted; distinct: different answers among g.",
    )  # fmt: skip
    after = result_tables.metrics(
        rungs, result_tables.AFTER,
        "Before and after RL. The peak is over the evaluation schedule and includes step 0: it"
        " shows an inversion even if RL does nothing. Each prompt is scored at the step that the"
        " other prompts choose, so the peak is free of the winner's curse. The gain is final minus"
        " before, both from the full measurement.",
    )  # fmt: skip
    mine = [row for row in rows if row.family == name]
    by_class = result_tables.by_class(mine, config.depths).html()
    return page.section(
        f"Family {name}: {REGIMES[family.regime].summary}",
        page.paragraph(ladder_text(name, family)),
        "" if drawn else _ladder(config, name, family),
        page.details("Before RL", before.html()), page.details("After RL", after.html()),
        page.details("The same by prompt class", by_class),
    )  # fmt: skip


def _signal(results: Results) -> str:
    before = [row.before.measured for row in results.rows]
    points = {
        name: [(m.observed.zero_std, m.predicted[name].zero_std) for m in before]
        for name in FORECASTS
    }
    picture = page.figure(
        partial(forecast_figure.draw, points=points), size=(6.4, 3.8),
        alt="predicted against measured zero-std share",
        caption="One mark per checkpoint and forecast. Forecasts come from the first half of the"
        " samples of each held-out prompt, counts from groups of the second half.",
    )  # fmt: skip
    table = result_tables.signal(results.families).html() if results.families else ""
    numbers = page.details("The same by family", table) if table else ""
    return page.section("Does the formula say which groups carry a signal?", picture, numbers)


def _early(config: StudyConfig, results: Results) -> str:
    depths = config.depths
    shown = (depths[0], depths[len(depths) // 2], depths[-1])
    first = config.parsed[0].name
    picked = {
        row.depth: row.early
        for row in reversed(results.rows)
        if row.family == first and row.depth in shown
    }

    def draw(axes: list[Any]) -> None:
        for ax, depth in zip(axes, shown, strict=True):
            early = picked[depth]
            forecast_figure.draw_steps(
                ax, early.measured["zero_std"], formula=early.formula["zero_std"],
                forecast={n: early.forecast[n].zero_std for n in FORECASTS},
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
    table = result_tables.windows(_all_windows(results))
    return page.section("The first GRPO steps", picture, page.details("Errors", table.html()))


def _all_windows(results: Results) -> list[Window]:
    """Windows averaged over families, which hold equally many runs each."""
    per_family = [family.early_error for family in results.families.values()]
    return [
        Window(
            found[0].first, found[0].last,
            *(mean_gap([window.of(quantity) for window in found]) for quantity in QUANTITIES),
        )
        for found in zip(*per_family, strict=True)
    ]  # fmt: skip


def _shootout(found: Shootout) -> str:
    parts = [
        page.paragraph(
            "Depth itself is the baseline: on one ladder every quantity that is monotone in depth"
            " correlates with every other, so no correlation identifies a cause. Directions were"
            " fixed beforehand; depth chooses the shallowest.",
            note=True,
        )
    ]
    if found.standings:
        parts += [
            page.details(f"Ranks by {outcome}", predictor_tables.standings(table).html())
            for outcome in MAIN_OUTCOMES
            for table in [found.standings[outcome]]
        ]
        regrets = predictor_tables.regret_by_outcome(found)
        parts.append(page.details("Regret by outcome", regrets.html()))
    parts.append(page.details("What happened", predictor_tables.truth(found.truth).html()))
    for leave_out, per_outcome in found.transfer.items():
        tables = [predictor_tables.transfer(t, leave_out, o).html() for o, t in per_outcome.items()]
        parts.append(page.details(f"Out of sample: leave one {leave_out} out", *tables))
    for family in found.families:
        tables = [table.html() for table in predictor_tables.family_regrets(found, family)]
        parts.append(page.details(f"Family {family}", *tables))
    return page.section("Which number before RL picks the start?", *parts)


def _thresholds(found: Thresholds) -> str:
    identical = [to_plain(row) for row in found.rows if row.event == "identical"]
    picture = page.figure(
        partial(threshold_figure.draw, rows=identical), size=(6.4, 3.8),
        alt="p* against group size",
        caption="Lines: derived. Points: found by simulating"
        f" {found.num_groups:,} groups at each mean tried, with {100 * found.level:.0f}%"
        " intervals, without use of the formula.",
    )  # fmt: skip
    table = result_tables.thresholds(found).html()
    return page.section(
        "p*(g): the mean below which most groups carry no signal", picture,
        page.details("All thresholds, derived and simulated", table),
    )  # fmt: skip


def _choices(config: StudyConfig) -> str:
    table = Table(["setting", "value", "how it was chosen"], _choice_rows(config))
    return page.section(
        "What was chosen, when and why", page.details("Every setting", table.html()),
        "<ul>" + "".join(f"<li>{page.text(t)}</li>" for t in _limits(config)) + "</ul>",
    )  # fmt: skip


def _choice_rows(config: StudyConfig) -> list[list[str]]:
    flat = config.as_dict()
    rows = []
    for path, why in CHOICES.items():
        if config.pretrained and path.startswith("base."):
            continue
        value: Any = flat
        for key in path.split("."):
            value = value[key]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append([f"`{path}`", shown, why])
    return rows


FROM_SCRATCH = (
    "A small decoder-only transformer is trained from scratch on a broad and partly wrong corpus of"
    " a task whose answers a program can verify and where most prompts have several right answers."
)
PRETRAINED = (
    "A pretrained language model answers a task whose answers a program can verify. Depth 0 is the"
    " model as it is, without fine-tuning."
)
LADDER = (
    "The model is fine-tuned (SFT) on a few demonstrations; checkpoints along that one trajectory"
    " are the depths of the ladder. From every depth the same GRPO run is started: same prompts,"
    " same number of steps, same learning rate."
)
TERMS = (
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


def _limits(config: StudyConfig) -> tuple[str, ...]:
    """What a reader must not conclude."""
    return LIMITS if config.pretrained is None else LIMITS_OF_PRETRAINED


LIMITS = (
    "The regimes were chosen beforehand to differ: a shift between SFT and RL prompts, none, a"
    " broad mix on which deep SFT can only memorise, and ample demonstrations, on which it need"
    " not. The first was known from an earlier experiment to show an inversion; that it appears"
    " says that it can happen, not that it must.",
    "A noisy base corpus (40% wrong targets) was kept because without noise pass@1 does not rise"
    " with SFT depth, so that there is no dilemma to study.",
    "Intervals are over prompts. With one seed they say nothing about other seeds.",
    "The model is tiny and the answers are short. What is exact (the formulas, the forecasts from"
    " counts) carries over; which depth wins need not.",
)
LIMITS_OF_PRETRAINED = (
    "Intervals are over prompts. A study of few seeds says little about other seeds.",
    "The model is small, the answers are short and the RL runs are short. What is exact (the"
    " formulas, the forecasts from counts) carries over; which depth wins need not.",
)
