"""What requests leave behind: numbers, log lines and traces, through the real service."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from es_reasonrank.service import logs, observing
from es_reasonrank.service.tracing import Tracing
from tests.service.conftest import Serve

pytestmark = pytest.mark.one_version

QUERY = "how do I sort a list of dictionaries"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def body(**rerank: Any) -> dict[str, Any]:
    """A search that asks for reranking."""
    asked = {"query": QUERY, "fields": ["title", "body"], "depth": 20, **rerank}
    return {"query": {"match": {"body": "list"}}, "ext": {"rerank": asked}}


async def numbers(client: httpx.AsyncClient) -> Numbers:
    text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {
        (sample.name.removeprefix("es_reasonrank_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def at(found: Numbers, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service logs."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure(stream := io.StringIO())
    yield stream
    root.handlers, root.level = before


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans that the service makes."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(observing, "tracing_of", lambda environ: Tracing(provider))
    return exporter


async def test_requests_are_counted_by_family_and_status(serve: Serve, library: str) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        await client.post(f"/{library}/_search", json=body())
        await client.post(f"/{library}/_search", json={"query": {"match_all": {}}})
        await client.get("/no-such-index/_search")
        await client.get("/_cat/indices")
        await client.get("/rerank")
        await client.get("/health")
        found = await numbers(client)
    assert at(found, "requests_total", family="search", status="200") == 2
    assert at(found, "requests_total", family="search", status="404") == 1
    assert at(found, "requests_total", family="pass", status="200") == 1
    assert at(found, "requests_total", family="pass", status="404") == 1, "GET /rerank asks for an index of that name"
    assert at(found, "requests_total", family="service", status="200") == 1
    assert at(found, "request_seconds_count", family="search") == 3
    assert at(found, "rankings", state="running") == at(found, "rankings", state="waiting") == 0


async def test_a_reranked_search_is_counted_with_its_windows_and_stages(serve: Serve, library: str) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        for _ in range(2):
            answer = await client.post(f"/{library}/_search", json=body())
            assert answer.headers["X-Rerank-Status"] == "ok"
        found = await numbers(client)
    assert at(found, "answers_total", profile="identity", status="ok", reason="") == 2
    assert at(found, "windows_total", profile="identity", outcome="ok") == 1, "the second answer was remembered"
    assert at(found, "cache_total", kind="order", result="miss") == 1
    assert at(found, "cache_total", kind="order", result="hit") == 1
    assert at(found, "stage_seconds_count", stage="search", profile="") == 2
    assert at(found, "stage_seconds_count", stage="respond", profile="") == 2
    assert at(found, "stage_seconds_count", stage="model", profile="identity") == 1
    assert at(found, "breaker_open", profile="identity") == 0


async def test_a_failed_ranking_is_counted_by_the_reason_that_its_caller_got(serve: Serve, library: str) -> None:
    flags = {"profile": "rankgpt", "engine.base_url": "http://127.0.0.1:9", "engine.tokenizer": "embedded:minilm-l6"}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        told: Counter[str] = Counter()
        for _ in range(3):
            answer = await client.post(f"/{library}/_search", json=body(), timeout=30)
            assert answer.status_code == 200
            told[answer.headers["X-Rerank-Status"]] += 1
        found = await numbers(client)
    for header, count in told.items():
        status, reason = header.split("; reason=")
        assert status == "failed"
        assert at(found, "answers_total", profile="rankgpt", status=status, reason=reason) == count


async def test_each_reranked_search_is_one_line_without_the_query(serve: Serve, library: str, log: io.StringIO) -> None:
    headers = {"X-Opaque-Id": "shop-42", "Authorization": "Bearer abcdefghijklmnop"}
    async with serve() as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        await client.post(f"/{library}/_search", json=body())
        await client.post(f"/{library}/_search", json={"query": {"match_all": {}}})
        await client.post("/rerank", json={"query": QUERY, "documents": ["a list", "a dictionary"]})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    search, api = [line for line in lines if line["message"] == "reranked"]
    assert search["opaque_id"] == "shop-42"
    assert (search["family"], search["index"], search["profile"]) == ("search", library, "identity")
    assert (search["status"], search["windows"]) == ("ok", {"ok": 1})
    assert {"search", "model", "respond"} <= set(search["seconds"])
    assert (api["family"], api["documents"]) == ("rerank", 2)
    assert "dictionaries" not in log.getvalue()
    assert "abcdefghijklmnop" not in log.getvalue()


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_the_callers_trace_goes_on_through_every_stage(
    serve: Serve, library: str, spans: InMemorySpanExporter, log: io.StringIO
) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url, headers={"traceparent": TRACEPARENT}) as client:
        await client.post(f"/{library}/_search", json=body())
    found = named(spans)
    assert set(found) == {"POST search", "search", "queue", "model", "respond"}
    request = found["POST search"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == SPAN
    assert {f"{span.context.trace_id:032x}" for span in found.values() if span.context} == {TRACE}
    for stage in ("search", "queue", "model", "respond"):
        parent = found[stage].parent
        assert parent is not None
        assert request.context is not None
        assert parent.span_id == request.context.span_id
        assert (found[stage].start_time or 0) >= (request.start_time or 0)
        assert (found[stage].end_time or 0) <= (request.end_time or 0)
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["es_reasonrank.index"] == library
    model = found["model"].attributes
    assert model is not None
    assert (model["es_reasonrank.profile"], model["es_reasonrank.status"]) == ("identity", "ok")
    assert QUERY not in str([dict(span.attributes or {}) for span in found.values()])
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["trace_id"] for line in lines if line["message"] == "reranked"] == [TRACE]


async def test_elasticsearch_is_told_of_the_trace(serve: Serve, library: str, spans: InMemorySpanExporter) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        tasks = "/_tasks?detailed&actions=cluster:monitor/tasks/lists"
        continued = await client.get(tasks, headers={"traceparent": TRACEPARENT, "tracestate": "a=1"})
        begun = await client.get(tasks)
    assert trace_ids(continued.json()) == {TRACE}
    (request, own) = spans.get_finished_spans()
    assert request.context is not None
    assert own.context is not None
    assert trace_ids(begun.json()) == {f"{own.context.trace_id:032x}"}
    assert own.context.trace_id != int(TRACE, 16)


async def test_without_tracing_the_callers_trace_passes_as_it_is(serve: Serve, library: str) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/_tasks?detailed", headers={"traceparent": TRACEPARENT})
    assert TRACE in trace_ids(answer.json())


async def test_a_failing_server_makes_the_span_an_error(serve: Serve, spans: InMemorySpanExporter) -> None:
    flags = {"elastic.url": "http://127.0.0.1:9"}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/secret-index/_search", params={"q": QUERY})
    assert answer.status_code == 502
    span = named(spans)["GET search"]
    assert span.status.status_code.name == "ERROR"
    assert "dictionaries" not in span.to_json()


def trace_ids(tasks: dict[str, Any]) -> set[str]:
    """The traces that Elasticsearch's tasks belong to."""
    found = [task["headers"].get("trace.id") for node in tasks["nodes"].values() for task in node["tasks"].values()]
    return {trace for trace in found if trace}


async def test_many_requests_at_once_leave_the_queue_empty(serve: Serve, library: str) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        asked = [client.post(f"/{library}/_search", json=body(query=f"{QUERY} {place}")) for place in range(40)]
        answers = await asyncio.gather(*asked)
        found = await numbers(client)
    assert {answer.status_code for answer in answers} == {200}
    told = sum(value for (name, _), value in found.items() if name == "answers_total")
    assert told == 40
    assert at(found, "rankings", state="running") == at(found, "rankings", state="waiting") == 0
