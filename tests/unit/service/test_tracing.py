"""Traces: asked for by the environment, sent where it says, and not even imported otherwise."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from es_reasonrank.service import tracing
from es_reasonrank.service.record import Family, Record, Stage
from es_reasonrank.service.tracing import tracing_of, wanted

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("environ", "answer"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_environment_asks_for_traces(environ: dict[str, str], answer: bool) -> None:
    assert wanted(environ) is answer


def test_nothing_is_imported_that_nobody_asked_for() -> None:
    code = (
        "import sys; from es_reasonrank.service.tracing import tracing_of; assert tracing_of({}) is None; "
        "import es_reasonrank.service.observing; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_missing_packages_are_told_of_and_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "_NEEDED", ("no_such_package.sdk",))
    assert tracing_of({ENDPOINT: "http://collector:4318"}) is None
    (record,) = caplog.records
    assert "pip install 'es-reasonrank[otel]'" in record.getMessage()


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector's address, and what it got."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            got.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_reach_a_collector(
    collector: tuple[str, list[ExportTraceServiceRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, got = collector
    monkeypatch.setenv(ENDPOINT, url)
    traces = tracing_of({ENDPOINT: url})
    assert traces is not None
    scope = {"method": "POST", "headers": [(b"traceparent", CALLER.encode()), (b"x", b"1"), (b"baggage", b"a=1")]}
    record = Record(Family.SEARCH, "articles", status=200)
    with traces.request(scope, record):
        record.stage(Stage.SEARCH, 0.25)
    traces.close()
    (resource,) = got[0].resource_spans
    names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
    assert names["service.name"] == "es-reasonrank"
    search, request = [span for scope in resource.scope_spans for span in scope.spans]
    assert (search.name, request.name) == ("search", "POST search")
    assert search.parent_span_id == request.span_id
    assert search.end_time_unix_nano - search.start_time_unix_nano == 250_000_000
    assert request.trace_id.hex() == record.trace_id == CALLER.split("-")[1]
    headers = dict(scope["headers"])  # type: ignore[arg-type]
    assert headers[b"traceparent"] == f"00-{record.trace_id}-{request.span_id.hex()}-01".encode()
    assert (headers[b"x"], headers[b"baggage"]) == (b"1", b"a=1")


@pytest.mark.parametrize("broken", ["", "nonsense", "00-0-0-01", "ff-" + "0" * 32 + "-" + "0" * 16 + "-01", "\xff\xfe"])
def test_a_broken_traceparent_begins_a_new_trace(broken: str) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    scope = {"method": "GET", "headers": [(b"traceparent", broken.encode("latin-1")), (b"tracestate", b"\xff=")]}
    record = Record(Family.PASS)
    with tracing.Tracing(TracerProvider()).request(scope, record):
        pass
    assert len(record.trace_id) == 32
    assert dict(scope["headers"])[b"traceparent"].startswith(f"00-{record.trace_id}".encode())  # type: ignore[arg-type]
    assert b"tracestate" not in dict(scope["headers"])  # type: ignore[arg-type]
