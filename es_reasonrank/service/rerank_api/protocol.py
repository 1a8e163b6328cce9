"""What all families of requests share: one kind of job, one kind of outcome, and one sentence for bad input."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from fastapi import HTTPException
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import WithJsonSchema as Schema

from es_reasonrank.service.limits import Json
from es_reasonrank.service.ranking import Answer
from es_reasonrank.service_settings import OnFailure
from es_reasonrank.types import Candidate

Document = str | dict[str, Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
_PARAMETERS = frozenset(
    {"model", "profile", "top_n", "top_k", "deadline", "timeout", "on_failure", "results_in_input_order"}
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def _seconds(value: object) -> object:
    """Seconds as a number, or as Elasticsearch writes a time: 500ms, 2s, 1m."""
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError("must be a time like 2s or 500ms, or seconds as a number")
        return float(found[1]) * _SECONDS[found[2]]
    return value


def _document(value: object) -> object:
    if isinstance(value, (str, dict)):
        return value
    raise ValueError("must be a text or an object of fields")


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; give a query to rank by")
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, le=86_400, allow_inf_nan=False),
    Schema({"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 86_400}, {"type": "string"}]}),
]
Query = Annotated[str, AfterValidator(_said)]
Documents = Annotated[
    list[Annotated[Document, BeforeValidator(_document), Schema({"anyOf": [{"type": "string"}, {"type": "object"}]})]],
    Field(min_length=1),
]
Texts = Annotated[list[str], Field(min_length=1)]


class Lenient(BaseModel):
    """Base of every request: keys that are not known here are left aside, as other servers have their own."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Options(Lenient):
    """What may be asked for in every family, in the body or in the query string."""

    model: str = Field(
        "",
        validation_alias=AliasChoices("model", "model_id", "profile"),
        description="Ranker: one of those that /v1/models lists; the service's default where it is empty.",
    )
    top_n: int = Field(
        0,
        ge=0,
        validation_alias=AliasChoices("top_n", "top_k"),
        description="How many of the best are returned; 0: all.",
    )
    deadline: Seconds | None = Field(None, description="Time for it, like 2s or 500ms; the service's by default.")
    on_failure: OnFailure | None = Field(
        None, description="base_order: documents in the order they came in; error: status 503."
    )
    results_in_input_order: bool = Field(False, description="Whether results stand as documents came, not best first.")


@dataclass(frozen=True)
class Job:
    """One list to rank, whatever the shape that it came in."""

    query: str
    candidates: tuple[Candidate, ...]
    options: Options


@dataclass(frozen=True)
class Scored:
    """One document of the answer."""

    index: int
    score: float
    """From 0 to 1; of two documents, the better one's is higher."""
    raw: float
    """On the ranker's own scale."""


@dataclass(frozen=True)
class Reranked:
    """Every document of a job, best first."""

    results: tuple[Scored, ...]
    answer: Answer
    took_ms: float

    def chosen(self, options: Options) -> list[Scored]:
        """The results that a caller asked for, in the order that he wants."""
        best = self.results[: options.top_n or None]
        return sorted(best, key=lambda result: result.index) if options.results_in_input_order else list(best)

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt tokens and generated tokens that were spent on it."""
        trace = self.answer.ranking.trace
        return (0, 0) if self.answer.remembered else (trace.prompt_tokens, trace.generated_tokens)


@dataclass(frozen=True)
class Family:
    """How one kind of client speaks.

    Attributes:
        request: the body's model.
        jobs: the lists that a request wants ranked.
        answer: what is sent back, from the request and its jobs' outcomes.
        error: what is sent back instead, from a status and a sentence.
        example: a request's body.
        headers: of every answer.
    """

    request: type[Options]
    jobs: Callable[[Any], list[Job]]
    answer: Callable[[Any, list[Reranked]], Json]
    error: Callable[[int, str], Json]
    example: dict[str, Json]
    headers: dict[str, str] = field(default_factory=dict)


Request = TypeVar("Request", bound=Options)


def read(model: type[Request], body: Mapping[str, Json], parameters: Mapping[str, str]) -> Request:
    """A request from its body, and from the query string where the body leaves something open.

    null and an empty text are as good as nothing.

    Raises:
        HTTPException: 422, with a sentence on the first thing that is wrong.
    """
    given = {key: value for key, value in body.items() if value is not None and value != ""}
    try:
        return model.model_validate({**{name: parameters[name] for name in _PARAMETERS & parameters.keys()}, **given})
    except ValidationError as error:
        raise HTTPException(422, sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """The first thing that is wrong with a request."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name, *inner = first["loc"] or ("body",)
    places = "".join(f"[{part}]" for part in inner if isinstance(part, int))
    if first["type"] == "missing":
        return f"{name} is missing or empty"
    if first["type"] == "too_short":
        return f"{name} is empty; give at least one"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}{places} {message[:1].lower()}{message[1:]}"


def listed(value: object) -> object:
    """A single text as a list of one."""
    return [value] if isinstance(value, str) else value


def text_candidates(texts: list[str]) -> tuple[Candidate, ...]:
    """Texts as candidates, each called by its place."""
    return tuple(Candidate(str(place), text) for place, text in enumerate(texts))


def how(reranked: Reranked) -> dict[str, Json]:
    """How a ranking came about: the key `rerank` on an answer's top level."""
    answer = reranked.answer
    trace = answer.ranking.trace
    return {
        "status": answer.status,
        "reason": answer.reason,
        "detail": answer.detail,
        "profile": trace.profile,
        "model": trace.model,
        "windows": {str(outcome): count for outcome, count in sorted(trace.outcomes.items())},
        "took_ms": round(reranked.took_ms, 1),
        "queued_ms": round(answer.queued * 1000, 1),
        "remembered": answer.remembered,
    }


class How(BaseModel):
    """How the ranking came about."""

    model_config = ConfigDict(protected_namespaces=())

    status: Literal["ok", "partial", "failed", "skipped"]
    reason: str = Field(description="One word where the status is not ok: deadline, overload, model_failed...")
    detail: str
    profile: str
    model: str
    windows: dict[str, int] = Field(description="How many windows ended in which outcome.")
    took_ms: float
    queued_ms: float
    remembered: bool = Field(description="Whether the whole order was known from before.")


class Usage(BaseModel):
    """Tokens that were spent."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage(outcomes: list[Reranked]) -> dict[str, Json]:
    """The tokens of several rankings."""
    prompt = sum(outcome.tokens[0] for outcome in outcomes)
    generated = sum(outcome.tokens[1] for outcome in outcomes)
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}
