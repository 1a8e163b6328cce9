"""Errors of the proxy's own, in the shape that Elasticsearch gives its errors: clients read them as they read its."""

from __future__ import annotations

import json
from typing import TypedDict

from es_reasonrank.service.proxy.upstream import Fetched


class Cause(TypedDict):
    """What went wrong."""

    type: str
    reason: str


class ErrorOf(Cause):
    """What went wrong, and where it began."""

    root_cause: list[Cause]


class ElasticErrorBody(TypedDict):
    """The body of an error's response, and what stands in `responses` of an _msearch in a failed search's place."""

    error: ErrorOf
    status: int


def elastic_error(status: int, kind: str, reason: str) -> ElasticErrorBody:
    """An error as Elasticsearch writes it.

    Args:
        kind: in Elasticsearch's manner: parsing_exception.
    """
    cause: Cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], "type": kind, "reason": reason}, "status": status}


def error_reply(status: int, kind: str, reason: str) -> Fetched:
    """The same as a whole response."""
    body = json.dumps(elastic_error(status, kind, reason), ensure_ascii=False, separators=(",", ":"))
    return Fetched(status, [("content-type", "application/json")], body.encode())
