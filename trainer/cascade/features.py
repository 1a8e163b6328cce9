"""What a cascade's scorers see of a candidate, and lists of candidates as tensors.

The first columns are cheap: the search has them anyway, or they are counted from words. The last need an encoder.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import InputError
from es_reasonrank.evaluation.runs import Qrels
from es_reasonrank.text import whole
from es_reasonrank.types import Candidate

if TYPE_CHECKING:
    from torch import Tensor

CHEAP = (
    "score",
    "score / best score",
    "log rank",
    "log length",
    "log query length",
    "query terms in text",
    "query terms in title",
    "rare query terms in text",
)
COSTLY = ("similarity", "similarity - best similarity", "log rank by similarity")
NAMES = CHEAP + COSTLY
ENCODER = "embedded:minilm-l6"

_WORD = re.compile(r"\w+")
Row = tuple[float, ...]


@dataclass(frozen=True)
class Pool:
    """The candidates of each query, best first."""

    queries: Mapping[str, str]
    candidates: Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True)
class Lists:
    """Lists of candidates, padded to one length. Shapes: (lists, items, features), and (lists, items) twice."""

    queries: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]
    features: Tensor
    mask: Tensor
    relevant: Tensor
    """1 where a document is judged relevant, else 0."""

    def __len__(self) -> int:
        return len(self.queries)

    def part(self, places: Sequence[int]) -> Lists:
        """Some of the lists."""
        chosen = list(places)
        return Lists(
            tuple(self.queries[place] for place in chosen),
            tuple(self.documents[place] for place in chosen),
            self.features[chosen],
            self.mask[chosen],
            self.relevant[chosen],
        )

    @property
    def teaching(self) -> Lists:
        """Those that hold something relevant."""
        return self.part(self.relevant.any(dim=-1).nonzero().flatten().tolist())


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def rarity(texts: Iterable[str]) -> dict[str, float]:
    """Each word's inverse document frequency, ln(1 + documents / those that hold it), over these texts."""
    bags = [set(words(text)) for text in texts]
    counts = Counter(word for bag in bags for word in bag)
    return {word: math.log(1 + len(bags) / count) for word, count in counts.items()}


def cheap(query: str, candidates: Sequence[Candidate], rare: Mapping[str, float]) -> list[Row]:
    """The columns `CHEAP` of each candidate, given best first.

    Args:
        rare: each word's `rarity`; a word that is not in it counts as none.
    """
    asked = set(words(query))
    weight = sum(rare.get(word, 0.0) for word in asked)
    best = max((candidate.score or 0.0 for candidate in candidates), default=0.0)
    rows: list[Row] = []
    for rank, candidate in enumerate(candidates, start=1):
        text, score = words(candidate.text), candidate.score or 0.0
        held, named = asked.intersection(text), asked.intersection(words(candidate.title))
        rows.append(
            (
                score,
                score / best if best > 0 else 0.0,
                math.log(rank),
                math.log1p(len(text)),
                math.log1p(len(asked)),
                len(held) / max(len(asked), 1),
                len(named) / max(len(asked), 1),
                sum(rare.get(word, 0.0) for word in held) / weight if weight else 0.0,
            )
        )
    return rows


def costly(similarities: Sequence[float]) -> list[Row]:
    """The columns `COSTLY` of each candidate, given its query's similarity to it."""
    best = max(similarities, default=0.0)
    order = sorted(range(len(similarities)), key=lambda place: -similarities[place])
    ranks = {place: rank for rank, place in enumerate(order, start=1)}
    return [(value, value - best, math.log(ranks[place])) for place, value in enumerate(similarities)]


def similarities(pool: Pool, encoder: str = ENCODER) -> dict[str, list[float]]:
    """The cosine of each query and each of its candidates, in their order; every text is read once.

    Args:
        encoder: a bi-encoder of sentence-transformers: a Hugging Face name, a folder, or embedded:NAME.
    """
    quiet()
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(resolve(encoder))
    texts = {
        candidate.id: whole(f"{candidate.title}\n{candidate.text}")
        for candidates in pool.candidates.values()
        for candidate in candidates
    }
    asked = [whole(pool.queries[name]) for name in pool.candidates]
    passages, queries = (
        model.encode(batch, normalize_embeddings=True, show_progress_bar=False)
        for batch in (list(texts.values()), asked)
    )
    place = {name: number for number, name in enumerate(texts)}
    return {
        name: (passages[[place[candidate.id] for candidate in candidates]] @ query).tolist() if candidates else []
        for (name, candidates), query in zip(pool.candidates.items(), queries, strict=True)
    }


def lists(pool: Pool, qrels: Qrels, similar: Mapping[str, Sequence[float]], rare: Mapping[str, float]) -> Lists:
    """A pool as tensors; queries without candidates are left out.

    Args:
        qrels: judgments; a grade above 0 is relevant.
        similar: the `similarities` of the pool.
        rare: each word's `rarity`.

    Raises:
        InputError: no query has a candidate.
    """
    import torch

    names = [name for name, candidates in pool.candidates.items() if candidates]
    if not names:
        raise InputError("no query has a candidate; give a run of the same queries, or another corpus")
    size = max(len(pool.candidates[name]) for name in names)
    features = torch.zeros(len(names), size, len(NAMES))
    mask = torch.zeros(len(names), size, dtype=torch.bool)
    relevant = torch.zeros(len(names), size)
    for place, name in enumerate(names):
        candidates = pool.candidates[name]
        left, right = cheap(pool.queries[name], candidates, rare), costly(similar[name])
        features[place, : len(candidates)] = torch.tensor([a + b for a, b in zip(left, right, strict=True)])
        mask[place, : len(candidates)] = True
        judged = qrels.get(name, {})
        for item, candidate in enumerate(candidates):
            relevant[place, item] = float(judged.get(candidate.id, 0) > 0)
    documents = tuple(tuple(candidate.id for candidate in pool.candidates[name]) for name in names)
    return Lists(tuple(names), documents, features, mask, relevant)
