"""A small decoder-only transformer of one of two standard architectures, built from scratch.

Llama (RMS norms, gated SiLU units, attention before the units, no biases) and GPT-NeoX (layer
norms, GELU units beside the attention on the same input, biases, rotary embedding of a quarter of
each head), as `transformers` has them, so a saved checkpoint loads with AutoModelForCausalLM and
AutoTokenizer and can be served by vLLM (head size 32). The tokenizer maps each white-space
separated word of a task to one token. (Not Qwen2: for that model type AutoTokenizer puts Qwen's own
pre-tokenizer in the place of the saved one, without a word.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
HEAD_DIM = 32
Architecture = Literal["llama", "gpt-neox"]


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """Size of the model; ``hidden`` must be a multiple of 32, the head size that vLLM serves."""

    hidden: int = 64
    layers: int = 2
    mlp_ratio: int = 2
    max_positions: int = 64
    arch: Architecture = "llama"

    def __post_init__(self) -> None:
        if self.arch not in get_args(Architecture):
            known = ", ".join(get_args(Architecture))
            raise ValueError(f"arch must be one of {known}, got {self.arch!r}")
        if self.hidden % HEAD_DIM:
            raise ValueError(f"hidden must be a multiple of {HEAD_DIM}, got {self.hidden}")


def build_tokenizer(vocabulary: Sequence[str]) -> Any:
    """Word-level tokenizer that puts <bos> in front and pads on the left."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [PAD, BOS, EOS, UNK, *vocabulary]
    if len(set(words)) != len(words):
        raise ValueError("vocabulary must hold distinct words and none of the special tokens")
    table = {word: i for i, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(table, unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, table[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_model(vocabulary: Sequence[str], config: TinyConfig, *, seed: int) -> tuple[Any, Any]:
    """A freshly initialised (model, tokenizer); the same seed gives the same weights."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(vocabulary)
    heads = config.hidden // HEAD_DIM
    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden,
        "intermediate_size": config.mlp_ratio * config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": heads,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model: Any
    if config.arch == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=heads))
    else:
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape))
    return model.float(), tokenizer
