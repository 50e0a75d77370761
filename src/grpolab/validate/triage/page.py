"""The triage as one HTML page: the answer, the picture, the numbers, the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpolab.figures import page
from grpolab.validate.audit.unsolved import unsolved
from grpolab.validate.triage.advice import advise_triage
from grpolab.validate.triage.ranking import TAU_H, Triage
from grpolab.validate.triage.tables import tables


def write_triage(path: Path, found: Triage) -> None:
    """Write the page; figures are inlined, so that the file stands alone."""
    g = found.group_size
    law = ", ".join(f"{name} {v}" for name, v in found.sampling.items() if v is not False)
    several = "s" if len(found.checkpoints) > 1 else ""
    parts = [
        page.takeaways(page_findings(found)),
        _figure(found),
        page.section("Numbers", *map(page.folded, tables(found))),
        *_unsolved(found),
        page.details("What the words mean", *map(page.paragraph, _words(found))),
    ]
    page.write_page(
        path,
        title=f"Which checkpoint has a signal for groups of {g}?",
        lead=f"{len(found.checkpoints)} checkpoint{several}, {found.num_prompts} prompts with"
        f" {found.samples} samples each; {law}.",
        parts=parts,
    )


def page_findings(found: Triage) -> list[str]:
    """The findings; several alarms are one sentence at first, so that the answer is seen, too."""
    said, number = advise_triage(found), len(found.suspicions)
    doubted = list(dict.fromkeys(one.label for one in found.suspicions if one.stands))
    if len(doubted) < 2:
        return said
    more = f" and {len(doubted) - 3} more" if len(doubted) > 3 else ""
    alarm = (
        f"**Do not trust the numbers of {', '.join(doubted[:3])}{more}**: tests of the sampler"
        " raised an alarm for each."
    )
    return [alarm, *said[number : number + 2], *said[:number], *said[number + 2 :]]


def _unsolved(found: Triage) -> list[str]:
    """The prompts that each checkpoint never solved."""
    tables = [(c.label, unsolved(c.audit.counts, found.group_size)) for c in found.checkpoints]
    parts = [page.details(label, table.html()) for label, table in tables if table is not None]
    return [page.section("Prompts never solved", *parts)] if parts else []


def _figure(found: Triage) -> str:
    height = 1.3 + 0.42 * len(found.checkpoints)
    caption = (
        f"Left: expected reward std of a group of {found.group_size}, with its 95% interval over"
        " prompts (at most 0.5). Middle: what becomes of the groups. Right: mean token entropy (or"
        " surprisal, its estimate, where the engine gives no entropy); the dotted line is"
        f" {TAU_H} nats, calibrated on one model family."
    )
    return page.figure(
        lambda axes: draw_checkpoints(axes, found),
        caption=caption, alt="signal of the checkpoints", size=(11.0, height), panels=3,
    )  # fmt: skip


def draw_checkpoints(axes: Any, found: Triage) -> None:
    """On three axes: signal, groups and entropy of the checkpoints, one line each."""
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
    right.set(xlabel=f"token {'entropy' if exact else 'surprisal'} (nats)")
    right.set_xlim(0, 1.1 * max([TAU_H, *(c.entropy for c in rows if c.entropy == c.entropy)]))
    style.name_parts(middle, ("all wrong", "mixed", "all right"))
    shown = style.short_names([c.label for c in rows])
    for ax in axes:
        names = shown if ax is left else [""] * len(y)
        ax.set_yticks(y, names, parse_math=False)  # a dollar sign in a name is no formula
        ax.set_ylim(-0.6, len(rows) - 0.4)


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
