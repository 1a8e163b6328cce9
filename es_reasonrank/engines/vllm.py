"""vLLM in this process: its async engine, so that every query's windows join whatever batch is running."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.base import Capability, Completion, Finish, Request
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.tokens import ChatTokenizer, quiet
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked


class VllmOptions(Checked):
    """Which model, and how it is loaded."""

    model: str = Field(description="Hugging Face name, folder, or embedded:NAME.")
    revision: str | None = Field(None, description="Commit of the model.")
    context: int | None = Field(
        None, ge=1, description="Tokens of prompt and reply together; the model's own by default."
    )
    dtype: str = Field("auto", description="auto, bfloat16, float16 or float32.")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share the model.")
    gpu_memory: float = Field(0.9, gt=0, le=1, description="Share of a GPU's memory that may be used.")
    eager: bool = Field(False, description="Whether graph capture is left out: loads sooner, generates slower.")


@dataclass(frozen=True)
class _Loaded:
    engine: Any
    tokenizer: ChatTokenizer
    context: int


class VllmEngine:
    """Loads the model at `start` or at the first request."""

    capability: ClassVar = Capability.TEXT
    options_model: ClassVar = VllmOptions

    def __init__(self, options: VllmOptions) -> None:
        self.options = options
        self._loaded: Once[_Loaded] = Once(lambda: asyncio.to_thread(_load, options))
        self._numbers = itertools.count()

    @property
    def model(self) -> str:
        """The model as the profile names it."""
        return self.options.model

    async def start(self) -> None:
        """Load the model."""
        await self._loaded.get()

    async def context(self) -> int:
        """vLLM's `max_model_len`."""
        return (await self._loaded.get()).context

    async def control_tokens(self) -> frozenset[str]:
        """The tokenizer's special tokens."""
        return (await self._loaded.get()).tokenizer.control_tokens

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """By the model's tokenizer."""
        return (await self._loaded.get()).tokenizer.cut(texts, limit)

    async def count(self, request: Request) -> int:
        """By the model's chat template."""
        return len((await self._loaded.get()).tokenizer.encode(request))

    async def generate(self, request: Request) -> Completion:
        """One request to the running batch; a caller that goes away takes its request along."""
        loaded = await self._loaded.get()
        ids = loaded.tokenizer.encode(request)
        final = None
        try:
            stream = loaded.engine.generate(
                {"prompt_token_ids": ids}, _parameters(request), request_id=f"window-{next(self._numbers)}"
            )
            async for output in stream:
                final = output
        except Exception as error:
            raise EngineError(f"vllm failed: {str(error) or type(error).__name__}", engine="vllm") from error
        if final is None:
            raise EngineError("vllm gave no output", engine="vllm")
        reply = final.outputs[0]
        finish = Finish.LENGTH if reply.finish_reason == "length" else Finish.STOP
        return Completion(reply.text, finish, prompt_tokens=len(ids), generated_tokens=len(reply.token_ids))

    async def aclose(self) -> None:
        """Stop vLLM's own processes."""
        loaded = await self._loaded.take()
        if loaded is not None:
            await asyncio.to_thread(loaded.engine.shutdown, 2.0)
            # Its finalizer shuts down once more, at the interpreter's end, when its module is half gone.
            loaded.engine.shutdown = _nothing


def _load(options: VllmOptions) -> _Loaded:
    for name, value in (("LOGGING_LEVEL", "ERROR"), ("NO_USAGE_STATS", "1"), ("CPU_KVCACHE_SPACE", "2")):
        os.environ.setdefault(f"VLLM_{name}", value)
    try:
        quiet()
        path = resolve(options.model)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise MissingError("engine vllm needs vLLM; run: pip install 'es-reasonrank[vllm]'") from error
    tokenizer = ChatTokenizer(path, options.revision)
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
    )
    try:
        engine = AsyncLLM.from_engine_args(arguments)
    except Exception as error:
        raise EngineError(
            f"vllm cannot load {options.model}: {str(error) or type(error).__name__}", engine="vllm"
        ) from error
    return _Loaded(engine, tokenizer, engine.model_config.max_model_len)


def _nothing() -> None:
    """What is left to shut down."""


def _parameters(request: Request) -> Any:
    from vllm import SamplingParams

    drawn = request.sampling
    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=drawn.temperature,
        top_p=drawn.top_p,
        top_k=drawn.top_k,
        min_p=drawn.min_p,
        seed=drawn.seed,
        stop=list(request.stop),
        include_stop_str_in_output=True,
    )
