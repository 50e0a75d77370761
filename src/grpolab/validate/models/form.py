"""Which form of prompts a checkpoint of grpolab was trained on: plain text, or conversations."""

from __future__ import annotations

from pathlib import Path

from grpolab.store import read_json

RUN = "run.json"


def trained_in_chats(model: str | Path) -> bool | None:
    """Whether a checkpoint was trained on conversations; None where no run of ours says so.

    Read from the run folder that it lies in: ``depth-4`` of a ladder, ``final`` or
    ``checkpoints/step-50`` of a GRPO run.
    """
    folder = Path(model).resolve()
    for place in (folder.parent / RUN, folder.parent.parent / RUN):
        if not (folder.is_dir() and place.is_file()):
            continue
        found = read_json(place)
        kind = found.get("kind") if isinstance(found, dict) else None
        if kind == "grpolab-sft":
            return bool(found.get("conversations"))
        if kind == "grpolab-train":
            task = found.get("task") or {}
            return bool(task.get("chat") or task.get("conversations"))
    return None
