"""Models: a tiny standard transformer from scratch, and any Hugging Face causal LM."""

from grpolab.validate.models.load import load_model, load_tokenizer, save_model
from grpolab.validate.models.tiny import TinyConfig, build_model, build_tokenizer

__all__ = [
    "TinyConfig",
    "build_model",
    "build_tokenizer",
    "load_model",
    "load_tokenizer",
    "save_model",
]
