"""The rpcs ModelInfer and ModelStreamInfer: one request from its message to its response."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from ondeck_server.batching.batcher import priority_of
from ondeck_server.batching.queue import Outputs, Priority
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.servable import Lease, LoadedGraph, Servable
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import map_and_log
from ondeck_server.rpc.ordered_stream import PendingResult, process_in_order
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.open_inference.decode import decode_input, output_indices, scheduling
from ondeck_server.services.open_inference.encode import ResponseEncoder, stream_failure, stream_response
from ondeck_server.services.open_inference.selection import select_version

_now = time.perf_counter_ns

T = TypeVar("T")


@dataclass(slots=True)
class PendingInference:
    """A request whose run has been queued, and the lease on its version until it has a response."""

    request: ModelInferRequest
    call: CallContext
    encoder: ResponseEncoder
    indices: list[int] | None
    outputs: asyncio.Future[Outputs]
    started_at: int
    lease: Lease

    def finish(self) -> bytes:
        """Return the serialized response and release the lease; `outputs` are done, and their error is raised."""
        return self._finish(self.encoder.serialize)

    def __await__(self) -> Generator[Any, Any, ModelInferResponse]:
        """Wait for the response; a cancellation cancels the run."""
        try:
            with suppress(Exception):  # `_finish` raises it
                yield from self.outputs
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._finish(self.encoder.encode)

    async def result(self) -> ModelStreamInferResponse:
        """Return the response for a stream."""
        try:
            return stream_response(await self)
        except Exception as error:  # noqa: BLE001  the error is the response to this request
            return stream_failure(self.request, map_and_log(error, self.call).message)

    def cancel(self) -> None:
        """Cancel the run, count it as failed and release the lease."""
        if self.lease.is_held:
            self.outputs.cancel()
            _count_failure(self.lease, self.started_at)
            self.lease.release()

    def _finish(self, encode: Callable[[ModelInferRequest, LoadedGraph, Outputs, list[int] | None], T]) -> T:
        servable = self.lease.servable
        stats = servable.stats
        try:
            response = encode(self.request, servable.loaded, self.outputs.result(), self.indices)
        except BaseException:
            _count_failure(self.lease, self.started_at)
            raise
        finally:
            self.lease.release()
        stats.success_count += 1
        stats.success_ns += _now() - self.started_at
        stats.last_inference_ms = time.time_ns() // 1_000_000
        return response


@dataclass(slots=True)
class _Failed:
    """A request that cannot run."""

    failure: ModelStreamInferResponse

    async def result(self) -> ModelStreamInferResponse:
        return self.failure

    def cancel(self) -> None:
        """Do nothing: no lease is held."""


class TensorInference:
    """Runs tensors through the graphs of loaded versions."""

    def __init__(self, models: ModelManager, rate_limiter: GcraLimiter) -> None:
        self._models = models
        self._rate_limiter = rate_limiter
        self._encoder = ResponseEncoder()
        self._servables: dict[tuple[str, str], tuple[Servable, str]] = {}  # of this turn of the event loop

    async def stream(
        self, requests: AsyncIterator[ModelInferRequest], call: CallContext
    ) -> AsyncGenerator[ModelStreamInferResponse, None]:
        """Respond to requests in their order; the error of a request does not end the stream."""

        def start(request: ModelInferRequest) -> PendingResult[ModelStreamInferResponse]:
            try:
                return self.start(request, call)
            except Exception as error:  # noqa: BLE001  the error is the response to this request
                return _Failed(stream_failure(request, map_and_log(error, call).message))

        async with aclosing(process_in_order(requests, start, call)) as ready:
            async for responses in ready:
                for response in responses:
                    yield response

    def start(self, request: ModelInferRequest, call: CallContext) -> PendingInference:
        """Queue the run of a request; raises the error of an invalid one."""
        started_at = _now()
        lease = self._lease(request.model_name, request.model_version)
        session = lease.servable.loaded.session
        try:
            features = decode_input(request, session.inputs[0])
            indices = output_indices(request, session.outputs) if request.outputs else None
            within, priority = call.time_left(), priority_of(len(features))
            if request.parameters:
                is_high, timeout = scheduling(request)
                within = timeout if within is None else min(within, timeout or within)
                priority = Priority.INTERACTIVE if is_high else priority
            self._rate_limiter.consume(call, len(features))
            outputs = lease.servable.graph.start(features, within, priority)
        except BaseException:
            _count_failure(lease, started_at)
            lease.release()
            raise
        return PendingInference(request, call, self._encoder, indices, outputs, started_at, lease)

    def _lease(self, model: str, version: str) -> Lease:
        found = self._servables.get((model, version))
        if found is None:
            found = self._models.servable(select_version(self._models, model, version, "model_name"))
            if not self._servables:
                asyncio.get_running_loop().call_soon(self._servables.clear)
            self._servables[model, version] = found
        return Lease(*found)


def _count_failure(lease: Lease, started_at: int) -> None:
    stats = lease.servable.stats
    stats.fail_count += 1
    stats.fail_ns += _now() - started_at
