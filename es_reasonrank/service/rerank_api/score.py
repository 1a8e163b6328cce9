"""vLLM's score API: pairs of texts in, a score for each, in the order they came in."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import uuid4

from fastapi import HTTPException
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field

from es_reasonrank.service.limits import Json
from es_reasonrank.service.rerank_api.protocol import (
    Family,
    How,
    Job,
    Options,
    Query,
    Reranked,
    Texts,
    Usage,
    how,
    listed,
    text_candidates,
    usage,
)

_Listed = BeforeValidator(listed, json_schema_input_type=str | list[str])


class ScoreRequest(Options):
    """One query and several texts, or as many queries as texts."""

    queries: Annotated[list[Query], Field(min_length=1), _Listed] = Field(
        validation_alias=AliasChoices("queries", "text_1", "data_1")
    )
    documents: Annotated[Texts, _Listed] = Field(
        validation_alias=AliasChoices("documents", "items", "text_2", "data_2")
    )


class Score(BaseModel):
    """The score of one pair."""

    index: int
    object: str = "score"
    score: float = Field(ge=0, le=1)


class ScoreAnswer(BaseModel):
    """The scores of all pairs, in the order that they came in."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[Score]
    usage: Usage
    rerank: list[How] = Field(description="How it came about, for each query.")


class ErrorText(BaseModel):
    """What was wrong, as OpenAI says it."""

    message: str
    type: str
    param: str | None
    code: int


class ScoreError(BaseModel):
    """What was wrong."""

    error: ErrorText


def jobs(request: ScoreRequest) -> list[Job]:
    """A list for every query: the texts that are paired with it.

    Raises:
        HTTPException: 422, queries and documents do not pair.
    """
    return [
        Job(query, text_candidates([request.documents[place] for place in places]), request)
        for query, places in _pairs(request).items()
    ]


def _pairs(request: ScoreRequest) -> dict[str, list[int]]:
    """The places of the texts that are paired with each query."""
    queries, count = request.queries, len(request.documents)
    if len(queries) == 1:
        return {queries[0]: list(range(count))}
    if len(queries) != count:
        raise HTTPException(
            422, f"{len(queries)} queries and {count} documents do not pair; give one query, or as many"
        )
    pairs: dict[str, list[int]] = {}
    for place, query in enumerate(queries):
        pairs.setdefault(query, []).append(place)
    return pairs


def answer(request: ScoreRequest, outcomes: list[Reranked]) -> Json:
    """The body of an answer."""
    scores = [0.0] * len(request.documents)
    for places, outcome in zip(_pairs(request).values(), outcomes, strict=True):
        for result in outcome.results:
            scores[places[result.index]] = result.score
    return {
        "id": f"score-{uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": outcomes[0].answer.ranking.trace.profile,
        "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)],
        "usage": usage(outcomes),
        "rerank": [how(outcome) for outcome in outcomes],
    }


_TYPES = {
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    429: "RateLimitError",
    503: "ServiceUnavailableError",
}


def error(status: int, sentence: str) -> Json:
    """The body of an error, as OpenAI writes it and vLLM after it."""
    kind = _TYPES.get(status, "BadRequestError")
    return {"error": {"message": sentence, "type": kind, "param": None, "code": status}}


_EXAMPLE: dict[str, Json] = {
    "text_1": "how do I read a file line by line",
    "text_2": ["open() returns a file object.", "A list is a mutable sequence."],
}

SCORE = Family(ScoreRequest, jobs, answer, error, _EXAMPLE)
