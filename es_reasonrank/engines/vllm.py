"""vLLM in this process: its async engine, so that every query's windows join whatever batch is running."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.adapters import Adapter, find_adapter
from es_reasonrank.engines.base import Completion, Finish, NextToken, Request
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.local import (
    Loaded,
    LocalEngine,
    LocalOptions,
    identity_of,
    permutation_of,
    whole,
)
from es_reasonrank.engines.logits import finite
from es_reasonrank.engines.tokens import ChatTokenizer, quiet
from es_reasonrank.errors import EngineError, MissingError

_PERMUTATIONS = "es_reasonrank.engines.vllm_permutation:PermutationLogits"
_PERMUTATIONS_V2 = "es_reasonrank.engines.vllm_permutation_v2:PermutationLogitsV2"


class VllmOptions(LocalOptions):
    """Which model, and how it is loaded."""

    adapter: str | None = Field(None, description="LoRA adapter on top of the model: Hugging Face name or folder.")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share the model.")
    gpu_memory: float = Field(0.9, gt=0, le=1, description="Share of a GPU's memory that may be used.")
    eager: bool = Field(False, description="Whether graph capture is left out: loads sooner, generates slower.")


class VllmEngine(LocalEngine):
    """vLLM's own scheduler batches what comes in at any moment."""

    options_model: ClassVar = VllmOptions

    def __init__(self, options: VllmOptions) -> None:
        super().__init__(options, lambda: _load(options))
        self._numbers = itertools.count()

    async def generate(self, request: Request) -> Completion:
        """One request to the running batch; a caller that goes away takes its request along."""
        loaded = await self._loaded.get()
        ids = await self._encoded(request)
        reply = await self._run(loaded, ids, _parameters(request, loaded.tokenizer))
        finish = Finish.LENGTH if reply.finish_reason == "length" else Finish.STOP
        completion = Completion(reply.text, finish, prompt_tokens=len(ids), generated_tokens=len(reply.token_ids))
        return whole(completion, request, "vllm")

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """One step, whose token is thrown away; vLLM returns the log-probabilities of exactly the tokens asked for."""
        from vllm import SamplingParams

        loaded = await self._loaded.get()
        ids = await self._encoded(request)
        tokens = loaded.tokenizer.singles(choices, request.prefix)
        reply = await self._run(loaded, ids, SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=tokens))
        told = reply.logprobs[0]
        logprobs = finite([told[token].logprob if token in told else math.nan for token in tokens], "vllm")
        return NextToken(logprobs, prompt_tokens=len(ids), generated_tokens=len(reply.token_ids))

    async def _run(self, loaded: Loaded, ids: list[int], parameters: Any) -> Any:
        """The finished reply to a prompt."""
        from vllm.v1.engine.exceptions import EngineDeadError

        final = None
        try:
            stream = loaded.model.generate(
                {"prompt_token_ids": ids},
                parameters,
                request_id=f"window-{next(self._numbers)}",
                lora_request=loaded.adapter,
            )
            async for output in stream:
                final = output
        except EngineDeadError as error:
            raise EngineError("vllm's own process has died; its log says why; start again", engine="vllm") from error
        except Exception as error:
            raise EngineError(f"vllm failed: {_said(error)}", engine="vllm") from error
        if final is None or final.outputs[0].finish_reason not in ("stop", "length"):
            raise EngineError("vllm broke off before its reply was complete", engine="vllm", retryable=True)
        return final.outputs[0]

    async def aclose(self) -> None:
        """Stop vLLM's own processes."""
        loaded = await self._loaded.take()
        if loaded is not None:
            await asyncio.to_thread(loaded.model.shutdown, 2.0)
            # Its finalizer shuts down once more, at the interpreter's end, when its module is half gone.
            loaded.model.shutdown = _nothing


def _load(options: VllmOptions) -> Loaded:
    for name, value in (("LOGGING_LEVEL", "ERROR"), ("NO_USAGE_STATS", "1"), ("CPU_KVCACHE_SPACE", "2")):
        os.environ.setdefault(f"VLLM_{name}", value)
    try:
        quiet()
        from vllm.lora.request import LoRARequest
    except ImportError as error:
        raise MissingError("engine vllm needs vLLM; run: pip install 'es-reasonrank[vllm]'") from error
    path = resolve(options.model)
    tokenizer = ChatTokenizer(path, options.revision)
    adapter = find_adapter(options.adapter) if options.adapter else None
    try:
        engine = _engine(options, path, adapter)
    except Exception as error:
        raise EngineError(f"vllm cannot load {options.model}: {_said(error)}", engine="vllm") from error
    config = engine.model_config
    commit = getattr(config.hf_config, "_commit_hash", None) or options.revision
    return Loaded(
        model=engine,
        tokenizer=tokenizer,
        context=config.max_model_len,
        identity=identity_of(options.model, path, commit, dtype=config.dtype, adapter=adapter),
        adapter=LoRARequest(adapter.name, 1, adapter.path) if adapter else None,
    )


def _engine(options: VllmOptions, path: str, adapter: Adapter | None) -> Any:
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    arguments = AsyncEngineArgs(
        model=path,
        revision=options.revision,
        max_model_len=options.context,
        dtype=options.dtype,
        tensor_parallel_size=options.tensor_parallel,
        gpu_memory_utilization=options.gpu_memory,
        enforce_eager=options.eager,
        enable_prefix_caching=True,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        logits_processors=[_PERMUTATIONS],
        enable_lora=adapter is not None,
        max_lora_rank=adapter.slot if adapter else 16,
    )
    config = arguments.create_engine_config()
    # vLLM has two model runners, each with an interface of its own for logits processors.
    if getattr(config, "use_v2_model_runner", False):
        config.model_config.logits_processors = [_PERMUTATIONS_V2]
    return AsyncLLM.from_vllm_config(config, disable_log_stats=True)


def _nothing() -> None:
    """What is left to shut down."""


def _said(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _parameters(request: Request, tokenizer: ChatTokenizer) -> Any:
    from vllm import SamplingParams

    drawn = request.sampling
    path = permutation_of(request, tokenizer)
    return SamplingParams(
        extra_args={"permutation": (path.first, path.later, path.end)} if path else None,
        max_tokens=request.max_tokens,
        temperature=drawn.temperature,
        top_p=drawn.top_p,
        top_k=drawn.top_k,
        min_p=drawn.min_p,
        seed=drawn.seed,
        stop=list(request.stop),
        include_stop_str_in_output=True,
    )
