"""What an application sends after a search."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from es_reasonrank.errors import InputError
from es_reasonrank.service.limits import Json
from es_reasonrank.validation import Checked, checked

MOST = 1_000
"""Events that one request may hold."""

Name = Annotated[str, Field(min_length=1, max_length=1024)]


class Feedback(Checked):
    """One event: a user clicked on a result, did what the search was for, or rated it."""

    event: Literal["click", "conversion", "rating"] = Field(
        description="click: opened it; conversion: bought, downloaded, answered; rating: gave a grade."
    )
    document: Name = Field(description="The hit's _id.")
    index: Name | None = Field(None, description="The hit's _index; a rating needs it.")
    search_id: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="X-Rerank-Search-Id of the search's response: joins the event to the roll-out."
    )
    query: Annotated[str, Field(min_length=1, max_length=20_000)] | None = Field(
        None, description="The query's text; a rating needs it, and an event without search_id."
    )
    grade: Literal[0, 1, 2, 3] | None = Field(None, description="How relevant it is, from 0, not, to 3, perfectly.")
    position: int | None = Field(None, ge=1, le=1_000_000, description="Place on the result list, from 1.")
    id: Name | None = Field(
        None, description="Of the event: sent again, it counts once. Not needed with search_id, nor for a rating."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        rates = self.event == "rating"
        if rates and (self.grade is None or not (self.query or "").strip() or self.index is None):
            raise ValueError("a rating needs query, index and grade")
        if not rates and self.grade is not None:
            raise ValueError(f"a {self.event} has no grade; send a rating for that")
        if not rates and self.search_id is None and not (self.query or "").strip():
            raise ValueError(f"a {self.event} needs search_id or query")
        return self


class Accepted(BaseModel):
    """The events are kept."""

    accepted: int
    ids: list[str] = Field(description="Under which the events stand in the judgments index, in the order sent.")


def events_of(body: Json) -> list[Feedback]:
    """The events of a body: one object, or a list of them.

    Raises:
        InputError: something is missing or wrong; nothing of the request is kept then.
    """
    given = body if isinstance(body, list) else [body]
    if not 1 <= len(given) <= MOST:
        raise InputError(f"a request holds 1 to {MOST} events, and this one {len(given)}; send several requests")
    return [_event(value, number) for number, value in enumerate(given, start=1)]


def _event(value: Json, number: int) -> Feedback:
    if not isinstance(value, dict):
        raise InputError(f"event {number} must be a JSON object")
    return checked(Feedback, {key: field for key, field in value.items() if field is not None}, where=f"event {number}")
