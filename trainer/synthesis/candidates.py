"""From a query and what searches find for it to a list of at most 20 passages, as shown.

Source: ReasonRank (2508.07050, section 4.1 and appendix B.1): positives, hard negatives, and the rest sampled from what
was found. Hard are passages that stand high by BM25 and by embeddings, by reciprocal rank fusion (Cormack, Clarke and
Buettcher, SIGIR 2009; k = 60), and those that the teacher calls misleading or a judge has rated 0.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.evaluation.runs import Text
from es_reasonrank.validation import Checked
from trainer.lists import SIZE, Passage, TrainingList
from trainer.synthesis.material import Query, content
from trainer.synthesis.near import normalised

_K = 60


class CandidateOptions(Checked):
    """How lists are made."""

    size: int = Field(SIZE, ge=2, le=SIZE, description="Passages of a list.")
    depth: int = Field(40, ge=1, description="Hits of each search that a list is made from: ReasonRank's K.")
    bm25: bool = Field(True, description="Whether Elasticsearch is searched.")
    embeddings: bool = Field(True, description="Whether embeddings are searched.")
    model: str = Field("embedded:minilm-l6", description="The bi-encoder: Hugging Face name, folder, or embedded:NAME.")
    positives: int = Field(5, ge=1, description="Relevant passages of a list at most, those of the highest grades.")
    hard: float = Field(0.5, ge=0, le=1, description="Share of the negatives that is hard; the rest is sampled.")
    order: Literal["base", "shuffled"] = Field(
        "base",
        description="How a list is shown: in BM25's order, then by embeddings, as in serving, and what neither found "
        "at any place; or shuffled.",
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.bm25 and not self.embeddings:
            raise ValueError("bm25 and embeddings are both off; leave one of them on")
        return self


@dataclass(frozen=True)
class Pool:
    """What searches found for a query, best first."""

    bm25: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()

    @property
    def base(self) -> list[str]:
        """BM25's order, then what only embeddings found."""
        return list(dict.fromkeys((*self.bm25, *self.embedding)))

    @property
    def fused(self) -> list[str]:
        """By reciprocal ranks: first what both searches put high."""
        scores = dict.fromkeys(self.base, 0.0)
        for found in (self.bm25, self.embedding):
            for rank, name in enumerate(found, start=1):
                scores[name] += 1 / (_K + rank)
        return sorted(scores, key=lambda name: -scores[name])

    def rank(self, name: str) -> int | None:
        """A document's place in the better of the two, from 1; None where neither found it."""
        ranks = [found.index(name) + 1 for found in (self.bm25, self.embedding) if name in found]
        return min(ranks, default=None)


@dataclass(frozen=True)
class Selected:
    """What a teacher said of a pool with the answer before it."""

    helpful: tuple[str, ...] = ()
    misleading: tuple[str, ...] = ()
    """Those that share words with the query and are of no use."""


def composed(
    dataset: str,
    query: Query,
    pool: Pool,
    corpus: Mapping[str, Text],
    options: CandidateOptions,
    seed: str,
    selected: Selected | None = None,
) -> TrainingList | str:
    """The list of a query, without an order; or the reason why there is none."""
    selected = selected or Selected()
    if query.order:
        return _finished(dataset, query, corpus)
    drawn = random.Random(seed)
    relevant = dict.fromkeys(selected.helpful, 1) | query.relevant
    positives = _positives(relevant, pool, corpus, min(options.positives, options.size - 1), drawn)
    if not positives:
        return "no positive"
    picked = _Picked(corpus, banned=relevant.keys() | query.excluded, texts=positives)
    room = options.size - len(positives)
    hard = [*selected.misleading, *(name for name, grade in query.grades.items() if grade <= 0), *pool.fused]
    picked.add(hard, round(options.hard * room), "hard")
    picked.add(_shuffled(pool.base, drawn), room, "sampled")
    picked.add(_any(list(corpus), drawn), room, "corpus")
    if not picked.origins:
        return "no negative"
    origins = {name: "qrels" if name in query.grades else "selected" for name in positives} | picked.origins
    passages = [_passage(name, corpus[name], origins[name]) for name in _shown(origins, pool, options.order, drawn)]
    grades = {name: relevant[name] for name in positives}
    return TrainingList(
        dataset=dataset, qid=query.id, query=query.text, passages=tuple(passages), relevant=grades, gold=query.gold
    )


def _finished(dataset: str, query: Query, corpus: Mapping[str, Text]) -> TrainingList | str:
    """A list whose order came along."""
    if len(query.pool) < 2:
        return "fewer than 2 passages"
    if len(set(query.pool)) < len(query.pool) or sorted(query.order) != sorted(query.pool):
        return "its order is no permutation of its passages"
    return TrainingList(
        dataset=dataset,
        qid=query.id,
        query=query.text,
        passages=tuple(_passage(name, corpus[name], "") for name in query.pool),
        relevant={name: grade for name, grade in query.relevant.items() if name in query.pool},
        order=query.order,
        reasoning=query.reasoning,
    )


def _positives(
    relevant: Mapping[str, int], pool: Pool, corpus: Mapping[str, Text], most: int, drawn: random.Random
) -> dict[str, str]:
    """The relevant documents of the highest grades with their texts, each text once.

    Of one grade, those that a search finds come first, for they are what serving will see; then some are drawn.
    """
    found, chosen = set(pool.base), dict[str, str]()
    for name in sorted(_shuffled(list(relevant), drawn), key=lambda name: (-relevant[name], name not in found)):
        text = normalised(content(corpus[name])) if name in corpus else ""
        if text and text not in chosen.values() and len(chosen) < most:
            chosen[name] = text
    return chosen


class _Picked:
    """Negatives: none of them banned, without text, or of the same text as another passage."""

    def __init__(self, corpus: Mapping[str, Text], *, banned: Iterable[str], texts: Mapping[str, str]) -> None:
        self.origins: dict[str, str] = {}
        self._corpus = corpus
        self._banned = set(banned)
        self._texts = {*texts.values(), ""}

    def add(self, names: Iterable[str], up_to: int, origin: str) -> None:
        """Take names, until there are `up_to` of them in all."""
        for name in names:
            if len(self.origins) >= up_to:
                return
            if name in self._banned or name in self.origins or name not in self._corpus:
                continue
            text = normalised(content(self._corpus[name]))
            if text not in self._texts:
                self._texts.add(text)
                self.origins[name] = origin


def _shown(names: Iterable[str], pool: Pool, order: str, drawn: random.Random) -> list[str]:
    """The base order, with what no search found at places by chance: standing behind, it would give itself away."""
    mixed = _shuffled(list(names), drawn)
    if order == "shuffled":
        return mixed
    places = {name: place for place, name in enumerate(pool.base)}
    shown = sorted((name for name in mixed if name in places), key=places.__getitem__)
    for name in mixed:
        if name not in places:
            shown.insert(drawn.randint(0, len(shown)), name)
    return shown


def _shuffled(names: Sequence[str], drawn: random.Random) -> list[str]:
    return drawn.sample(names, len(names))


def _any(names: Sequence[str], drawn: random.Random) -> Iterator[str]:
    """Names by chance, some of them more than once; each try costs the same however many there are."""
    for _ in range(10 * SIZE):
        yield drawn.choice(names)


def _passage(name: str, text: Text, origin: str) -> Passage:
    return Passage(id=name, text=text.text, title=text.title, origin=origin)
