"""What happens in one request, gathered while it runs: its stages and its rankings, for the log and for traces."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from es_reasonrank.service.answers import Answer


class Family(StrEnum):
    """What a request is about. The set is closed; metrics and traces use these words."""

    SEARCH = "search"
    """`_search` of Elasticsearch."""
    MSEARCH = "msearch"
    """`_msearch` of Elasticsearch."""
    PASS = "pass"
    """Every other route of Elasticsearch."""
    RERANK = "rerank"
    """The rerank API, in all its shapes."""
    FEEDBACK = "feedback"
    """Clicks that come in."""
    PLAYGROUND = "playground"
    """The page, and what it calls."""
    SERVICE = "service"
    """The service itself: its health, metrics, models and documentation."""


class Stage(StrEnum):
    """Where a request's time goes."""

    SEARCH = "search"
    """Elasticsearch."""
    QUEUE = "queue"
    """The wait for a turn."""
    MODEL = "model"
    """The model."""
    RESPOND = "respond"
    """Putting the response together."""


_OWN = (
    (re.compile(r"/(v[12]/)?rerank|/score|/_inference/rerank(/[^/]+)?"), Family.RERANK),
    (re.compile(r"/v1/feedback"), Family.FEEDBACK),
    (re.compile(r"/playground(/.*)?"), Family.PLAYGROUND),
    (re.compile(r"/(health|ready|info|metrics|openapi\.json|v1/models)"), Family.SERVICE),
)


@lru_cache(maxsize=1024)
def family_of(path: str) -> Family:
    """The family of a request's path."""
    for pattern, family in _OWN:
        if pattern.fullmatch(path):
            return family
    match path.rstrip("/").rsplit("/", 1)[-1]:
        case "_search":
            return Family.SEARCH
        case "_msearch":
            return Family.MSEARCH
    return Family.PASS


def index_of(path: str) -> str:
    """The indices that a path of Elasticsearch names, empty where it names none."""
    first, slash, _ = path.lstrip("/").partition("/")
    return first if slash and not first.startswith("_") else ""


@dataclass
class Record:
    """One request.

    `span` is told of each stage as it ends, `line` of each ranking: at the end of the request, when all stages are
    known, or at once for a ranking that outlives its request.
    """

    family: Family
    index: str = ""
    opaque_id: str = ""
    trace_id: str = ""
    status: int = 0
    """Of the response; 0 while there is none."""
    seconds: dict[Stage, float] = field(default_factory=dict)
    """Of the stages that belong to the whole request."""
    answers: list[Answer] = field(default_factory=list)
    span: Callable[[Stage, float, Answer | None], None] | None = None
    line: Callable[[Record, Answer], None] | None = None
    ended: bool = False

    def stage(self, stage: Stage, seconds: float) -> None:
        """A stage of the request has ended just now."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        if self.span is not None:
            self.span(stage, seconds, None)

    def answered(self, answer: Answer) -> None:
        """A list was ranked."""
        if self.span is not None and not answer.remembered:
            self.span(Stage.MODEL, answer.ranking.trace.seconds, answer)
        self.answers.append(answer)
        if self.ended:
            self._tell()

    def end(self) -> None:
        """The response is sent."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        if self.line is not None:
            for answer in self.answers:
                self.line(self, answer)
        self.answers.clear()


CURRENT: ContextVar[Record | None] = ContextVar("record", default=None)
"""The record of the request that is worked on."""
