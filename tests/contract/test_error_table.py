"""Every row of the error table for every rpc that the server has."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck_core.manifest import ALIASES_FILE
from ondeck_registry.alias_log import ALIAS_LOG_FILE
from ondeck_server.batching.batcher import INTERACTIVE_ROWS, MAX_BATCH_ROWS
from ondeck_store.database import Database
from tests.contract.error_cases import TABLE, UNREADABLE_ALIASES
from tests.contract.expected_error_statuses import EXPECTED, ConcurrentLoad, ErrorCase, Row
from tests.factories.broken_models import MODEL, add_broken_model, add_broken_versions, add_slow_version, edit_manifest
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority

CASES: Final = [
    (rpc, row, cell) for rpc, cells in TABLE.items() for row, cell in cells.items() if isinstance(cell, ErrorCase)
]
KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in (BadRequest, ResourceInfo, RetryInfo, QuotaFailure)}
ROUNDS: Final = 400
DELAYS: Final = (0.0, 0.001, 0.003, 0.006)  # seconds from the start of the load to the call, one after the other
QUEUE_LIMITS: Final = {"max_queued_rows": INTERACTIVE_ROWS, "max_queued_bulk_rows": MAX_BATCH_ROWS}
CALLERS: Final = 8  # one runs, one waits; then the queue is full


@dataclass(frozen=True, kw_only=True)
class ServerUnderTest:
    """A running server: its channel, its methods by name, and its log file."""

    channel: grpc.Channel
    methods: dict[str, MethodDescriptor]
    log: Path


Servers = Callable[[str], ServerUnderTest]


@pytest.fixture(scope="module")
def repository(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = Path(shutil.copytree(small_repository, tmp_path_factory.mktemp("errors") / "models"))
    edit_manifest(
        Path(shutil.copytree(models / MODEL / "1", models / UNREADABLE_ALIASES / "1")), model=UNREADABLE_ALIASES
    )
    return add_slow_version(add_broken_model(add_broken_versions(models)))


@pytest.fixture(scope="module")
def servers(
    repository: Path,
    authority: Authority,
    opened_database: Database,  # noqa: ARG001  the server reads the players from it
    store_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """Start each server on first use."""
    folder, running = tmp_path_factory.mktemp("servers"), dict[str, ServerUnderTest]()
    own = authority.sign("127.0.0.1", "localhost")
    tls = {"tls_certificate": own.certificate, "tls_key": own.key, "tls_client_ca": authority.file}
    options: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "broken": ((), {}),
        "limited": ((), {"rate_limit_rows_per_second": "0.5", "operators": "deploy"}),
        "small_queue": (("--home", str(store_home)), QUEUE_LIMITS),
        "tls": ((), {**tls, "operators": "deploy"}),
    }
    credentials = {"tls": authority.credentials(authority.sign("scout.example"))}
    with ExitStack() as stack:

        def server(name: str) -> ServerUnderTest:
            if name not in running:
                flags, settings = options[name]
                log = folder / f"{name}.log"
                models = Path(shutil.copytree(repository, folder / name))
                started = stack.enter_context(serving(models, *flags, **settings, log=log))
                running[name] = _connect(stack, started, credentials.get(name), log)
                if "--home" in flags:
                    _await_players(running[name])
                _corrupt_aliases(models)
            return running[name]

        yield server


def _connect(
    stack: ExitStack, server: RunningServer, credentials: grpc.ChannelCredentials | None, log: Path
) -> ServerUnderTest:
    opened = grpc.secure_channel(server.target, credentials) if credentials else grpc.insecure_channel(server.target)
    channel = stack.enter_context(opened)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    services: list[Any] = [pool.FindServiceByName(name) for name in database.get_services()]  # type: ignore[no-untyped-call]  # the stubs give it no types
    methods = {f"{service.full_name}/{method.name}": method for service in services for method in service.methods}
    return ServerUnderTest(channel=channel, methods=methods, log=log)


def _await_players(server: ServerUnderTest) -> None:
    stub: Any = HealthStub(server.channel)
    for response in stub.Watch(HealthCheckRequest(service="ondeck.v1.PlayerService"), timeout=60):
        if response.status == HealthCheckResponse.SERVING:
            return


def _corrupt_aliases(repository: Path) -> None:
    for name in (ALIASES_FILE, ALIAS_LOG_FILE):
        (repository / UNREADABLE_ALIASES / name).write_text("{")


def test_every_rpc_that_is_served_has_every_row(servers: Servers) -> None:
    served = set(servers("broken").methods)
    assert served <= set(TABLE)
    assert {rpc for rpc in TABLE if rpc.split("/")[0] in {each.split("/")[0] for each in served}} == served
    assert {rpc: set(Row) - set(cells) for rpc, cells in TABLE.items() if set(Row) - set(cells)} == {}
    assert set(EXPECTED) == set(Row)


def test_every_reason_of_the_contract_is_provoked_or_named_here() -> None:
    elsewhere = {
        "WRONG_INSTANCE": "a kind of INVALID_FIELD: tests/integration/test_server_invalid_requests.py",
        "NOT_EXPLAINABLE": "tests/integration/test_explain_calls.py",
        "RUN_TIMEOUT": "tests/integration/test_server_run_limit.py",
        "VERIFICATION_FAILED": "tests/integration/test_move_alias_calls.py",
        "BUFFER_FULL": "tests/conformance/test_buffer_limits.py",
        "REPOSITORY_LOCKED": "tests/integration/test_move_alias_calls.py",
    }
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]}
    provoked = {cell.reason for _, _, cell in CASES} - {""}
    assert provoked <= known
    assert known - provoked == set(elsewhere)


@pytest.mark.parametrize(("rpc", "row", "cell"), CASES, ids=[f"{rpc}-{row.name}" for rpc, row, _ in CASES])
def test_every_error_has_the_status_and_details_of_the_table(
    servers: Servers, rpc: str, row: Row, cell: ErrorCase
) -> None:
    server = servers(cell.server)
    correlation_id = secrets.token_hex(8)
    status = provoke(server, rpc, cell, correlation_id)
    if cell.message_only:
        assert cell.message in status.message
    else:
        assert status.code == EXPECTED[row].code.value[0]
        if status.details or not may_fail_in_client(row, cell):
            check_details(status, EXPECTED[row].details, cell)
    if row is Row.FAULT:
        assert status.message == cell.message
        await_in_log(server.log, correlation_id)


def may_fail_in_client(row: Row, cell: ErrorCase) -> bool:
    """Return whether the client library may fail the call before the server does."""
    return row is Row.LATE and cell.seconds < ErrorCase.seconds


def provoke(server: ServerUnderTest, rpc: str, cell: ErrorCase, correlation_id: str) -> Status:
    if cell.load is not None:
        return provoke_under_load(server, rpc, cell, cell.load)
    for _ in range(cell.attempts):
        status = call_rpc(server, rpc, cell, correlation_id)
        if status is not None:
            return status
    pytest.fail(f"{rpc} succeeded")


def provoke_under_load(server: ServerUnderTest, rpc: str, cell: ErrorCase, load: ConcurrentLoad) -> Status:
    """Repeat the call while the calls of the load are open."""
    call: Any = server.channel.unary_unary(f"/{load.rpc}")
    request = _written(server.methods[load.rpc], load.request)
    for _, delay in zip(range(ROUNDS), cycle(DELAYS), strict=False):
        background = [call.future(request, timeout=30) for _ in range(CALLERS)]
        time.sleep(delay)
        status = None
        while status is None and not all(each.done() for each in background):
            status = call_rpc(server, rpc, cell, "under load")
        for each in background:
            each.exception()
        if status is not None:
            return status
    pytest.fail(f"{rpc} never failed")


def call_rpc(server: ServerUnderTest, rpc: str, cell: ErrorCase, correlation_id: str) -> Status | None:
    """Make the call and return its status, from the trailers or from a response with an error; None: OK."""
    method = server.methods[rpc]
    metadata = (("x-correlation-id", correlation_id),)
    call: Any = getattr(server.channel, f"{_many(method.client_streaming)}_{_many(method.server_streaming)}")(f"/{rpc}")
    try:
        responses = call(_sent(method, cell), timeout=cell.seconds, metadata=metadata)
        for response in responses if method.server_streaming else [responses]:
            if status := _error_in(method, response):
                return status
    except grpc.RpcError as refused:
        return _status(refused)
    return None


def _many(streaming: bool) -> str:  # noqa: FBT001  an attribute of a descriptor
    return "stream" if streaming else "unary"


def _sent(method: MethodDescriptor, cell: ErrorCase) -> Any:
    if not method.client_streaming:
        return _written(method, cell.request)
    return _silence() if cell.request is None else iter([_written(method, cell.request)])


def _silence() -> Iterator[bytes]:
    time.sleep(1)
    yield from ()


def _written(method: MethodDescriptor, request: Any) -> bytes:
    if isinstance(request, bytes):
        return request
    return ParseDict(request, GetMessageClass(method.input_type)()).SerializeToString()


def _error_in(method: MethodDescriptor, response: bytes) -> Status | None:
    """Return the error of a response: it does not end the stream."""
    message: Any = GetMessageClass(method.output_type).FromString(response)
    if text := getattr(message, "error_message", ""):
        return Status(message=text)
    for each in getattr(message, "answers", ()):
        if each.DESCRIPTOR.name == "StreamAnswer" and each.HasField("error"):
            return _of_stream(each.error)
    return None


def _of_stream(error: Any) -> Status:
    """Return the error of one instance as the status that a unary call would have."""
    status = Status(code=error.code, message=error.message)
    status.details.add().Pack(
        ErrorInfo(reason=ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"), domain="ondeck")
    )
    if error.violations:
        named = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in error.violations]
        status.details.add().Pack(BadRequest(field_violations=named))
    status.details.add().Pack(ErrorInfo(reason="stream"))
    return status


def _status(refused: Any) -> Status:
    trailing = dict(refused.trailing_metadata() or ())
    if "grpc-status-details-bin" not in trailing:
        return Status(code=refused.code().value[0], message=refused.details())
    status = Status.FromString(trailing["grpc-status-details-bin"])
    assert (status.code, status.message) == (refused.code().value[0], refused.details())
    return status


def check_details(status: Status, expected: tuple[str, ...], cell: ErrorCase) -> None:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (cell.reason, "ondeck")
    assert cell.message in status.message
    names = [packed.TypeName().rpartition(".")[2] for packed in status.details[1:]]
    if names[-1:] == ["ErrorInfo"]:  # the error of a stream has no other details than violations
        expected, names = tuple(each for each in expected if each == "BadRequest"), names[:-1]
    assert tuple(names) == expected
    for packed, name in zip(status.details[1:], names, strict=False):
        detail = KINDS[name]()
        assert packed.Unpack(detail)
        CHECKS[name](detail, cell)


def _all_fields_are_named(bad: Any, cell: ErrorCase) -> None:
    assert tuple(each.field for each in bad.field_violations) == cell.fields
    assert all(each.description for each in bad.field_violations)


def _resource_is_named(resource: Any, cell: ErrorCase) -> None:
    kind = cell.reason.removesuffix("_NOT_FOUND").lower()
    assert resource.resource_type == f"ondeck.v1/{kind}"
    assert resource.resource_name


def _a_time_is_named(retry: Any, _: ErrorCase) -> None:
    assert 0 < retry.retry_delay.ToMilliseconds() <= 60_000


def _the_quota_is_named(quota: Any, _: ErrorCase) -> None:
    (violation,) = quota.violations
    assert violation.subject.startswith("ipv")
    assert "rows a second" in violation.description


CHECKS: Final[dict[str, Callable[[Any, ErrorCase], None]]] = {
    "BadRequest": _all_fields_are_named,
    "ResourceInfo": _resource_is_named,
    "RetryInfo": _a_time_is_named,
    "QuotaFailure": _the_quota_is_named,
}


def await_in_log(log: Path, correlation_id: str) -> None:
    until = time.monotonic() + 10
    while correlation_id not in log.read_text():
        assert time.monotonic() < until, "the log has no line with the correlation id"
        time.sleep(0.05)
    assert "Traceback" in log.read_text()


def test_every_server_still_serves_after_the_error_table(servers: Servers) -> None:
    status = call_rpc(servers("broken"), "grpc.health.v1.Health/Check", ErrorCase(reason="", message=""), "after all")
    assert status is None
