"""One request at work: what is asked of the server on its behalf, and the ranking of a window."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec

from es_reasonrank.elastic.passages import asking
from es_reasonrank.service.headers import STATUS, rerank_headers, rerank_status
from es_reasonrank.service.journal import SEARCH_ID
from es_reasonrank.service.metrics import Metrics
from es_reasonrank.service.proxy import retrievers
from es_reasonrank.service.proxy.asked import Switch
from es_reasonrank.service.proxy.reordering import as_retrieved, scored
from es_reasonrank.service.proxy.request import SWITCH, Parameters, Search, Skip, Window
from es_reasonrank.service.proxy.response import Hits, Texts
from es_reasonrank.service.proxy.rights import Rights
from es_reasonrank.service.proxy.rolling import Made, Rolling, Turn
from es_reasonrank.service.proxy.searching import Finished, Plain, Plan, Searching, Widened
from es_reasonrank.service.proxy.spans import Span
from es_reasonrank.service.proxy.upstream import Fetched, Headers, Incoming, Upstream
from es_reasonrank.service.ranking import Answer
from es_reasonrank.service.rollout import Arm
from es_reasonrank.types import Status

_LOG = logging.getLogger(__name__)
_HEADER = "x-rerank"
_INNER_PARAMETERS = ("routing", "preference", "ignore_unavailable", "allow_no_indices", "expand_wildcards")
_INNER_KEYS = ("pit", "runtime_mappings", "timeout")


class ServerSays(Exception):  # noqa: N818 - it is an answer, not a fault
    """The server did not accept a part of the search: the caller gets its own words."""

    def __init__(self, reply: Fetched) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True)
class Proxying:
    """What every request shares."""

    upstream: Upstream
    searching: Searching
    rolling: Rolling
    metrics: Metrics
    later: Callable[[Coroutine[Any, Any, None]], None]
    """Runs something behind the caller's back."""

    def skipped(self, path: str, why: Skip) -> Headers:
        """The headers of a search that is not reranked; it is counted, and stands in the log."""
        self.metrics.skipped(why)
        _LOG.info("%s is not reranked: %s", path, why)
        return [(STATUS, rerank_status(Status.SKIPPED, why))]


class Exchange:
    """One request.

    Args:
        target: the indices in its path, as on the wire.
    """

    def __init__(self, shared: Proxying, incoming: Incoming, target: str) -> None:
        self.shared = shared
        self.incoming = incoming
        self.target = target
        self.rights = Rights.of(incoming)
        self.parameters = Parameters(incoming.query)
        header = next((value for name, value in incoming.headers if name.lower() == _HEADER), None)
        self.switch = Switch.of(header if self.parameters.get(SWITCH) is None else self.parameters.get(SWITCH))

    async def fetch(self, query: str, body: bytes, path: str | None = None) -> Fetched:
        """Ask the server, as the caller would.

        Args:
            query: the query string.
            path: another path than the caller's; such a request is a POST.
        """
        headers = self.incoming.headers
        if path or (body and not any(name.lower() == "content-type" for name, _ in headers)):
            kept = [(name, value) for name, value in headers if name.lower() != "content-type"]
            headers = [*kept, ("content-type", _json_type(headers))]
        target = (path or self.incoming.path) + (f"?{query}" if query else "")
        started = time.monotonic()
        method = "POST" if path else self.incoming.method
        reply = await self.shared.upstream.fetch(method, target, headers, body or None)
        self.shared.metrics.searched(time.monotonic() - started)
        return reply

    def skipped(self, why: Skip) -> Headers:
        """The headers of a search that is not reranked."""
        return self.shared.skipped(self.incoming.path, why)

    def unranked(self, plan: Plain, inner: Answer | None) -> Headers:
        """The headers of a search that goes to the server as it is: how what was inside of it went, or why it does."""
        return self.skipped(plan.why) if inner is None else rerank_headers(inner, 0.0)

    async def planned(self, search: Search) -> tuple[Plan | None, Answer | None]:
        """What to do with a search, and what became of the retrievers of ours inside of others."""
        search, inner = await self._inside(search)
        plan = await self.shared.searching.plan(search, self.switch, self.rights)
        if plan is None and inner is not None:
            return Plain(search, Skip.INSIDE), inner
        return plan, inner

    def turned(self, plan: Widened) -> tuple[Turn, Skip | None]:
        """The turn of a search in the roll-out, and why it is not reranked before its user's eyes."""
        turn = self.shared.rolling.turn(self.incoming, plan)
        if turn.arm is Arm.BASE:
            return turn, Skip.ROLLOUT
        return turn, Skip.SHADOW if turn.arm is Arm.SHADOW else None

    def seen_as_it_was(self, plan: Widened, turn: Turn, text: bytes, span: Span | None = None) -> None:
        """The line of a search whose user sees the server's own response."""
        try:
            keys = Hits(text, span).keys
        except ValueError:
            keys = []
        self.shared.rolling.write(turn, plan, keys)

    def told(self, turn: Turn) -> Headers:
        """The header that names a search, where clicks on it are of use."""
        return [(SEARCH_ID, turn.id)] if self.shared.rolling.is_logged else []

    async def finished(self, plan: Widened, hits: Hits, turn: Turn) -> Finished:
        """The hits of a window in the order that the user sees, with the line in the log."""
        started = time.monotonic()
        made, origin = await self._made(plan, hits, turn)
        finished = self.shared.searching.finish(plan, hits, made.answer, made.seen, origin, made.took)
        self.shared.metrics.responded(time.monotonic() - started - made.took)
        return Finished(finished.changes, [*finished.headers, *self.told(turn)])

    async def in_shadow(self, plan: Widened, turn: Turn) -> None:
        """Rank a window that nobody waits for, for the log. A failure stands there too."""
        asked = plan.window.asked.model_copy(update={"on_failure": "base_order"})
        plan = replace(plan, window=replace(plan.window, asked=asked))
        reply = await self.fetch(plan.window.query_string, plan.window.body, self._search_path)
        if not reply.ok:
            return
        await self._made(plan, Hits(reply.body), turn)

    async def _made(self, plan: Widened, hits: Hits, turn: Turn) -> tuple[Made, str]:
        """What the ranker makes of a window, written to the log, and where it comes from if not from the model."""
        started = time.monotonic()
        answer, origin = await self._answer(plan, hits)
        took = time.monotonic() - started
        made = self.shared.rolling.made(turn, answer, scored(plan.window.asked, answer.ranking), took)
        self.shared.rolling.write(turn, plan, hits.keys[: plan.window.depth], made)
        return made, origin

    async def _answer(self, plan: Widened, hits: Hits) -> tuple[Answer, str]:
        """The order of a window, and where it comes from if not from the model."""
        depth, source = plan.window.depth, plan.source
        texts = await self._texts(plan, hits) if hits.lacks(source, depth) else None
        candidates = hits.candidates(source, depth, texts)
        return await self.shared.searching.answer(plan, hits.keys[:depth], candidates, self.rights)

    async def _texts(self, plan: Widened, hits: Hits) -> Texts:
        """The texts of hits that do not bring them along: their fields, or the fragments that match the query."""
        keys = hits.keys[: plan.window.depth]
        query = {"ids": {"values": sorted({name for _, name in keys})}}
        wanted = asking({"query": query, "_source": False, "size": len(keys)}, plan.source, plan.window.asked.query)
        indices = ",".join(sorted({quote(index, safe=":") for index, _ in keys}))
        reply = await self.fetch("", msgspec.json.encode(wanted), f"/{indices}/_search")
        return {(hit["_index"], hit["_id"]): hit for hit in Hits(reply.body).values} if reply.ok else {}

    @property
    def _search_path(self) -> str:
        return f"/{self.target}/_search" if self.target else "/_search"

    async def _inside(self, search: Search) -> tuple[Search, Answer | None]:
        """The search with retrievers of ours, inside of others, replaced by what they find."""
        retriever, profiles = search.value("retriever"), self.shared.searching.profiles
        answer = None
        while retriever is not None and (path := retrievers.innermost(retriever, profiles)) is not None:
            replacement, answer = await self._retrieved(search, retrievers.at(retriever, path))
            retriever = retrievers.put(retriever, path, replacement)
        return (search if answer is None else search.with_retriever(retriever)), answer

    async def _retrieved(self, search: Search, retriever: Any) -> tuple[dict[str, Any], Answer]:
        """What one retriever of ours finds, as one that finds the same."""
        searching = self.shared.searching
        found = searching.retriever(retriever)
        inner = search.inner(found.child, _INNER_KEYS)
        window = Window(inner, found.asked, found.rank_window_size, 0, found.rank_window_size, retrieved=True)
        plan = Widened(window, found.asked.source, found.inference_id)
        reply = await self.fetch(search.parameters.only(_INNER_PARAMETERS), window.body, self._search_path)
        if not reply.ok:
            raise ServerSays(reply)
        hits = Hits(reply.body)
        answer, _ = await self._answer(plan, hits)
        result = as_retrieved(scored(found.asked, answer.ranking), found.min_score)
        return retrievers.in_order([hits.keys[place] for place in result.order], result.scores), answer


def _json_type(headers: Headers) -> str:
    """The media type of a body of ours. A caller's may name a version, and then the server wants it everywhere."""
    said = {name.lower(): value for name, value in headers}
    for value in (said.get("content-type", ""), said.get("accept", "")):
        if "vnd.elasticsearch" in value:
            return value.replace("x-ndjson", "json")
    return "application/json"
