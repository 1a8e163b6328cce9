"""JSON texts are taken apart and put together again without a byte lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.service.proxy.spans import Span, items, members, rebuilt, replaced

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)
FORMS: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}]


@given(OBJECTS, st.sampled_from(FORMS))
def test_members_are_where_they_are(value: dict[str, Any], form: dict[str, Any]) -> None:
    text = json.dumps(value, **form).encode("utf-8", "surrogatepass")
    found = members(text)
    assert [member.key for member in found] == list(value)
    assert [json.loads(member.value.of(text)) for member in found] == list(value.values())


@given(st.lists(VALUES, max_size=5), st.sampled_from(FORMS))
def test_items_are_where_they_are(value: list[Any], form: dict[str, Any]) -> None:
    text = b'{"a":' + json.dumps(value, **form).encode() + b"}"
    found = items(text, members(text)[0].value)
    assert [json.loads(span.of(text)) for span in found] == value


@given(OBJECTS.filter(bool), st.data(), st.sampled_from(FORMS))
def test_members_can_be_replaced_and_left_out(value: dict[str, Any], data: st.DataObject, form: dict[str, Any]) -> None:
    text = json.dumps(value, **form).encode()
    changes = data.draw(st.dictionaries(st.sampled_from(list(value)), st.sampled_from([b"1", None])))
    wanted = {key: 1 if key in changes else old for key, old in value.items() if changes.get(key, b"") is not None}
    assert json.loads(rebuilt(text, members(text), changes)) == wanted


def test_nothing_changed_is_the_same_text() -> None:
    text = b' { "a" : 1.0 ,\n "b":[ ] } '
    assert rebuilt(text, members(text), {}) == text
    assert replaced(text, []) == text


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":{"b":1},"a":{"b":1}}',
        b"[1]",
        b'{"a":1',
        b"",
        b"1",
        b'{"a":1} x',
    ],
)
def test_what_is_no_whole_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        members(text)


def test_pieces_are_replaced_by_others() -> None:
    assert replaced(b"abcdef", [(Span(4, 5), b"EE"), (Span(0, 1), b"")]) == b"bcdEEf"
