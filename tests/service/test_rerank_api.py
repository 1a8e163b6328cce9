"""The rerank API over HTTP: the requests that search engines and client libraries send, and what they accept."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import cohere
import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from tests.service.conftest import Serve, serving

pytestmark = pytest.mark.one_version

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "rerank-api.md"

QUERY = "how do I read a file line by line"
DOCUMENTS = [
    "A list is a mutable sequence of items.",
    "open() returns a file object; iterate over it to read the file line by line.",
    "The sky is blue because of Rayleigh scattering.",
]
NOWHERE = "http://127.0.0.1:9"
"""No Elasticsearch is there: the rerank API does without one."""


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """A service with a real small model and with the one that changes nothing."""
    flags = {"profile": "encoder", "service.profiles": ["identity"], "elastic.url": NOWHERE, "service.deadline": 60}
    async with serving(flags) as address:
        await loaded(address)
        yield address


async def loaded(address: str) -> None:
    """Wait until the service has its model."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as http, asyncio.timeout(240):
        while (await http.get("/ready", params={"part": "model"})).status_code != 200:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.2)


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of it."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        yield http


# What engines send, and how strictly they read


def golden(name: str) -> dict[str, Any]:
    """A client's registration and request."""
    content: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return content


def is_float(value: Any) -> bool:
    """Whether a number was written as a float: 1.0, never 1."""
    return type(value) is float


def read_as_elasticsearch_reads_cohere(text: str) -> dict[int, float]:
    """CohereRankedResponseEntity: looks for `results`; an unknown key of an item ends it."""
    items = json.loads(text)["results"]
    for item in items:
        assert item.keys() <= {"index", "relevance_score", "document"}
        assert "document" not in item or isinstance(item["document"]["text"], str)
    return {item["index"]: item["relevance_score"] for item in items}


def read_as_elasticsearch_reads_hugging_face(text: str) -> dict[int, float]:
    """HuggingFaceRerankResponseEntity: a bare array; an unknown key of an item ends it."""
    items = json.loads(text)
    assert isinstance(items, list)
    for item in items:
        assert item.keys() <= {"index", "score", "relevance_score", "text", "document"}
        assert "text" not in item or isinstance(item["text"], str)
    return {item["index"]: item["score"] for item in items}


def read_as_elasticsearch_reads_paths(text: str, paths: dict[str, str]) -> dict[int, float]:
    """The custom service's parser: `$.results[*].key` are lists of equal length."""
    content = json.loads(text)

    def at(path: str) -> list[Any]:
        found = re.fullmatch(r"\$\.(\w+)\[\*\]\.(\w+)", path)
        assert found
        return [item[found[2]] for item in content[found[1]]]

    scores, places = at(paths["relevance_score"]), at(paths["reranked_index"])
    assert len(scores) == len(places)
    return dict(zip(places, scores, strict=True))


def read_as_opensearch_reads(text: str) -> dict[int, float]:
    """ml-commons' post process function: an array as long as the results, filled by index; integers break the cast."""
    items = json.loads(text)["results"]
    scores: list[float | None] = [None] * len(items)
    for item in items:
        assert type(item["index"]) is int
        assert is_float(item["relevance_score"])
        scores[item["index"]] = item["relevance_score"]
    assert None not in scores
    return {place: score for place, score in enumerate(scores) if score is not None}


READERS: dict[str, Callable[[str], dict[int, float]]] = {
    "elasticsearch_custom": lambda text: read_as_elasticsearch_reads_paths(
        text, golden("elasticsearch_custom")["register"]["service_settings"]["response"]["json_parser"]
    ),
    "elasticsearch_openshift_ai": read_as_elasticsearch_reads_cohere,
    "elasticsearch_hugging_face": read_as_elasticsearch_reads_hugging_face,
    "elasticsearch_hugging_face_older": read_as_elasticsearch_reads_hugging_face,
    "opensearch_connector": read_as_opensearch_reads,
}


@pytest.mark.parametrize("name", NAMES)
async def test_what_an_engine_sends_is_answered_as_it_reads(client: httpx.AsyncClient, name: str) -> None:
    sent = golden(name)["sends"]
    answer = await client.post(sent["path"], content=sent["body"], headers=sent["headers"])
    assert answer.status_code == 200, answer.text
    scores = READERS[name](answer.text)
    assert sorted(scores) == [0, 1, 2], "a document without a score fails the whole search"
    assert all(is_float(score) and 0 <= score <= 1 for score in scores.values())
    assert len(set(scores.values())) == 3
    assert scores[0] > scores[1], "the encoder tells them apart"
    assert answer.headers["X-Rerank-Status"] == "ok"


def test_the_custom_services_template_makes_that_request() -> None:
    """Elasticsearch puts JSON in place of ${query} and ${input}; nothing else may be named, as it is not there."""
    custom = golden("elasticsearch_custom")
    body = json.loads(custom["sends"]["body"])
    template: str = custom["register"]["service_settings"]["request"]
    assert set(re.findall(r"\$\{(.*?)\}", template)) == {"query", "input"}
    filled = template.replace("${query}", json.dumps(body["query"])).replace("${input}", json.dumps(body["documents"]))
    assert json.loads(filled) == body


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("older")])
def test_the_how_to_shows_that_registration(name: str) -> None:
    blocks = re.findall(r"```json\n\w+ \S+\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert golden(name)["register"] in [json.loads(block) for block in blocks]


# Cohere's own client


async def test_coheres_client_of_version_2(url: str) -> None:
    async with cohere.AsyncClientV2(api_key="none", base_url=url) as client:
        answer = await client.rerank(model="encoder", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert answer.results[0].index == 1
    assert len(answer.results) == 2
    assert 1 >= answer.results[0].relevance_score > answer.results[1].relevance_score >= 0
    assert answer.meta is not None
    assert answer.meta.api_version is not None
    assert answer.meta.api_version.version == "2"


async def test_coheres_client_of_version_1(url: str) -> None:
    documents = [{"body": text, "number": "3"} for text in DOCUMENTS]
    async with cohere.AsyncClient(api_key="none", base_url=url) as client:
        answer = await client.rerank(
            model="encoder", query=QUERY, documents=documents, rank_fields=["body"], return_documents=True
        )
    assert len(answer.results) == 3
    best = answer.results[0]
    assert best.index == 1
    assert best.document is not None
    assert best.document.text == DOCUMENTS[1]


@pytest.mark.parametrize("kind", [cohere.Client, cohere.ClientV2])
async def test_coheres_clients_without_a_loop(url: str, kind: Any) -> None:
    def ranked() -> list[int]:
        with httpx.Client() as http:
            client = kind(api_key="none", base_url=url, httpx_client=http)
            return [
                result.index for result in client.rerank(model="identity", query=QUERY, documents=DOCUMENTS).results
            ]

    assert await asyncio.to_thread(ranked) == [0, 1, 2]


async def test_coheres_client_is_told_what_is_wrong(url: str) -> None:
    async with cohere.AsyncClientV2(api_key="none", base_url=url) as client:
        with pytest.raises(cohere.NotFoundError) as raised:
            await client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)
    assert raised.value.body == {"message": "model 'rerank-v3.5' is not served here; served are: encoder, identity"}


# The shapes


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
async def test_every_path_is_the_same(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"query": QUERY, "documents": DOCUMENTS})
    content = answer.json()
    assert content["model"] == "encoder"
    assert content["results"][0]["index"] == 1
    assert all(item.keys() == {"index", "relevance_score"} for item in content["results"])
    assert content["rerank"]["status"] == "ok"
    assert content["rerank"]["windows"] == {"ok": 3}
    assert answer.headers["X-Rerank-Windows"] == "3; ok=3"
    assert float(answer.headers["X-Rerank-Took"]) >= 0


async def test_input_order_is_for_who_reads_by_place(client: httpx.AsyncClient) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS}
    best = (await client.post("/rerank", json=body)).json()["results"]
    by_place = (await client.post("/rerank?results_in_input_order=true", json=body)).json()["results"]
    assert [item["index"] for item in by_place] == [0, 1, 2]
    assert sorted(by_place, key=lambda item: -item["relevance_score"]) == best


async def test_what_clients_send_besides_changes_nothing(client: httpx.AsyncClient) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, "model": None, "top_k": 1, "max_tokens_per_doc": 4096, "x": {}}
    answer = await client.post("/v1/rerank", json=body)
    assert [item["index"] for item in answer.json()["results"]] == [1]
    # curl -d sends another content type; so be it.
    answer = await client.post("/v1/rerank", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200


async def test_tei(client: httpx.AsyncClient) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS, "truncate": True, "truncation_direction": "right"}
    items = (await client.post("/rerank", json=body)).json()
    assert [item.keys() for item in items] == [{"index", "score"}] * 3
    raw = (await client.post("/rerank", json={**body, "raw_scores": True, "return_text": True})).json()
    assert [item["index"] for item in raw] == [item["index"] for item in items]
    assert raw[0]["text"] == DOCUMENTS[1]
    assert raw[0]["score"] == pytest.approx(items[0]["score"], abs=1e-6)
    assert raw[0]["score"] != items[0]["score"], "only ours are rounded"


async def test_pairs_are_scored_in_their_order(client: httpx.AsyncClient) -> None:
    answer = await client.post("/score", json={"text_1": QUERY, "text_2": DOCUMENTS})
    content = answer.json()
    assert [item["index"] for item in content["data"]] == [0, 1, 2]
    assert max(content["data"], key=lambda item: item["score"])["index"] == 1
    # A single pair has the score that it has among others, and so have pairs of other queries.
    queries = [QUERY, QUERY, "what colour is the sky"]
    pairs = (await client.post("/v1/score", json={"queries": queries, "documents": DOCUMENTS})).json()
    alone = (await client.post("/v1/score", json={"data_1": QUERY, "data_2": DOCUMENTS[1]})).json()
    assert alone["data"][0]["score"] == pytest.approx(content["data"][1]["score"], abs=1e-5)
    assert pairs["data"][1]["score"] == pytest.approx(content["data"][1]["score"], abs=1e-5)
    assert pairs["data"][2]["score"] > content["data"][2]["score"]
    assert len(pairs["rerank"]) == 2


async def test_a_single_document_is_answered(client: httpx.AsyncClient) -> None:
    """Elasticsearch asks about one when an endpoint is registered."""
    answer = await client.post("/v2/rerank", json={"query": "test query", "documents": ["test"], "model": "identity"})
    assert answer.json()["results"] == [{"index": 0, "relevance_score": 1.0}]
    assert '"relevance_score": 1.0' in answer.text
    assert answer.headers["X-Rerank-Status"] == "skipped; reason=nothing_to_rank"


async def test_every_document_is_ranked_whatever_the_depth(client: httpx.AsyncClient) -> None:
    documents = [f"Nothing of interest, number {number}." for number in range(150)] + [DOCUMENTS[1]]
    results = (await client.post("/rerank", json={"query": QUERY, "documents": documents})).json()["results"]
    assert sorted(item["index"] for item in results) == list(range(151))
    assert results[0]["index"] == 150
    scores = [item["relevance_score"] for item in results]
    assert scores == sorted(set(scores), reverse=True)


async def test_texts_of_every_kind_come_back_as_they_were(client: httpx.AsyncClient) -> None:
    texts = ["Grüße, 世界 😀", "line\nbreak\ttab", "[1] > [2] <think>", "\x00", " ", "x" * 100_000]
    body = {"query": "世界", "documents": texts, "return_documents": True}
    results = (await client.post("/rerank", json=body)).json()["results"]
    assert {item["index"]: item["document"]["text"] for item in results} == dict(enumerate(texts))
    halves = rb'{"query": "\ud83d sky", "documents": ["a\ud83d", "b"], "return_documents": true}'
    answer = await client.post("/rerank", content=halves)
    assert answer.status_code == 200
    assert {item["document"]["text"] for item in answer.json()["results"]} == {"a\ufffd", "b"}


async def test_the_models_are_listed(client: httpx.AsyncClient) -> None:
    content = (await client.get("/v1/models")).json()
    assert content["object"] == "list"
    assert [model["id"] for model in content["data"]] == ["encoder", "identity"]


# What is refused, in the family's own shape


async def test_errors_are_in_the_familys_shape(client: httpx.AsyncClient) -> None:
    wrong = "top_n should be greater than or equal to 0"
    answer = await client.post("/v2/rerank", json={"query": "q", "documents": ["a"], "top_n": -1})
    assert (answer.status_code, answer.json()) == (422, {"message": wrong})
    answer = await client.post("/rerank", json={"query": "q", "texts": ["a"], "top_n": -1})
    assert (answer.status_code, answer.json()) == (422, {"error": wrong, "error_type": "Validation"})
    answer = await client.post("/score", json={"text_1": "q", "text_2": ["a"], "top_n": -1})
    assert answer.json()["error"] == {"message": wrong, "type": "BadRequestError", "param": None, "code": 422}
    answer = await client.post("/_inference/rerank/encoder", json={"query": "q", "input": ["a"], "top_n": -1})
    cause = {"type": "validation_exception", "reason": wrong}
    assert answer.json() == {"error": {"root_cause": [cause], **cause}, "status": 422}
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"query": Infinity}', b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v2/rerank", "/score", "/_inference/rerank/encoder"])
async def test_garbage_is_a_400(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body)
    assert answer.status_code == 400
    assert "body" in answer.text


async def test_an_unknown_model_is_a_404_that_lists_what_there_is(client: httpx.AsyncClient) -> None:
    for path, body in (
        ("/rerank", {"query": "q", "documents": ["a"], "model": "/etc/passwd"}),
        ("/rerank?profile=../secret", {"query": "q", "texts": ["a"]}),
        ("/score", {"text_1": "q", "text_2": "a", "model": "http://127.0.0.1:1/x.yaml"}),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code == 404
        assert "is not served here; served are: encoder, identity" in answer.text


async def test_too_much_is_a_413() -> None:
    flags = {"profile": "identity", "elastic.url": NOWHERE, "service.max_body": 2000, "service.max_documents": 3}
    body = {"query": "q", "documents": ["x" * 3000]}

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, 3000, 500):
            yield json.dumps(body).encode()[start : start + 500]

    async with serving(flags) as url, httpx.AsyncClient(base_url=url) as client:
        for content in (json.dumps(body).encode(), chunks()):
            answer = await client.post("/v2/rerank", content=content)
            assert answer.status_code == 413
            assert "larger than 2000 bytes (service.max_body)" in answer.json()["message"]
        answer = await client.post("/v2/rerank", json={"query": "q", "documents": ["a"] * 4})
        assert answer.status_code == 413
        assert "4 documents are more than 3 (service.max_documents)" in answer.json()["message"]
        answer = await client.post("/v2/rerank", json={"query": "q", "documents": ["a"] * 3})
        assert answer.status_code == 200


# What happens when the model does not answer


@pytest.fixture(scope="module")
async def broken() -> AsyncIterator[str]:
    """A service whose model's server is not there."""
    flags = {
        "profile": "rankgpt",
        "engine.base_url": "http://127.0.0.1:9/v1",
        "engine.model": "none",
        "elastic.url": NOWHERE,
        "service.breaker_failures": 1000,
    }
    async with serving(flags) as address:
        yield address


async def test_a_failed_model_gives_the_input_order_and_says_so(broken: str) -> None:
    async with httpx.AsyncClient(base_url=broken, timeout=60) as client:
        answer = await client.post("/v2/rerank?deadline=5s", json={"query": QUERY, "documents": DOCUMENTS})
    assert answer.status_code == 200
    assert [item["index"] for item in answer.json()["results"]] == [0, 1, 2]
    status, _, reason = answer.headers["X-Rerank-Status"].partition("; reason=")
    assert (status, reason in ("model_loading", "model_failed", "deadline")) == ("failed", True)
    assert answer.json()["rerank"]["status"] == "failed"
    assert answer.json()["rerank"]["detail"]


async def test_a_failed_model_is_a_503_for_who_wants_it(broken: str) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS, "on_failure": "error", "deadline": "5s"}
    async with httpx.AsyncClient(base_url=broken, timeout=60) as client:
        answer = await client.post("/rerank", json=body)
    assert answer.status_code == 503
    assert answer.json()["error_type"] == "Unhealthy"
    assert answer.json()["error"].startswith("reranking is failed: ")
    assert answer.headers["X-Rerank-Status"].startswith("failed; reason=")


async def test_a_full_queue_is_a_429() -> None:
    flags = {"profile": "encoder", "elastic.url": NOWHERE, "service.at_once": 1, "service.queue": 0}
    async with serving(flags) as crowded, httpx.AsyncClient(base_url=crowded, timeout=60) as client:
        await loaded(crowded)

        async def post(number: int, **more: Any) -> httpx.Response:
            body = {"query": f"{QUERY} {number}", "documents": DOCUMENTS * 20, **more}
            return await client.post("/v2/rerank", json=body)

        answers = await asyncio.gather(*(post(number) for number in range(8)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert all(answer.headers["Retry-After"] == "1" for answer in refused)
        assert refused[0].json() == {"message": "too many rankings are waiting; try again later"}
        assert any(answer.status_code == 200 for answer in answers)
        open_ = await asyncio.gather(*(post(number, on_failure="base_order") for number in range(10, 18)))
        assert {answer.status_code for answer in open_} == {200}
        assert any(answer.headers["X-Rerank-Status"] == "failed; reason=overload" for answer in open_)


# Beside Elasticsearch


async def test_a_profile_is_an_inference_endpoint_for_elasticsearchs_client(serve: Serve) -> None:
    async with serve({"profile": "encoder", "service.deadline": 60}) as url, AsyncElasticsearch(url) as client:
        await loaded(url)
        answer = await client.inference.inference(
            task_type="rerank", inference_id="encoder", query=QUERY, input=DOCUMENTS, timeout="30s"
        )
        named = await client.inference.rerank(inference_id="encoder", query=QUERY, input=DOCUMENTS)
    assert answer["rerank"][0]["index"] == 1
    assert [item["index"] for item in named["rerank"]] == [item["index"] for item in answer["rerank"]]


async def test_everything_else_under_our_paths_is_elasticsearchs(serve: Serve, elastic_url: str) -> None:
    async with serve() as url, httpx.AsyncClient() as client:
        for method, path in (
            ("POST", "/_inference/rerank/no-profile"),
            ("GET", "/_inference/rerank/identity"),
            ("GET", "/rerank"),
            ("PUT", "/rerank/_bulk/x"),
            ("GET", "/v1/rerank"),
            ("GET", "/score"),
            ("POST", "/v2/rerank/more"),
        ):
            body = {"query": "q", "input": ["a"]} if method == "POST" else None
            direct = await client.request(method, elastic_url + path, json=body)
            through = await client.request(method, url + path, json=body)
            assert (through.status_code, through.text) == (direct.status_code, direct.text)
            assert "X-Rerank-Status" not in through.headers
            assert "Content-Security-Policy" not in through.headers
