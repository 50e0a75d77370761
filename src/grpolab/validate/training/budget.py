"""A task with the length of its completions, as training needs it."""

from __future__ import annotations

from typing import Any


class Budgeted:
    """Any task, with ``max_new_tokens`` set; everything else is the task's own."""

    def __init__(self, task: Any, *, max_new_tokens: int) -> None:
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be >= 1, got {max_new_tokens}")
        self._task = task
        self.max_new_tokens = max_new_tokens

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        return getattr(self._task, name)
