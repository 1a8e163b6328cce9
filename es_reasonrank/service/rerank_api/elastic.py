"""Elasticsearch's own rerank API, `POST /_inference/rerank/{id}`, for ids that are profiles of this service."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from es_reasonrank.service.limits import Json
from es_reasonrank.service.rerank_api.protocol import (
    Family,
    How,
    Job,
    Options,
    Query,
    Reranked,
    Seconds,
    Texts,
    how,
    listed,
    text_candidates,
)


class InferenceRequest(Options):
    """Texts to rank by their relevance to a query."""

    query: Query
    input: Annotated[Texts, BeforeValidator(listed, json_schema_input_type=str | list[str])]
    return_documents: bool = Field(False, description="Whether results hold the texts.")
    deadline: Seconds | None = Field(
        None, validation_alias=AliasChoices("deadline", "timeout"), description="Time for it, like 2s or 500ms."
    )


class InferenceResult(BaseModel):
    """One text of the answer; `text` is there only where it was asked for."""

    index: int
    relevance_score: float = Field(ge=0, le=1)
    text: str | None = None


class InferenceAnswer(BaseModel):
    """Every text with its score, best first, unless something else was asked for."""

    rerank: list[InferenceResult]
    how: How


class Cause(BaseModel):
    """The kind of an error, and its sentence."""

    type: str
    reason: str


class CauseWithRoot(Cause):
    """An error with where it came from."""

    root_cause: list[Cause]


class InferenceError(BaseModel):
    """What was wrong, as Elasticsearch says it."""

    error: CauseWithRoot
    status: int


def jobs(request: InferenceRequest) -> list[Job]:
    """The one list that a request wants ranked."""
    return [Job(request.query, text_candidates(request.input), request)]


def answer(request: InferenceRequest, outcomes: list[Reranked]) -> Json:
    """The body of an answer. `rerank` is the list of results here, so how it came about stands under `how`."""
    (reranked,) = outcomes
    items: list[Json] = []
    for result in reranked.chosen(request):
        item: dict[str, Json] = {"index": result.index, "relevance_score": result.score}
        items.append({**item, "text": request.input[result.index]} if request.return_documents else item)
    return {"rerank": items, "how": how(reranked)}


_TYPES = {
    400: "x_content_parse_exception",
    401: "security_exception",
    403: "security_exception",
    404: "resource_not_found_exception",
    413: "content_too_long_exception",
    422: "validation_exception",
    429: "es_rejected_execution_exception",
}


def error(status: int, sentence: str) -> Json:
    """The body of an error."""
    cause: dict[str, Json] = {"type": _TYPES.get(status, "status_exception"), "reason": sentence}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


_EXAMPLE: dict[str, Json] = {
    "query": "how do I read a file line by line",
    "input": ["open() returns a file object.", "A list is a mutable sequence."],
}

ELASTIC = Family(InferenceRequest, jobs, answer, error, _EXAMPLE, {"X-Elastic-Product": "Elasticsearch"})
