"""One search that may be reranked: what the server is asked instead, and what is made of its answer.

plan:    as it came  |  plain, with a reason  |  a window of hits  |  refused
finish:  the hits of the window in their new order, with a status; the order is never lost, at worst it is the base
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.trace import trace_json
from es_reasonrank.service.headers import STATUS, rerank_headers, rerank_status
from es_reasonrank.service.proxy import retrievers
from es_reasonrank.service.proxy.asked import Switch
from es_reasonrank.service.proxy.reordering import Scored, as_retrieved, page
from es_reasonrank.service.proxy.request import Search, Skip, Window, window_of
from es_reasonrank.service.proxy.response import Change, Hits
from es_reasonrank.service.proxy.retrievers import TextSimilarity
from es_reasonrank.service.proxy.rights import Rights
from es_reasonrank.service.proxy.stored import Stored
from es_reasonrank.service.proxy.texts import Texts
from es_reasonrank.service.proxy.upstream import Headers
from es_reasonrank.service.rankers import named
from es_reasonrank.service.ranking import Answer, Ask, RankingService, Reason
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.types import Candidate, Status

SOURCE = "X-Rerank-Source"
"""Header that says `results` where the order comes from a results index, `memory` where it was made before."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """The caller gets an error in Elasticsearch's shape."""

    def __init__(self, status: int, kind: str, reason: str, headers: Headers | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.kind = kind
        self.reason = reason
        self.headers = headers or []


@dataclass(frozen=True)
class Plain:
    """The search goes to the server without what speaks to us, and the caller learns why."""

    search: Search
    why: Skip


@dataclass(frozen=True)
class Widened:
    """The server is asked for the window's hits and their texts."""

    window: Window
    source: TextSource
    profile: str


Plan = Plain | Widened


@dataclass(frozen=True)
class Finished:
    """What is to be changed in the server's response, and what the caller is told beside it."""

    changes: list[Change]
    headers: Headers


class Searching:
    """Plans and finishes searches.

    Args:
        ranking: orders the windows.
        texts: knows where texts are.
        stored: knows earlier results.
    """

    def __init__(self, settings: ServiceSettings, ranking: RankingService, texts: Texts, stored: Stored) -> None:
        self.settings = settings
        self._ranking = ranking
        self._texts = texts
        self._stored = stored

    @property
    def profiles(self) -> Collection[str]:
        """The profiles that may be named."""
        return self._ranking.rankers.profiles

    def retriever(self, values: Any) -> TextSimilarity:
        """A retriever that names a profile of ours.

        Raises:
            Refused: a key or value of it is wrong.
        """
        try:
            found = retrievers.ours(values, self.profiles)
        except SettingsError as error:
            raise _malformed(error) from error
        assert found is not None
        return found

    async def plan(self, search: Search, switch: Switch, rights: Rights) -> Plan | None:
        """What to do with a search, None where nothing is asked of us.

        Raises:
            Refused: it asks wrongly.
            ValueError: the server will say better what is wrong with it.
        """
        try:
            found = retrievers.ours(search.value("retriever"), self.profiles)
            asked = found.asked if found is not None else search.asked(self.settings.rules, switch)
            if found is not None:
                search = search.with_retriever(found.child)
            if asked is None:
                return Plain(search, Skip.OFF) if search.speaks_to_us else None
            if switch.off:
                return Plain(search, Skip.OFF)
            profile = named(self._ranking.rankers.profiles, asked.profile)
        except SettingsError as error:
            raise _malformed(error) from error
        skip = search.skipped(asked)
        if skip is not None:
            return Plain(search, skip)
        depth = min(asked.depth or profile.depth, self.settings.max_documents)
        window = window_of(search, asked, depth, found)
        if isinstance(window, Skip):
            return Plain(search, window)
        source = await self._texts.source(asked, search.target, rights)
        return Plain(search, Skip.NO_FIELDS) if source is None else Widened(window, source, profile.name)

    async def answer(
        self, plan: Widened, keys: list[tuple[str, str]], candidates: list[Candidate], rights: Rights
    ) -> tuple[Answer, str]:
        """The order of a window, and where it comes from if not from the model.

        Args:
            keys: index and id of each hit.
            candidates: the same hits with their texts.

        Raises:
            Refused: there is none, and the caller wants an error then.
        """
        window, asked = plan.window, plan.window.asked
        stored = await self._stored.ranking(plan.profile, asked.query, keys, candidates)
        if stored is not None:
            return Answer(stored, Status.OK), "results"
        fails_open = (asked.on_failure or self.settings.on_failure) != "error"
        answer = await self._ranking.rank(
            Ask(
                query=asked.query,
                candidates=candidates,
                profile=plan.profile,
                depth=window.depth,
                deadline=asked.deadline,
                caller=rights.name,
                continues=window.start > 0 and fails_open,
            )
        )
        if not fails_open:
            _refuse_failures(answer)
        return answer, "memory" if answer.remembered else ""

    def finish(self, plan: Widened, hits: Hits, answer: Answer, result: Scored, origin: str, took: float) -> Finished:
        """The page of hits that the caller sees.

        Args:
            result: the order that he sees.
            took: seconds since the server had answered.
        """
        window = plan.window
        # Where nothing was judged there are no scores but the server's.
        unjudged = answer.status in (Status.FAILED, Status.SKIPPED)
        if window.retrieved and not unjudged:
            result = as_retrieved(result, window.min_score)
        kept = unjudged or window.asked.score_mode == "keep"
        top = None if kept or not result.scores else result.scores[0]
        headers = rerank_headers(answer, took * 1000)
        if origin:
            headers.append((SOURCE, origin))
        told = _explanation(answer) if window.asked.explain else None
        return Finished(hits.changes(page(window, hits, result, kept=kept), top, told), headers)


def _refuse_failures(answer: Answer) -> None:
    """An error instead of the base order.

    Raises:
        Refused: the ranking is not whole.
    """
    if answer.status not in (Status.FAILED, Status.PARTIAL):
        return
    headers = [(STATUS, rerank_status(answer.status, answer.reason))]
    status = _STATUS.get(answer.reason, HTTPStatus.SERVICE_UNAVAILABLE)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append(("Retry-After", "1"))
    reason = f"reranking {answer.status} ({answer.reason}): {answer.detail}"
    raise Refused(status, "rerank_exception", reason, headers)


def _malformed(error: SettingsError) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "parsing_exception", str(error))


_STATUS = {
    Reason.OVERLOAD: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.DEADLINE: HTTPStatus.GATEWAY_TIMEOUT,
    Reason.BAD_ANSWER: HTTPStatus.BAD_GATEWAY,
}


def _explanation(answer: Answer) -> dict[str, object]:
    """What happened to each window, for a caller who wants to know."""
    told = {"reason": str(answer.reason), "detail": answer.detail, "queued": round(answer.queued, 4)}
    return {**trace_json(answer.ranking.trace, explain=True), "status": str(answer.status), **told}
