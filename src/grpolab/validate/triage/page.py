"""The triage as one HTML page: the answer, the picture, the numbers, the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.figures import page
from grpolab.validate.triage.advice import advise_triage, chance
from grpolab.validate.triage.ranking import TAU_H, Checkpoint, Triage


def columns(found: Triage) -> list[str]:
    """Columns of `checkpoint_rows`."""
    return [
        "checkpoint", "pass@1", f"pass@{found.group_size}", "signal", "95 %", "best", "zero std",
        "ICC", found.entropy_name, "answer H", "truncated",
    ]  # fmt: skip


def checkpoint_rows(found: Triage) -> list[list[object]]:
    """One row per checkpoint, most signal first."""
    return [_row(c, found.group_size) for c in found.checkpoints]


def _row(c: Checkpoint, group_size: int) -> list[object]:
    scores, icc = c.audit.pass_at_k, c.audit.icc
    return [
        c.label,
        scores[1].value if 1 in scores else None,
        scores[group_size].value if group_size in scores else None,
        c.signal.value,
        f"{c.signal.low:.3f} to {c.signal.high:.3f}",
        chance(c.signal.prob_best),
        c.audit.plans[group_size].prediction.zero_std,
        None if icc is None else icc.estimate,
        c.entropy,
        c.entropies.answer_entropy,
        f"{100 * c.frac_truncated:.1f}%",
    ]


def write_triage(path: Path, found: Triage) -> None:
    """Write the page; figures are inlined, so that the file stands alone."""
    g = found.group_size
    law = ", ".join(f"{name} {v}" for name, v in found.sampling.items() if v is not False)
    parts = [
        page.findings(advise_triage(found)),
        page.section("Signal and entropy", _figure(found)),
        page.section("Checkpoints, most signal first", _table(found)),
    ]
    if found.pairs:
        parts.append(page.section("Who has more signal than whom?", _pair_table(found)))
    parts += [
        page.section("Are these independent draws?", _test_table(found)),
        page.section("Entropies", _entropy_table(found)),
        page.section("What the words mean", *map(page.paragraph, _words(found))),
    ]
    page.write_page(
        path,
        title=f"Which checkpoint has a signal for groups of {g}?",
        lead=f"{len(found.checkpoints)} checkpoint(s), {found.num_prompts} prompts with"
        f" {found.samples_per_prompt} samples each; {law}.",
        parts=parts,
    )


def _figure(found: Triage) -> str:
    height = 1.3 + 0.42 * len(found.checkpoints)
    caption = (
        f"Left: expected reward std of a group of {found.group_size}, with its 95 % interval over"
        " prompts (at most 0.5). Middle: what becomes of the groups. Right: mean token entropy (or"
        " surprisal, its estimate, where the engine gives no entropy); the dotted line is"
        f" {TAU_H} nats, calibrated on one model family."
    )
    return page.figure(
        lambda axes: _draw(axes, found), caption=caption, alt="signal of the checkpoints",
        size=(11.0, height), panels=3,
    )  # fmt: skip


def _draw(axes: Any, found: Triage) -> None:
    from grpolab.figures import style

    rows = list(reversed(found.checkpoints))
    y = list(range(len(rows)))
    left, middle, right = axes
    for i, c in zip(y, rows, strict=True):
        left.plot([c.signal.low, c.signal.high], [i, i], color=style.BLUE, lw=2)
        left.plot(c.signal.value, i, "o", color=style.BLUE, ms=5)
        plan = c.audit.plans[found.group_size].prediction
        start = 0.0
        for share, colour in zip(
            (plan.all_wrong, 1 - plan.zero_std, plan.all_right),
            (style.RED, style.BLUE, style.GREEN),
            strict=True,
        ):
            middle.barh(i, share, left=start, color=colour, height=0.6)
            start += share
        right.plot(c.entropy, i, "o", color=style.BLUE, ms=5)
    left.set(xlabel="expected signal", xlim=(0, None))
    middle.set(xlabel="share of groups", xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75])
    right.axvline(TAU_H, color="black", ls=":", lw=1)
    exact = found.entropy_name == "token H"
    right.set(xlabel=f"token {'entropy' if exact else 'surprisal'} (nats)", xlim=(0, None))
    for name, colour, place in (
        ("all wrong", style.RED, 0.0), ("mixed", style.BLUE, 0.42), ("all right", style.GREEN, 0.72)
    ):  # fmt: skip
        middle.text(place, 1.02, name, color=colour, transform=middle.transAxes, fontsize=8)
    for ax in axes:
        ax.set_yticks(y, [c.label for c in rows] if ax is left else [""] * len(y))
        ax.set_ylim(-0.6, len(rows) - 0.4)


def _table(found: Triage) -> str:
    caption = (
        "`signal`: mean over prompts of the expected reward std of a group. `best`: share of"
        " bootstrap resamples of the prompts in which the checkpoint is highest. `zero std`:"
        " predicted share of groups without a signal."
    )
    return page.table(columns(found), checkpoint_rows(found), caption=caption)


def _pair_table(found: Triage) -> str:
    rows = [
        [
            f"{p.first} over {p.second}", p.difference, chance(p.prob_more),
            "yes" if p.decided else "equal" if p.equal else "no",
            _count(p.prompts_needed), _count(p.samples_needed),
        ]
        for p in found.pairs
    ]  # fmt: skip
    caption = (
        "`chance`: share of bootstrap resamples of the prompts in which the first has more signal."
        " `prompts` at the present samples, or `samples` per prompt at the present prompts, would"
        " settle the pair with chance 80 % if the difference is the one measured; a dash: settled,"
        " or below 0.005 and not worth it."
    )
    names = ["pair", "difference", "chance", "settled", "prompts", "samples"]
    return page.table(names, rows, caption=caption)


def _count(number: float) -> str | None:
    if number != number:
        return None
    return "no number" if number == float("inf") else f"{number:,.0f}"


def _test_table(found: Triage) -> str:
    rows: list[list[object]] = []
    for c in found.checkpoints:
        pair, copies, places = c.groups, c.duplicates, c.positions
        rows.append(
            [
                c.label,
                f"{pair.rho:+.3f}" if pair.identifiable else "not identifiable",
                _p(pair.p_value),
                None if copies is None else f"{copies.duplicate_rate:.4f}",
                None if copies is None else f"{copies.predicted:.4f}",
                None if copies is None else _p(copies.p_value),
                None if places is None else _p(places.p_value),
            ]
        )
    caption = (
        "`rho`: correlation of two rewards of a group beyond what the prompt explains. `equal`:"
        " share of equal pairs of completions of a prompt, against what their log-probabilities"
        " predict. `place`: does the place of a sample in its request predict its reward?"
    )
    names = ["checkpoint", "rho", "p", "equal", "predicted", "p", "place: p"]
    return page.table(names, rows, caption=caption)


def _p(value: float) -> str | None:
    return None if value != value else f"{value:.2g}"


def _entropy_table(found: Triage) -> str:
    names = found.checkpoints[0].entropies._fields
    rows = [[c.label, *c.entropies] for c in found.checkpoints]
    caption = (
        "Nats. `token entropy`: of the full next-token distribution, mean over drawn tokens (a dash"
        " where the engine gives only log-probabilities). `token surprisal`: the same, estimated"
        " from the log-probabilities of the drawn tokens. `sequence entropy`: of whole completions."
        " `answer entropy`: of their texts, estimated from repeats; a lower bound that cannot see"
        " much beyond log n for n samples. `collision rate`: chance that two completions are the"
        " same text."
    )
    return page.table(["checkpoint", *(n.replace("_", " ") for n in names)], rows, caption=caption)


def _words(found: Triage) -> list[str]:
    g = found.group_size
    return [
        f"A group of {g} completions whose verdicts are all equal has zero standard deviation: its"
        " advantages are 0 and GRPO learns nothing from it. The signal of a prompt is the expected"
        f" standard deviation over all groups of {g}, estimated without bias from its samples; it"
        " is half the mean absolute advantage of std-normalised GRPO.",
        f"The threshold of {TAU_H} nats on the token entropy comes from one model family"
        " (arXiv 2606.18487) and from plain sampling at temperature 1; it is shown and not used in"
        " the ranking.",
    ]
