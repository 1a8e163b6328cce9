"""`filter_path` as the server has it; whether it does is what the tests with a server compare."""

from __future__ import annotations

import json

import pytest

from es_reasonrank.service.proxy.filter_path import FilterPath

BODY = {
    "took": 1,
    "hits": {
        "total": {"value": 3},
        "hits": [{"_id": "1", "_source": {"a.b": 1, "c": {"d": 2}}}, {"_id": "2", "_source": {}}],
    },
}


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("took", {"took": 1}),
        ("hits.hits._id", {"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}}),
        ("**._id", {"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}}),
        ("hits.t*", {"hits": {"total": {"value": 3}}}),
        ("hits.*.value", {"hits": {"total": {"value": 3}}}),
        (r"hits.hits._source.a\.b", {"hits": {"hits": [{"_source": {"a.b": 1}}]}}),
        ("hits.hits._source.c", {"hits": {"hits": [{"_source": {"c": {"d": 2}}}]}}),
        ("nothing", {}),
        ("-hits", {"took": 1}),
        ("hits.total,-hits.total.value", {}),
        ("took, hits.total", {"took": 1, "hits": {"total": {"value": 3}}}),
    ],
)
def test_what_is_left(value: str, left: object) -> None:
    assert json.loads(FilterPath.parsed(value).applied(json.dumps(BODY).encode())) == left


def test_spellings_stay() -> None:
    assert FilterPath.parsed("a.b").applied(b'{"a":{"b":1.10,"c":2}}') == b'{"a":{"b":1.10}}'
