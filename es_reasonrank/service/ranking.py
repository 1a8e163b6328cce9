"""What every route asks: rank these candidates. Whatever happens, an order comes back, with a status and a reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

from es_reasonrank.errors import InputError, ReasonRankError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.answers import Answer, Ask, Reason, answer_of, base, movable, seconds_of
from es_reasonrank.service.breaker import Breaker, Call
from es_reasonrank.service.gate import Gate, Overloaded
from es_reasonrank.service.rankers import Loading, Rankers, named
from es_reasonrank.service.remembered import Remembered, key_of
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.types import Candidate, Ranking, Status

__all__ = ["Answer", "Ask", "Observer", "RankingService", "Reason"]

_log = logging.getLogger(__name__)

Observer = Callable[[Ask, Answer], None]

_LATE = 0.03
"""Seconds after its deadline when a ranking is given up: a model that keeps the deadline has answered by then."""
_EARLY_SHARE, _EARLY_MOST = 0.05, 0.1
"""The model's own deadline comes before the caller's, by this share of the time and by so many seconds at most: what it
has done until then still counts."""


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
        self.breakers = {name: Breaker(settings.breaker_failures, settings.breaker_pause) for name in rankers.profiles}
        """One a profile."""
        self._stopping = False
        self._limits: set[asyncio.Timeout] = set()
        self._remembered = Remembered(settings.cache_size, settings.cache_ttl)

    def stop(self) -> None:
        """Give every ranking that is under way its base order, and take on no new one."""
        self._stopping = True
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())

    async def rank(self, ask: Ask) -> Answer:
        """Rank one list.

        Raises:
            InputError: the query is empty.
            SettingsError: there is no such profile.
        """
        profile = named(self.rankers.profiles, ask.profile)
        if not ask.query.strip():
            raise InputError("the query is empty; give a query to rank by")
        key = key_of(profile.name, ask)
        answer = self._remembered.get(key, ask)
        if answer is None:
            answer = await self._asked(profile, ask)
            self._remembered.put(key, answer)
        elif ask.on_window is not None:
            for window in answer.ranking.trace.windows:
                ask.on_window(window)
        self._tell(ask, answer)
        return answer

    async def probe(self, profile: str = "") -> Answer:
        """Whether a model works: it is asked about two short passages that no cache knows. No observer is told.

        Raises:
            SettingsError: there is no such profile.
        """
        texts = ("Cats sleep most of the day.", "Air scatters blue light more than red light.")
        passages = [Candidate(id=str(place), text=text) for place, text in enumerate(texts)]
        ask = Ask(f"why is the sky blue ({uuid4().hex})", passages)
        return await self._asked(named(self.rankers.profiles, profile), ask)

    async def _asked(self, profile: Profile, ask: Ask) -> Answer:
        """The model's answer, unless there is no use in asking."""
        breaker = self.breakers[profile.name]
        seconds = seconds_of(ask.deadline, self.settings.deadline)
        if not movable(profile, ask):
            return base(profile, ask, Reason.NOTHING_TO_RANK)
        if self._stopping:
            return base(profile, ask, Reason.STOPPING)
        if breaker.refuses:
            return base(profile, ask, Reason.CIRCUIT_OPEN, breaker.why)
        if not seconds:
            return base(profile, ask, Reason.DEADLINE)
        return await self._in_turn(profile, ask, seconds, breaker)

    async def _in_turn(self, profile: Profile, ask: Ask, seconds: float, breaker: Breaker) -> Answer:
        """The model's answer, when it is its turn; the breaker learns how it went."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        deadline = arrived + seconds
        entered: float | None = None
        call: Call | None = None
        try:
            async with self._limited(deadline) as limit, self.gate.entered():
                entered = clock()
                if not self._stopping:
                    limit.reschedule(deadline + _LATE)
                call = breaker.enter()
                if call is None:
                    return base(profile, ask, Reason.CIRCUIT_OPEN, breaker.why)
                answer = await self._ranked(profile, ask, deadline - entered)
        except Overloaded:
            answer = base(profile, ask, Reason.OVERLOAD)
        except TimeoutError:
            answer = base(profile, ask, Reason.STOPPING if self._stopping else Reason.DEADLINE)
        except asyncio.CancelledError:
            if call is not None:
                breaker.gave_up(call)
            raise
        if call is not None and entered is not None:
            self._learn(breaker, call, answer, deadline - entered)
        return replace(answer, queued=(entered or clock()) - arrived)

    async def _ranked(self, profile: Profile, ask: Ask, seconds: float) -> Answer:
        """The model's answer. A model that does not heed being given up is not waited for."""
        early = min(_EARLY_SHARE * seconds, _EARLY_MOST)
        work = asyncio.ensure_future(
            self.rankers.rank(
                profile.name,
                ask.query,
                ask.candidates,
                depth=ask.depth,
                deadline=seconds - early,
                on_window=ask.on_window,
            )
        )
        work.add_done_callback(_seen)
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
        try:
            return answer_of(profile, ask, work.result())
        except Loading as error:
            return base(profile, ask, Reason.MODEL_LOADING, str(error))
        except ReasonRankError as error:
            return base(profile, ask, Reason.MODEL_FAILED, str(error))
        except asyncio.CancelledError:
            return base(profile, ask, Reason.MODEL_FAILED, "the ranking was broken off")
        except Exception as error:  # noqa: BLE001 - whatever happens, an order comes back
            _log.exception("a ranking with profile %s failed", profile.name)
            return base(profile, ask, Reason.MODEL_FAILED, f"internal error ({type(error).__name__}: {error})")

    def _learn(self, breaker: Breaker, call: Call, answer: Answer, seconds: float) -> None:
        """Tell the breaker how it went.

        A missed deadline weighs as much as the model had of the usual time: callers in a hurry shut nobody else out.
        """
        if answer.reason in (Reason.STOPPING, Reason.MODEL_LOADING):
            breaker.gave_up(call)
        elif answer.status is Status.FAILED and answer.reason is Reason.MODEL_FAILED:
            breaker.failed(call, answer.detail)
        elif answer.status is Status.FAILED and answer.reason is Reason.DEADLINE:
            breaker.failed(call, answer.detail, min(1.0, max(0.0, round(seconds / self.settings.deadline, 2))))
        else:
            breaker.succeeded(call)

    @asynccontextmanager
    async def _limited(self, deadline: float) -> AsyncIterator[asyncio.Timeout]:
        """A block that ends at its deadline, or when the service is about to stop."""
        async with asyncio.timeout_at(deadline) as limit:
            self._limits.add(limit)
            try:
                yield limit
            finally:
                self._limits.discard(limit)

    def _tell(self, ask: Ask, answer: Answer) -> None:
        """Tell the observers. One that fails costs nobody his answer."""
        for observer in self.observers:
            try:
                observer(ask, answer)
            except Exception:  # noqa: BLE001 - an answer is worth more than what is told of it
                _log.exception("an observer of rankings failed")


def _seen(work: asyncio.Future[Ranking]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not work.cancelled():
        work.exception()
