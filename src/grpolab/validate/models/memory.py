"""Memory: how much is free, how much a completion takes, and what running out of it looks like."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

_ALLOCATOR = ("can't allocate memory", "not enough memory", "out of memory")
_SHARE = 0.6
"""Share of what is free that may be planned for: allocators leave gaps."""
_MOST = 1024
"""Rows beyond which a batch gets no faster."""
_LAYERS_AT_WORK = 8
"""Copies of one layer's keys and values that a step makes: to append, to pick rows, for heads."""


def exhausted(err: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch's CPU allocator has no type for it."""
    if isinstance(err, MemoryError):
        return True
    said = str(err).lower()
    return isinstance(err, RuntimeError) and any(words in said for words in _ALLOCATOR)


def free_memory(device: Any) -> int | None:
    """Bytes that this process may still take on a torch device; None where that is not known."""
    import torch

    place = torch.device(device)
    if place.type == "cuda":
        free, _ = torch.cuda.mem_get_info(place)
        return int(free + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place))
    limits = [_available(), _group_left(), _address_space_left()]
    return min((limit for limit in limits if limit is not None), default=None)


def _available() -> int | None:
    """What the machine has left, without swapping."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _group_left() -> int | None:
    """What the control group of a container or a job has left, versions 2 and 1."""
    root = Path("/sys/fs/cgroup")
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):
            limit = (root / most).read_text(encoding="ascii").strip()
            return int(limit) - int((root / used).read_text(encoding="ascii"))
    return None


def _address_space_left() -> int | None:
    """What ``ulimit -v`` leaves."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return int(limit) - pages * resource.getpagesize()
    return None


def bytes_per_token(model: Any) -> int:
    """Bytes of the cache per token and row, measured on a pass over one token."""
    import torch

    with torch.inference_mode():
        ids = torch.zeros((1, 1), dtype=torch.long, device=model.device)
        cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    return sum(part.nbytes for part in held if torch.is_tensor(part))


def rows_that_fit(model: Any, length: int) -> int:
    """Completions of ``length`` tokens, prompts included, that fit in memory at once, 1 to 1024.

    Each takes its keys and values, the copies that a layer makes of its own, and its logits.
    """
    free = free_memory(model.device)
    if free is None:
        return _MOST
    try:
        per_token = bytes_per_token(model)
    except (RuntimeError, MemoryError) as err:
        if not exhausted(err):
            raise
        return 1
    config = model.config.get_text_config()
    layers = int(getattr(config, "num_hidden_layers", 1))
    cache = per_token * length * (1 + _LAYERS_AT_WORK / layers)
    logits = 2 * int(config.vocab_size) * model.dtype.itemsize
    return max(1, min(_MOST, int(_SHARE * free / (cache + logits))))
