"""transformers' own generation: no server, quick to load, slower than vLLM on more than a few windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.base import Capability, Completion, Finish, Request
from es_reasonrank.engines.batching import Batcher
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.tokens import ChatTokenizer, quiet
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked


class TransformersOptions(Checked):
    """Which model, and how it is loaded."""

    model: str = Field(description="Hugging Face name, folder, or embedded:NAME.")
    context: int | None = Field(
        None, ge=1, description="Tokens of prompt and reply together; the model's own by default."
    )
    dtype: str = Field("auto", description="auto, bfloat16, float16 or float32.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps...")
    batch: int = Field(4, ge=1, description="Windows generated at once.")


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: ChatTokenizer
    context: int


@dataclass
class _Call:
    """A request on its way; `abandoned` is set when its caller has gone, and its row stops."""

    request: Request
    ids: list[int]
    abandoned: bool = False


class TransformersEngine:
    """Loads the model at `start` or at the first request."""

    capability: ClassVar = Capability.TEXT
    options_model: ClassVar = TransformersOptions

    def __init__(self, options: TransformersOptions) -> None:
        self.options = options
        self._loaded: Once[_Loaded] = Once(lambda: asyncio.to_thread(_load, options))
        self._batcher: Batcher[_Call, Completion] = Batcher(self._run, options.batch)

    @property
    def model(self) -> str:
        """The model as the profile names it."""
        return self.options.model

    async def start(self) -> None:
        """Load the model."""
        await self._loaded.get()

    async def context(self) -> int:
        """The model's positions."""
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
        """One request; it shares a batch with those that wait beside it."""
        call = _Call(request, (await self._loaded.get()).tokenizer.encode(request))
        try:
            return await self._batcher(call)
        except asyncio.CancelledError:
            call.abandoned = True
            raise

    async def aclose(self) -> None:
        """Free the model."""
        await asyncio.to_thread(self._batcher.close)
        await self._loaded.take()

    def _run(self, calls: Sequence[_Call]) -> list[Completion]:
        """A batch, in the batcher's thread: calls of the same settings are generated together."""
        loaded = self._loaded.value()
        results: dict[int, Completion] = {}
        waiting = list(calls)
        while waiting:
            kind = _kind(waiting[0].request)
            group = [call for call in waiting if _kind(call.request) == kind]
            waiting = [call for call in waiting if _kind(call.request) != kind]
            try:
                completions = _generate(loaded, group)
            except (RuntimeError, ValueError) as error:
                raise EngineError(f"transformers failed: {error}", engine="transformers") from error
            results.update((id(call), completion) for call, completion in zip(group, completions, strict=True))
        return [results[id(call)] for call in calls]


def _kind(request: Request) -> tuple[object, ...]:
    return request.max_tokens, request.sampling, request.stop


def _generate(loaded: _Loaded, calls: Sequence[_Call]) -> list[Completion]:
    import torch

    tokenizer = loaded.tokenizer.inner
    request, device = calls[0].request, loaded.model.device
    width = max(len(call.ids) for call in calls)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (width - len(call.ids)) + call.ids for call in calls], device=device)
    mask = torch.tensor([[0] * (width - len(call.ids)) + [1] * len(call.ids) for call in calls], device=device)

    drawn = request.sampling
    if drawn.seed is not None:
        torch.manual_seed(drawn.seed)
    sampled = {"temperature": drawn.temperature, "top_p": drawn.top_p, "top_k": drawn.top_k, "min_p": drawn.min_p}
    with torch.inference_mode():
        rows = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=request.max_tokens,
            do_sample=drawn.temperature > 0,
            pad_token_id=pad,
            stopping_criteria=[_ended(calls, tokenizer, width)],
            **(sampled if drawn.temperature > 0 else {"temperature": None, "top_p": None, "top_k": None}),
        )
    ends = loaded.model.generation_config.eos_token_id
    ends = {pad, *(ends if isinstance(ends, list) else [ends])}
    return [_completion(call, row[width:].tolist(), ends, tokenizer) for call, row in zip(calls, rows, strict=True)]


def _ended(calls: Sequence[_Call], tokenizer: Any, width: int) -> Callable[..., Any]:
    """After each token: the rows whose caller has gone, or whose last few tokens hold a stop string.

    transformers' own stop strings need seconds to prepare for each new string.
    """
    import torch

    longest = max((len(stop) for stop in calls[0].request.stop), default=0)

    def ended(ids: Any, scores: Any, **_: Any) -> Any:
        tails = (
            tokenizer.batch_decode(ids[:, max(width, ids.shape[1] - longest - 1) :]) if longest else [""] * len(calls)
        )
        done = [
            call.abandoned or any(stop in tail for stop in call.request.stop)
            for call, tail in zip(calls, tails, strict=True)
        ]
        return torch.tensor(done, device=ids.device)

    return ended


def _completion(call: _Call, row: list[int], ends: set[int], tokenizer: Any) -> Completion:
    size = next((place for place, token in enumerate(row) if token in ends), len(row))
    text: str = tokenizer.decode(row[:size], skip_special_tokens=True)
    stopped = size < len(row) or any(stop in text for stop in call.request.stop)
    finish = Finish.LENGTH if size >= call.request.max_tokens and not stopped else Finish.STOP
    return Completion(text, finish, prompt_tokens=len(call.ids), generated_tokens=size)


def _load(options: TransformersOptions) -> _Loaded:
    try:
        quiet()
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        message = f"engine transformers needs the package {error.name}; run: pip install 'es-reasonrank[vllm]'"
        raise MissingError(message) from error
    path = resolve(options.model)
    tokenizer = ChatTokenizer(path)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=options.dtype).to(device).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingError(f"transformers cannot load {options.model}: {str(error).splitlines()[0]}") from error
    return _Loaded(model, tokenizer, options.context or model.config.max_position_embeddings)
