"""The rerank API of Hugging Face's text-embeddings-inference: a bare array of scores.

Elasticsearch's `hugging_face` service speaks it, and fails on any other key of an item than index, score and text. Its
first versions named the request's keys as Cohere does, and still read this answer.
"""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from es_reasonrank.service.limits import Json
from es_reasonrank.service.rerank_api.protocol import Family, Job, Options, Query, Reranked, Texts, text_candidates


class TeiRequest(Options):
    """Texts to rank by their relevance to a query."""

    query: Query
    texts: Texts = Field(validation_alias=AliasChoices("texts", "documents"))
    raw_scores: bool = Field(False, description="Whether scores stay on the ranker's own scale.")
    return_text: bool = Field(
        False,
        validation_alias=AliasChoices("return_text", "return_documents"),
        description="Whether results hold the texts.",
    )
    truncate: Any = Field(None, description="Accepted, but without effect: a passage is cut as the profile says.")


class TeiResult(BaseModel):
    """One text of the answer; `text` is there only where it was asked for."""

    index: int
    score: float
    text: str | None = None


class TeiError(BaseModel):
    """What was wrong."""

    error: str
    error_type: str


def jobs(request: TeiRequest) -> list[Job]:
    """The one list that a request wants ranked."""
    return [Job(request.query, text_candidates(request.texts), request)]


def answer(request: TeiRequest, outcomes: list[Reranked]) -> Json:
    """The body of an answer."""
    (reranked,) = outcomes
    items: list[Json] = []
    for result in reranked.chosen(request):
        item: dict[str, Json] = {"index": result.index, "score": result.raw if request.raw_scores else result.score}
        items.append({**item, "text": request.texts[result.index]} if request.return_text else item)
    return items


_TYPES = {401: "Unauthorized", 403: "Unauthorized", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}


def error(status: int, sentence: str) -> Json:
    """The body of an error."""
    return {"error": sentence, "error_type": _TYPES.get(status, "Validation")}


_EXAMPLE: dict[str, Json] = {
    "query": "how do I read a file line by line",
    "texts": ["open() returns a file object.", "A list is a mutable sequence."],
}

TEI = Family(TeiRequest, jobs, answer, error, _EXAMPLE)
