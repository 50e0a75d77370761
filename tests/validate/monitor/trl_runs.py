"""Tiny real GRPOTrainer runs for the tests of the callback, in this process or on two ranks."""

from __future__ import annotations

import sys
from pathlib import Path

WORDS = ["<pad>", "<eos>", *"0123456789+="]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def trainer(folder, rewards, *, callbacks, steps=30, batch=16, evaluate=False, **options):
    """A GRPOTrainer on a random model of two layers; 4 rollouts per prompt."""
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, set_seed
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(1)
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, pad_token_id=0, eos_token_id=1,
        bos_token_id=1,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": f"{a}+{b}="} for a in range(4) for b in range(4)])
    defaults = {"save_strategy": "no", "logging_steps": 1, "report_to": "none"}
    args = GRPOConfig(
        output_dir=str(folder), per_device_train_batch_size=batch, num_generations=4,
        max_completion_length=4, max_steps=steps, bf16=False, use_cpu=True,
        seed=0, gradient_checkpointing=False, disable_tqdm=True, loss_type="grpo",
        learning_rate=1e-3, dataloader_pin_memory=False, **{**defaults, **options},
    )  # fmt: skip
    made = GRPOTrainer(
        model=LlamaForCausalLM(config), reward_funcs=rewards, args=args, train_dataset=rows,
        eval_dataset=rows if evaluate else None, processing_class=tokenizer(), callbacks=callbacks,
    )  # fmt: skip
    made.remove_callback(PrinterCallback)
    return made


def reject(completions, **_):
    """A grader that rejects everything."""
    return [0.0] * len(completions)


def two_ranks(folder):
    """The body of a test on two processes: 6 rollouts each, so that a group of 4 is cut."""
    from grpolab.validate.monitor import GroupSignalMonitor

    monitor = GroupSignalMonitor("stop", patience=5, min_signal=0.2)
    made = trainer(folder, monitor.watch(reject), callbacks=[monitor], batch=6)
    made.train()
    rank = made.accelerator.process_index
    groups = monitor.monitor.state.num_groups
    Path(folder, f"rank{rank}.txt").write_text(f"{made.state.global_step} {groups:g}")


if __name__ == "__main__":
    from grpolab.validate.training.ending import leave, process_group

    with process_group():
        two_ranks(sys.argv[1])
    leave(0)
