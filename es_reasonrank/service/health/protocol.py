"""What the health routes answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Alive(BaseModel):
    """The answer of /health."""

    status: Literal["alive"] = "alive"


class Part(BaseModel):
    """One part that searches need."""

    ready: bool
    detail: str = Field(description="What it answered, or why it is not ready.", examples=["Elasticsearch 9.5.3"])
    age: float = Field(description="Seconds since it was last asked.", examples=[1.25])


class Readiness(BaseModel):
    """The answer of /ready."""

    status: Literal["ready", "not ready"]
    parts: dict[str, Part]


class ServedProfile(BaseModel):
    """A ranker that requests may name."""

    name: str = Field(examples=["reasonrank"])
    summary: str
    model: str = Field(examples=["liuwenhan/reasonrank-7B"])
    depth: int = Field(description="Hits that are reranked where a request does not say.", examples=[100])
    default: bool = Field(description="Whether it ranks for requests that name none.")


class Server(BaseModel):
    """The server behind the proxy."""

    name: str = Field(description="elasticsearch, or opensearch.", examples=["elasticsearch"])
    version: str = Field(examples=["9.5.3"])
    cluster: str = Field(examples=["docker-cluster"])


class Limits(BaseModel):
    """The settings that a caller meets."""

    deadline: float = Field(description="Seconds that a reranking may take.")
    on_failure: str = Field(description="What a search gets when reranking fails.")
    at_once: int = Field(description="Rankings that a worker has worked on at a time.")
    queue: int = Field(description="Rankings that may wait in a worker.")
    max_body: int = Field(description="Bytes that a body may have.")
    max_documents: int = Field(description="Documents that one request may have reranked.")
    rollout: str = Field(description="How far users see the reranked order.")
    keys: bool = Field(description="Whether the rerank API asks for a key.")


class Info(BaseModel):
    """The answer of /info."""

    name: str = "es-reasonrank"
    version: str
    profiles: list[ServedProfile]
    elasticsearch: Server | None = Field(description="Empty while it does not answer, or not without a login.")
    settings: Limits
