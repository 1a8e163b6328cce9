"""One search of the page: what it asks for, read out of its text, its body and its controls; and its first stage."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.candidates import Candidates, fetch
from es_reasonrank.elastic.search import Plan, plan
from es_reasonrank.errors import InputError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.playground.protocol import SearchRequest
from es_reasonrank.service.proxy.asked import Asked, from_body
from es_reasonrank.service.proxy.query_text import text_of

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

AT_LEAST = 20
"""Hits that are shown, be the depth smaller."""
_KEPT_ORDER = ("sort", "search_after", "scroll", "stored_fields")
"""What a search cannot have: an order of its own, or hits without id and text."""
_PAGE = ("from", "size")


@dataclass(frozen=True)
class Wanted:
    """What a search asks for."""

    index: str
    asked: Asked
    body: Mapping[str, Any] | None
    """The search body without what is the page's own business; None for a search by text."""

    def by(self, profile: Profile) -> Wanted:
        """The same with a ranker, and with its depth where none is asked for."""
        chosen = self.asked.depth or profile.depth
        return replace(self, asked=self.asked.model_copy(update={"profile": profile.name, "depth": chosen}))


@dataclass(frozen=True)
class Found:
    """The hits of the first stage."""

    wanted: Wanted
    plan: Plan
    candidates: Candidates
    depth: int
    seconds: float

    @property
    def copied(self) -> dict[str, Any]:
        """The same search as a body for this service."""
        query = self.wanted.asked.query
        body = dict(self.plan.body(query) if self.wanted.body is None else self.wanted.body)
        source = self.plan.source.model_dump(exclude_defaults=True, mode="json", include={"fields", "template", "take"})
        rerank = {"query": query, **source, "depth": self.depth, "profile": self.wanted.asked.profile}
        if self.wanted.asked.deadline is not None:
            rerank["deadline"] = self.wanted.asked.deadline
        ext = {**body.pop("ext", {}), "rerank": rerank}
        return {**body, "size": max(self.depth, AT_LEAST), "ext": ext}


def wanted(request: SearchRequest) -> Wanted:
    """What the page asks for; its controls count before the body's own `ext.rerank`.

    Raises:
        InputError: the body is no search body, or there is no text to judge the hits by.
    """
    body = _parsed(request.body) if request.body.strip() else None
    asked = Asked()
    if body is not None:
        ext = body.pop("ext", {})
        asked = from_body(ext) or asked
        rest = {key: value for key, value in ext.items() if key != "rerank"}
        body |= {"ext": rest} if rest else {}
    query = request.query.strip() or asked.query.strip() or text_of(body or {}).strip()
    if not query:
        raise InputError("the query is empty; give a text that the hits are judged by")
    changes: dict[str, Any] = {"query": query}
    changes |= {"profile": request.profile} if request.profile else {}
    changes |= {"depth": request.depth} if request.depth else {}
    changes |= {"deadline": request.deadline} if request.deadline else {}
    if request.fields:
        changes |= {"fields": request.fields, "template": ""}
    return Wanted(request.index, asked.model_copy(update=changes), body)


async def find(client: AsyncElasticsearch, wanted: Wanted, fields: Sequence[str], most: int) -> Found:
    """The first stage.

    Args:
        wanted: with its ranker and depth.
        fields: the settings' fields, for searches that name none.
        most: hits that one search may have reranked.

    Raises:
        InputError: more hits are asked for than may be.
        SearchError: the index, a field or the body is wrong.
        ElasticError: the server failed.
    """
    asked = wanted.asked
    depth = asked.depth or 0
    if depth > most:
        raise InputError(f"depth {depth} is more than the {most} hits that this service reranks at a time")
    chosen = () if asked.template else asked.fields or tuple(fields)
    planned = await plan(client, wanted.index, chosen, asked.source)
    started = time.monotonic()
    candidates = await fetch(
        client,
        wanted.index,
        planned.body(asked.query) if wanted.body is None else wanted.body,
        query=asked.query,
        depth=max(depth, AT_LEAST),
        source=planned.source,
    )
    return Found(wanted, planned, candidates, depth, time.monotonic() - started)


def _parsed(text: str) -> dict[str, Any]:
    """A search body that can be reranked."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"the search body is not valid JSON: {error.msg} at {where}") from error
    except (ValueError, RecursionError) as error:
        raise InputError("the search body cannot be read: a number is too long, or values are too deep") from error
    if not isinstance(body, dict):
        raise InputError('the search body must be a JSON object, such as {"query": {"match": {"body": "..."}}}')
    for key in _KEPT_ORDER:
        if key in body:
            raise InputError(f"a search with {key!r} cannot be reranked; leave it out of the search body")
    for key, kind, example in (("ext", dict, "{}"), ("fields", list, '["title"]')):
        if not isinstance(body.get(key, kind()), kind):
            raise InputError(f"{key!r} in the search body must be like {example}, not {json.dumps(body[key])}")
    return {key: value for key, value in body.items() if key not in _PAGE}
