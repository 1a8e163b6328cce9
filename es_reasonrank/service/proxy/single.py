"""`_search`: one search, and the response that its caller gets."""

from __future__ import annotations

import re
from dataclasses import replace

from es_reasonrank.service.proxy.exchange import Exchange
from es_reasonrank.service.proxy.request import Search, Skip
from es_reasonrank.service.proxy.response import Hits
from es_reasonrank.service.proxy.searching import Plain, Widened
from es_reasonrank.service.proxy.spans import replaced
from es_reasonrank.service.proxy.upstream import Fetched, Headers
from es_reasonrank.service.rollout import Arm

_OTHER_FORMATS = re.compile(r"yaml|cbor|smile", re.IGNORECASE)


async def search(exchange: Exchange) -> Fetched | None:
    """The response; None where the request is to be passed on as it came."""
    one = Search(exchange.target, exchange.parameters, exchange.incoming.body)
    try:
        plan, inner = await exchange.planned(one)
    except ValueError:
        return await _refused(exchange, one)
    if plan is None:
        return None
    if isinstance(plan, Widened) and _wants_other_format(exchange.incoming.headers):
        plan = Plain(plan.window.search, Skip.FORMAT)
    if isinstance(plan, Plain):
        return await _plain(exchange, plan.search, exchange.unranked(plan, inner))
    turn, why = exchange.turned(plan)
    if why is not None:
        reply = await _plain(exchange, plan.window.search, [*exchange.skipped(why), *exchange.told(turn)])
        if turn.arm is Arm.SHADOW:
            exchange.shared.later(exchange.in_shadow(plan, turn))
        else:
            exchange.seen_as_it_was(plan, turn, reply.body)
        return reply
    reply = await exchange.fetch(plan.window.query_string, plan.window.body)
    if not reply.ok:
        return await _plain(exchange, plan.window.search, exchange.skipped(Skip.REFUSED))
    try:
        hits = Hits(reply.body)
    except ValueError:
        return await _plain(exchange, plan.window.search, exchange.skipped(Skip.NO_HITS))
    finished = await exchange.finished(plan, hits, turn)
    body = replaced(reply.body, finished.changes)
    only = plan.window.filter
    return replace(reply, body=only.applied(body) if only else body, headers=[*reply.headers, *finished.headers])


async def _plain(exchange: Exchange, one: Search, headers: Headers) -> Fetched:
    """The server's own response, and why it is that. An error is the server's own too, and needs no such word."""
    plain = one.plain
    reply = await exchange.fetch(plain.parameters.query, plain.body)
    return replace(reply, headers=[*reply.headers, *headers]) if reply.ok else reply


async def _refused(exchange: Exchange, one: Search) -> Fetched | None:
    """What is wrong with a search the server says better, if it does not stumble over what is meant for us."""
    try:
        return await _plain(exchange, one, []) if one.speaks_to_us else None
    except ValueError:
        return None


def _wants_other_format(headers: Headers) -> bool:
    return any(name.lower() == "accept" and _OTHER_FORMATS.search(value) for name, value in headers)
