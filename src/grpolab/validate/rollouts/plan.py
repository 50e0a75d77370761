"""What a run is to draw, how it is cut into shards, and the manifest that pins both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpolab import __version__
from grpolab.files import SEAL
from grpolab.store import read_json
from grpolab.validate.models.load import (
    base_of,
    check_checkpoint,
    is_adapter,
    missing,
    quiet_transformers,
)
from grpolab.validate.rollouts.engine import EngineInfo
from grpolab.validate.rollouts.table import SamplingLaw

if TYPE_CHECKING:
    from grpolab.validate.tasks import Prompt, Task

MANIFEST = "manifest.json"
MAY_CHANGE = ("engine.model", "engine.settings.batch_rows", "verifier")
"""The same model may be reached by another path: its hash decides. Another verifier judges anew."""


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """``num_samples`` completions per prompt in groups of ``group_size``, at one law and seed.

    ``rows_per_shard`` completions go into a file (whole prompts, at least one). ``chat`` sends
    prompts through the chat template.
    """

    law: SamplingLaw
    num_samples: int
    group_size: int
    seed: int
    chat: bool = False
    rows_per_shard: int = 4096

    def __post_init__(self) -> None:
        for name in ("num_samples", "group_size", "rows_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if self.num_samples % self.group_size:
            raise ValueError(
                f"num_samples must be a multiple of group_size={self.group_size},"
                f" got {self.num_samples}"
            )

    def shards(self, num_prompts: int) -> list[range]:
        """Places of the prompts of every shard.

        >>> law = SamplingLaw(max_new_tokens=4)
        >>> plan = RolloutPlan(law, num_samples=8, group_size=8, seed=0, rows_per_shard=16)
        >>> plan.shards(5)
        [range(0, 2), range(2, 4), range(4, 5)]
        """
        size = max(1, self.rows_per_shard // self.num_samples)
        return [range(i, min(i + size, num_prompts)) for i in range(0, num_prompts, size)]


def manifest(
    plan: RolloutPlan, engine: EngineInfo, *, task: Task, prompts: Sequence[Prompt]
) -> dict[str, Any]:
    """Everything that the rollouts depend on, in plain JSON types."""
    return {
        "grpolab": __version__,
        "task": task.name,
        "verifier": task.verifier._asdict(),
        "num_prompts": len(prompts),
        "prompts_hash": prompts_hash(prompts),
        "sampling": plan.law.as_dict(),
        "num_samples": plan.num_samples,
        "group_size": plan.group_size,
        "seed": plan.seed,
        "chat": plan.chat,
        "rows_per_shard": plan.rows_per_shard,
        "engine": engine.as_dict(),
    }


def prompts_hash(prompts: Sequence[Prompt]) -> str:
    """Hash of ids and texts, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for prompt in prompts:
        line = f"{prompt.id}\0{prompt.text}\0{prompt.messages}\0"
        digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


_PARTS = (".safetensors", ".bin", ".json", ".model", ".jinja", ".txt")
_BLOCK = 1 << 22


def hash_files(paths: Iterable[Path]) -> str:
    """Hash names and contents of files, in the order of their names."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(paths, key=lambda p: p.name):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def model_hash(name: str | Path) -> str:
    """Identify a checkpoint: ``files:`` + a hash of its folder, or ``commit:`` + the hub's commit.

    UserError when there is no such folder and no such model on the hub or in its cache.
    """
    folder = Path(name)
    check_checkpoint(os.fspath(name))
    if is_adapter(folder):
        return f"{adapter_hash(folder)} on {model_hash(base_of(folder))}"
    if folder.is_dir():
        found = (p for p in folder.iterdir() if p.suffix in _PARTS and p.name != SEAL)
        files = [p for p in found if p.is_file()]
        return f"files:{hash_files(files)}"
    from transformers.utils import cached_file

    quiet_transformers()
    try:
        config = Path(str(cached_file(os.fspath(name), "config.json")))
    except Exception as err:  # not found, no network, no access: the hub client has many
        raise missing(os.fspath(name), err) from err
    return f"commit:{config.parent.name}"


def adapter_hash(folder: str | Path) -> str:
    """Hash of the files of a LoRA adapter."""
    found = (p for p in Path(folder).iterdir() if p.suffix in (".json", ".safetensors", ".bin"))
    return hash_files(p for p in found if p.name != SEAL)


def state_hash(model: Any) -> str:
    """Hash of a model in memory: ``state:`` + names, types and values of its parameters."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        plain = value.detach().cpu().contiguous()
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return f"state:{digest.hexdigest()}"


def describe_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """Class, size, special ids and a hash of the vocabulary and the chat template."""
    digest = hashlib.blake2b(digest_size=16)
    for word, index in sorted(tokenizer.get_vocab().items()):
        digest.update(f"{index}\0{word}\0".encode("utf-8", "surrogatepass"))
    digest.update(repr(getattr(tokenizer, "chat_template", None)).encode("utf-8", "surrogatepass"))
    return {
        "class": type(tokenizer).__name__,
        "size": len(tokenizer),
        "hash": digest.hexdigest(),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def known_tokenizer(
    run: Path | None, *, model_hash: str, versions: Mapping[str, str]
) -> dict[str, Any] | None:
    """What an earlier process of a run said of the tokenizer, None where it must be loaded.

    The hash of a model covers the files of its tokenizer, so at equal hashes and versions it is the
    same one, and a run that is finished need not load anything.
    """
    if run is None or not (run / MANIFEST).is_file():
        return None
    found = read_json(run / MANIFEST)
    engine = found.get("engine") if isinstance(found, dict) else None
    if not isinstance(engine, dict):
        return None
    if (engine.get("model_hash"), engine.get("versions")) != (model_hash, dict(versions)):
        return None
    return engine.get("tokenizer") or None
