"""What OpenAPI says of a route that reads its body itself: the models of its families, with examples."""

from __future__ import annotations

from typing import Any, TypedDict

from es_reasonrank.service.rerank_api.protocol import Family, Options

_STATUSES = {
    400: "The body is not a JSON object.",
    401: "There is no API key, or it is not known.",
    403: "The API key does not reach.",
    404: "The model is not served here.",
    413: "The body is too large, or has too many documents.",
    422: "Something in the body is missing or wrong.",
    429: "Too many rankings are waiting.",
    503: "Reranking failed, and on_failure is error.",
}


class Documented(TypedDict):
    """What a route's decorator takes."""

    response_model: None
    responses: dict[int | str, dict[str, Any]]
    openapi_extra: dict[str, Any]


def documented(answer: Any, error: Any, *families: Family) -> Documented:
    """The documentation of a route.

    Args:
        answer: the model of an answer.
        error: the model of an error.
        families: how its requests may look.
    """
    schemas = [family.request.model_json_schema() for family in families]
    body = {
        "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
        "examples": {family.request.__name__: {"value": family.example} for family in families},
    }
    return {
        "response_model": None,
        "responses": {
            200: {"model": answer, "headers": _HEADERS},
            **{status: {"model": error, "description": text} for status, text in _STATUSES.items()},
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": body}},
            "parameters": _PARAMETERS,
        },
    }


def _parameters() -> list[dict[str, Any]]:
    properties = Options.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


_PARAMETERS = _parameters()
_HEADERS = {
    "X-Rerank-Status": {"description": "ok, or like `partial; reason=deadline`.", "schema": {"type": "string"}},
    "X-Rerank-Took": {"description": "Milliseconds that it took.", "schema": {"type": "string"}},
    "X-Rerank-Windows": {"description": "Windows that the model was asked about.", "schema": {"type": "string"}},
}
