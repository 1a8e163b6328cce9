"""transformers' own generation: no server, quick to load, slower than vLLM on more than a few windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from pydantic import Field

from es_reasonrank.engines.base import Completion, Finish, NextToken, Request
from es_reasonrank.engines.batching import Batcher
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.local import Loaded, LocalEngine, LocalOptions, identity_of, permutation_of
from es_reasonrank.engines.tokens import ChatTokenizer, quiet
from es_reasonrank.errors import EngineError, MissingError

Answer = Completion | NextToken


class TransformersOptions(LocalOptions):
    """Which model, and how it is loaded."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps...")
    batch: int = Field(4, ge=1, description="Windows generated at once.")


@dataclass
class _Call:
    """A request on its way; `abandoned` is set when its caller has gone, and its row stops."""

    request: Request
    ids: list[int]
    choices: tuple[int, ...] = ()
    """Where there are any, their log-probabilities are asked for instead of a text."""
    abandoned: bool = False

    @property
    def kind(self) -> tuple[object, ...]:
        """What calls have in common that can be worked on together."""
        request = self.request
        return bool(self.choices), request.max_tokens, request.sampling, request.stop


class TransformersEngine(LocalEngine):
    """Requests of the same moment share a batch."""

    options_model: ClassVar = TransformersOptions

    def __init__(self, options: TransformersOptions) -> None:
        super().__init__(options, lambda: _load(options))
        self._batcher: Batcher[_Call, Answer] = Batcher(self._run, options.batch)

    async def generate(self, request: Request) -> Completion:
        """One request; it shares a batch with those that wait beside it."""
        call = _Call(request, (await self._loaded.get()).tokenizer.encode(request))
        return cast(Completion, await self._answer(call))

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """One forward pass."""
        tokenizer = (await self._loaded.get()).tokenizer
        tokens = tuple(tokenizer.single(choice, request.prefix) for choice in choices)
        return cast(NextToken, await self._answer(_Call(request, tokenizer.encode(request), tokens)))

    async def _answer(self, call: _Call) -> Answer:
        try:
            return await self._batcher(call)
        except asyncio.CancelledError:
            call.abandoned = True
            raise

    async def aclose(self) -> None:
        """Free the model."""
        await asyncio.to_thread(self._batcher.close)
        await self._loaded.take()

    def _run(self, calls: Sequence[_Call]) -> list[Answer]:
        """A batch, in the batcher's thread: calls of the same settings are generated together."""
        loaded = self._loaded.value()
        results: dict[int, Answer] = {}
        waiting = list(calls)
        while waiting:
            kind = waiting[0].kind
            group = [call for call in waiting if call.kind == kind]
            waiting = [call for call in waiting if call.kind != kind]
            work: Callable[[Loaded, Sequence[_Call]], Sequence[Answer]] = _look_ahead if group[0].choices else _generate
            try:
                answers = work(loaded, group)
            except (RuntimeError, ValueError) as error:
                raise EngineError(f"transformers failed: {error}", engine="transformers") from error
            results |= {id(call): answer for call, answer in zip(group, answers, strict=True)}
        return [results[id(call)] for call in calls]


def _padded(loaded: Loaded, calls: Sequence[_Call]) -> dict[str, Any]:
    """The prompts as one tensor, filled up on the left, with its mask."""
    import torch

    width = max(len(call.ids) for call in calls)
    rows = [[_padding(loaded)] * (width - len(call.ids)) + call.ids for call in calls]
    mask = [[0] * (width - len(call.ids)) + [1] * len(call.ids) for call in calls]
    device = loaded.model.device
    return {"input_ids": torch.tensor(rows, device=device), "attention_mask": torch.tensor(mask, device=device)}


def _padding(loaded: Loaded) -> int:
    tokenizer = loaded.tokenizer.inner
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _look_ahead(loaded: Loaded, calls: Sequence[_Call]) -> list[NextToken]:
    """One forward pass: the log-probabilities of the choices as the next token."""
    import torch

    prompts = _padded(loaded, calls)
    positions = (prompts["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = loaded.model(**prompts, position_ids=positions, logits_to_keep=1).logits[:, -1]
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    return [
        NextToken(tuple(row[list(call.choices)].tolist()), prompt_tokens=len(call.ids), generated_tokens=0)
        for call, row in zip(calls, logprobs, strict=True)
    ]


def _generate(loaded: Loaded, calls: Sequence[_Call]) -> list[Completion]:
    import torch

    tokenizer, request = loaded.tokenizer.inner, calls[0].request
    prompts, pad = _padded(loaded, calls), _padding(loaded)
    width = prompts["input_ids"].shape[1]
    drawn = request.sampling
    if drawn.seed is not None:
        torch.manual_seed(drawn.seed)
    sampled = {"temperature": drawn.temperature, "top_p": drawn.top_p, "top_k": drawn.top_k, "min_p": drawn.min_p}
    with torch.inference_mode():
        rows = loaded.model.generate(
            **prompts,
            max_new_tokens=request.max_tokens,
            do_sample=drawn.temperature > 0,
            pad_token_id=pad,
            stopping_criteria=[_ended(calls, tokenizer, width)],
            logits_processor=[_held(calls, loaded.tokenizer, width)],
            **(sampled if drawn.temperature > 0 else {"temperature": None, "top_p": None, "top_k": None}),
        )
    ends = loaded.model.generation_config.eos_token_id
    ends = {pad, *(ends if isinstance(ends, list) else [ends])}
    return [_completion(call, row[width:].tolist(), ends, tokenizer) for call, row in zip(calls, rows, strict=True)]


def _held(calls: Sequence[_Call], tokenizer: ChatTokenizer, width: int) -> Callable[..., Any]:
    """Masks what would leave the permutation, in the rows that ask for one."""
    asked = [call.request.permutation for call in calls]
    paths = [permutation_of(texts, tokenizer) if texts else None for texts in asked]

    def held(ids: Any, scores: Any) -> Any:
        for row, path in enumerate(paths):
            if path is not None:
                allowed = list(path.allowed(ids[row, width:].tolist()))
                kept = scores[row, allowed].clone()
                scores[row] = float("-inf")
                scores[row, allowed] = kept
        return scores

    return held


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


def _load(options: TransformersOptions) -> Loaded:
    try:
        quiet()
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        message = f"engine transformers needs the package {error.name}; run: pip install 'es-reasonrank[vllm]'"
        raise MissingError(message) from error
    path = resolve(options.model)
    tokenizer = ChatTokenizer(path, options.revision)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    try:
        model = (
            AutoModelForCausalLM.from_pretrained(path, revision=options.revision, dtype=options.dtype).to(device).eval()
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingError(f"transformers cannot load {options.model}: {str(error).splitlines()[0]}") from error
    identity = identity_of(options.model, path, getattr(model.config, "_commit_hash", None))
    return Loaded(model, tokenizer, options.context or model.config.max_position_embeddings, identity)
