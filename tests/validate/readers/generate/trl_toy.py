"""Write data/trl by running TRL's GRPOTrainer for six steps on a random model of two layers.

    pip install 'trl==1.16.0' 'transformers<6' torch datasets accelerate
    python tests/validate/readers/generate/trl_toy.py

Every second step trains again on the generations of the step before, and step 4 is evaluated, so
that the run has rows written twice and a file that an evaluation has overwritten. The rewards that
the trainer saw are kept in rewards.jsonl as the truth to compare with.
"""

import json
import shutil
import tempfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "trl"
TRUTH = []


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", *"0123456789+="]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def correct(prompts, completions, task_id, trainer_state, log_extra, **kwargs):
    log_extra("task_id", task_id)
    digits = [p.replace("=", "").split("+") for p in prompts]
    rewards = [
        float(str(int(a) + int(b))[-1] in c) for (a, b), c in zip(digits, completions, strict=True)
    ]
    TRUTH.append({"step": trainer_state.global_step, "task_id": task_id, "rewards": rewards})
    return rewards


def short(completions, **kwargs):
    return [1.0 / (1 + len(c)) for c in completions]


def main():
    import torch
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed
    from trl import GRPOConfig, GRPOTrainer

    set_seed(0)
    torch.set_num_threads(1)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, pad_token_id=0, eos_token_id=1,
        bos_token_id=1,
    )  # fmt: skip
    rows = [{"prompt": f"{a}+{b}=", "task_id": f"add/{a}-{b}"} for a in range(3) for b in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=8, num_generations=4,
            steps_per_generation=2, max_completion_length=6, max_steps=6, logging_steps=1,
            eval_strategy="steps", eval_steps=4, per_device_eval_batch_size=8, save_steps=6,
            log_completions=True, report_to="none", bf16=False, use_cpu=True, seed=0,
            gradient_checkpointing=False, disable_tqdm=True, loss_type="grpo",
            num_completions_to_print=0,
        )  # fmt: skip
        GRPOTrainer(
            model=LlamaForCausalLM(config), reward_funcs=[correct, short], args=args,
            train_dataset=Dataset.from_list(rows), eval_dataset=Dataset.from_list(rows[:4]),
            processing_class=words,
        ).train()  # fmt: skip
        shutil.rmtree(DATA, ignore_errors=True)
        shutil.copytree(Path(folder) / "completions", DATA / "completions")
        state = next(Path(folder).glob("checkpoint-*/trainer_state.json"))
        target = DATA / state.parent.name / state.name
        target.parent.mkdir()
        shutil.copy(state, target)
        (DATA / "rewards.json").write_text(json.dumps(TRUTH) + "\n")


if __name__ == "__main__":
    main()
