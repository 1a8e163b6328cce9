"""The reranker: a strategy asks a judge about windows, and whatever happens a complete ranking comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from es_reasonrank.engines.base import Engine
from es_reasonrank.engines.replay import recorded
from es_reasonrank.errors import EngineError, InputError, ReasonRankError
from es_reasonrank.rerank.cache import Cache
from es_reasonrank.rerank.loading import load_engine, load_ranker
from es_reasonrank.rerank.orders import arrangements
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.session import Ranker, Session
from es_reasonrank.rerank.settling import Attempt, settled
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Verdict, Window

Document = str | Mapping[str, Any] | Candidate
OnFailure = Literal["base_order", "error"]


class Reranker:
    """Orders documents by their relevance to a query, as a profile says.

    `rank` may be called from any thread, `arank` from one event loop; use one of them on a reranker, not both.

    In the examples, an engine replays what a small model said about three documents. Without `engine`, the profile's
    own model is loaded.

    >>> from es_reasonrank import Reranker
    >>> from es_reasonrank.demo import example
    >>> example.DOCUMENTS[1:]
    ('Yeast makes bread rise.', 'Air scatters blue light more than red.')
    >>> with Reranker.load("tfrank", engine=example.engine()) as reranker:
    ...     ranking = reranker.rank("why is the sky blue", example.DOCUMENTS)
    >>> ranking.order
    (2, 0, 1)
    """

    def __init__(self, profile: Profile, ranker: Ranker) -> None:
        self.profile = profile
        self.ranker = ranker
        self._portal_context: Any = None
        self._portal: BlockingPortal | None = None

    @classmethod
    def load(
        cls,
        profile: str | Path | Profile,
        *,
        engine: Engine | None = None,
        record: Path | None = None,
        cache: Cache | None = None,
    ) -> Self:
        """A reranker from a profile's name, file or value. The model is loaded at the first use.

        >>> from es_reasonrank.demo import example
        >>> reranker = Reranker.load("tfrank", engine=example.engine())
        >>> reranker.profile.strategy, reranker.engine.model
        ({'name': 'pointwise'}, 'embedded:smollm2-135m')

        Args:
            engine: an engine to use instead of the profile's own, because it is shared, say.
            record: a file to record every reply to, for the engine `replay`.
            cache: where verdicts are remembered; without it, none is.

        Raises:
            SettingsError: the profile, or a part that it names, is unknown or wrong.
            MissingError: a package that it needs is not installed.
        """
        if not isinstance(profile, Profile):
            profile = load_profile(profile)
        engine = engine or load_engine(profile)
        if record is not None:
            engine = recorded(engine, record)
        return cls(profile, load_ranker(profile, engine, cache=cache))

    @property
    def engine(self) -> Engine:
        """The engine of the profile itself; a stage may have another."""
        return self.ranker.engine

    async def start(self) -> None:
        """Load every model that is needed; without it, the first ranking does.

        Raises:
            MissingError: a model, or a package that runs it, is not there.
            EngineError: it is there, but cannot be loaded.
        """
        for engine in self.ranker.engines:
            await engine.start()

    async def arank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
        on_window: Callable[[Window], None] | None = None,
    ) -> Ranking:
        """Rank `documents`, which stand in the first stage's order.

        >>> from es_reasonrank.demo import example
        >>> async def best(query):
        ...     async with Reranker.load("tfrank", engine=example.engine()) as reranker:
        ...         ranking = await reranker.arank(query, example.DOCUMENTS, deadline=2.0)
        ...     return next(iter(ranking)).text
        >>> asyncio.run(best("how long do cats sleep"))
        'Cats sleep for most of the day.'

        Args:
            documents: texts, mappings with `text` and perhaps `id`, `title`, `score`, or candidates.
            depth: how many from the head are reranked, the profile's depth by default.
            deadline: seconds after which what is done counts, and the rest keeps its order.
            on_failure: what a window without an order does: it keeps its incoming order, or fails the call.
            on_window: told of each window as it ends.

        Returns:
            A ranking of all documents. Those without text and those beyond the depth keep their places.

        Raises:
            InputError: the query is empty, or a document is not one.
            MissingError: the model, or a package that runs it, is not there.
            EngineError: `on_failure` is "error", and a window named no order.
        """
        if not query.strip():
            raise InputError("the query is empty; give a query to rank by")
        candidates = tuple(candidate(document, place) for place, document in enumerate(documents))
        head = range(min(len(candidates), self.profile.depth if depth is None else depth))
        movable = [place for place in head if candidates[place].has_text]
        attempts = self._attempts(query, candidates, movable, on_window)
        started = time.monotonic()
        if len(movable) > 1:
            try:
                async with asyncio.timeout(deadline):
                    await self.start()
                    await asyncio.gather(*(attempt.run() for attempt in attempts))
            except TimeoutError:
                _give_up(attempts, Outcome.DEADLINE, "time was up before the first window was asked")
            except EngineError as error:
                _give_up(attempts, Outcome.ENGINE_ERROR, str(error))
        windows = [window for attempt in attempts for window in attempt.session.windows]
        trace = Trace(self.profile.name, self.engine.model, tuple(windows), time.monotonic() - started)
        if on_failure == "error" and trace.status in (Status.PARTIAL, Status.FAILED):
            raise EngineError(_why(trace), engine=self.profile.engine["name"])
        return settled(query, candidates, movable, attempts, self.profile.fusion, trace)

    def _attempts(
        self,
        query: str,
        candidates: tuple[Candidate, ...],
        movable: Sequence[int],
        on_window: Callable[[Window], None] | None,
    ) -> list[Attempt]:
        """The ranking from each incoming order that the profile asks for; nothing is asked yet."""
        orders = arrangements(self.profile.orders, len(movable))
        return [
            Attempt(Session(self.ranker, query, candidates, [movable[item] for item in order], [], on_window), order)
            for order in orders
        ]

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
    ) -> Ranking:
        """`arank` for callers without an event loop; the model lives in a loop of its own until `close`.

        >>> from es_reasonrank.demo import example
        >>> documents = [{"id": str(place), "text": text} for place, text in enumerate(example.DOCUMENTS)]
        >>> with Reranker.load("tfrank", engine=example.engine()) as reranker:
        ...     ranking = reranker.rank("why is the sky blue", documents)
        >>> [(candidate.id, round(score, 2)) for candidate, score in zip(ranking, ranking.scores)]
        [('2', 0.4), ('0', 0.39), ('1', 0.39)]
        """

        async def call() -> Ranking:
            return await self.arank(query, documents, depth=depth, deadline=deadline, on_failure=on_failure)

        return self._loop().call(call)

    async def arank_many(
        self,
        lists: Iterable[tuple[str, Sequence[Document]]],
        *,
        at_once: int = 16,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
    ) -> AsyncIterator[tuple[int, Ranking]]:
        """Rank many lists side by side, and give each with its number, from 0, as soon as it is done.

        Args:
            lists: queries with their documents; read as room gets free, so that it may be a generator.
            at_once: lists that are worked on at a time.
            depth, deadline, on_failure: as in `arank`, for each list; a deadline begins when its list does.

        Raises:
            ReasonRankError: as `arank` raises it for a list; the others are stopped.
        """

        async def work(item: tuple[int, tuple[str, Sequence[Document]]]) -> Ranking:
            _, (query, documents) = item
            return await self.arank(query, documents, depth=depth, deadline=deadline, on_failure=on_failure)

        async with aclosing(run_all(enumerate(lists), work, at_once=at_once)) as results:
            async for (number, _), result in results:
                if isinstance(result, ReasonRankError):
                    raise result
                yield number, result

    def rank_many(
        self,
        lists: Iterable[tuple[str, Sequence[Document]]],
        *,
        at_once: int = 16,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
    ) -> Iterator[tuple[int, Ranking]]:
        """`arank_many` for callers without an event loop; each ranking comes as soon as it is done.

        >>> from es_reasonrank.demo import example
        >>> lists = [(query, example.DOCUMENTS) for query in ("why is the sky blue", "how long do cats sleep")]
        >>> with Reranker.load("tfrank", engine=example.engine()) as reranker:
        ...     orders = {number: ranking.order for number, ranking in reranker.rank_many(lists)}
        >>> orders[0], orders[1]
        ((2, 0, 1), (0, 1, 2))
        """
        loop = self._loop()
        results = self.arank_many(lists, at_once=at_once, depth=depth, deadline=deadline, on_failure=on_failure)

        async def after() -> tuple[int, Ranking] | None:
            return await anext(results, None)

        while (found := loop.call(after)) is not None:
            yield found

    def _loop(self) -> BlockingPortal:
        if self._portal is None:
            self._portal_context = start_blocking_portal("asyncio")
            self._portal = self._portal_context.__enter__()
        return self._portal

    async def aclose(self) -> None:
        """Free the engines."""
        for engine in self.ranker.engines:
            await engine.aclose()

    def close(self) -> None:
        """Free the engines and the loop that `rank` started."""
        if self._portal is not None:
            self._portal.call(self.aclose)
            self._portal_context.__exit__(None, None, None)
            self._portal = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def candidate(document: Document, place: int) -> Candidate:
    """A document as a candidate; one without an id is called by its place.

    Raises:
        InputError: it is neither a text, nor a mapping with a text, nor a candidate.
    """
    if isinstance(document, Candidate):
        return document
    if isinstance(document, str):
        return Candidate(id=str(place), text=document)
    if isinstance(document, Mapping) and isinstance(document.get("text", ""), str):
        known = {key: document[key] for key in ("text", "title", "score", "note") if document.get(key) is not None}
        return Candidate(id=str(document.get("id", place)), **known)
    raise InputError(f"document {place} must be a text or a mapping with 'text', not {type(document).__name__}")


def _give_up(attempts: Sequence[Attempt], outcome: Outcome, detail: str) -> None:
    """Leave a record where there would be none."""
    for attempt in attempts:
        session = attempt.session
        if not session.windows:
            verdict = Verdict.unchanged(len(session.movable), outcome, detail)
            session.record(tuple(session.movable), verdict, time.monotonic())


def _why(trace: Trace) -> str:
    failed = next(window for window in trace.windows if not window.outcome.ranks)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(trace.outcomes.items()))
    return f"the ranking is {trace.status} ({counts}); first: {failed.detail or failed.outcome}"
