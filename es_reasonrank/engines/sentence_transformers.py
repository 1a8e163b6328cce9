"""Bi-encoders and cross-encoders of sentence-transformers: vectors or scores, nothing generated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from cachetools import LRUCache
from pydantic import Field

from es_reasonrank.engines.base import Capability, Similarity
from es_reasonrank.engines.batching import Batcher
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.local import identity_of
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import EngineError, MissingError
from es_reasonrank.validation import Checked

_Pair = tuple[str, str]
_REMEMBERED = 10_000
"""Passages whose vectors are kept: the hits of one query are often those of another."""


class SentenceTransformersOptions(Checked):
    """Which model, and how it is loaded."""

    model: str = Field(description="Hugging Face name, folder, or embedded:NAME.")
    kind: Literal["bi-encoder", "cross-encoder"] = Field(
        "bi-encoder", description="One vector a text, or one score a pair."
    )
    device: str | None = Field(None, description="cpu, cuda, cuda:1, mps...; the best there is by default.")
    batch: int = Field(32, ge=1, description="Texts or pairs computed at once.")
    autocast: bool = Field(
        False, description="Whether float32 weights are multiplied in bfloat16: faster on processors with AMX."
    )
    query_prompt: str = Field("", description="Put in front of every query, where the model was trained so.")
    passage_prompt: str = Field("", description="Put in front of every passage, where the model was trained so.")


class SentenceTransformersEngine:
    """Loads the model at `start` or at the first call; calls of the same moment share a batch.

    Args:
        model: one that is in memory already, instead of the one that the options name.
    """

    capabilities: ClassVar = frozenset({Capability.VECTORS})
    options_model: ClassVar[type[Checked]] = SentenceTransformersOptions

    def __init__(self, options: SentenceTransformersOptions, model: Any = None) -> None:
        self.options = options
        self._loaded: Once[Any] = Once(lambda: asyncio.to_thread(lambda: _load(options) if model is None else model))
        self._batcher: Batcher[_Pair, tuple[float, int]] = Batcher(self._run, 16 * options.batch)
        self._vectors: LRUCache[str, tuple[Any, int]] = LRUCache(_REMEMBERED)

    @property
    def model(self) -> str:
        """The model as the profile names it."""
        return self.options.model

    async def identity(self) -> str:
        """The model's name and a mark of its weights."""
        kind = "bfloat16 products" if self.options.autocast else None
        commit = _commit(await self._loaded.get())
        return identity_of(self.options.model, resolve(self.options.model), commit, dtype=kind)

    async def start(self) -> None:
        """Load the model."""
        await self._loaded.get()

    async def similarity(self, query: str, texts: Sequence[str]) -> Similarity:
        """Cosine of query and text (bi-encoder), or the score of the pair (cross-encoder)."""
        await self._loaded.get()
        results = await asyncio.gather(*(self._batcher((query, text)) for text in texts))
        return Similarity(tuple(score for score, _ in results), sum(tokens for _, tokens in results))

    async def aclose(self) -> None:
        """Free the model."""
        await asyncio.to_thread(self._batcher.close)
        await self._loaded.take()

    def _run(self, pairs: Sequence[_Pair]) -> list[tuple[float, int]]:
        """Score and tokens of each pair, in the batcher's thread."""
        import torch

        model, options = self._loaded.value(), self.options
        named = [(options.query_prompt + query, options.passage_prompt + text) for query, text in pairs]
        try:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=options.autocast):
                if options.kind == "cross-encoder":
                    return _crossed(model, named, options.batch)
                return self._compared(model, named)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"sentence-transformers failed: {error}", engine="sentence_transformers") from error

    def _compared(self, model: Any, pairs: Sequence[_Pair]) -> list[tuple[float, int]]:
        """Cosines; a text is read once, and not again while it is remembered."""
        queries = list(dict.fromkeys(query for query, _ in pairs))
        new = [text for text in dict.fromkeys(text for _, text in pairs) if text not in self._vectors]
        vectors = model.encode(
            queries + new, batch_size=self.options.batch, normalize_embeddings=True, show_progress_bar=False
        )
        asked = dict(zip(queries, vectors, strict=False))
        sizes = _sizes(model, new)
        fresh = {text: (vector, size) for text, vector, size in zip(new, vectors[len(queries) :], sizes, strict=True)}
        known = {text: fresh.get(text) or self._vectors[text] for _, text in pairs}
        self._vectors.update(fresh)
        return [(float(asked[query] @ known[text][0]), known[text][1] if text in fresh else 0) for query, text in pairs]


def _commit(model: Any) -> str | None:
    """The commit of a model that comes from a hub."""
    configs = (getattr(module, "config", None) for module in model.modules())
    commits = (getattr(config, "_commit_hash", None) for config in configs)
    return next((str(commit) for commit in commits if commit), None)


def _crossed(model: Any, pairs: Sequence[_Pair], batch: int) -> list[tuple[float, int]]:
    """A cross-encoder's scores."""
    scores = model.predict(list(pairs), batch_size=batch, show_progress_bar=False)
    sizes = _sizes(model, [text for _, text in pairs])
    return [(float(score), size) for score, size in zip(scores, sizes, strict=True)]


def _sizes(model: Any, texts: list[str]) -> list[int]:
    """Tokens that the model reads of each text."""
    if not texts:
        return []
    limit = getattr(model, "max_seq_length", None) or getattr(model, "max_length", None) or 512
    return [len(ids) for ids in model.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]]


def _load(options: SentenceTransformersOptions) -> Any:
    try:
        quiet()
        from sentence_transformers import CrossEncoder, SentenceTransformer
    except ImportError as error:
        raise MissingError(
            "engine sentence_transformers needs its package; run: pip install sentence-transformers"
        ) from error
    path = resolve(options.model)
    kind = CrossEncoder if options.kind == "cross-encoder" else SentenceTransformer
    try:
        return kind(path, device=options.device)
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingError(
            f"sentence-transformers cannot load {options.model}: {str(error).splitlines()[0]}"
        ) from error
