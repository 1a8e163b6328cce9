"""transformers' own generation: no server, quick to load, slower than vLLM on more than a few windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from es_reasonrank.engines.base import Completion, Finish, NextToken, Request
from es_reasonrank.engines.batching import Batcher
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.local import (
    Loaded,
    LocalEngine,
    LocalOptions,
    identity_of,
    permutation_of,
    whole,
)
from es_reasonrank.engines.logits import finite, keep, not_numbers
from es_reasonrank.engines.permutation import Permutation
from es_reasonrank.engines.tokens import ChatTokenizer, quiet
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked

Answer = Completion | NextToken | EngineError
Wanted = TypeVar("Wanted", Completion, NextToken)


class TransformersOptions(LocalOptions):
    """Which model, and how it is loaded."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps...")
    batch: int = Field(4, ge=1, description="Windows generated at once.")
    autocast: bool = Field(
        False, description="Whether float32 weights are multiplied in bfloat16: faster on processors with AMX."
    )


@dataclass(eq=False)
class _Call:
    """A request on its way; `abandoned` is set when its caller has gone, and its row stops."""

    request: Request
    ids: list[int]
    path: Permutation | None = None
    """Where it is set, the reply is held to it."""
    choices: tuple[int, ...] = ()
    """Where there are any, their log-probabilities are asked for instead of a text."""
    abandoned: bool = False
    broken: bool = False
    """Set when its row's logits are not numbers; the row stops."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What calls have in common that can be worked on together. A seed is a call's own, so that it repeats."""
        request = self.request
        if self.choices:
            return ("next",)
        own = self if request.sampling.seed is not None and request.sampling.temperature > 0 else None
        return request.max_tokens, request.sampling, request.stop, own


class TransformersEngine(LocalEngine):
    """Requests of the same moment share a batch.

    Args:
        loaded: a model that is in memory already, instead of the one that the options name.
    """

    options_model: ClassVar[type[Checked]] = TransformersOptions

    def __init__(self, options: TransformersOptions, loaded: Loaded | None = None) -> None:
        super().__init__(options, lambda: loaded or _load(options))
        self._autocast = options.autocast
        self._batcher: Batcher[_Call, Answer] = Batcher(self._run, options.batch)

    async def generate(self, request: Request) -> Completion:
        """One request; it shares a batch with those that wait beside it."""
        loaded = await self._loaded.get()
        call = _Call(request, await self._fitting(request), permutation_of(request, loaded.tokenizer))
        completion = await self._answer(call, Completion)
        return whole(completion, request, "transformers")

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """One forward pass; nothing is generated."""
        loaded = await self._loaded.get()
        tokens = tuple(loaded.tokenizer.singles(choices, request.prefix))
        return await self._answer(_Call(request, await self._fitting(request), choices=tokens), NextToken)

    async def _fitting(self, request: Request) -> list[int]:
        """The prompt's tokens.

        Raises:
            EngineError: they leave no room for a reply.
        """
        ids, context = await self._encoded(request), await self.context()
        if len(ids) >= context:
            message = f"the prompt of {len(ids)} tokens does not fit a context of {context}"
            raise EngineError(message, engine="transformers")
        return ids

    async def _answer(self, call: _Call, kind: type[Wanted]) -> Wanted:
        try:
            answer = await self._batcher(call)
        except asyncio.CancelledError:
            call.abandoned = True
            raise
        if isinstance(answer, EngineError):
            raise answer
        if not isinstance(answer, kind):
            raise TypeError(f"a {kind.__name__} was asked for, and a {type(answer).__name__} came")
        return answer

    async def aclose(self) -> None:
        """Free the model."""
        await asyncio.to_thread(self._batcher.close)
        await self._loaded.take()

    def _run(self, calls: Sequence[_Call]) -> list[Answer]:
        """A batch, in the batcher's thread: calls of one kind are worked on together; an error is theirs alone."""
        loaded = self._loaded.value()
        results: dict[_Call, Answer] = {}
        waiting = list(calls)
        while waiting:
            group = [call for call in waiting if call.kind == waiting[0].kind]
            waiting = [call for call in waiting if call not in group]
            results |= zip(group, _worked(loaded, group, self._autocast), strict=True)
        return [results[call] for call in calls]


def _worked(loaded: Loaded, group: Sequence[_Call], autocast: bool) -> Sequence[Answer]:
    """The answers to calls of one kind, or the one error for all of them."""
    import torch

    try:
        with torch.autocast(loaded.model.device.type, torch.bfloat16, enabled=autocast):
            return _look_ahead(loaded, group) if group[0].choices else _generate(loaded, group)
    except Exception as error:  # noqa: BLE001 - it belongs to the callers
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return [EngineError(f"transformers failed: {reason}", engine="transformers") for _ in group]


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


def _look_ahead(loaded: Loaded, calls: Sequence[_Call]) -> list[Answer]:
    """One forward pass: the log-probabilities of the choices as the next token."""
    import torch

    prompts = _padded(loaded, calls)
    positions = (prompts["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = loaded.model(**prompts, position_ids=positions, logits_to_keep=1).logits[:, -1]
    rows = torch.log_softmax(logits.float(), dim=-1)
    return [_next_token(call, row[list(call.choices)].tolist()) for call, row in zip(calls, rows, strict=True)]


def _next_token(call: _Call, logprobs: Sequence[float]) -> Answer:
    try:
        told = finite(logprobs, "transformers")
    except EngineError as error:
        return error
    return NextToken(told, prompt_tokens=len(call.ids), generated_tokens=0)


def _generate(loaded: Loaded, calls: Sequence[_Call]) -> list[Answer]:
    import torch

    request = calls[0].request
    prompts = _padded(loaded, calls)
    width = prompts["input_ids"].shape[1]
    if request.sampling.seed is not None:
        torch.manual_seed(request.sampling.seed)
    with torch.inference_mode():
        rows = loaded.model.generate(
            **prompts,
            max_new_tokens=request.max_tokens,
            pad_token_id=_padding(loaded),
            stopping_criteria=[_ended(calls, loaded.tokenizer.inner, width)],
            logits_processor=[_held(calls, loaded.tokenizer.inner.eos_token_id, width)],
            **_drawn(request),
        )
    ends = loaded.model.generation_config.eos_token_id
    ends = {_padding(loaded), *(ends if isinstance(ends, list) else [ends])}
    return [
        _completion(call, row[width:].tolist(), ends, loaded.tokenizer.inner)
        for call, row in zip(calls, rows, strict=True)
    ]


def _drawn(request: Request) -> dict[str, Any]:
    """How tokens are drawn, spelled out: what is left out would come from the model's own generation_config."""
    drawn = request.sampling
    if drawn.temperature == 0:
        return {"do_sample": False, "repetition_penalty": 1.0, "temperature": None, "top_p": None, "top_k": None}
    return {
        "do_sample": True,
        "repetition_penalty": 1.0,
        "temperature": drawn.temperature,
        "top_p": drawn.top_p,
        "top_k": drawn.top_k,
        "min_p": drawn.min_p,
    }


def _held(calls: Sequence[_Call], end: int, width: int) -> Callable[..., Any]:
    """Before each token: masks what would leave the permutation, and ends the rows whose logits are not numbers."""

    def held(ids: Any, scores: Any) -> Any:
        wrong = scores.isnan().any(-1).tolist()
        for row, call in enumerate(calls):
            call.broken = call.broken or wrong[row]
            if call.broken:
                keep(scores[row], [end], end)
            elif call.path is not None:
                keep(scores[row], call.path.allowed(ids[row, width:].tolist()), end)
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
            call.abandoned or call.broken or any(stop in tail for stop in call.request.stop)
            for call, tail in zip(calls, tails, strict=True)
        ]
        return torch.tensor(done, device=ids.device)

    return ended


def _completion(call: _Call, row: list[int], ends: set[int], tokenizer: Any) -> Answer:
    if call.broken:
        return not_numbers("transformers")
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
    commit = getattr(model.config, "_commit_hash", None) or options.revision
    kind = f"{model.dtype}, bfloat16 products" if options.autocast else model.dtype
    identity = identity_of(options.model, path, commit, dtype=kind)
    return Loaded(model, tokenizer, options.context or model.config.max_position_embeddings, identity)
