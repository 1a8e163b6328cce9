"""What a search asks of the reranker."""

from __future__ import annotations

from typing import Any

import pytest

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.proxy.asked import Switch, check_rules, from_body, from_rules
from es_reasonrank.service.proxy.query_text import text_of, text_of_parameter
from es_reasonrank.service_settings import Rule


def test_all_keys_are_read() -> None:
    asked = from_body(
        {
            "rerank": {
                "query": "why",
                "fields": ["title", "body"],
                "depth": 20,
                "profile": "reasonrank",
                "deadline": "250ms",
                "on_failure": "error",
                "explain": True,
                "score_mode": "avg",
                "query_weight": 0.5,
                "rescore_query_weight": 2,
            }
        }
    )
    assert asked is not None
    assert asked.source.names == ("title", "body")
    assert asked.deadline == 0.25
    assert asked.fusion is not None
    assert (asked.fusion.method, asked.fusion.score_mode, asked.fusion.query_weight) == ("rescore", "avg", 0.5)


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2.0), ("1.5s", 1.5), ("90ms", 0.09), ("1m", 60.0), (3, 3.0)])
def test_durations_are_written_as_in_elasticsearch(text: object, seconds: float) -> None:
    asked = from_body({"rerank": {"query": "why", "deadline": text}})
    assert asked is not None
    assert asked.deadline == pytest.approx(seconds)


@pytest.mark.parametrize("ext", [{}, {"other": {}}, {"rerank": {"query_context": {"query_text": "why"}}}])
def test_what_is_not_for_us_is_left_alone(ext: dict[str, Any]) -> None:
    assert from_body(ext) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("why", "must be an object"),
        ({"querry": "why"}, "did you mean 'query'"),
        ({"query": "why", "depth": 0}, "depth"),
        ({"query": "why", "deadline": "soon"}, "deadline"),
        ({"query": "why", "on_failure": "cry"}, "on_failure"),
        ({"query": "why", "fields": ["a"], "template": "{{a}}"}, "leave out 'fields'"),
        ({"query": "why", "template": "no field"}, "double braces"),
    ],
)
def test_what_is_wrong_is_named(value: object, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        from_body({"rerank": value})


@pytest.mark.parametrize(
    ("target", "profile"),
    [
        ("products-2", "first"),
        ("products-1,products-2", "first"),
        ("products-1,logs", None),
        ("logs", None),
        ("", "all"),
    ],
)
def test_the_first_rule_that_fits_all_indices_holds(target: str, profile: str | None) -> None:
    rules = [
        Rule(indices=("products-*",), profile="first"),
        Rule(indices=("products-2", "_all"), profile="all"),
    ]
    found = from_rules(rules, target)
    assert (found[0].profile if found else None) == profile


@pytest.mark.parametrize(
    ("word", "switch"),
    [
        (None, Switch()),
        ("false", Switch(off=True)),
        ("Off", Switch(off=True)),
        ("true", Switch(on=True)),
        ("", Switch(on=True)),
        ("encoder", Switch(on=True, profile="encoder")),
    ],
)
def test_a_switch_is_off_on_or_a_profile(word: str | None, switch: Switch) -> None:
    assert Switch.of(word) == switch


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"match": {"body": "why is the sky blue"}}, "why is the sky blue"),
        ({"match": {"body": {"query": "why", "operator": "and"}}}, "why"),
        ({"multi_match": {"query": "why", "fields": ["a", "b"]}}, "why"),
        ({"bool": {"filter": [{"match": {"a": "no"}}], "must": [{"match": {"b": "yes"}}]}}, "yes"),
        ({"bool": {"must_not": [{"match": {"a": "no"}}]}}, ""),
        ({"function_score": {"query": {"match_phrase": {"a": "why"}}}}, "why"),
        ({"query_string": {"query": 'title:"blue sky" AND +body:why'}}, "blue sky why"),
        ({"match_all": {}}, ""),
        ({"term": {"tag": "blue"}}, ""),
        ({"match": {"a": 7}}, ""),
        ({"nested": {"path": "c", "query": {"match": {"c.text": "why"}}}}, "why"),
    ],
)
def test_a_searchs_text_is_found_in_its_query(query: dict[str, Any], text: str) -> None:
    assert text_of({"query": query}) == text


def test_a_retrievers_text_is_found_too() -> None:
    assert text_of({"retriever": {"standard": {"query": {"match": {"a": "why"}}}}}) == "why"


def test_a_path_says_where_the_text_is() -> None:
    body = {"query": {"script_score": {"params": {"text": "why"}}}}
    assert text_of(body, "query.script_score.params.text") == "why"
    assert text_of(body, "query.other.text") == ""


@pytest.mark.parametrize(
    ("query", "text"), [("title:list", "list"), ("+a -b (c OR d)", "a b c d"), ("why~2 sky^3", "why 2 sky 3")]
)
def test_query_syntax_is_left_out(query: str, text: str) -> None:
    assert text_of_parameter(query) == text


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"profile": "embeded"}, r"service\.rules\[1\]: profile 'embeded' is not served here.*did you mean 'embedded'"),
        ({"fields": ["body"], "template": "{{body}}"}, r"service\.rules\[1\].*a template names its fields itself"),
        ({"template": "body"}, r"service\.rules\[1\].*double braces"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused_at_the_start(rule: dict[str, Any], words: str) -> None:
    rules = [Rule(indices=("a",), profile="embedded"), Rule(indices=("b",), **rule)]
    with pytest.raises(SettingsError, match=words):
        check_rules(rules, ["embedded"])
