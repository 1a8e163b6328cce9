"""The settings of the service: where it listens, what it reranks, how much it takes on, and who may call it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.validation import Checked

Scope = Literal["rerank", "write"]
OnFailure = Literal["base_order", "error"]


class ApiKey(Checked):
    """A caller of the rerank API or of the playground's writes. The key itself is kept nowhere."""

    name: str = Field(description="What logs and metrics call it.")
    hash: str = Field(description="What `es-reasonrank keys new` printed.")
    scopes: tuple[Scope, ...] = Field(("rerank",), description="rerank: the rerank API; write: judgments and clicks.")


class Rollout(Checked):
    """How far users see the reranked order."""

    mode: Literal["on", "shadow", "percentage", "interleave"] = Field(
        "on", description="For all, for none (both orders are logged), for a share of users, or both orders mixed."
    )
    percentage: float = Field(100.0, ge=0, le=100, description="Users that the mode holds for, but for on; 0 to 100.")
    key_header: str = Field("X-Opaque-Id", description="Header with what tells users apart; without it, the query.")
    salt: str = Field("", description="Any text; another one draws other users, and hides them better in the log.")
    log: Path | None = Field(None, description="File that takes both orders of every search, a JSON line each.")

    @model_validator(mode="after")
    def _logged(self) -> Self:
        if self.mode in ("shadow", "interleave") and self.log is None:
            raise ValueError(f"mode {self.mode!r} is of use only with a log; set 'log' to a file")
        return self


class Rule(Checked):
    """Searches that are reranked although they do not ask for it."""

    indices: tuple[str, ...] = Field(description="Patterns of what stands in the request's path: products-*.")
    profile: str | None = Field(None, description="Ranker; the service's by default.")
    fields: tuple[str, ...] = Field((), description="Fields that hold a hit's text; without them, title and body.")
    template: str = Field("", description="Text of a hit instead: '{{title}}: {{body}}'.")
    query: str = Field("", description="Where the query's text stands in a body: query.match.body.query.")
    depth: int | None = Field(None, ge=1, description="Hits that are reranked.")
    deadline: float | None = Field(None, gt=0, description="Seconds that reranking may take.")

    def holds_for(self, target: str) -> bool:
        """Whether every index of a request's path matches."""
        names = target.split(",") if target else ["_all"]
        return all(any(fnmatchcase(name, pattern) for pattern in self.indices) for name in names)


class ServiceSettings(Checked):
    """The service, `es-reasonrank serve`."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, description="Processes that answer; they share one process that holds the model.")
    tls_cert: Path | None = Field(None, description="File with the service's own certificate chain.")
    tls_key: Path | None = Field(None, description="File with its private key.")
    profiles: tuple[str, ...] = Field((), description="Further profiles that requests may name.")
    deadline: float = Field(10.0, gt=0, description="Seconds that a reranking may take where its caller does not say.")
    on_failure: OnFailure = Field("base_order", description="What a search gets when reranking fails.")
    grace: float = Field(10.0, ge=0, description="Seconds that requests have to finish when the service stops.")
    at_once: int = Field(16, ge=1, description="Rankings that are worked on at a time.")
    queue: int = Field(64, ge=0, description="Rankings that wait; one more is refused.")
    breaker_failures: int = Field(5, ge=1, description="Failed rankings in a row after which the model is left alone.")
    breaker_pause: float = Field(15.0, gt=0, description="Seconds until it is tried again.")
    cache_size: int = Field(10_000, ge=1, description="Rankings, and verdicts on windows, that are kept in memory.")
    cache_ttl: float = Field(600.0, gt=0, description="Seconds that they are kept.")
    max_body: int = Field(10_000_000, ge=1, description="Bytes that a body may have that the service itself reads.")
    max_documents: int = Field(1_000, ge=1, description="Documents that one request may have reranked.")
    results_index: str | None = Field(None, description="Index that `batch` wrote to: its answers are served first.")
    results_age: float = Field(7 * 86_400.0, gt=0, description="Seconds after which such an answer is no longer fresh.")
    judgments_index: str = Field("es-reasonrank-judgments", description="Index that ratings and clicks go to.")
    playground: bool = Field(True, description="Whether there is a page at /playground.")
    api_keys: tuple[ApiKey, ...] = Field((), description="Who may call the rerank API and write; empty: local use.")
    rules: tuple[Rule, ...] = Field((), description="Searches that are reranked without asking; the first that fits.")
    rollout: Rollout = Rollout()

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together; set both")
        return self
