"""A generator of reasoning-gym as a task of the study, judged by the generator's own grader."""

from __future__ import annotations

import numpy as np
import pytest

from grpolab.errors import UserError
from grpolab.validate.study.tasks import make_task


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "reasoning_gym", None)
    with pytest.raises(UserError, match=r"grpolab\[reasoning-gym\]"):
        make_task("spelling", seed=0)


def test_demonstrations_are_right_and_other_words_wrong() -> None:
    pytest.importorskip("reasoning_gym")
    task = make_task("spelling", seed=0)
    for split in ("sft", "sft_broad", "rl", "eval"):
        prompts = task.prompts(split)
        shown = task.demonstrations(prompts, style="random", rng=np.random.default_rng(0))
        assert all(task.verify(p, f" {a}") for p, a in zip(prompts, shown, strict=True))
        words = [p.text.split()[-1] for p in prompts]
        assert [task.verify(p, w) for p, w in zip(prompts, words, strict=True)] == [
            word.lower() == word.lower()[::-1] for word in words
        ]
    assert {p.label for p in task.prompts("sft")} == {"three"}
    assert [p.label for p in task.prompts("rl")[:2]] == ["three", "four"]
    assert not {p.text for p in task.prompts("eval")} & {p.text for p in task.prompts("base")}
