"""`_msearch`: several searches in one request, each reranked or not as it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any
from urllib.parse import quote

import msgspec

from es_reasonrank.service.headers import STATUS
from es_reasonrank.service.journal import SEARCH_ID
from es_reasonrank.service.proxy.errors import elastic_error
from es_reasonrank.service.proxy.exchange import Exchange
from es_reasonrank.service.proxy.filter_path import FilterPath
from es_reasonrank.service.proxy.request import NEEDED, SWITCH, Parameters, Search, Skip
from es_reasonrank.service.proxy.response import Change, Hits
from es_reasonrank.service.proxy.rolling import Turn
from es_reasonrank.service.proxy.searching import Plain, Refused, Widened
from es_reasonrank.service.proxy.spans import Span, items, members, replaced
from es_reasonrank.service.proxy.upstream import Fetched, Headers
from es_reasonrank.service.rollout import Arm

_NOTHING = b'{"size":0,"query":{"match_none":{}}}'
"""Stands in the place of a search that is answered with an error of ours."""
_MOST_TOLD = 100
"""Searches that the status header speaks of."""
_UNTOUCHED = "-"
_NEEDED = (*(f"responses.{path}" for path in NEEDED), "responses.status", "responses.error")


@dataclass
class Part:
    """One search of several."""

    header: bytes
    search: Search
    plan: Plain | Widened | None = None
    turn: Turn | None = None
    unseen: Widened | None = None
    """What would have been asked, were it not for the roll-out."""
    error: Refused | None = None
    headers: Headers | None = None

    @property
    def body(self) -> bytes:
        """What the server is asked."""
        if self.error is not None:
            return _NOTHING
        if isinstance(self.plan, Widened):
            return self.plan.window.body
        return self.search.plain.body if self.plan is None else self.plan.search.plain.body

    @property
    def status(self) -> str:
        """Its part of the status header."""
        return next((value for name, value in self.headers or () if name == STATUS), _UNTOUCHED)


async def searches(exchange: Exchange) -> Fetched | None:
    """The response; None where the request is to be passed on as it came."""
    parts = _parts(exchange)
    if not parts:
        return None
    try:
        await asyncio.gather(*(_plan(exchange, part) for part in parts))
    except ValueError:
        return None
    if all(part.plan is None and part.error is None for part in parts):
        return None
    query = exchange.parameters.widened([], _NEEDED)
    reply = await exchange.fetch(query, _lines((part.header, part.body) for part in parts))
    if not reply.ok:
        plain = _lines((part.header, part.search.plain.body) for part in parts)
        return await exchange.fetch(exchange.parameters.without([SWITCH]), plain)
    body = await _mended(exchange, parts, query, reply.body)
    whole = body
    found = _responses(whole)
    changes = await asyncio.gather(
        *(_changes(exchange, part, whole, span) for part, span in zip(parts, found, strict=True))
    )
    body = replaced(whole, [change for some in changes for change in some])
    value = exchange.parameters.get("filter_path")
    told = [(STATUS, ", ".join(part.status for part in parts[:_MOST_TOLD]))]
    if exchange.shared.rolling.is_logged:
        told.append((SEARCH_ID, ", ".join(part.turn.id if part.turn else _UNTOUCHED for part in parts)))
    return Fetched(reply.status, [*reply.headers, *told], FilterPath.parsed(value).applied(body) if value else body)


def _parts(exchange: Exchange) -> list[Part]:
    """The searches of the request; none where the server will say better what is wrong with it."""
    lines = exchange.incoming.body.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    if len(lines) % 2:
        return []
    found = []
    for header, body in zip(lines[::2], lines[1::2], strict=True):
        try:
            named = msgspec.json.decode(header or b"{}", type=dict[str, Any])
        except msgspec.DecodeError:
            return []
        target = _target(named.get("index", named.get("indices"))) or exchange.target
        only = exchange.parameters.only((SWITCH, "filter_path", "pretty"))
        found.append(Part(header, Search(target, Parameters(only), body)))
    return found


async def _plan(exchange: Exchange, part: Part) -> None:
    """What to do with one search."""
    own = Exchange(exchange.shared, exchange.incoming, part.search.target)
    try:
        plan, inner = await own.planned(part.search)
    except Refused as error:
        part.error = error
        return
    if isinstance(plan, Widened):
        part.turn, why = own.turned(plan)
        if why is not None:
            part.unseen = plan
            if part.turn.arm is Arm.SHADOW:
                exchange.shared.later(own.in_shadow(plan, part.turn))
            plan = Plain(plan.window.search, why)
    if isinstance(plan, Plain):
        part.headers = exchange.unranked(plan, inner)
    part.plan = plan


async def _mended(exchange: Exchange, parts: Sequence[Part], query: str, body: bytes) -> bytes:
    """The responses; where the server did not accept a widened search, that of the search as it came."""
    found = _responses(body)
    failed = [
        isinstance(part.plan, Widened) and any(member.key == "error" for member in members(body, span))
        for part, span in zip(parts, found, strict=True)
    ]
    if not any(failed):
        return body
    again = list(compress(parts, failed))
    for part in again:
        part.plan = Plain(part.search, Skip.REFUSED)
        part.headers = exchange.skipped(Skip.REFUSED)
    reply = await exchange.fetch(query, _lines((part.header, part.body) for part in again))
    if not reply.ok:
        return body
    return replaced(
        body,
        [(span, new.of(reply.body)) for span, new in zip(compress(found, failed), _responses(reply.body), strict=True)],
    )


async def _changes(exchange: Exchange, part: Part, text: bytes, span: Span) -> list[Change]:
    """What is to be changed in one response."""
    if part.error is None and isinstance(part.plan, Widened) and part.turn is not None:
        try:
            finished = await exchange.finished(part.plan, Hits(text, span), part.turn)
        except Refused as error:
            part.error = error
        except ValueError:
            part.headers = exchange.skipped(Skip.NO_HITS)
        else:
            part.headers = finished.headers
            return finished.changes
    if part.unseen is not None and part.turn is not None and part.turn.arm is Arm.BASE:
        exchange.seen_as_it_was(part.unseen, part.turn, text, span)
    if part.error is None:
        return []
    part.headers = part.error.headers
    return [(span, msgspec.json.encode(elastic_error(part.error.status, part.error.kind, part.error.reason)))]


def _responses(text: bytes) -> list[Span]:
    value = next(member.value for member in members(text) if member.key == "responses")
    return items(text, value)


def _lines(pairs: Any) -> bytes:
    """Headers and bodies, a line each."""
    return b"".join(header + b"\n" + (body.replace(b"\n", b" ") or b"{}") + b"\n" for header, body in pairs)


def _target(index: Any) -> str:
    """The indices of a header as they would stand in a path."""
    names = ",".join(str(name) for name in index) if isinstance(index, list) else str(index or "")
    return quote(names, safe=",*")
