"""What the playground makes of a search, before and after it: all that is pure."""

from __future__ import annotations

import json
import math
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from es_reasonrank.elastic.judgments import judgment_id
from es_reasonrank.errors import InputError, SettingsError
from es_reasonrank.service.playground.access import has_login, is_local
from es_reasonrank.service.playground.copies import copies
from es_reasonrank.service.playground.judgments import measured
from es_reasonrank.service.playground.protocol import Document, Grade, SearchRequest
from es_reasonrank.service.playground.searching import wanted
from es_reasonrank.service.playground.summary import summary
from es_reasonrank.settings import ElasticSettings

MATCH = {"query": {"match": {"body": "slow requests"}}}


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ([], "No hits."),
        ([1], "The order of the only hit did not change."),
        ([1, 2, 3], "The order of the top 3 did not change."),
        ([2, 1, 3], "2 of the top 3 changed; result 2 moved to 1."),
        ([7, 1, 2, 3, 4, 5, 6], "7 of the top 7 changed; result 7 moved to 1."),
        ([47, *range(1, 47)], "10 of the top 10 changed; 1 came from below; result 47 moved to 1."),
        ([*range(1, 11), 12, 11], "The order of the top 10 did not change."),
        ([1, 3, 2, *range(4, 20)], "2 of the top 10 changed; result 3 moved to 2."),
    ],
)
def test_the_sentence_tells_what_changed(order: list[int], sentence: str) -> None:
    assert summary(order) == sentence


@given(st.integers(1, 40).flatmap(lambda size: st.permutations(range(1, size + 1))))
def test_every_permutation_has_a_sentence_that_is_true(order: list[int]) -> None:
    sentence = summary(order)
    head = order[:10]
    changed = sum(rank != place for place, rank in enumerate(head, start=1))
    if not changed:
        assert "did not change" in sentence
        return
    assert sentence.startswith(f"{changed} of the top {len(head)} changed")
    moved = sentence.removesuffix(".").split("result ")[1].split(" moved to ")
    rank, place = (int(part) for part in moved)
    assert order[place - 1] == rank
    assert rank - place == max(rank - place for place, rank in enumerate(head, start=1))


def request(**values: object) -> SearchRequest:
    return SearchRequest.model_validate({"index": "library", **values})


def test_a_text_is_searched_and_judged_by() -> None:
    found = wanted(request(query="  slow requests "))
    assert found.asked.query == "slow requests"
    assert found.body is None


def test_the_controls_count_before_the_body() -> None:
    ext = {"rerank": {"query": "body's", "fields": ["a"], "depth": 5, "profile": "one", "deadline": "2s"}}
    body = json.dumps({**MATCH, "size": 3, "from": 2, "ext": ext})
    found = wanted(request(body=body, query="mine", fields=["b"], depth=7, profile="two", deadline=9))
    asked = found.asked
    assert (asked.query, asked.fields, asked.depth, asked.profile, asked.deadline) == ("mine", ("b",), 7, "two", 9)
    assert found.body == MATCH
    asked = wanted(request(body=body)).asked
    assert (asked.query, asked.fields, asked.depth, asked.profile, asked.deadline) == ("body's", ("a",), 5, "one", 2)


def test_the_bodys_own_text_is_judged_by_where_there_is_no_other() -> None:
    assert wanted(request(body=json.dumps(MATCH))).asked.query == "slow requests"


def test_other_extensions_of_a_body_stay() -> None:
    body = {**MATCH, "ext": {"rerank": {"query": "q"}, "other": 1}}
    assert wanted(request(body=json.dumps(body))).body == {**MATCH, "ext": {"other": 1}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the query is empty"),
        ({"body": '{"query": {"match_all": {}}}'}, "the query is empty"),
        ({"body": '{"query": '}, "not valid JSON: Expecting value at line 1, column 11"),
        ({"body": "[1]"}, "must be a JSON object"),
        ({"body": "[" * 100_000}, "cannot be read"),
        ({"body": "9" * 10_000}, "cannot be read"),
        ({"body": '{"sort": ["date"]}', "query": "q"}, "a search with 'sort' cannot be reranked"),
        ({"body": '{"stored_fields": "_none_"}', "query": "q"}, "a search with 'stored_fields' cannot be reranked"),
        ({"body": '{"fields": "title"}', "query": "q"}, """'fields' in the search body must be like ["title"]"""),
        ({"body": '{"ext": []}', "query": "q"}, "'ext' in the search body must be like {}"),
    ],
)
def test_a_wrong_search_gets_one_sentence(values: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        wanted(request(**values))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_key_of_ext_rerank_is_named() -> None:
    with pytest.raises(SettingsError, match="depht"):
        wanted(request(body='{"ext": {"rerank": {"query": "q", "depht": 5}}}'))


BODY = {"query": {"match": {"body": 'it\'s "quoted" $HOME `id` \\ \n ü 😀'}}, "size": 20, "ext": {"rerank": {}}}


def test_what_is_copied_for_a_shell_is_the_request() -> None:
    curl = copies("http://127.0.0.1:8080", "my docs", BODY, login=False).curl
    words = shlex.split(curl)
    assert words[:2] == ["curl", "http://127.0.0.1:8080/my%20docs/_search"]
    assert json.loads(words[words.index("-d") + 1]) == BODY


def test_what_is_copied_for_python_is_the_request() -> None:
    source = copies("http://127.0.0.1:8080", 'a"b', BODY, login=False).python
    names: dict[str, object] = {}
    line = source.index("body = ")
    exec(source[line : source.index("response = ")], names)
    assert names["body"] == BODY
    compile(source, "copied", "exec")


def test_no_login_is_copied() -> None:
    both = copies("http://127.0.0.1:8080", "docs", BODY, login=True)
    assert '-H "Authorization: $ES_AUTHORIZATION"' in both.curl
    assert 'headers={"Authorization": os.environ["ES_AUTHORIZATION"]}' in both.python
    compile(both.python, "copied", "exec")


def test_a_new_rating_has_the_id_of_the_old_one() -> None:
    assert judgment_id("q", "library", "a", "human") == judgment_id("q", "library", "a", "human")
    others = [
        judgment_id("r", "library", "a", "human"),
        judgment_id("q", "library", "a", "model"),
        judgment_id("q", "other", "a", "human"),
        judgment_id("q", "library", "b", "human"),
    ]
    assert len({judgment_id("q", "library", "a", "human"), *others}) == 5


def test_both_orders_are_measured() -> None:
    """By hand: gains 3 and 1, discounts log2(place + 1)."""
    named = [Document(index="library", id=name) for name in "abc"]
    grades = [Grade(index="library", id=name, grade=grade, source="human") for name, grade in (("b", 3), ("c", 1))]
    base, reranked = measured(grades, [named, [named[1], named[2], named[0]]])
    ideal = 3 + 1 / math.log2(3)
    assert base.ndcg == pytest.approx((3 / math.log2(3) + 1 / math.log2(4)) / ideal)
    assert reranked.ndcg == pytest.approx(1.0)
    assert (base.judged, reranked.judged) == (2, 2)


def test_documents_of_the_same_id_in_two_indices_are_two() -> None:
    one, other = Document(index="one", id="a"), Document(index="two", id="a")
    base, reranked = measured([Grade(index="two", id="a", grade=1, source="human")], [[one, other], [other, one]])
    assert base.ndcg < reranked.ndcg == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"url": "http://localhost:9200"}, False),
        ({"url": "http://me:secret@localhost:9200"}, True),
        ({"api_key": "abc"}, True),
        ({"username": "me", "password": "secret"}, True),
    ],
)
def test_whether_the_service_has_a_login_of_its_own(settings: dict[str, str], expected: bool) -> None:
    assert has_login(ElasticSettings.model_validate(settings)) is expected


@pytest.mark.parametrize(
    ("host", "client", "headers", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", {"host": "localhost:8080"}, True),
        ("::1", "::1", {"host": "[::1]:8080"}, True),
        ("0.0.0.0", "127.0.0.1", {"host": "localhost:8080"}, False),
        ("127.0.0.1", "10.0.0.7", {"host": "localhost:8080"}, False),
        ("127.0.0.1", "127.0.0.1", {"host": "rebound.example.org:8080"}, False),
        ("127.0.0.1", "127.0.0.1", {"host": "localhost:8080", "x-forwarded-for": "10.0.0.7"}, False),
    ],
)
def test_who_is_on_this_machine(host: str, client: str, headers: dict[str, str], expected: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "client": (client, 1), "headers": raw, "path": "/", "scheme": "http"}
    assert is_local(Request(scope), host) is expected
