"""The server's own reranking retriever, found and replaced."""

from __future__ import annotations

from typing import Any

import pytest

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.proxy import retrievers
from es_reasonrank.service.proxy.reordering import shifted

PROFILES = ("encoder", "reasonrank")
FINDS: dict[str, Any] = {"standard": {"query": {"match": {"body": "why"}}}}


def reranker(**options: Any) -> dict[str, Any]:
    """One of ours."""
    known = {"retriever": FINDS, "field": "body", "inference_text": "why", "inference_id": "encoder"}
    return {retrievers.NAME: {**known, **options}}


def test_only_profiles_of_ours_are_ours() -> None:
    assert retrievers.ours(reranker(), PROFILES) is not None
    assert retrievers.ours(reranker(inference_id="cohere"), PROFILES) is None
    assert retrievers.ours(FINDS, PROFILES) is None
    assert retrievers.ours(None, PROFILES) is None


def test_defaults_are_the_servers() -> None:
    found = retrievers.ours(reranker(), PROFILES)
    assert found is not None
    assert (found.asked.depth, found.asked.query, found.asked.fields) == (10, "why", ("body",))
    assert found.asked.on_failure is None
    assert found.child == FINDS


def test_a_filter_holds_for_what_is_found() -> None:
    inner = {"standard": {"query": {"match_all": {}}, "filter": {"term": {"a": 1}}}}
    found = retrievers.ours(reranker(retriever=inner, filter=[{"term": {"b": 2}}]), PROFILES)
    assert found is not None
    assert found.child["standard"]["filter"] == [{"term": {"a": 1}}, {"term": {"b": 2}}]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"field": None}, "field"), ({"rank_window_size": 0}, "rank_window_size"), ({"windw": 1}, "unknown key 'windw'")],
)
def test_what_is_wrong_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        retrievers.ours(reranker(**options), PROFILES)


def test_inner_ones_come_first() -> None:
    outer = {"rescorer": {"retriever": reranker(retriever=reranker())}}
    path = retrievers.innermost(outer, PROFILES)
    assert path == ("rescorer", "retriever", retrievers.NAME, "retriever")
    replaced = retrievers.put(outer, path, FINDS)
    assert retrievers.innermost(replaced, PROFILES) == ("rescorer", "retriever")
    assert retrievers.innermost(retrievers.put(replaced, ("rescorer", "retriever"), FINDS), PROFILES) is None
    assert retrievers.at(outer, path) == reranker()


def test_one_at_the_top_is_not_inside() -> None:
    assert retrievers.innermost(reranker(), PROFILES) is None
    assert retrievers.innermost({"linear": {"retrievers": [{"retriever": reranker(), "weight": 2}]}}, PROFILES)


def test_equal_scores_keep_their_order() -> None:
    found = retrievers.in_order([("i", "a"), ("i", "b")], [1.5, 1.5])
    first, second = found["standard"]["query"]["bool"]["should"]
    assert first["constant_score"]["boost"] > second["constant_score"]["boost"]


def test_no_hits_find_nothing() -> None:
    assert retrievers.in_order([], []) == {"standard": {"query": {"match_none": {}}}}


@pytest.mark.parametrize(("score", "expected"), [(0.5, 1.5), (0.0, 1.0), (2.0, 3.0), (-1.0, 0.36787944117144233)])
def test_scores_are_shifted_as_the_server_does(score: float, expected: float) -> None:
    assert shifted(score) == pytest.approx(expected)
