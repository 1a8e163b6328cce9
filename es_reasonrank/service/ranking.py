"""What every route asks: rank these candidates. Whatever happens, an order comes back, with a status and a reason."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cachetools import TTLCache

from es_reasonrank.errors import InputError, ReasonRankError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.breaker import Breaker
from es_reasonrank.service.gate import Gate, Overloaded
from es_reasonrank.service.rankers import Rankers, named
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window


class Reason(StrEnum):
    """Why a search did not get all of its reranking. The set is closed; headers, logs and metrics use these words."""

    NONE = ""
    NOTHING_TO_RANK = "nothing_to_rank"
    """Fewer than two hits with text."""
    DEADLINE = "deadline"
    """Time was up."""
    OVERLOAD = "overload"
    """Too many rankings were waiting."""
    CIRCUIT_OPEN = "circuit_open"
    """The model failed so often that it is left alone for a while."""
    MODEL_FAILED = "model_failed"
    """The model, or what serves it, failed."""
    BAD_ANSWER = "bad_answer"
    """The model answered, but named no order."""
    STOPPING = "stopping"
    """The service is about to stop."""


@dataclass(frozen=True)
class Ask:
    """One list to rank. It stands in the first stage's order."""

    query: str
    candidates: Sequence[Candidate]
    profile: str = ""
    """A profile's name; the service's default where it is empty."""
    depth: int | None = None
    deadline: float | None = None
    """Seconds; the service's default where it is None."""
    caller: str = ""
    """What tells callers' credentials apart: nobody is served what was remembered for another."""
    on_window: Callable[[Window], None] | None = None


@dataclass(frozen=True)
class Answer:
    """The order, and how it came about."""

    ranking: Ranking
    status: Status
    reason: Reason = Reason.NONE
    detail: str = ""
    """A sentence, where there is something to say."""
    queued: float = 0.0
    """Seconds that it waited for its turn."""
    remembered: bool = False
    """Whether the whole order was known from before."""


Observer = Callable[[Ask, Answer], None]

_HANGS = 0.5
"""Seconds after its deadline when a ranking counts as lost."""


class RankingService:
    """Ranks for every route: bounded in number and in time, and never without an answer.

    Args:
        rankers: the models.
        settings: how much is taken on.
    """

    def __init__(self, rankers: Rankers, settings: ServiceSettings) -> None:
        self.rankers = rankers
        self.settings = settings
        self.gate = Gate(settings.at_once, settings.queue)
        self.observers: list[Observer] = []
        """Told of every answer: metrics and logs."""
        self.breakers: dict[str, Breaker] = {}
        """One a profile."""
        self._stopping = asyncio.Event()
        self._known: TTLCache[str, Ranking] = TTLCache(settings.cache_size, settings.cache_ttl)

    def stop(self) -> None:
        """Give every ranking that is under way its base order, and take on no new one."""
        self._stopping.set()

    async def rank(self, ask: Ask) -> Answer:
        """Rank one list.

        Raises:
            InputError: the query is empty.
            SettingsError: there is no such profile.
        """
        profile = named(self.rankers.profiles, ask.profile)
        if not ask.query.strip():
            raise InputError("the query is empty; give a query to rank by")
        key = _key(profile.name, ask)
        known = self._known.get(key)
        if known is not None:
            answer = Answer(replace(known, candidates=tuple(ask.candidates)), Status.OK, remembered=True)
        else:
            answer = await self._asked(profile, ask)
            if answer.status is Status.OK:
                self._known[key] = answer.ranking
        for observer in self.observers:
            observer(ask, answer)
        return answer

    async def _asked(self, profile: Profile, ask: Ask) -> Answer:
        """The model's answer, unless there is no use in asking."""
        breaker = self.breakers.setdefault(
            profile.name, Breaker(self.settings.breaker_failures, self.settings.breaker_pause)
        )
        arrived = time.monotonic()
        deadline = arrived + (ask.deadline or self.settings.deadline)
        if self._stopping.is_set():
            return _base(profile, ask, Reason.STOPPING, "the service is about to stop")
        try:
            async with asyncio.timeout_at(_loop_time(deadline)) as limit, self.gate.entered():
                entered = time.monotonic()
                # A ranking keeps the deadline by itself, with what is done by then; this is for one that hangs.
                limit.reschedule(_loop_time(deadline + _HANGS))
                if not breaker.allows():
                    return _base(profile, ask, Reason.CIRCUIT_OPEN, "the model failed too often and is left alone")
                answer = await self._ranked(profile, ask, deadline - entered, breaker)
                return replace(answer, queued=entered - arrived)
        except Overloaded:
            return _base(profile, ask, Reason.OVERLOAD, "too many rankings are waiting; try again later")
        except TimeoutError:
            return _base(profile, ask, Reason.DEADLINE, "time was up before it was its turn")

    async def _ranked(self, profile: Profile, ask: Ask, seconds: float, breaker: Breaker) -> Answer:
        """The model's answer; the breaker learns how it went."""
        work = asyncio.ensure_future(
            self.rankers.rank(
                profile.name, ask.query, ask.candidates, depth=ask.depth, deadline=seconds, on_window=ask.on_window
            )
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                breaker.gave_up()
                return _base(profile, ask, Reason.STOPPING, "the service is about to stop")
            answer = _answer(work.result())
        except ReasonRankError as error:
            answer = _base(profile, ask, Reason.MODEL_FAILED, str(error))
        except asyncio.CancelledError:
            breaker.gave_up()
            raise
        finally:
            work.cancel()
            stopping.cancel()
        if answer.status is Status.FAILED and answer.reason in (Reason.MODEL_FAILED, Reason.DEADLINE):
            breaker.failed()
        else:
            breaker.succeeded()
        return answer


def _answer(ranking: Ranking) -> Answer:
    """The ranking with its status, and the reason where it is not whole."""
    trace = ranking.trace
    status = trace.status
    if status is Status.OK:
        return Answer(ranking, status)
    if status is Status.SKIPPED:
        return Answer(ranking, status, Reason.NOTHING_TO_RANK, "fewer than two hits have a text to rank by")
    failed = next(window for window in trace.windows if not window.outcome.ranks)
    return Answer(ranking, status, _REASONS.get(failed.outcome, Reason.BAD_ANSWER), failed.detail or failed.outcome)


_REASONS = {Outcome.DEADLINE: Reason.DEADLINE, Outcome.ENGINE_ERROR: Reason.MODEL_FAILED}


def _base(profile: Profile, ask: Ask, reason: Reason, detail: str) -> Answer:
    """The base order."""
    size = len(ask.candidates)
    ranking = Ranking(
        query=ask.query,
        candidates=tuple(ask.candidates),
        order=tuple(range(size)),
        scores=tuple((size - place) / size for place in range(size)),
        trace=Trace(profile.name, str(profile.engine.get("model", profile.engine["name"]))),
    )
    return Answer(ranking, Status.FAILED, reason, detail)


def _key(profile: str, ask: Ask) -> str:
    """What a whole order is remembered under: everything that it depends on, and whom it was for."""
    texts = [(candidate.id, candidate.title, candidate.text, candidate.score) for candidate in ask.candidates]
    return hashlib.sha256(json.dumps([ask.caller, profile, ask.query, ask.depth, texts]).encode()).hexdigest()


def _loop_time(moment: float) -> float:
    """A moment of `time.monotonic` on the event loop's clock."""
    return asyncio.get_running_loop().time() + moment - time.monotonic()
