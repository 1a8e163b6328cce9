"""OpenTelemetry traces: one span a request, with the caller's trace continued, and one for each of its stages.

Nothing of OpenTelemetry is imported unless its own environment variables ask for traces:
OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) says where they go.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING

from es_reasonrank import __version__
from es_reasonrank.service.answers import Answer
from es_reasonrank.service.record import Record, Stage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue
    from starlette.types import Scope

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in _ENDPOINTS)


def tracing_of(environ: Mapping[str, str]) -> Tracing | None:
    """Traces as the environment asks for them, or None. A missing package is told of, and stops nothing."""
    if not wanted(environ):
        return None
    if any(_absent(name) for name in _NEEDED):
        logging.getLogger(__name__).warning(
            "%s is set, but there are no traces without OpenTelemetry: pip install 'es-reasonrank[otel]'",
            next(name for name in _ENDPOINTS if environ.get(name)),
        )
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The environment's OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before this name.
    named = {"service.name": "es-reasonrank"} if not environ.get("OTEL_SERVICE_NAME") else {}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _absent(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:
        return True


class Tracing:
    """Makes spans.

    Args:
        provider: where they go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("es_reasonrank", __version__)

    @contextmanager
    def request(self, scope: Scope, record: Record) -> Iterator[None]:
        """The span of a request. The request's headers are changed to name it, so that it is Elasticsearch's parent."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self._tracer.start_as_current_span(
            f"{scope['method']} {record.family}",
            context=TraceContextTextMapPropagator().extract(carried),
            kind=trace.SpanKind.SERVER,
            # An exception's text may hold what a user wrote.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            _pass_on(scope)
            record.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            record.span = self._stage
            try:
                yield
            finally:
                span.update_name(f"{scope['method']} {record.family}")
                span.set_attributes(_about(scope, record))
                if record.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.set_status(trace.StatusCode.ERROR)

    def _stage(self, stage: Stage, seconds: float, answer: Answer | None) -> None:
        """Spans of what has ended just now: a stage, or the wait and the work of a ranking."""
        now = time.time_ns()
        began = now - _ns(seconds)
        if answer is None:
            self._span(stage, began, now, {})
            return
        self._span(Stage.QUEUE, began - _ns(answer.queued), began, {})
        self._span(stage, began, now, _of(answer))

    def _span(self, name: str, began: int, ended: int, attributes: Mapping[str, AttributeValue]) -> None:
        self._tracer.start_span(name, start_time=began, attributes=attributes).end(ended)

    def close(self) -> None:
        """Send what is not sent yet; it may take seconds."""
        self._provider.shutdown()


def _pass_on(scope: Scope) -> None:
    """Name the current span in the request's headers, in place of the caller's."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    passed: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(passed)
    kept = [(name, value) for name, value in scope["headers"] if name not in (b"traceparent", b"tracestate")]
    scope["headers"] = kept + [(name.encode(), value.encode("latin-1")) for name, value in passed.items()]


def _about(scope: Scope, record: Record) -> dict[str, AttributeValue]:
    """A request in attributes, without its query string, which may hold what a user searches for."""
    told = {
        "http.request.method": str(scope["method"]),
        "es_reasonrank.index": record.index,
        "es_reasonrank.opaque_id": record.opaque_id,
    }
    return {"http.response.status_code": record.status, **{key: value for key, value in told.items() if value}}


def _of(answer: Answer) -> dict[str, AttributeValue]:
    """A ranking in attributes; OpenTelemetry's own names where it has some."""
    trace = answer.ranking.trace
    return {
        "es_reasonrank.profile": trace.profile,
        "es_reasonrank.status": str(answer.status),
        "es_reasonrank.reason": str(answer.reason),
        "es_reasonrank.windows": len(trace.windows),
        "es_reasonrank.documents": len(answer.ranking.candidates),
        "gen_ai.request.model": trace.model,
        "gen_ai.usage.input_tokens": trace.prompt_tokens,
        "gen_ai.usage.output_tokens": trace.generated_tokens,
    }


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
