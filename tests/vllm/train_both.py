"""Two trained models for the test that vLLM serves them; usage: train_both.py DIR.

``own`` is a run of the own loop, ``trl`` one of TRL with a LoRA adapter on ``start``, and
``merged`` that adapter worked into the weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

from peft import PeftModel
from typer.testing import CliRunner

from grpolab.cli import app
from grpolab.validate.models import TinyConfig, build_model, load_model, save_model
from grpolab.validate.study.tasks import make_task


def train(root: Path, name: str, *options: str) -> None:
    words = ["train", str(root / "start"), "--task", "coins", "--steps", "3", "--lr", "0.02",
             "--warmup", "1", "--prompts-per-step", "8", "-g", "4", "--entropy-coef", "0.1",
             "--out", str(root / name), *options]  # fmt: skip
    result = CliRunner().invoke(app, words)
    if result.exit_code:
        raise SystemExit(f"{name}: {result.output}{result.exception}")


def main(root: Path) -> None:
    task = make_task("coins", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=64, layers=2), seed=0)
    save_model(model, tokenizer, root / "start")
    train(root, "own")
    train(root, "trl", "--trainer", "trl", "--lora-rank", "4")
    base, tokenizer = load_model(root / "start")
    adapted = PeftModel.from_pretrained(base, root / "trl" / "final")
    save_model(adapted.merge_and_unload(), tokenizer, root / "merged")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
