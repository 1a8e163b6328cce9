"""The reranker: a strategy asks a judge about windows, and whatever happens a complete ranking comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from es_reasonrank import plugins
from es_reasonrank.engines.base import Engine
from es_reasonrank.engines.replay import recorded
from es_reasonrank.errors import EngineError, InputError, SettingsError
from es_reasonrank.rerank.judges import Judge
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.strategies import Standing, Strategy
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Verdict, Window
from es_reasonrank.validation import checked

Document = str | Mapping[str, Any] | Candidate
OnFailure = Literal["base_order", "error"]


class Reranker:
    """Orders documents by their relevance to a query, as a profile says.

        with Reranker.load("encoder") as reranker:
            ranking = reranker.rank("why is the sky blue", documents)
            ranking.order, ranking.scores, ranking.trace.outcomes

    `rank` may be called from any thread, `arank` from one event loop; use one of them on a reranker, not both.
    """

    def __init__(self, profile: Profile, strategy: Strategy, judge: Judge, engine: Engine) -> None:
        self.profile = profile
        self.strategy = strategy
        self.judge = judge
        self.engine = engine
        self._portal_context: Any = None
        self._portal: BlockingPortal | None = None

    @classmethod
    def load(cls, profile: str | Path | Profile, *, engine: Engine | None = None, record: Path | None = None) -> Self:
        """A reranker from a profile's name, file or value. The model is loaded at the first use.

        Args:
            engine: an engine to use instead of the profile's own, because it is shared, say.
            record: a file to record every reply to, for the engine `replay`.

        Raises:
            SettingsError: the profile, or a part that it names, is unknown or wrong.
            MissingError: a package that it needs is not installed.
        """
        if not isinstance(profile, Profile):
            profile = load_profile(profile)
        strategy_class, strategy_options = _part("strategies", "strategy", profile.strategy, profile.name)
        judge_class, judge_options = _part("judges", "judge", profile.judge, profile.name)
        engine = engine or load_engine(profile)
        if record is not None:
            engine = recorded(engine, record)
        judge = judge_class(judge_options, engine)
        if missing := judge.needs - engine.capabilities:
            raise SettingsError(
                f"profile {profile.name}: judge {profile.judge['name']!r} needs an engine with "
                f"{', '.join(sorted(missing))}, and engine {profile.engine['name']!r} has only "
                f"{', '.join(sorted(engine.capabilities))}"
            )
        return cls(profile, strategy_class(strategy_options), judge, engine)

    async def arank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
    ) -> Ranking:
        """Rank `documents`, which stand in the first stage's order.

        Args:
            documents: texts, mappings with `text` and perhaps `id`, `title`, `score`, or candidates.
            depth: how many from the head are reranked, the profile's depth by default.
            deadline: seconds after which what is done counts, and the rest keeps its order.
            on_failure: what a window without an order does: it keeps its incoming order, or fails the call.

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
        session = _Session(self.judge, query, candidates, movable)
        started = time.monotonic()
        standing = Standing(len(movable))
        if len(movable) > 1:
            try:
                async with asyncio.timeout(deadline):
                    await self.engine.start()
                    await self.strategy.rank(standing, session)
            except TimeoutError:
                session.give_up(Outcome.DEADLINE, "time was up before the first window was asked")
            except EngineError as error:
                session.give_up(Outcome.ENGINE_ERROR, str(error))
        trace = Trace(self.profile.name, self.engine.model, tuple(session.windows), time.monotonic() - started)
        if on_failure == "error" and trace.status in (Status.PARTIAL, Status.FAILED):
            raise EngineError(_why(trace), engine=self.profile.engine["name"])
        return _ranking(query, candidates, movable, standing, trace)

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        depth: int | None = None,
        deadline: float | None = None,
        on_failure: OnFailure = "base_order",
    ) -> Ranking:
        """`arank` for callers without an event loop; the model lives in a loop of its own until `close`."""
        if self._portal is None:
            self._portal_context = start_blocking_portal("asyncio")
            self._portal = self._portal_context.__enter__()

        async def call() -> Ranking:
            return await self.arank(query, documents, depth=depth, deadline=deadline, on_failure=on_failure)

        return self._portal.call(call)

    async def aclose(self) -> None:
        """Free the engine."""
        await self.engine.aclose()

    def close(self) -> None:
        """Free the engine and the loop that `rank` started."""
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


class _Session:
    """One call: it puts windows to the judge and records what came of each."""

    def __init__(self, judge: Judge, query: str, candidates: tuple[Candidate, ...], movable: list[int]) -> None:
        self.judge = judge
        self.query = query
        self.candidates = candidates
        self.movable = movable
        self.windows: list[Window] = []

    async def stage(self, name: str, items: Sequence[int]) -> tuple[int, ...]:
        """Items in the order of another ranker, whose windows are recorded here too."""
        raise NotImplementedError(name)

    async def __call__(self, items: Sequence[int]) -> Verdict:
        """The judge's verdict on a window of items, or an unchanged one; recorded either way."""
        shown = tuple(self.movable[item] for item in items)
        started = time.monotonic()
        try:
            verdict = await self.judge.judge(self.query, [self.candidates[index] for index in shown])
        except (EngineError, InputError) as error:
            verdict = Verdict.unchanged(len(shown), Outcome.ENGINE_ERROR, str(error))
        except asyncio.CancelledError:
            verdict = Verdict.unchanged(len(shown), Outcome.DEADLINE, "time was up")
            self._record(shown, verdict, started)
            raise
        if sorted(verdict.order) != list(range(len(shown))):
            verdict = Verdict.unchanged(len(shown), Outcome.MALFORMED, "the judge gave no permutation of its window")
        self._record(shown, verdict, started)
        return verdict

    def give_up(self, outcome: Outcome, detail: str) -> None:
        """Leave a record where there would be none."""
        if not self.windows:
            verdict = Verdict.unchanged(len(self.movable), outcome, detail)
            self._record(tuple(self.movable), verdict, time.monotonic())

    def _record(self, shown: tuple[int, ...], verdict: Verdict, started: float) -> None:
        self.windows.append(
            Window(
                shown=shown,
                order=tuple(shown[place] for place in verdict.order),
                outcome=verdict.outcome,
                detail=verdict.detail,
                reasoning=verdict.reasoning,
                reply=verdict.reply,
                scores=verdict.scores,
                prompt_tokens=verdict.prompt_tokens,
                generated_tokens=verdict.generated_tokens,
                seconds=time.monotonic() - started,
            )
        )


def load_engine(profile: Profile) -> Engine:
    """The profile's own engine, not started yet."""
    engine_class, options = _part("engines", "engine", profile.engine, profile.name)
    engine: Engine = engine_class(options)
    return engine


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


def _part(axis: plugins.Axis, key: str, values: Mapping[str, Any], profile: str) -> tuple[Any, Any]:
    """The class of one axis' member, and its checked options."""
    where = f"profile {profile}, {key}"
    found = plugins.find(axis, values["name"], where=where)
    options = {name: value for name, value in values.items() if name != "name"}
    return found, checked(found.options_model, options, where=f"{where} {values['name']}")


def _ranking(
    query: str, candidates: tuple[Candidate, ...], movable: list[int], standing: Standing, trace: Trace
) -> Ranking:
    """The movable candidates in their new order at the places they had; all others where they were."""
    order = list(range(len(candidates)))
    result = standing.result()
    for place, item in zip(movable, result, strict=True):
        order[place] = movable[item]
    judged = {movable[item]: score for item, score in standing.scores.items()}
    return Ranking(query, candidates, tuple(order), _scores(order, judged), trace)


def _scores(order: list[int], judged: Mapping[int, float]) -> tuple[float, ...]:
    """One score a place, never increasing. One without a judge's score takes its upper neighbour's."""
    size = len(order)
    if not judged:
        return tuple((size - place) / size for place in range(size))
    level = max(judged.values())
    scores = []
    for index in order:
        level = judged.get(index, level)
        scores.append(level)
    return tuple(scores)


def _why(trace: Trace) -> str:
    failed = next(window for window in trace.windows if not window.outcome.ranks)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(trace.outcomes.items()))
    return f"the ranking is {trace.status} ({counts}); first: {failed.detail or failed.outcome}"
