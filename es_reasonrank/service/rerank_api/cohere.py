"""Cohere's rerank API, versions 1 and 2, and those that follow it: Jina, Voyage, vLLM, LiteLLM.

Elasticsearch (`cohere`, `openshift_ai`, `custom`) and OpenSearch read this shape strictly: an item has no other keys
than index, relevance_score and document, and every number is a float. What else there is to say stands on top.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from fastapi import HTTPException
from pydantic import BaseModel, Field

from es_reasonrank.elastic import passages
from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.service.limits import Json
from es_reasonrank.service.rerank_api.protocol import (
    Document,
    Documents,
    Family,
    How,
    Job,
    Options,
    Query,
    Reranked,
    Usage,
    how,
    usage,
)
from es_reasonrank.types import Candidate


class RerankRequest(Options):
    """Documents to rank by their relevance to a query."""

    query: Query
    documents: Documents = Field(description="Texts, or objects with a text and perhaps a title, or with rank_fields.")
    rank_fields: list[str] = Field([], description="Fields of the documents that are read; text and title by default.")
    return_documents: bool = Field(False, description="Whether results hold the documents' texts.")
    max_tokens_per_doc: int | None = Field(
        None, description="Accepted, but without effect: a passage is cut as the profile says."
    )


class DocumentText(BaseModel):
    """A document as it is returned."""

    text: str


class RerankResult(BaseModel):
    """One document of the answer; `document` is there only where it was asked for."""

    index: int
    relevance_score: float = Field(ge=0, le=1)
    document: DocumentText | None = None


class RerankAnswer(BaseModel):
    """Every document with its score, best first, unless something else was asked for."""

    id: str
    model: str
    results: list[RerankResult]
    meta: dict[str, Any]
    usage: Usage
    rerank: How


class RerankError(BaseModel):
    """What was wrong."""

    message: str


def jobs(request: RerankRequest) -> list[Job]:
    """The one list that a request wants ranked.

    Raises:
        HTTPException: 422, a document has nothing to read and no fields are named.
    """
    read = enumerate(request.documents)
    candidates = tuple(candidate(document, place, request.rank_fields) for place, document in read)
    return [Job(request.query, candidates, request)]


def candidate(document: Document, place: int, fields: list[str]) -> Candidate:
    """A document as a candidate: its text, its named fields as a hit's are read, or its text and title."""
    if isinstance(document, str):
        return Candidate(str(place), document)
    if fields:
        return passages.candidate({"_id": place, "_source": document}, TextSource(fields=tuple(fields)))
    text, title = document.get("text"), document.get("title")
    if not isinstance(text, str):
        raise HTTPException(422, f"documents[{place}] has no text; give it a 'text', or name its fields in rank_fields")
    return Candidate(str(place), text, title if isinstance(title, str) else "")


def answer(request: RerankRequest, outcomes: list[Reranked]) -> Json:
    """The body of an answer."""
    (reranked,) = outcomes
    trace = reranked.answer.ranking.trace
    prompt, generated = reranked.tokens
    return {
        "id": str(uuid4()),
        "model": trace.profile,
        "results": [
            {"index": result.index, "relevance_score": result.score, **_document(request, reranked, result.index)}
            for result in reranked.chosen(request)
        ],
        "meta": {
            "api_version": {"version": "2"},
            "tokens": {"input_tokens": prompt, "output_tokens": generated},
        },
        "usage": usage(outcomes),
        "rerank": how(reranked),
    }


def _document(request: RerankRequest, reranked: Reranked, index: int) -> Mapping[str, Json]:
    if not request.return_documents:
        return {}
    return {"document": {"text": reranked.answer.ranking.candidates[index].text}}


def error(status: int, sentence: str) -> Json:
    """The body of an error."""
    return {"message": sentence}


_EXAMPLE: dict[str, Json] = {
    "model": "",
    "query": "how do I read a file line by line",
    "documents": ["open() returns a file object.", "A list is a mutable sequence."],
    "top_n": 2,
}

COHERE = Family(RerankRequest, jobs, answer, error, _EXAMPLE)
