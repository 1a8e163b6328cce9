"""From a prepared source to its lists: queries made where there are none, passages selected, lists put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from es_reasonrank.errors import EngineError, ReasonRankError, SettingsError
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.rerank.pool import run_all
from trainer.lists import Passage, TrainingList
from trainer.synthesis.candidates import Pool, Selected, composed
from trainer.synthesis.cost import Call
from trainer.synthesis.leaks import Removed
from trainer.synthesis.material import Query
from trainer.synthesis.prepared import Prepared
from trainer.synthesis.similarity import Vectors
from trainer.synthesis.teacher import Teacher

Item = TypeVar("Item")
Result = TypeVar("Result")
Found = tuple[Query, Pool]


@dataclass
class Lists:
    """What became of a source."""

    lists: list[TrainingList] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Queries without a list, by reason."""
    removed: list[Removed] = field(default_factory=list)
    """What leaks."""
    failed: list[EngineError] = field(default_factory=list)
    """Failures of the teacher's engine; asking again may help."""


class Making:
    """Makes the lists of one source.

    Args:
        teacher: a model; without one, orders are by grade and then by similarity.

    Raises:
        SettingsError: queries are to be made, and there is no model to make them.
    """

    def __init__(self, ready: Prepared, teacher: Teacher | None) -> None:
        if teacher is None and ready.material.unasked:
            raise SettingsError(f"source {ready.dataset} has no queries, and teacher qrels makes none; use a model")
        self._ready = ready
        self._teacher = teacher
        self._made = Lists(left_out=Counter(ready.material.left_out), removed=list(ready.removed))

    async def lists(self) -> Lists:
        """All of them, in the order of their queries.

        Raises:
            EngineError: the teacher answers nonsense.
            ServiceError: the teacher is down, or Elasticsearch is.
        """
        found = self._found()
        if self._teacher is not None and self._ready.material.unasked:
            found += await self._with_queries(self._teacher)
        done: dict[str, TrainingList] = {}
        async for (query, _), one in self._each(found, self._list):
            if isinstance(one, str):
                self._made.left_out[one] += 1
            else:
                done[query.id] = one
        self._made.lists = [done[query.id] for query, _ in found if query.id in done]
        return self._made

    async def calls(self, teacher: Teacher) -> AsyncIterator[Call]:
        """What the teacher will be asked that it has not answered yet."""
        corpus = self._ready.material.corpus
        for query, pool in self._found():
            guessed = False
            if query.gold:
                async for call in teacher.select_calls(query, self._ready.material.criterion, self._shown(query, pool)):
                    guessed = True
                    yield call
            one = self._stand_in(query, pool.fused) if guessed else await self._composed(query, pool)
            if isinstance(one, TrainingList) and not one.order:
                async for call in teacher.order_calls(one, guessed=guessed):
                    yield call
        for name in self._ready.material.unasked:
            async for call in teacher.query_calls(corpus[name]):
                yield call
            one = self._stand_in(Query(name, name, {name: 1}), islice(corpus, self._ready.shared.options.size))
            async for call in teacher.order_calls(one, guessed=True):
                yield call

    def _found(self) -> list[Found]:
        return [(query, self._ready.pools.get(query.id, Pool())) for query in self._ready.material.queries]

    async def _list(self, found: Found) -> TrainingList | str:
        """A query's list in its order, or why there is none."""
        one = await self._composed(*found)
        if isinstance(one, str) or one.order:
            return one
        if self._teacher is not None:
            return await self._teacher.rank(one)
        return by_judgments(one, self._ready.vectors)

    async def _composed(self, query: Query, pool: Pool) -> TrainingList | str:
        ready, selected = self._ready, Selected()
        if self._teacher is not None and query.gold:
            shown = self._shown(query, pool)
            selected = await self._teacher.select(query, ready.material.criterion, shown)
        seed = f"{ready.shared.seed} {ready.dataset} {query.id}"
        return composed(ready.dataset, query, pool, ready.material.corpus, ready.shared.options, seed, selected)

    def _shown(self, query: Query, pool: Pool) -> dict[str, Text]:
        """What a teacher selects from: what both searches put high and nobody has judged."""
        corpus = self._ready.material.corpus
        names = (name for name in pool.fused if name in corpus and name not in query.grades)
        return {name: corpus[name] for name in islice(names, self._ready.shared.options.depth)}

    def _stand_in(self, query: Query, names: Sequence[str] | islice[str]) -> TrainingList:
        """A list of the make that is to be asked about, before it is known."""
        corpus = self._ready.material.corpus
        chosen = [name for name in dict.fromkeys((*query.relevant, *names)) if name in corpus]
        passages = [Passage(id=name, text=corpus[name].text, title=corpus[name].title) for name in chosen]
        size = self._ready.shared.options.size
        return TrainingList(dataset="", qid=query.id, query=query.text, passages=tuple(passages[:size]))

    async def _with_queries(self, teacher: Teacher) -> list[Found]:
        """Queries made for documents, each of which finds its document again, and none of a test set.

        Source: InPars and Promptagator (2209.11755, section 3.2) check that a made query retrieves its document.
        """
        ready, texts = self._ready, dict[str, str]()

        async def work(name: str) -> str:
            return await teacher.query(ready.material.corpus[name])

        async for name, text in self._each(ready.material.unasked, work):
            texts[name] = text
        queries = [Query(f"q-{name}", texts[name], {name: 1}) for name in ready.material.unasked if texts.get(name)]
        self._made.left_out["the teacher makes no query"] += sum(not text for text in texts.values())
        leaking = {
            query.id: removed for query in queries if (removed := ready.shared.guard.query(ready.dataset, query))
        }
        self._made.removed += leaking.values()
        kept = [query for query in queries if query.id not in leaking]
        pools = await ready.find(kept)
        found = [(query, pools[query.id]) for query in kept if _returns(query, pools[query.id], teacher)]
        self._made.left_out["its made query does not find it"] += len(kept) - len(found)
        return found

    async def _each(
        self, items: Sequence[Item], work: Callable[[Item], Awaitable[Result]]
    ) -> AsyncIterator[tuple[Item, Result]]:
        """Each item with its result, as they are ready; what the teacher's engine fails at is noted."""
        at_once = self._teacher.options.at_once if self._teacher is not None else 1
        async with aclosing(run_all(items, work, at_once=at_once)) as results:
            done = 0
            async for item, result in results:
                if self._teacher is not None:
                    self._teacher.check()
                if isinstance(result, EngineError):
                    self._made.failed.append(result)
                elif isinstance(result, ReasonRankError):
                    raise result
                else:
                    yield item, result
                done += 1
                self._ready.shared.work.progress(done, len(items), {})


def by_judgments(one: TrainingList, vectors: Vectors) -> TrainingList:
    """The list ordered by grade, and among equals by similarity to the query. It has no chain."""
    names = [passage.id for passage in one.passages]
    near: Mapping[str, float] = dict(zip(names, vectors.similarities(one.query, names), strict=True))
    order = sorted(names, key=lambda name: (-one.relevant.get(name, 0), -near[name]))
    return one.model_copy(update={"order": tuple(order)})


def _returns(query: Query, pool: Pool, teacher: Teacher) -> bool:
    (document,) = query.grades
    rank = pool.rank(document)
    return rank is not None and rank <= teacher.options.round_trip
