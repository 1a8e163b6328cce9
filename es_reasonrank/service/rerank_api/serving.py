"""What a rerank request does, whatever its shape. No reranking that failed is silent, and no document is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from fastapi import HTTPException

from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.headers import rerank_headers
from es_reasonrank.service.ranking import Answer, Ask, RankingService, Reason
from es_reasonrank.service.rerank_api.protocol import Job, Reranked, Scored
from es_reasonrank.service.rerank_api.scale import unit_scores
from es_reasonrank.service_settings import OnFailure, ServiceSettings
from es_reasonrank.types import Candidate, Status

_AT_ONCE = 4
"""Lists of one request that are ranked at a time: others want their turn too."""
_WORST = (Status.FAILED, Status.PARTIAL, Status.SKIPPED, Status.OK)


async def rerank_all(ranking: RankingService, jobs: Sequence[Job], caller: str) -> list[Reranked]:
    """Rank the lists of a request.

    Raises:
        HTTPException: as `rerank`; 413 where there are too many documents.
    """
    size, most = sum(len(job.candidates) for job in jobs), ranking.settings.max_documents
    if size > most:
        raise HTTPException(413, f"{size} documents are more than {most} (service.max_documents); send fewer")
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(job: Job) -> Reranked:
        async with turns:
            return await rerank(ranking, job, caller)

    if len(jobs) == 1:
        return [await rerank(ranking, jobs[0], caller)]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(job)) for job in jobs]
    except* HTTPException as failed:
        raise _first(failed) from None
    return [task.result() for task in tasks]


async def rerank(ranking: RankingService, job: Job, caller: str) -> Reranked:
    """Rank one list. Every document is ranked, whatever the profile's depth: it is the caller who chose them.

    Raises:
        HTTPException: 404 for an unknown profile, 429 where there is no room, 503 where the ranking failed and the
            caller wants an error rather than the order that documents came in.
    """
    started = time.monotonic()
    profile = served(ranking, job.options.model)
    shown = _shown(profile, job.candidates)
    answer = await ranking.rank(
        Ask(job.query, shown, profile.name, depth=len(shown), deadline=job.options.deadline, caller=caller)
    )
    took = (time.monotonic() - started) * 1000
    refuse(answer, job.options.on_failure, ranking.settings, took)
    order = [(index, raw) for index, raw in zip(answer.ranking.order, answer.ranking.scores, strict=True)]
    kept = [(index, raw) for index, raw in order if index < len(job.candidates)]
    scores = unit_scores(profile, [raw for _, raw in kept])
    results = tuple(Scored(index, score, raw) for (index, raw), score in zip(kept, scores, strict=True))
    return Reranked(results, answer, took)


def served(ranking: RankingService, name: str) -> Profile:
    """The profile of that name, the default for an empty one.

    Raises:
        HTTPException: 404, it is not served here.
    """
    profiles = ranking.rankers.profiles
    name = name or next(iter(profiles))
    if name not in profiles:
        raise HTTPException(404, f"model {name!r} is not served here; served are: {', '.join(profiles)}")
    return profiles[name]


def headers_of(outcomes: Sequence[Reranked]) -> list[tuple[str, str]]:
    """The headers of an answer: of the worst outcome, with the windows of all."""
    worst = min(outcomes, key=lambda outcome: _WORST.index(outcome.answer.status)).answer
    windows = tuple(window for outcome in outcomes for window in outcome.answer.ranking.trace.windows)
    whole = replace(worst, ranking=replace(worst.ranking, trace=replace(worst.ranking.trace, windows=windows)))
    return rerank_headers(whole, max(outcome.took_ms for outcome in outcomes))


def _shown(profile: Profile, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """What is ranked. A single document is not, as there is nothing to order; but a ranker that scores each document
    by itself can tell its score, so that it gets the document twice."""
    if len(candidates) == 1 and profile.strategy["name"] == "pointwise":
        return (*candidates, replace(candidates[0], id="again"))
    return candidates


def refuse(answer: Answer, asked: OnFailure | None, settings: ServiceSettings, took: float) -> None:
    """Nothing, where an order is to be sent.

    Raises:
        HTTPException: 429 or 503, what is to be sent instead.
    """
    if answer.status not in (Status.FAILED, Status.PARTIAL):
        return
    headers = dict(rerank_headers(answer, took))
    # Whoever does not say gets the status that clients retry by themselves, rather than an order nobody made.
    if answer.reason is Reason.OVERLOAD and asked != "base_order":
        raise HTTPException(429, answer.detail, headers={**headers, "Retry-After": "1"})
    if (asked or settings.on_failure) == "error":
        if answer.reason in (Reason.CIRCUIT_OPEN, Reason.MODEL_LOADING):
            headers["Retry-After"] = str(max(1, round(settings.breaker_pause)))
        raise HTTPException(503, f"reranking is {answer.status}: {answer.detail}", headers=headers)


def _first(failed: BaseExceptionGroup[HTTPException]) -> HTTPException:
    """One of the errors of a group."""
    error = failed.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
