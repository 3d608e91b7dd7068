"""OpenTelemetry, for :mod:`quotejob.tracing`, which imports this module only if it is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER = "traceparent"


class Telemetry:
    """Sends spans by OTLP over HTTP, from a thread. A forked child gets a thread of its own."""

    def __init__(self, endpoint: str, service: str) -> None:
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("quotejob")
        self._places = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, kind: str, parent: str | None, about: Mapping[str, str | int]) -> Iterator[Span]:
        """Make a span, and make it the current one meanwhile."""
        context = None if parent is None else self._places.extract({_HEADER: parent}, Context())
        with self._tracer.start_as_current_span(
            name, context, SpanKind[kind.upper()], about, record_exception=False, set_status_on_exception=False
        ) as current:
            try:
                yield current
            except BaseException as error:  # without its message, which may quote the org
                current.set_attribute("error.type", str(getattr(error, "code", type(error).__name__)))
                current.set_status(StatusCode.ERROR)
                raise

    def place(self) -> str:
        """Return the current span's place; "": there is none."""
        carrier: dict[str, str] = {}
        self._places.inject(carrier)
        return carrier.get(_HEADER, "")
