"""Styles of demonstrations, and the law that they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.validate.study.tasks import ProblemTask, coins, countdown, programs

MAKERS = {"coins": coins, "countdown": countdown, "programs": programs}


@pytest.fixture(params=sorted(MAKERS), scope="module")
def any_task(request: pytest.FixtureRequest) -> ProblemTask:
    return MAKERS[request.param](seed=3)


def test_short_and_long_demonstrations(any_task: ProblemTask) -> None:
    prompts = any_task.prompts("sft_broad")
    shown = {
        style: any_task.demonstrations(prompts, style=style, rng=np.random.default_rng(0))
        for style in ("short", "long")
    }
    for i, prompt in enumerate(prompts):
        lengths = [len(s.split()) for s in any_task.solutions(prompt)]
        assert shown["short"][i] in any_task.solutions(prompt)
        assert len(shown["short"][i].split()) == min(lengths)
        assert len(shown["long"][i].split()) == max(lengths)
    means = [np.mean([len(s.split()) for s in shown[style]]) for style in ("short", "long")]
    assert means[1] - means[0] >= (0 if any_task.name == "countdown" else 0.5)


def test_short_is_a_draw_among_all_of_the_shortest(any_task: ProblemTask) -> None:
    prompt = max(any_task.prompts("sft"), key=lambda p: len(any_task.solutions(p)))
    known = any_task.solutions(prompt)
    shortest = [s for s in known if len(s.split()) == min(len(k.split()) for k in known)]
    rng = np.random.default_rng(0)
    assert set(any_task.demonstrations([prompt] * 500, style="short", rng=rng)) == set(shortest)


def test_an_unknown_style_is_an_error(any_task: ProblemTask) -> None:
    with pytest.raises(ValueError, match="style must be one of canonical, random, short, long"):
        any_task.demonstrations(
            any_task.prompts("sft")[:1],
            style="best",  # type: ignore[arg-type]
            rng=np.random.default_rng(0),
        )
