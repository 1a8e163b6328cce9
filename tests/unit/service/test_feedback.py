"""What an application may send after a search, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.elastic.mappings import Kind, index_body
from es_reasonrank.errors import InputError
from es_reasonrank.service.feedback.protocol import MOST, Feedback, events_of
from es_reasonrank.service.feedback.routes import _BODY
from es_reasonrank.service.feedback.serving import event_id, judgment

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CLICK = {"event": "click", "search_id": "s1", "document": "a"}
RATING = {"event": "rating", "query": "why", "index": "docs", "document": "a", "grade": 2}


def one(**changes: Any) -> Feedback:
    return events_of({**CLICK, **changes})[0]


@pytest.mark.parametrize(
    "body",
    [
        CLICK,
        RATING,
        {"event": "conversion", "query": "why", "document": "a", "position": 3, "id": "7"},
        {**CLICK, "query": None, "grade": None},
    ],
)
def test_what_is_taken(body: dict[str, Any]) -> None:
    assert len(events_of(body)) == 1
    assert len(events_of([body, body])) == 2


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "a request holds 1 to 1000 events, and this one 0"),
        ([CLICK] * (MOST + 1), "and this one 1001"),
        ("click", "event 1 must be a JSON object"),
        ([CLICK, 3], "event 2 must be a JSON object"),
        ({**CLICK, "serch_id": "x"}, r"event 1: unknown key 'serch_id' \(did you mean 'search_id'"),
        ({"event": "click", "search_id": "s"}, "event 1: key 'document' is missing"),
        ({**CLICK, "event": "view"}, "event 1: key 'event': input should be 'click', 'conversion' or 'rating'"),
        ({**CLICK, "position": 0}, "event 1: key 'position': input should be greater than or equal to 1"),
        ({**CLICK, "grade": 3}, "a click has no grade; send a rating for that"),
        ({"event": "click", "document": "a"}, "a click needs search_id or query"),
        ({"event": "conversion", "document": "a", "query": "  "}, "a conversion needs search_id or query"),
        ({**RATING, "grade": None}, "a rating needs query, index and grade"),
        ({**RATING, "grade": 4}, "key 'grade'"),
        ({**RATING, "index": None}, "a rating needs query, index and grade"),
        ([CLICK, {**RATING, "query": " "}], "event 2: a rating needs"),
        ({**CLICK, "document": ""}, "key 'document'"),
        ({**CLICK, "document": "x" * 1025}, "key 'document'"),
    ],
)
def test_what_is_wrong(body: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        events_of(body)


def test_the_same_click_has_one_id() -> None:
    assert event_id(one(), "app") == event_id(one(position=3), "other app")
    ids = {
        event_id(event, "app")
        for event in (one(), one(event="conversion"), one(document="b"), one(search_id="s2"), one(index="docs"))
    }
    assert len(ids) == 5


def test_an_id_of_the_senders_own_is_apart_from_other_senders() -> None:
    free = {"search_id": None, "query": "why"}
    assert event_id(one(id="1", **free), "app") == event_id(one(id="1", document="b", **free), "app")
    assert event_id(one(id="1", **free), "app") != event_id(one(id="1", **free), "other app")
    assert event_id(one(**free), "app") != event_id(one(**free), "app")


def test_a_rating_takes_the_place_of_the_one_before() -> None:
    first, second = events_of([RATING, {**RATING, "grade": 0, "query": " why "}])
    assert event_id(first, "") == event_id(second, "")
    assert event_id(first, "") != event_id(events_of({**RATING, "document": "b"})[0], "")


@given(st.sampled_from([CLICK, RATING, {**CLICK, "query": "why", "index": "docs", "position": 2, "id": "x"}]))
def test_what_is_kept_is_in_the_mapping(body: dict[str, Any]) -> None:
    properties = index_body(Kind.JUDGMENTS)["mappings"]["properties"]
    document = judgment(events_of(body)[0], NOW)
    assert document.keys() <= properties.keys()
    assert None not in document.values()


def test_a_click_is_no_grade() -> None:
    assert "grade" not in judgment(one(), NOW)
    assert judgment(one(event="conversion"), NOW)["source"] == "click"
    assert judgment(events_of(RATING)[0], NOW)["source"] == "human"


@pytest.mark.parametrize("name", ["click", "rating"])
def test_the_documented_examples_are_taken(name: str) -> None:
    examples: Any = _BODY["examples"]
    assert events_of(examples[name]["value"])
