"""What the page and the service say to each other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from es_reasonrank.service.ranking import Reason
from es_reasonrank.types import Outcome, Status
from es_reasonrank.validation import Checked

Name = Annotated[str, Field(min_length=1, max_length=1024)]


class SearchRequest(Checked):
    """One search: by a text, or by a whole search body, whose `ext.rerank` counts where the page says nothing."""

    index: Name
    query: str = Field("", max_length=20_000, description="What is searched for and judged by.")
    body: str = Field("", max_length=200_000, description="A search body as JSON text, instead of a text search.")
    profile: str = ""
    fields: tuple[Name, ...] = Field((), max_length=50, description="Fields that hold a hit's text.")
    depth: int | None = Field(None, ge=1, description="Hits to rerank.")
    deadline: float | None = Field(None, gt=0, le=3600, description="Seconds that reranking may take.")


class Hit(BaseModel):
    """One hit in its base place."""

    id: str
    index: str
    title: str
    text: str
    score: float | None
    note: str
    """Why it has no text, where it has none."""


class Copies(BaseModel):
    """The very search, to be sent to this service from elsewhere."""

    curl: str
    python: str


class FoundEvent(BaseModel):
    """The first stage's answer."""

    event: Literal["found"] = "found"
    query: str
    profile: str
    model: str
    depth: int
    fields: tuple[str, ...]
    hits: list[Hit]
    total: int | None
    more: bool
    """Whether there are more hits than `total`: the server stopped counting."""
    seconds: float
    copies: Copies


class LoadingEvent(BaseModel):
    """The model is not loaded yet; the ranking begins when it is."""

    event: Literal["loading"] = "loading"
    detail: str


class WindowEvent(BaseModel):
    """One window, as it ended. `shown` and `order` hold base ranks, from 1."""

    event: Literal["window"] = "window"
    number: int
    shown: list[int]
    order: list[int]
    outcome: Outcome
    ranks: bool
    """Whether it names an order."""
    detail: str
    reasoning: str
    reply: str
    prompt_tokens: int
    generated_tokens: int
    seconds: float
    attempts: int
    remembered: bool
    stage: str


class RankedEvent(BaseModel):
    """The whole order. `order` holds base ranks, from 1, and `scores` the score of each place."""

    event: Literal["ranked"] = "ranked"
    order: list[int]
    scores: list[float]
    status: Status
    reason: Reason
    detail: str
    summary: str
    remembered: bool
    queued: float
    seconds: float
    """What the model took; nothing where the whole order was remembered."""
    prompt_tokens: int
    generated_tokens: int


class FailedEvent(BaseModel):
    """What went wrong after the first stage."""

    event: Literal["failed"] = "failed"
    error: str


Event = FoundEvent | LoadingEvent | WindowEvent | RankedEvent | FailedEvent


class Document(Checked):
    """One document of one index."""

    index: Name
    id: Name


class JudgmentRequest(Checked):
    """How relevant a document is to a query, by a human."""

    query: str = Field(min_length=1, max_length=20_000)
    document: Document
    grade: Literal[0, 1, 2, 3]


class MeasuresRequest(Checked):
    """Both orders of one query's hits."""

    query: str = Field(min_length=1, max_length=20_000)
    base: list[Document] = Field(max_length=10_000)
    reranked: list[Document] = Field(max_length=10_000)


class Grade(BaseModel):
    """What is known of a document."""

    index: str
    id: str
    grade: int
    source: str


class Measured(BaseModel):
    """One order's value, and how many of its first ten are judged."""

    ndcg: float
    judged: int


class MeasuresResponse(BaseModel):
    """The grades of a query's documents, and what they make of both orders; nothing where there are none."""

    grades: list[Grade]
    base: Measured | None = None
    reranked: Measured | None = None


class JudgedQuery(BaseModel):
    """A query that has judgments."""

    query: str
    index: str
    judged: int


class JudgedQueries(BaseModel):
    """All queries that have judgments."""

    queries: list[JudgedQuery]


class ProfileInfo(BaseModel):
    """A ranker that may be chosen."""

    name: str
    summary: str
    depth: int


class Setup(BaseModel):
    """What can be chosen."""

    version: str
    indices: list[str]
    profiles: list[ProfileInfo]
    fields: tuple[str, ...]
    deadline: float
    max_documents: int


class Fields(BaseModel):
    """The text fields of an index, and those that are read where none is named."""

    names: list[str]
    default: list[str]
