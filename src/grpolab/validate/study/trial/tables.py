"""Tables of the trial: what was fixed, and what came of it."""

from __future__ import annotations

from grpolab.figures.tables import Column, Table
from grpolab.figures.words import significant
from grpolab.validate.study.trial.protocol import Protocol


def designs(protocol: Protocol) -> Table:
    """Every design, in the order in which they are run."""
    return Table(
        [
            Column("design", words=True), "task", "data", Column("first class", significant),
            Column("noise", significant), "hidden x layers", "SFT", "depths", "steps",
            Column("lr", significant), "groups",
        ],
        [
            (
                d.name, d.task, d.data, d.first_share, d.noise, f"{d.hidden} x {d.layers}", d.sft,
                " ".join(map(str, d.depths)), d.steps, d.lr,
                f"{d.prompts_per_step} x {d.group_size}",
            )
            for d in protocol.designs
        ],
    )  # fmt: skip


def predictors(protocol: Protocol) -> Table:
    """Every predictor with its formula, and which of two values it prefers."""
    return Table(
        [Column("predictor", words=True), Column("formula", words=True), "known", "chosen"],
        [
            (name, row["formula"], row["kind"], "highest" if row["direction"] > 0 else "lowest")
            for name, row in protocol.words["predictors"].items()
        ],
    )


def claims(protocol: Protocol) -> Table:
    """Every claim, and what confirms or refutes it."""
    return Table(
        ["claim", Column("statement", words=True), Column("confirmed if", words=True),
         Column("refuted if", words=True)],
        [
            (row["id"], row["statement"] + (f" (bar: {row['bar']})" if "bar" in row else ""),
             row["confirmed_if"], row["refuted_if"])
            for row in protocol.words["claims"]
        ],
    )  # fmt: skip


def outcomes(protocol: Protocol) -> Table:
    """Every outcome and measure of a choice, with its formula."""
    rows = {**protocol.words["outcomes"], **protocol.words["measures"]}
    return Table(
        [Column("outcome or measure", words=True), Column("formula", words=True)], rows.items()
    )
