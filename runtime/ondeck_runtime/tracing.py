"""Traces over OTLP, if there is an endpoint: spans of calls, batches, statements and jobs.

Without an endpoint `ACTIVE` is empty, and no module of OpenTelemetry is imported. The sampler is that of the variable
OTEL_TRACES_SAMPLER; the names of attributes are those of OpenTelemetry's semantic conventions.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ondeck_runtime.correlation import CorrelatedWork

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

# The status codes of gRPC that are errors of the server; the others are errors of the caller, or none.
SERVER_ERRORS: Final = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
FLUSH_SECONDS: Final = 3.0  # at the end of a program, or of a worker, which is killed if it takes long
_EXPORT_SECONDS: Final = 5.0
_NANOSECONDS: Final = 1e9
_CORRELATION: Final = "ondeck.correlation_id"


class SpanRecorder:
    """Records the spans of a program."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace  # noqa: PLC0415  only with an endpoint
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  as above

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("ondeck")
        self._extract = TraceContextTextMapPropagator().extract

    def start_call(self, work: CorrelatedWork, method: str, traceparent: str) -> None:
        """Start the span of a call, `/package.Service/Method`; the caller's span is its parent, if it has sent one."""
        name = method.removeprefix("/")
        work.span = self._tracer.start_span(
            name,
            self._extract({"traceparent": traceparent}),
            self._trace.SpanKind.SERVER,
            {"rpc.system.name": "grpc", "rpc.method": name, _CORRELATION: work.correlation_id},
        )

    def end_call(self, work: CorrelatedWork, code: str) -> None:
        """End the span of a call with the name of its status code."""
        span, work.span = work.span, None
        span.set_attribute("rpc.response.status_code", code)
        if code in SERVER_ERRORS:
            self._fail(span, code)
        span.end()

    def record_batch(self, seconds: float, works: Sequence[CorrelatedWork | None]) -> None:
        """Record a run that ends now, with a link to each of its calls."""
        contexts = [work.span.get_span_context() for work in works if work is not None and work.span is not None]
        links = [self._trace.Link(context) for context in contexts]
        self._record("batch", seconds, None, {"ondeck.calls": len(works)}, links=links)

    def record_statement(self, name: str, seconds: float, work: CorrelatedWork | None, error: str) -> None:
        """Record an SQL statement that ends now, as a part of its work; `error`: the class of its error, or ""."""
        attributes = {"db.system.name": "postgresql", "db.query.summary": name}
        parent = work.span if work is not None else None
        context = self._trace.set_span_in_context(parent) if parent is not None else None
        self._record(name, seconds, context, attributes, kind=self._trace.SpanKind.CLIENT, error=error)

    @contextmanager
    def job(self, work: CorrelatedWork, name: str) -> Iterator[None]:
        """Record a job that the block does; an error of the block is one of the job."""
        work.span = span = self._tracer.start_span(name, attributes={_CORRELATION: work.correlation_id})
        try:
            yield
        except Exception as failed:
            self._fail(span, type(failed).__name__)
            raise
        finally:
            work.span = None
            span.end()

    def flush(self) -> None:
        """Export what is recorded, for at most `FLUSH_SECONDS`; the timeout of `force_flush` has no effect."""
        flush = threading.Thread(target=self._provider.force_flush, daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)

    def _record(
        self,
        name: str,
        seconds: float,
        context: "Context | None",
        attributes: Mapping[str, str | int],
        *,
        error: str = "",
        **options: Any,  # noqa: ANN401  those of a span
    ) -> None:
        end = time.time_ns()
        started_at = end - int(seconds * _NANOSECONDS)
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=started_at, **options)
        if error:
            self._fail(span, error)
        span.end(end)

    def _fail(self, span: Any, error: str) -> None:  # noqa: ANN401  a span; its type is imported with an endpoint only
        span.set_attribute("error.type", error)
        span.set_status(self._trace.StatusCode.ERROR)


ACTIVE: Final[list[SpanRecorder]] = []  # one, or none


def start_tracing(endpoint: str | None, program: str) -> None:
    """Export spans to an endpoint of OTLP over HTTP from now on; None: do nothing."""
    if not endpoint or ACTIVE:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  as above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  as above

    resource = Resource.create({"service.name": f"ondeck-{program}", "service.instance.id": str(os.getpid())})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # it would wait for an endpoint that is gone
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    ACTIVE.append(SpanRecorder(provider))


def stop_tracing() -> None:
    """Export what is recorded, and record no more."""
    while ACTIVE:
        ACTIVE.pop().flush()


@contextmanager
def traced_job(work: CorrelatedWork, name: str) -> Iterator[None]:
    """Record a job within the block, if there is an endpoint."""
    if not ACTIVE:
        yield
        return
    with ACTIVE[0].job(work, name):
        yield
