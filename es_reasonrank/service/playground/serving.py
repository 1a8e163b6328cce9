"""What the page shows: what can be chosen, and a search as a stream of events while it is worked on."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from es_reasonrank import __version__
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.fields import field_types, likely_text_fields
from es_reasonrank.errors import ReasonRankError, ServiceError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.playground.copies import copies
from es_reasonrank.service.playground.protocol import (
    Event,
    FailedEvent,
    Fields,
    FoundEvent,
    Hit,
    LoadingEvent,
    ProfileInfo,
    RankedEvent,
    SearchRequest,
    Setup,
    WindowEvent,
)
from es_reasonrank.service.playground.searching import Found, find, wanted
from es_reasonrank.service.playground.summary import summary
from es_reasonrank.service.rankers import named
from es_reasonrank.service.ranking import Answer, Ask, Reason
from es_reasonrank.service.state import State
from es_reasonrank.types import Candidate, Window

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_log = logging.getLogger(__name__)
_LONGEST = 5_000
"""Characters of a hit's text that the page shows."""


async def setup(client: AsyncElasticsearch, parts: State) -> Setup:
    """Indices that the caller sees, and rankers. Without a right to list indices, a name can still be typed."""
    service = parts.settings.service
    profiles = parts.ranking.rankers.profiles.values()
    return Setup(
        version=__version__,
        indices=await _indices(client),
        profiles=[ProfileInfo(name=each.name, summary=each.summary, depth=each.depth) for each in profiles],
        fields=parts.settings.fields,
        deadline=service.deadline,
        max_documents=service.max_documents,
    )


async def fields(client: AsyncElasticsearch, index: str) -> Fields:
    """The text fields of an index, and those that are read where none is named.

    Raises:
        SearchError: there is no such index.
        ElasticError: the server failed.
    """
    types = await field_types(client, index)
    texts = [name for name, kind in types.items() if "text" in kind]
    return Fields(names=texts, default=list(likely_text_fields(types)))


async def first_stage(client: AsyncElasticsearch, parts: State, request: SearchRequest) -> tuple[Found, Profile]:
    """The hits to rerank, and the ranker.

    Raises:
        InputError: the search asks for something that is not there.
        ServiceError: Elasticsearch failed.
    """
    search = wanted(request)
    profile = named(parts.ranking.rankers.profiles, search.asked.profile)
    settings = parts.settings
    return await find(client, search.by(profile), settings.fields, settings.service.max_documents), profile


async def events(parts: State, found: Found, profile: Profile, *, origin: str, login: str) -> AsyncIterator[Event]:
    """The first stage's answer, each window as it ends, and the whole order.

    Args:
        origin: the service's address as the page knows it.
        login: the caller's Authorization, empty where there is none.
    """
    yield _found(found, profile, origin, login)
    ask = Ask(
        query=found.wanted.asked.query,
        candidates=found.candidates.items,
        profile=profile.name,
        depth=found.depth,
        deadline=found.wanted.asked.deadline,
        caller=hashlib.sha256(login.encode()).hexdigest() if login else "",
    )
    try:
        async for event in _asked(parts, ask):
            if isinstance(event, Answer):
                yield _ranked(event)
            else:
                yield event
    except ReasonRankError as error:
        _log.warning("the playground's search failed: %s", error)
        yield FailedEvent(error=str(error))


async def _asked(parts: State, ask: Ask) -> AsyncIterator[Event | Answer]:
    """The ranking's windows, then its answer. A model that is still being loaded is waited for, once."""
    async for event in _windows(parts, ask):
        if isinstance(event, Answer) and event.reason is Reason.MODEL_LOADING:
            yield LoadingEvent(detail=event.detail)
        else:
            yield event
            if isinstance(event, Answer):
                return
    # Where a model cannot be loaded, the ranking itself says so.
    with suppress(ReasonRankError):
        await parts.ranking.rankers.start()
    async for event in _windows(parts, ask):
        yield event


async def _windows(parts: State, ask: Ask) -> AsyncIterator[WindowEvent | Answer]:
    told: asyncio.Queue[Window | None] = asyncio.Queue()
    work = asyncio.ensure_future(parts.ranking.rank(replace(ask, on_window=told.put_nowait)))
    work.add_done_callback(lambda _: told.put_nowait(None))
    count = itertools.count(1)
    try:
        while (window := await told.get()) is not None:
            yield _window(window, next(count))
        yield await work
    finally:
        work.cancel()


async def _indices(client: AsyncElasticsearch) -> list[str]:
    try:
        with mapped():
            answer = await client.indices.resolve_index(name="*")
    except ServiceError as error:
        if getattr(error, "status", None) == 403:
            return []
        raise
    return sorted(row["name"] for kind in ("indices", "aliases", "data_streams") for row in answer[kind])


def _found(found: Found, profile: Profile, origin: str, login: str) -> FoundEvent:
    response = found.candidates.response
    total = response["hits"].get("total") or {"value": None, "relation": "eq"}
    pairs = zip(found.candidates.hits, found.candidates.items, strict=True)
    return FoundEvent(
        query=found.wanted.asked.query,
        profile=profile.name,
        model=str(profile.engine.get("model", profile.engine["name"])),
        depth=min(found.depth, len(found.candidates.items)),
        fields=found.plan.source.names,
        hits=[_hit(str(hit["_index"]), candidate) for hit, candidate in pairs],
        total=total["value"],
        more=total["relation"] == "gte",
        seconds=found.seconds,
        copies=copies(origin, found.wanted.index, found.copied, login=bool(login)),
    )


def _hit(index: str, candidate: Candidate) -> Hit:
    return Hit(
        id=candidate.id,
        index=index,
        title=candidate.title,
        text=candidate.text[:_LONGEST] + ("…" if len(candidate.text) > _LONGEST else ""),
        score=candidate.score,
        note=candidate.note,
    )


def _window(window: Window, number: int) -> WindowEvent:
    return WindowEvent(
        number=number,
        shown=[index + 1 for index in window.shown],
        order=[index + 1 for index in window.order],
        outcome=window.outcome,
        ranks=window.outcome.ranks,
        detail=window.detail,
        reasoning=window.reasoning,
        reply=window.reply,
        prompt_tokens=window.prompt_tokens,
        generated_tokens=window.generated_tokens,
        seconds=window.seconds,
        attempts=window.attempts,
        remembered=window.cached,
        stage=window.stage,
    )


def _ranked(answer: Answer) -> RankedEvent:
    ranking, trace = answer.ranking, answer.ranking.trace
    order = [index + 1 for index in ranking.order]
    return RankedEvent(
        order=order,
        scores=list(ranking.scores),
        status=answer.status,
        reason=answer.reason,
        detail=answer.detail,
        summary=summary(order),
        remembered=answer.remembered,
        queued=answer.queued,
        seconds=0.0 if answer.remembered else trace.seconds,
        prompt_tokens=0 if answer.remembered else trace.prompt_tokens,
        generated_tokens=0 if answer.remembered else trace.generated_tokens,
    )
