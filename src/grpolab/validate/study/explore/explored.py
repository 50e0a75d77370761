"""All that is explored, from the starts and runs of the committed studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpolab.validate.study.explore import (
    composition,
    exceed,
    forecasts,
    mechanisms,
    plastic,
    policy,
    reach,
)
from grpolab.validate.study.explore.courses import Courses
from grpolab.validate.study.explore.forecasts import Scored
from grpolab.validate.study.trial.counts import DesignCounts


def explored(
    designs: Sequence[Courses],
    scores: Sequence[Scored],
    *,
    trial: Sequence[DesignCounts] = (),
    pretrained: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Every answer by name, with the designs that it rests on and the scores of each.

    ``trial`` holds designs with measures of plasticity, ``pretrained`` the rows of
    `grpolab.validate.study.explore.pretrained`.
    """
    return {
        "designs": [one.name for one in designs],
        "composition": composition.compare(designs),
        "reach": reach.sweep(designs),
        "exceed_designs": exceed.by_design(designs),
        "exceed_prompts": exceed.by_prompt(designs),
        "exceed_classes": exceed.by_class(designs),
        "policy": policy.replay(designs),
        "mechanisms": mechanisms.compare(designs),
        "profile": mechanisms.profile(designs),
        "levels": forecasts.judged(scores),
        "plasticity": plastic.explain(trial),
        "pretrained": list(pretrained),
    }
