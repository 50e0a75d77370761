"""The tables of a triage, for the terminal and the page alike."""

from __future__ import annotations

from functools import partial

from grpolab.figures import words
from grpolab.figures.tables import Column, Table
from grpolab.validate.estimate.sampler import SeedTest
from grpolab.validate.forecast.levels import levels
from grpolab.validate.forecast.pass_at_k import PassAtK
from grpolab.validate.triage.outcome import FOR_OUTCOME, SURE
from grpolab.validate.triage.pairs import CheckpointPair
from grpolab.validate.triage.ranking import TAU_H, Checkpoint, Triage

_four = partial(words.number, digits=4)


def tables(found: Triage) -> list[Table]:
    """All: the ranking, the outcome and its rules, groups, pairs, tests, entropies."""
    pairs = [_pairs(found)] if found.pairs else []
    return [
        _ranking(found),
        _levels(found),
        _outcomes(found),
        _groups(found),
        *pairs,
        _tests(found),
        _entropies(found),
    ]


def _ranking(found: Triage) -> Table:
    """The rules side by side: the paper's entropy rule, pass@1, pass@g, the expected signal."""
    g, several = found.group_size, len(found.checkpoints) > 1
    rows = []
    for c in found.checkpoints:
        plan = c.audit.plans[g]
        share = plan.prediction
        rows.append(
            [
                c.label,
                f"{words.number(c.entropy)}{' !' if c.entropy < TAU_H else ''}",
                _score(c, 1),
                _score(c, g),
                (plan.frac_mixed, 1 - share.high, 1 - share.low),
                1000 * plan.frac_mixed / g,
                c.signal[:3],
                *([c.signal.prob_best] if several else []),
            ]
        )
    columns: list[Column | str] = [
        "checkpoint", found.entropy_name, Column("pass@1", words.estimate),
        Column(f"pass@{g}", words.estimate), Column("informative groups", words.estimate),
        Column("per 1000 rollouts", words.count), Column("signal", words.estimate),
        *([Column("best", words.chance)] if several else []),
    ]  # fmt: skip
    caption = (
        f"In brackets 95% intervals over prompts. !: {found.entropy_name} below {TAU_H} nats."
        " `informative groups`: predicted share of groups with both outcomes. `signal`: mean over"
        " prompts of the expected reward std of a group."
    )
    if several:
        caption += (
            " `best`: chance that the checkpoint has the most, drawn back towards equality by as"
            " much as the spread of all of them calls for."
        )
    return Table(columns, rows, caption, title=f"Checkpoints, most signal at g={g} first")


def _score(c: Checkpoint, k: int) -> tuple[float, float, float] | None:
    score: PassAtK | None = c.audit.pass_at_k.get(k)
    return None if score is None else (score.value, score.low, score.high)


def _outcomes(found: Triage) -> Table:
    """The rules of `forecast_outcome` side by side, and who leads under each."""
    rows: list[list[object]] = [
        [c.label, *(rule.scores[i].estimate for rule in found.outcomes)]
        for i, c in enumerate(found.checkpoints)
    ]
    if len(found.checkpoints) > 1:
        rows.append(["highest", *(rule.verdict for rule in found.outcomes)])
    columns = [Column(rule.name, _score_or_words) for rule in found.outcomes]
    caption = (
        "Rules of docs/preregistration.md on the same samples, in brackets 95% intervals over"
        " prompts: they order starts and are no forecast of the level. `cannot tell`: the paired"
        " difference of the highest to some other checkpoint has p >= .05 (Bonferroni). The rules"
        " were found on held-out prompts; these are the prompts of --split."
    )
    return Table(
        [Column("checkpoint"), *columns], rows, caption, title="Rules for the outcome of RL"
    )


def _levels(found: Triage) -> Table:
    """What RL is to make of each checkpoint, with intervals out of task, and who ends highest."""
    rules = [rule for rule in found.outcomes if rule.name == FOR_OUTCOME[rule.k]]
    rows: list[list[object]] = [[c.label] for c in found.checkpoints]
    ends: list[object] = ["best start"]
    columns = [Column("checkpoint")]
    for rule in rules:
        columns += [
            Column(f"pass@{rule.k} after RL", _score_or_words),
            Column(f"best for pass@{rule.k}", _chance_or_words),
        ]
        for i, row in enumerate(rows):
            level = rule.scores[i].outcome
            row.append("cannot tell" if level is None else level[:3])
            row.append("cannot tell" if rule.best is None else rule.best[i])
        first = rule.likeliest
        ends += ["cannot tell" if first is None else found.checkpoints[first].label, ""]
    if len(rows) > 1:
        rows.append(ends)
    known = levels()
    steps = found.outcomes[0].scores[0].steps
    caption = (
        f"For {steps} RL steps, by pass@1 and the transport, from {known.basis}: models below a"
        " million weights, and SmolLM2-135M. In brackets 95% intervals for a task that none of them"
        " had. `best`: chance to end highest of these checkpoints; a start is named from"
        f" {SURE:g} on. `cannot tell` in a row: no design had a budget like this one."
    )
    return Table(columns, rows, caption, title="Forecast of the outcome of RL")


def _chance_or_words(value: object) -> str:
    return words.chance(value) if isinstance(value, float) else words.number(value)


def _score_or_words(value: object) -> str:
    return words.estimate(value) if isinstance(value, tuple) else words.number(value)


def _groups(found: Triage) -> Table:
    rows = []
    for c in found.checkpoints:
        plan, icc = c.audit.plans[found.group_size].prediction, c.audit.icc
        more = c.audit.outlook[found.group_size]
        rows.append(
            [
                c.label, (plan.zero_std, plan.low, plan.high),
                (plan.all_wrong, more.all_wrong.low, more.all_wrong.high),
                (plan.all_right, more.all_right.low, more.all_right.high),
                None if icc is None else (icc.estimate, icc.low, icc.high),
                f"{100 * c.frac_truncated:.1f}%",
            ]
        )  # fmt: skip
    columns: list[Column | str] = [
        "checkpoint",
        *(Column(name, words.estimate) for name in ("zero std", "all wrong", "all right", "ICC")),
        "truncated",
    ]
    caption = (
        f"Predicted shares of groups of {found.group_size} without a signal. `ICC`: correlation of"
        " two rewards of a prompt. `truncated`: completions that were cut off before their end."
    )
    return Table(columns, rows, caption, title="Groups without a signal")


def _pairs(found: Triage) -> Table:
    def verdict(p: CheckpointPair) -> str:
        return "equal" if p.equal else "more" if p.decided else "cannot tell"

    rows = [
        [
            f"{p.first} over {p.second}", (p.difference, p.low, p.high), p.prob_more, p.p_value,
            verdict(p), p.prompts_needed, p.samples_needed,
        ]
        for p in found.pairs
    ]  # fmt: skip
    columns = (
        "pair", Column("difference", words.estimate), Column("chance", words.chance),
        Column("p", words.p_value), "verdict", Column("prompts", words.count),
        Column("samples", words.count),
    )  # fmt: skip
    caption = (
        "Differences of signal, in brackets the intervals that hold for all pairs at once with 95%."
        " `chance` that the first has more, shrunk as `best` is. `p` and the verdict are corrected"
        " for the number of pairs (Holm): checkpoints that are equal get a winner in at most 5% of"
        f" triages. `equal`: the difference is below {found.margin:g}, by two one-sided tests."
        " `prompts` in total at the present samples, or `samples` per prompt at the present"
        " prompts, settle the pair one way or the other with chance 80%; a dash where it is"
        " settled, or where the samples of a prompt are too few to say."
    )
    return Table(columns, rows, caption, title="Which checkpoint has more signal?")


def _tests(found: Triage) -> Table:
    names = [
        name
        for name in (
            "groups",
            "duplicates",
            "copies",
            "positions",
            "order",
            "texts",
            "beginnings",
            "likelihood",
            "neighbours",
        )
        if name != "copies" or any(name in c.tests for c in found.checkpoints)
    ]
    rows = []
    for c in found.checkpoints:
        pair, copies = c.audit.independence, c.tests.get("duplicates")
        rows.append(
            [
                c.label,
                f"{pair.rho:+.3f}" if pair.identifiable else "not identifiable",
                copies.duplicate_rate if isinstance(copies, SeedTest) else None,
                copies.predicted if isinstance(copies, SeedTest) else None,
                *(c.tests[name].p_value if name in c.tests else None for name in names),
            ]
        )
    columns: list[Column | str] = [
        "checkpoint", "rho", Column("equal", _four), Column("predicted", _four),
        *(Column(f"{name}: p", words.p_value) for name in names),
    ]  # fmt: skip
    caption = (
        "`rho`: correlation of two rewards of a group beyond what the prompt explains. `equal`:"
        " share of equal pairs of completions of a prompt, against what their log-probabilities"
        " predict. `positions`: does the place of a sample in its request predict its reward?"
        " `order`, `texts`, `beginnings`: are rewards, completions, or their first tokens, more"
        " alike at some places than at others?"
        " `likelihood`: are later samples of a request more, or less, likely than earlier ones?"
        " `neighbours`: do completions of different requests begin alike more often than by chance?"
    )
    return Table(columns, rows, caption, title="Are these independent draws?")


def _entropies(found: Triage) -> Table:
    names = [name.replace("_", " ") for name in found.checkpoints[0].entropies._fields]
    rows = [[c.label, *c.entropies] for c in found.checkpoints]
    caption = (
        "Nats. `token entropy`: of the full next-token distribution, mean over drawn tokens (a dash"
        " where the engine gives only log-probabilities). `token surprisal`: the same, estimated"
        " from the log-probabilities of the drawn tokens. `sequence entropy`: of whole completions."
        " `answer entropy`: of their texts, estimated from repeats; a lower bound that cannot see"
        " much beyond log n for n samples. `collision rate`: chance that two completions are the"
        " same text."
    )
    return Table(["checkpoint", *names], rows, caption, title="Entropies")
