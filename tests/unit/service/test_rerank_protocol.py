"""The rerank API's shapes: what is read from a body, what is written of a ranking, on which scale."""

from __future__ import annotations

import itertools
import json
import math
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.service.headers import rerank_headers
from es_reasonrank.service.limits import DEPTH, parsed
from es_reasonrank.service.ranking import Answer, Reason
from es_reasonrank.service.rerank_api.cohere import COHERE, RerankAnswer, RerankRequest
from es_reasonrank.service.rerank_api.elastic import ELASTIC, InferenceAnswer, InferenceRequest
from es_reasonrank.service.rerank_api.protocol import Family, Job, Options, Reranked, Scored, read
from es_reasonrank.service.rerank_api.scale import separated, unit_scores
from es_reasonrank.service.rerank_api.score import SCORE, ScoreAnswer, ScoreRequest
from es_reasonrank.service.rerank_api.serving import headers_of, refuse
from es_reasonrank.service.rerank_api.tei import TEI, TeiRequest
from es_reasonrank.service_settings import OnFailure, ServiceSettings
from es_reasonrank.types import Candidate, Outcome, Ranking, Status, Trace, Window

COHERE_BODY: dict[str, Any] = {"query": "q", "documents": ["a", "b", "c"]}
finite = st.floats(allow_nan=False, allow_infinity=False)


def float32(value: float) -> float:
    """What a 32-bit float keeps of a number: what Elasticsearch holds."""
    result: float = struct.unpack("f", struct.pack("f", value))[0]
    return result


# The scale


@given(st.lists(finite, max_size=200))
def test_scores_are_from_0_to_1_and_strictly_decreasing_even_as_32_bit_floats(raw: list[float]) -> None:
    raw.sort(reverse=True)
    for name in ("encoder", "erank", "first", "rank1", "identity"):
        scores = unit_scores(load_profile(name), raw)
        assert len(scores) == len(raw)
        assert all(type(score) is float and 0 <= score <= 1 for score in scores)
        shifted = [float32(float32(score) + 1) for score in scores]  # Elasticsearch's shift
        assert all(upper > lower for upper, lower in itertools.pairwise(shifted))


def test_a_long_list_of_equal_scores_still_decreases() -> None:
    scores = separated([1.0] * 5000)
    assert scores[0] == 1.0
    assert all(upper > lower for upper, lower in itertools.pairwise(scores))


def profile(**parts: Any) -> Profile:
    """A profile that only its named parts matter of."""
    axes = {axis: {"name": "identity"} for axis in ("strategy", "judge", "engine")}
    return Profile(name="p", **{**axes, **parts})


@pytest.mark.parametrize(
    ("ranker", "raw", "expected"),
    [
        (profile(), [1.0, 2 / 3, 1 / 3], [1.0, 0.666667, 0.333333]),
        (profile(judge={"name": "graded"}), [9.0, 2.5, 0.0], [0.9, 0.25, 0.0]),
        (profile(judge={"name": "graded", "read": "listed", "highest": 4}), [4.0, 1.0], [1.0, 0.25]),
        (profile(judge={"name": "graded", "read": "expectation"}), [0.9, 0.1], [0.9, 0.1]),
        (profile(judge={"name": "first_token"}), [math.log(0.5), math.log(0.25)], [0.5, 0.25]),
        (profile(judge={"name": "encoder"}), [0.8, -0.1, -0.2], [0.8, 0.000001, 0.0]),
        (profile(judge={"name": "encoder"}, engine={"name": "e", "kind": "cross-encoder"}), [0.0, -40.0], [0.5, 0.0]),
        (profile(judge={"name": "encoder"}, engine={"name": "e", "kind": "cross-encoder"}), [0.99, 0.2], [0.99, 0.2]),
        (profile(judge={"name": "encoder"}, fusion={"method": "z"}), [1e300, 0.0, -1e300], [1.0, 0.5, 0.0]),
        # A ranking that failed has places, whatever its judge's scale.
        (profile(judge={"name": "graded"}), [1.0, 0.5], [1.0, 0.5]),
        (profile(judge={"name": "first_token"}), [1.0, 0.75, 0.5, 0.25], [1.0, 0.75, 0.5, 0.25]),
    ],
)
def test_every_judges_own_scale_is_known(ranker: Profile, raw: list[float], expected: list[float]) -> None:
    assert unit_scores(ranker, raw) == pytest.approx(expected, abs=1e-9)


# What is read


def test_everything_of_cohere_jina_and_voyage_is_read() -> None:
    body = {"model": "m", "top_k": 2, "truncation": True, "priority": 3, "return_documents": True, "x": {"y": [1]}}
    request = read(RerankRequest, {**COHERE_BODY, **body}, {})
    assert (request.model, request.top_n, request.return_documents) == ("m", 2, True)
    assert [candidate.text for candidate in COHERE.jobs(request)[0].candidates] == ["a", "b", "c"]


def test_null_and_an_empty_text_are_as_good_as_nothing() -> None:
    request = read(RerankRequest, {**COHERE_BODY, "model": "", "top_n": None, "deadline": None}, {"profile": "fast"})
    assert (request.model, request.top_n, request.deadline) == ("fast", 0, None)


def test_documents_may_be_objects() -> None:
    documents = [{"text": "a", "title": "t", "id": 7}, "b", {"text": "", "n": 1}]
    job = COHERE.jobs(read(RerankRequest, {"query": "q", "documents": documents}, {}))[0]
    assert job.candidates == (Candidate("0", "a", "t"), Candidate("1", "b"), Candidate("2", ""))


def test_rank_fields_are_read_as_a_hits_fields_are() -> None:
    documents = [{"title": "T", "author": {"name": "N"}, "tags": ["x", "y"], "text": "unread"}, {"other": 1}]
    body = {"query": "q", "documents": documents, "rank_fields": ["title", "author.name", "tags"]}
    first, second = COHERE.jobs(read(RerankRequest, body, {}))[0].candidates
    assert (first.title, first.text) == ("T", "N\nx\ny")
    assert not second.has_text


@pytest.mark.parametrize(
    ("given", "seconds"), [(3, 3.0), (0.5, 0.5), ("2s", 2.0), ("500ms", 0.5), ("1m", 60.0), ("1.5", 1.5)]
)
def test_a_deadline_is_a_time_as_elasticsearch_writes_it_or_seconds(given: Any, seconds: float) -> None:
    assert read(Options, {"deadline": given}, {}).deadline == seconds
    assert read(InferenceRequest, {"query": "q", "input": "t"}, {"timeout": str(given)}).deadline == seconds


def test_a_query_parameter_is_for_clients_that_cannot_change_the_body() -> None:
    parameters = {"top_n": "1", "results_in_input_order": "true", "query": "never read from there"}
    request = read(TeiRequest, {"query": "q", "texts": ["a"], "top_n": 2}, parameters)
    assert (request.query, request.top_n, request.results_in_input_order) == ("q", 2, True)


@pytest.mark.parametrize(
    ("family", "body", "said"),
    [
        (COHERE, {"documents": ["a"]}, "query is missing or empty"),
        (COHERE, {"query": "", "documents": ["a"]}, "query is missing or empty"),
        (COHERE, {"query": " \n", "documents": ["a"]}, "query is empty; give a query to rank by"),
        (COHERE, {"query": {"text": "q"}, "documents": ["a"]}, "query should be a valid string"),
        (COHERE, {"query": "q"}, "documents is missing or empty"),
        (COHERE, {"query": "q", "documents": []}, "documents is empty; give at least one"),
        (COHERE, {"query": "q", "documents": "a"}, "documents should be a valid list"),
        (COHERE, {"query": "q", "documents": ["a", 3]}, "documents[1] must be a text or an object of fields"),
        (COHERE, {"query": "q", "documents": ["a", None]}, "documents[1] must be a text or an object of fields"),
        (
            COHERE,
            {"query": "q", "documents": ["a", {"body": "b"}]},
            "documents[1] has no text; give it a 'text', or name its fields in rank_fields",
        ),
        (COHERE, {**COHERE_BODY, "top_n": -1}, "top_n should be greater than or equal to 0"),
        (COHERE, {**COHERE_BODY, "deadline": "soon"}, "deadline must be a time like 2s or 500ms, or seconds"),
        (COHERE, {**COHERE_BODY, "deadline": -1}, "deadline should be greater than 0"),
        (COHERE, {**COHERE_BODY, "on_failure": "panic"}, "on_failure should be 'base_order' or 'error'"),
        (TEI, {"query": "q", "texts": [["a"]]}, "texts[0] should be a valid string"),
        (SCORE, {"text_1": "q"}, "documents is missing or empty"),
        (SCORE, {"text_1": ["q", " "], "text_2": ["a", "b"]}, "text_1[1] is empty; give a query to rank by"),
        (SCORE, {"text_1": ["q", "r"], "text_2": ["a", "b", "c"]}, "2 queries and 3 documents do not pair"),
        (ELASTIC, {"query": "q", "input": {}}, "input should be a valid list"),
    ],
)
def test_bad_input_gets_one_sentence(family: Family, body: dict[str, Any], said: str) -> None:
    with pytest.raises(HTTPException) as raised:
        family.jobs(read(family.request, body, {}))
    assert raised.value.status_code == 422
    assert str(raised.value.detail).startswith(said)


@pytest.mark.parametrize(
    "body",
    [
        {"text_1": "q", "text_2": ["a", "b"]},
        {"queries": ["q"], "documents": ["a", "b"]},
        {"queries": "q", "items": ["a", "b"]},
        {"data_1": "q", "data_2": ["a", "b"]},
    ],
)
def test_every_spelling_of_pairs_is_read(body: dict[str, Any]) -> None:
    (job,) = SCORE.jobs(read(ScoreRequest, body, {}))
    assert (job.query, [candidate.text for candidate in job.candidates]) == ("q", ["a", "b"])


# What a body may be


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is not JSON"),
        (b"nonsense", "the body is not JSON"),
        (b'{"query": "\xff"}', "the body is not UTF-8 text: byte 11"),
        (b'{"n": NaN}', "the body is not JSON: NaN is no number in JSON"),
        (b'{"n": ' + b"1" * 5000 + b"}", "the body is not JSON"),
        (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), "the body's JSON is nested deeper than 64 levels"),
        (b"[" * 200_000, "the body's JSON is nested deeper than 64 levels"),
        (b'{"a":' * 100_000, "the body's JSON is nested deeper than 64 levels"),
    ],
)
def test_what_is_no_json_gets_one_sentence(raw: bytes, said: str) -> None:
    with pytest.raises(HTTPException) as raised:
        parsed(raw)
    assert raised.value.status_code == 400
    assert str(raised.value.detail).startswith(said)


def test_half_a_surrogate_pair_is_mended_and_a_whole_one_kept() -> None:
    assert parsed(rb'{"a": ["x\ud83d", "\ud83d\ude00", "\\ud83d"], "\udc00": 1}') == {
        "a": ["x\ufffd", "\U0001f600", r"\ud83d"],
        "\ufffd": 1,
    }


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    with suppress(HTTPException):
        json.dumps(parsed(raw), ensure_ascii=False).encode()


# What is written


def outcome(size: int, status: Status = Status.OK) -> Reranked:
    """Every document in reverse, from two windows, one of which failed."""
    windows = tuple(
        Window((0, 1), (1, 0), kind, "", "", "", None, prompt_tokens=5, generated_tokens=2, seconds=0.1)
        for kind in (Outcome.OK, Outcome.DEADLINE)
    )
    candidates = tuple(Candidate(str(place), f"text {place}") for place in range(size))
    order = tuple(reversed(range(size)))
    scores = tuple((size - place) / size for place in range(size))
    ranking = Ranking("q", candidates, order, scores, Trace("p", "m", windows))
    answer = Answer(ranking, status, Reason.DEADLINE if status is Status.PARTIAL else Reason.NONE, queued=0.002)
    results = tuple(Scored(index, score, 10 * score) for index, score in zip(order, scores, strict=True))
    return Reranked(results, answer, 12.345)


def test_an_item_of_cohere_has_no_keys_but_its_own() -> None:
    body: Any = COHERE.answer(read(RerankRequest, COHERE_BODY, {}), [outcome(3)])
    assert body["results"] == [
        {"index": 2, "relevance_score": 1.0},
        {"index": 1, "relevance_score": 2 / 3},
        {"index": 0, "relevance_score": 1 / 3},
    ]
    assert '"relevance_score": 1.0' in json.dumps(body)
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    assert body["rerank"]["windows"] == {"ok": 1, "deadline": 1}
    RerankAnswer.model_validate(body)


def test_texts_come_back_only_where_they_are_asked_for() -> None:
    request = read(RerankRequest, {**COHERE_BODY, "return_documents": True, "top_n": 1}, {})
    body: Any = COHERE.answer(request, [outcome(3)])
    assert body["results"] == [{"index": 2, "relevance_score": 1.0, "document": {"text": "text 2"}}]


def test_results_may_stand_in_the_input_order() -> None:
    request = read(RerankRequest, {**COHERE_BODY, "results_in_input_order": True, "top_n": 2}, {})
    body: Any = COHERE.answer(request, [outcome(3)])
    assert [item["index"] for item in body["results"]] == [1, 2]


def test_tei_is_a_bare_array() -> None:
    request = read(TeiRequest, {"query": "q", "texts": ["a", "b"]}, {})
    assert TEI.answer(request, [outcome(2)]) == [{"index": 1, "score": 1.0}, {"index": 0, "score": 0.5}]
    raw = read(TeiRequest, {"query": "q", "texts": ["a", "b"], "raw_scores": True, "return_text": True}, {})
    assert TEI.answer(raw, [outcome(2)]) == [
        {"index": 1, "score": 10.0, "text": "b"},
        {"index": 0, "score": 5.0, "text": "a"},
    ]


def test_scores_stand_in_the_order_of_the_pairs() -> None:
    request = read(ScoreRequest, {"queries": ["q", "r", "q"], "documents": ["a", "b", "c"]}, {})
    first, second = SCORE.jobs(request)
    assert (first.query, [c.text for c in first.candidates]) == ("q", ["a", "c"])
    assert (second.query, [c.text for c in second.candidates]) == ("r", ["b"])
    body: Any = SCORE.answer(request, [outcome(2), outcome(1)])
    assert [(item["index"], item["score"]) for item in body["data"]] == [(0, 0.5), (1, 1.0), (2, 1.0)]
    ScoreAnswer.model_validate(body)


def test_elasticsearchs_shape() -> None:
    body: Any = ELASTIC.answer(read(InferenceRequest, {"query": "q", "input": ["a", "b"]}, {}), [outcome(2)])
    assert body["rerank"] == [{"index": 1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.5}]
    InferenceAnswer.model_validate(body)


def test_the_headers() -> None:
    headers = dict(rerank_headers(outcome(2, Status.PARTIAL).answer, 12.345))
    assert headers == {
        "X-Rerank-Status": "partial; reason=deadline",
        "X-Rerank-Took": "12.3",
        "X-Rerank-Windows": "2; deadline=1; ok=1",
    }
    assert dict(rerank_headers(outcome(2).answer, 1.0))["X-Rerank-Status"] == "ok"


def test_the_headers_of_several_lists_are_those_of_the_worst() -> None:
    headers = dict(headers_of([outcome(2), outcome(3, Status.PARTIAL), outcome(1, Status.SKIPPED)]))
    assert headers["X-Rerank-Status"] == "partial; reason=deadline"
    assert headers["X-Rerank-Windows"] == "6; deadline=3; ok=3"


FAILED = replace(outcome(2).answer, status=Status.FAILED, reason=Reason.MODEL_FAILED, detail="no answer")


@pytest.mark.parametrize(
    ("answer", "asked", "setting", "status", "retry"),
    [
        (outcome(2).answer, "error", "error", None, None),
        (replace(FAILED, status=Status.SKIPPED), "error", "error", None, None),
        (FAILED, None, "base_order", None, None),
        (FAILED, None, "error", 503, None),
        (FAILED, "base_order", "error", None, None),
        (FAILED, "error", "base_order", 503, None),
        (outcome(2, Status.PARTIAL).answer, "error", "base_order", 503, None),
        (outcome(2, Status.PARTIAL).answer, None, "base_order", None, None),
        (replace(FAILED, reason=Reason.CIRCUIT_OPEN), "error", "base_order", 503, "15"),
        (replace(FAILED, reason=Reason.MODEL_LOADING), "error", "base_order", 503, "15"),
        (replace(FAILED, reason=Reason.OVERLOAD), None, "base_order", 429, "1"),
        (replace(FAILED, reason=Reason.OVERLOAD), "error", "base_order", 429, "1"),
        (replace(FAILED, reason=Reason.OVERLOAD), "base_order", "error", None, None),
    ],
)
def test_what_is_sent_when_reranking_failed(
    answer: Answer, asked: OnFailure | None, setting: OnFailure, status: int | None, retry: str | None
) -> None:
    settings = ServiceSettings(on_failure=setting)
    if status is None:
        refuse(answer, asked, settings, 1.0)
        return
    with pytest.raises(HTTPException) as raised:
        refuse(answer, asked, settings, 1.0)
    assert raised.value.status_code == status
    headers = raised.value.headers or {}
    assert headers.get("Retry-After") == retry
    assert headers["X-Rerank-Status"] == f"{answer.status}; reason={answer.reason}"


@pytest.mark.parametrize("family", [COHERE, TEI, SCORE, ELASTIC])
def test_every_example_is_a_request(family: Family) -> None:
    jobs = family.jobs(read(family.request, family.example, {}))
    assert all(isinstance(job, Job) and len(job.candidates) == 2 for job in jobs)
