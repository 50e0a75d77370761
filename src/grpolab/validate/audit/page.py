"""The audit as one HTML page: what it found first, then the pictures and the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grpolab.figures import page
from grpolab.figures.words import counted
from grpolab.theory.zero_std import prob_zero_std
from grpolab.validate.audit.advice import advise
from grpolab.validate.audit.advice_pairs import advise_comparison
from grpolab.validate.audit.compare import Difference
from grpolab.validate.audit.headline import headline, usual_size
from grpolab.validate.audit.plan import bounds
from grpolab.validate.audit.summary import Audit
from grpolab.validate.audit.tables import cover, facts, gaps, plans, side_by_side
from grpolab.validate.audit.unsolved import unsolved
from grpolab.validate.forecast.law import ModelLaw, fit_law
from grpolab.validate.forecast.zero_std import ZeroStdPrediction, predict_zero_std

_CURVES = 4
"""Up to so many inputs are drawn as curves; more have a row each."""
_CURVE = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)


def write_audit(path: Path, audits: Sequence[Audit], differences: Sequence[Difference]) -> None:
    """Write the page; figures are inlined, so that the file stands alone."""
    parts = [page.findings(headline(audits, differences)), _overview(audits)]
    if len(audits) > 1:
        parts.append(_side_by_side(audits, differences))
    for audit in audits:
        parts.append(_one(audit, alone=len(audits) == 1))
    total = sum(a.num_samples for a in audits)
    page.write_page(
        path,
        title="Where will the groups carry a signal?",
        lead=f"{len(audits)} input{'s' if len(audits) > 1 else ''}, {total:,} verdicts. A group of"
        " rollouts whose rewards are all equal has zero standard deviation and teaches GRPO"
        " nothing.",
        parts=parts,
    )


def _overview(audits: Sequence[Audit]) -> str:
    """One figure for all inputs that can be drawn."""
    drawn = [audit for audit in audits if audit.plans and audit.mixture is not None]
    if not drawn:
        return ""
    if len(drawn) == 1:
        caption = (
            f"On the left: {_rates_caption(drawn[0])} On the right: {_share_caption(drawn[0])}"
        )
    elif len(drawn) > _CURVES:
        caption = (
            "Left: share of prompts that were never, sometimes and always solved. Right: share of"
            f" groups without a signal, with 95% intervals, at {_sizes_drawn(drawn)}."
        )
    else:
        caption = (
            "Left: share of prompts whose observed success rate is at most p. Right: share of"
            " groups without a signal at the planned group sizes, with 95% intervals."
        )
    return page.figure(
        lambda axes: draw_sides(axes, drawn), caption=caption, size=sides_size(drawn), panels=2,
        alt="success rates of the prompts, and share of zero-std groups against the group size",
    )  # fmt: skip


def _side_by_side(audits: Sequence[Audit], differences: Sequence[Difference]) -> str:
    tables = [side_by_side(audits), *([gaps(differences)] if differences else [])]
    said = advise_comparison(differences)
    words = []
    if said:
        words = [page.details(counted(len(said), "comparison"), page.findings(said))]
    return page.section("Comparison", *words, *(page.folded(t) for t in tables if t.rows))


def _one(audit: Audit, *, alone: bool) -> str:
    basis = page.paragraph(", ".join(facts(audit)) + ".")
    said = advise(audit)
    parts = [page.details(counted(len(said), "finding"), page.findings(said))]
    if audit.plans:
        parts.append(page.folded(plans(audit)))
        parts += [
            page.folded(t) for t in [unsolved(audit.counts, usual_size(audit))] if t is not None
        ]
    if audit.mixture is not None and not (alone and audit.plans):
        parts.append(_figure(audit, _draw_rates, "Success rates of the prompts", _rates_caption))
        parts.append(_figure(audit, _draw_share, "Zero-std groups", _share_caption))
    if (curve := cover(audit)) is not None:
        parts.append(page.folded(curve))
        parts.append(_figure(audit, _draw_cover, "Cover@tau", _cover_caption))
    if len(audit.pass_at_k) > 1:
        parts.append(_figure(audit, _draw_pass, "pass@k", _pass_caption))
    return page.section(audit.label, basis, *_notes(audit), *parts)


def _notes(audit: Audit) -> list[str]:
    return [page.paragraph(f"Note: {w}.", note=True) for w in audit.warnings]


def _figure(audit: Audit, draw: Any, title: str, caption: Any) -> str:
    picture = page.figure(lambda ax: draw(ax, audit), caption=caption(audit), alt=title)
    return page.details(f"Figure: {title}", picture)


def _draw_rates(ax: Any, audit: Audit) -> None:
    from grpolab.figures import style

    rate = audit.counts.by_prompt().rate
    bars = min(20, int(audit.counts.by_prompt().num_samples.max()))
    edges, share = (np.arange(bars + 2) - 0.5) / bars, np.full(len(rate), 1 / len(rate))
    ax.hist(rate, bins=edges, weights=share, color=style.SKY, label="observed rates")
    fit = audit.mixture
    assert fit is not None
    ax.vlines(fit.support, 0, fit.weight, color=style.BLUE, lw=1.5, label="mixture (NPMLE)")
    for g, plan in audit.plans.items():
        ax.axvline(plan.critical_p_prompt, color=style.RED, lw=0.8, ls=":")
        ax.text(plan.critical_p_prompt, 0.98, f"g={g}", rotation=90, fontsize=7, va="top",
                ha="right", color=style.ink(style.RED),
                transform=ax.get_xaxis_transform())  # fmt: skip
    ax.set(xlabel="success rate p of a prompt", ylabel="share of prompts", xlim=(-0.03, 1.03))
    style.legend_below(ax)


def draw_sides(axes: Any, audits: Sequence[Audit]) -> None:
    """On two axes: success rates of the first audit's prompts, and zero-std shares against g.

    Several audits share both axes: the rates as cumulative shares, the forecasts with intervals.
    More than four have a row each: prompts never, sometimes and always solved, and one forecast.
    """
    from grpolab.figures.style import name_legend

    left, right = axes
    if len(audits) == 1:
        _draw_rates(left, audits[0])
        _draw_share(right, audits[0])
        return
    if len(audits) > _CURVES:
        _draw_rows(left, right, audits)
        return
    lines = []
    for audit in audits:
        rate = np.sort(audit.counts.by_prompt().rate)
        share = [0.0, *np.arange(1, len(rate) + 1) / len(rate), 1.0]
        (line,) = left.step([0.0, *rate, 1.0], share, where="post")
        lines.append(line)
        plans = [plan.prediction for plan in audit.plans.values()]
        errors = [[p.zero_std - p.low for p in plans], [p.high - p.zero_std for p in plans]]
        right.errorbar(
            list(audit.plans), [p.zero_std for p in plans], np.maximum(errors, 0.0),
            color=line.get_color(), marker="o", ms=4, capsize=3,
        )  # fmt: skip
    sizes = sorted({g for audit in audits for g in audit.plans})
    left.set(xlabel="success rate p of a prompt", ylabel="share of prompts up to p")
    right.set(xlabel="group size g", ylabel="share of zero-std groups", ylim=(0, 1.02))
    right.set_xscale("log")
    right.set_xticks(sizes, [str(g) for g in sizes])
    right.minorticks_off()
    name_legend(left, lines, [audit.label for audit in audits])


def sides_size(audits: Sequence[Audit]) -> tuple[float, float]:
    """Width and height in inches that `draw_sides` needs."""
    return 11.0, (1.4 + 0.3 * len(audits)) if len(audits) > _CURVES else 4.4


def _draw_rows(left: Any, right: Any, audits: Sequence[Audit]) -> None:
    from grpolab.figures import style

    rows = range(len(audits), 0, -1)
    kinds = ("never solved", "sometimes", "always")
    for y, audit in zip(rows, audits, strict=True):
        start = 0.0
        colours = (style.RED, style.BLUE, style.GREEN)
        for number, colour in zip(audit.solved, colours, strict=True):
            left.barh(y, number / audit.num_prompts, left=start, color=colour, height=0.6)
            start += number / audit.num_prompts
        p = audit.plans[usual_size(audit)].prediction
        right.plot([p.low, p.high], [y, y], color=style.BLUE, lw=2)
        right.plot(p.zero_std, y, "o", color=style.BLUE, ms=5)
    style.name_parts(left, kinds)
    names = style.short_names([audit.label for audit in audits])
    left.set_yticks(list(rows), names, parse_math=False)
    right.set_yticks(list(rows), [""] * len(audits))
    left.set(xlabel="share of prompts", xlim=(0, 1), ylim=(0.4, len(audits) + 0.6))
    right.set(
        xlabel=f"share of zero-std groups at {_sizes_drawn(audits)}", xlim=(0, 1),
        ylim=(0.4, len(audits) + 0.6),
    )  # fmt: skip


def _sizes_drawn(audits: Sequence[Audit]) -> str:
    """The group sizes that rows of a figure show, nearest to 8.

    One for all, in general; inputs may differ in what is planned.
    """
    sizes = sorted({usual_size(audit) for audit in audits})
    return f"g={', '.join(map(str, sizes))}"


def _rates_caption(audit: Audit) -> str:
    return (
        "Observed success rates, and the atoms of the mixture that explains the counts best. Left"
        " of a dotted line a group of that size has zero standard deviation more often than not."
    )


def _curve_points(audit: Audit) -> list[int]:
    return sorted(set(_CURVE) | set(audit.plans))


def _draw_share(ax: Any, audit: Audit) -> None:
    from grpolab.figures import style

    sizes = np.array(_curve_points(audit))
    mean = float(audit.counts.by_prompt().rate.mean())
    if audit.icc is not None:
        bands = [bounds(int(g), mean, audit.icc) for g in sizes]
        ax.fill_between(sizes, [float(b.low) for b in bands], [float(b.high) for b in bands],
                        color="#e6e9ee", label="this mean and correlation")  # fmt: skip
    found = [_forecast(audit, int(g)) for g in sizes]
    ax.fill_between(sizes, [f.low for f in found], [f.high for f in found], color=style.SKY,
                    alpha=0.35, label="95% interval")  # fmt: skip
    ax.plot(sizes, [f.zero_std for f in found], color=style.BLUE, label="forecast")
    ax.plot(sizes, prob_zero_std(mean, sizes), color=style.ORANGE, ls="--", label="from mean p")
    known = {f.group_size: f for f in found if f.method == "thinning"}
    shares = [f.zero_std for f in known.values()]
    ax.plot([*known], shares, "o", ms=4, color="black", label="measured (thinning)")
    ax.plot(sizes, [f.all_wrong for f in found], color=style.RED, lw=1, ls=":", label="all wrong")
    ax.plot(sizes, [f.all_right for f in found], color=style.GREEN, lw=1, ls=":", label="all right")
    ax.set(xlabel="group size g", ylabel="share of zero-std groups", ylim=(0, 1.02), xscale="log")
    ax.set_xticks([2, 4, 8, 16, 32, 64], [2, 4, 8, 16, 32, 64])
    ax.minorticks_off()
    style.legend_below(ax)


def _forecast(audit: Audit, group_size: int) -> ZeroStdPrediction:
    """What the table says of a planned size, and the same forecast of any other."""
    if group_size in audit.plans:
        return audit.plans[group_size].prediction
    return predict_zero_std(audit.counts, group_size, rng=0, num_resamples=200)


def _share_caption(audit: Audit) -> str:
    return (
        "Share of groups without a signal against the group size, as in the table. Points need no"
        " model; the line continues them by a law of p; the blue band is the 95% interval of the"
        " line, the grey band what the mean and a correlation within its interval allow; the dashed"
        " line is what the mean alone would say."
    )


def _draw_cover(ax: Any, audit: Audit) -> None:
    from grpolab.figures import style

    found, law = audit.cover, fit_law(audit.counts, "smoothed mixture")
    assert found is not None
    assert isinstance(law, ModelLaw)
    assert law.weight is not None
    rate = np.asarray(law.model.mean)
    above = np.append(np.cumsum(law.weight[::-1])[::-1], 0.0)
    ax.fill_between(found.tau, found.low, found.high, color=style.SKY, alpha=0.35, step="post",
                    label="95% band, all tau at once")  # fmt: skip
    ax.step(np.append(rate, 1.0), above, where="pre", color=style.BLUE, label="smoothed mixture")
    ax.set(xlabel="tau", ylabel="share of prompts with p >= tau", xlim=(0, 1), ylim=(0, 1.02))
    ax.legend()


def _cover_caption(audit: Audit) -> str:
    return (
        "Cover@tau: the share of prompts that are solved with chance tau or more. pass@k, the"
        " zero-std share and the mean reward are weighted means of this curve. The band is what the"
        " counts allow for any law of p, drawn at the tau of the table."
    )


def _draw_pass(ax: Any, audit: Audit) -> None:
    from grpolab.figures import style

    ks = sorted(audit.pass_at_k)
    rows = [audit.pass_at_k[k] for k in ks]
    ax.fill_between(ks, [r.low for r in rows], [r.high for r in rows], color=style.SKY, alpha=0.35)
    ax.plot(ks, [r.value for r in rows], "o-", ms=4, color=style.BLUE)
    ahead = {k: o.pass_at for k, o in audit.outlook.items() if o.pass_at is not None}
    for k, found in ahead.items():
        ax.plot(k, found.value, "o", ms=4, mfc="white", color=style.BLUE)
        ax.vlines(k, found.low, found.high, color=style.BLUE, lw=1)
    ks = [*ks, *ahead]
    ax.set(xlabel="k", ylabel="pass@k", xscale="log", ylim=(0, 1.02))
    ax.set_xticks(ks, ks)
    ax.minorticks_off()


def _pass_caption(audit: Audit) -> str:
    return (
        "pass@k with its 95% interval over prompts. Open points lie beyond the samples: a smoothed"
        " mixture, with an interval for any law of p."
    )
