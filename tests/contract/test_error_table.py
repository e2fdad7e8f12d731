"""Every rpc that is served, walked through every row of the error table, over the wire."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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
from ondeck_server.batching.batcher import MAX_BATCH_ROWS
from ondeck_store.database import Database
from tests.contract.error_rows import PROMISES, Crowd, Provoked, Row
from tests.contract.error_table import TABLE, UNREADABLE_ALIASES
from tests.factories.broken_models import MODEL, add_broken_model, add_broken_versions, add_slow_version, edit_manifest
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority

PROVOKED: Final = [
    (rpc, row, cell) for rpc, cells in TABLE.items() for row, cell in cells.items() if isinstance(cell, Provoked)
]
KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in (BadRequest, ResourceInfo, RetryInfo, QuotaFailure)}
ROUNDS: Final = 10
CALLERS: Final = 8  # one of whom is run, and one waits; then the queue is full


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A server that can be asked: its channel, what it serves by name, and where its log is."""

    channel: grpc.Channel
    methods: dict[str, MethodDescriptor]
    log: Path


Servers = Callable[[str], Asked]


@pytest.fixture(scope="module")
def repository(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = Path(shutil.copytree(small_repository, tmp_path_factory.mktemp("trouble") / "models"))
    edit_manifest(
        Path(shutil.copytree(models / MODEL / "1", models / UNREADABLE_ALIASES / "1")), model=UNREADABLE_ALIASES
    )
    return add_slow_version(add_broken_model(add_broken_versions(models)))


@pytest.fixture(scope="module")
def servers(
    repository: Path,
    authority: Authority,
    opened_database: Database,  # noqa: ARG001  it has to be there for a server to read the players from it
    store_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """Start each server when it is first asked for."""
    folder, running = tmp_path_factory.mktemp("servers"), dict[str, Asked]()
    own = authority.sign("127.0.0.1", "localhost")
    tls = {"tls_certificate": own.certificate, "tls_key": own.key, "tls_client_ca": authority.file}
    ways: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "broken": ((), {}),
        "strict": ((), {"rate_limit_rows_per_second": "0.5", "operators": "deploy"}),
        "crowded": (("--home", str(store_home)), {"max_queued_rows": MAX_BATCH_ROWS}),
        "secured": ((), {**tls, "operators": "deploy"}),
    }
    shown = {"secured": authority.credentials(authority.sign("scout.example"))}
    with ExitStack() as stack:

        def server(name: str) -> Asked:
            if name not in running:
                words, settings = ways[name]
                log = folder / f"{name}.log"
                models = Path(shutil.copytree(repository, folder / name))
                started = stack.enter_context(serving(models, *words, **settings, log=log))
                running[name] = _asked(stack, started, shown.get(name), log)
                if "--home" in words:
                    _await_players(running[name])
                _tear(models)
            return running[name]

        yield server


def _asked(stack: ExitStack, server: RunningServer, shown: grpc.ChannelCredentials | None, log: Path) -> Asked:
    opened = grpc.secure_channel(server.target, shown) if shown else grpc.insecure_channel(server.target)
    channel = stack.enter_context(opened)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    services: list[Any] = [pool.FindServiceByName(name) for name in database.get_services()]  # type: ignore[no-untyped-call]  # the stubs give it no types
    methods = {f"{service.full_name}/{method.name}": method for service in services for method in service.methods}
    return Asked(channel=channel, methods=methods, log=log)


def _await_players(asked: Asked) -> None:
    stub: Any = HealthStub(asked.channel)
    for told in stub.Watch(HealthCheckRequest(service="ondeck.v1.PlayerService"), timeout=60):
        if told.status == HealthCheckResponse.SERVING:
            return


def _tear(repository: Path) -> None:
    for name in (ALIASES_FILE, ALIAS_LOG_FILE):
        (repository / UNREADABLE_ALIASES / name).write_text("{")


def test_every_rpc_that_is_served_has_every_row(servers: Servers) -> None:
    served = set(servers("broken").methods)
    assert served <= set(TABLE)
    assert {rpc for rpc in TABLE if rpc.split("/")[0] in {each.split("/")[0] for each in served}} == served
    assert {rpc: set(Row) - set(cells) for rpc, cells in TABLE.items() if set(Row) - set(cells)} == {}
    assert set(PROMISES) == set(Row)


def test_every_reason_of_the_contract_is_provoked_or_named_here() -> None:
    elsewhere = {
        "WRONG_INSTANCE": "a kind of INVALID_FIELD: tests/integration/test_server_refusals.py",
        "NOT_EXPLAINABLE": "tests/integration/test_explain_calls.py",
        "VERIFICATION_FAILED": "tests/integration/test_server_alias_changes.py",
        "REPOSITORY_LOCKED": "tests/integration/test_server_alias_changes.py",
    }
    known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]}
    provoked = {cell.reason for _, _, cell in PROVOKED} - {""}
    assert provoked <= known
    assert known - provoked == set(elsewhere)


@pytest.mark.parametrize(("rpc", "row", "cell"), PROVOKED, ids=[f"{rpc}-{row.name}" for rpc, row, _ in PROVOKED])
def test_every_error_has_the_status_and_details_of_the_table(
    servers: Servers, rpc: str, row: Row, cell: Provoked
) -> None:
    asked = servers(cell.server)
    correlation_id = secrets.token_hex(8)
    told = provoke(asked, rpc, cell, correlation_id)
    if cell.text_alone:
        assert cell.says in told.message
    else:
        assert told.code == PROMISES[row].code.value[0]
        if told.details or not may_be_the_callers_own(row, cell):
            check_details(told, PROMISES[row].details, cell)
    if row is Row.FAULT:
        assert told.message == cell.says
        await_in_log(asked.log, correlation_id)


def may_be_the_callers_own(row: Row, cell: Provoked) -> bool:
    """Tell whether the caller's library may say it before the server does."""
    return row is Row.LATE and cell.seconds < Provoked.seconds


def provoke(asked: Asked, rpc: str, cell: Provoked, correlation_id: str) -> Status:
    if cell.crowd is not None:
        return in_a_crowd(asked, rpc, cell, cell.crowd)
    for _ in range(cell.again):
        told = ask(asked, rpc, cell, correlation_id)
        if told is not None:
            return told
    pytest.fail(f"{rpc} answered")


def in_a_crowd(asked: Asked, rpc: str, cell: Provoked, others: Crowd) -> Status:
    """Ask again and again for as long as the others are not all answered."""
    call: Any = asked.channel.unary_unary(f"/{others.rpc}")
    request = _written(asked.methods[others.rpc], others.request)
    for _ in range(ROUNDS):
        crowd = [call.future(request, timeout=30) for _ in range(CALLERS)]
        told = None
        while told is None and not all(each.done() for each in crowd):
            told = ask(asked, rpc, cell, "in a crowd")
        for each in crowd:
            each.exception()
        if told is not None:
            return told
    pytest.fail(f"{rpc} was never refused")


def ask(asked: Asked, rpc: str, cell: Provoked, correlation_id: str) -> Status | None:
    """Make the call and give its status, from the trailing metadata or from an answer that holds an error; None: OK."""
    method = asked.methods[rpc]
    metadata = (("x-correlation-id", correlation_id),)
    call: Any = getattr(asked.channel, f"{_many(method.client_streaming)}_{_many(method.server_streaming)}")(f"/{rpc}")
    try:
        answers = call(_sent(method, cell), timeout=cell.seconds, metadata=metadata)
        for answer in answers if method.server_streaming else [answers]:
            if told := _error_in(method, answer):
                return told
    except grpc.RpcError as refused:
        return _status(refused)
    return None


def _many(streaming: bool) -> str:  # noqa: FBT001  as a descriptor has it
    return "stream" if streaming else "unary"


def _sent(method: MethodDescriptor, cell: Provoked) -> Any:
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


def _error_in(method: MethodDescriptor, answer: bytes) -> Status | None:
    """Read an error that came as an answer: a stream goes on after it."""
    message: Any = GetMessageClass(method.output_type).FromString(answer)
    if text := getattr(message, "error_message", ""):
        return Status(message=text)
    for each in getattr(message, "answers", ()):
        if each.DESCRIPTOR.name == "StreamAnswer" and each.HasField("error"):
            return _of_stream(each.error)
    return None


def _of_stream(error: Any) -> Status:
    """Write the error of one instance as the status that a unary call would have had."""
    told = Status(code=error.code, message=error.message)
    told.details.add().Pack(
        ErrorInfo(reason=ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"), domain="ondeck")
    )
    if error.violations:
        named = [BadRequest.FieldViolation(field=v.field, description=v.description) for v in error.violations]
        told.details.add().Pack(BadRequest(field_violations=named))
    told.details.add().Pack(ErrorInfo(reason="in a stream"))
    return told


def _status(refused: Any) -> Status:
    trailing = dict(refused.trailing_metadata() or ())
    if "grpc-status-details-bin" not in trailing:
        return Status(code=refused.code().value[0], message=refused.details())
    told = Status.FromString(trailing["grpc-status-details-bin"])
    assert (told.code, told.message) == (refused.code().value[0], refused.details())
    return told


def check_details(told: Status, promised: tuple[str, ...], cell: Provoked) -> None:
    info = ErrorInfo()
    assert told.details[0].Unpack(info)
    assert (info.reason, info.domain) == (cell.reason, "ondeck")
    assert cell.says in told.message
    names = [packed.TypeName().rpartition(".")[2] for packed in told.details[1:]]
    if names[-1:] == ["ErrorInfo"]:  # the error of a stream has room for violations alone
        promised, names = tuple(each for each in promised if each == "BadRequest"), names[:-1]
    assert tuple(names) == promised
    for packed, name in zip(told.details[1:], names, strict=False):
        detail = KINDS[name]()
        assert packed.Unpack(detail)
        CHECKS[name](detail, cell)


def _all_fields_are_named(bad: Any, cell: Provoked) -> None:
    assert tuple(each.field for each in bad.field_violations) == cell.fields
    assert all(each.description for each in bad.field_violations)


def _resource_is_named(resource: Any, cell: Provoked) -> None:
    kind = cell.reason.removesuffix("_NOT_FOUND").lower()
    assert resource.resource_type == f"ondeck.v1/{kind}"
    assert resource.resource_name


def _a_time_is_named(retry: Any, _: Provoked) -> None:
    assert 0 < retry.retry_delay.ToMilliseconds() <= 60_000


def _the_quota_is_named(quota: Any, _: Provoked) -> None:
    (violation,) = quota.violations
    assert violation.subject.startswith("ipv")
    assert "rows a second" in violation.description


CHECKS: Final[dict[str, Callable[[Any, Provoked], None]]] = {
    "BadRequest": _all_fields_are_named,
    "ResourceInfo": _resource_is_named,
    "RetryInfo": _a_time_is_named,
    "QuotaFailure": _the_quota_is_named,
}


def await_in_log(log: Path, correlation_id: str) -> None:
    until = time.monotonic() + 10
    while correlation_id not in log.read_text():
        assert time.monotonic() < until, "the log has nothing under the correlation id"
        time.sleep(0.05)
    assert "Traceback" in log.read_text()


def test_every_server_still_serves_after_the_error_table(servers: Servers) -> None:
    answered = ask(servers("broken"), "grpc.health.v1.Health/Check", Provoked(reason="", says=""), "after all")
    assert answered is None
