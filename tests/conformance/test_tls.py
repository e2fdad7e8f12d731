"""TLS: trust, client certificates, caller identity and renewal."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import grpc
import pytest
from google.protobuf.message import Message

from ondeck.v1.model_service_pb2 import DESCRIPTOR as MODEL_SERVICE
from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_cli.remote import ServerAddress, ServerCallError, credentials_for
from ondeck_core.errors import NotFoundError
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.composition import create_transport
from ondeck_server.rpc.context import CallContext
from ondeck_server.settings import ServerSettings
from tests.conformance.stock_client import SECONDS, can_predict
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority, Pair


@pytest.fixture(scope="module")
def server_pair(authority: Authority) -> Pair:
    return authority.sign("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def tls_server(small_repository: Path, transport: str, server_pair: Pair) -> Iterator[RunningServer]:
    with serving(
        small_repository, transport=transport, tls_certificate=server_pair.certificate, tls_key=server_pair.key
    ) as server:
        yield server


@pytest.fixture(scope="module")
def mutual_tls_server(
    small_repository: Path, transport: str, server_pair: Pair, authority: Authority
) -> Iterator[RunningServer]:
    """Run a server that requires client certificates."""
    with serving(
        small_repository,
        transport=transport,
        tls_certificate=server_pair.certificate,
        tls_key=server_pair.key,
        tls_client_ca=authority.file,
    ) as server:
        yield server


def refusal_code(channel: grpc.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as failed:
        can_predict(channel)
    return failed.value.code()


def test_a_client_that_trusts_the_authority_is_answered(tls_server: RunningServer, authority: Authority) -> None:
    with grpc.secure_channel(tls_server.target, authority.credentials()) as channel:
        assert can_predict(channel)


def test_a_plaintext_client_gets_no_response(tls_server: RunningServer) -> None:
    with grpc.insecure_channel(tls_server.target) as channel:
        assert refusal_code(channel) is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_trusts_another_authority_gets_no_response(
    tls_server: RunningServer, untrusted_authority: Authority
) -> None:
    with grpc.secure_channel(tls_server.target, untrusted_authority.credentials()) as channel:
        assert refusal_code(channel) is grpc.StatusCode.UNAVAILABLE


def test_a_tls_client_gets_no_response_from_a_plaintext_server(
    running_server: RunningServer, authority: Authority
) -> None:
    with grpc.secure_channel(running_server.target, authority.credentials()) as channel:
        assert refusal_code(channel) is grpc.StatusCode.UNAVAILABLE


def test_a_client_with_a_certificate_of_the_authority_is_answered(
    mutual_tls_server: RunningServer, authority: Authority
) -> None:
    with grpc.secure_channel(
        mutual_tls_server.target, authority.credentials(authority.sign("scout.example"))
    ) as channel:
        assert can_predict(channel)


def test_a_client_without_a_required_certificate_is_refused(
    mutual_tls_server: RunningServer, authority: Authority
) -> None:
    with grpc.secure_channel(mutual_tls_server.target, authority.credentials()) as channel:
        assert refusal_code(channel) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_an_unknown_authority_is_refused(
    mutual_tls_server: RunningServer, authority: Authority, untrusted_authority: Authority
) -> None:
    untrusted = untrusted_authority.sign("scout.example")
    with grpc.secure_channel(mutual_tls_server.target, authority.credentials(untrusted)) as channel:
        assert refusal_code(channel) is grpc.StatusCode.UNAVAILABLE


class IdentityService:
    """Handlers of every rpc of a service; each returns the caller's identity in a NOT_FOUND error."""

    def __getattr__(self, _: str) -> object:
        async def raise_identity(call: CallContext, _: Message) -> Message:
            raise NotFoundError("model", call.identity or "anonymous", [])

        return raise_identity


@pytest.mark.parametrize(
    ("names", "common_name", "identity"),
    [
        (("scout.example",), "Scout", "scout.example"),
        (("scout@example.org",), None, "scout@example.org"),
        ((), None, "anonymous"),
    ],
)
async def test_a_handler_sees_the_identity_of_its_caller(
    authority: Authority,
    server_pair: Pair,
    transport: Literal["grpcio", "nghttp2"],
    names: tuple[str, ...],
    common_name: str | None,
    identity: str,
) -> None:
    settings = ServerSettings(
        tls_certificate=server_pair.certificate,
        tls_key=server_pair.key,
        tls_client_ca=authority.file if names else None,
        transport=transport,
    )
    service = MODEL_SERVICE.services_by_name["ModelService"]
    server = create_transport([(service, IdentityService())], settings, MetricsBlock())
    port = await server.listen(0)
    try:
        client_pair = authority.sign(*names, common_name=common_name) if names else None
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", authority.credentials(client_pair)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await ModelServiceStub(channel).GetModel(GetModelRequest(), timeout=SECONDS)
        assert identity in str(failed.value.details())
    finally:
        await server.stop(0)


async def test_comments_among_the_certificates_may_be_in_any_language(
    authority: Authority, server_pair: Pair, transport: Literal["grpcio", "nghttp2"], tmp_path: Path
) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes("# Főtanúsítvány\n".encode() + authority.file.read_bytes())
    settings = ServerSettings(
        tls_certificate=server_pair.certificate, tls_key=server_pair.key, tls_client_ca=authorities, transport=transport
    )
    server = create_transport(
        [(MODEL_SERVICE.services_by_name["ModelService"], IdentityService())], settings, MetricsBlock()
    )
    port = await server.listen(0)
    try:
        client_pair = authority.credentials(authority.sign("scout.example"))
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", client_pair) as channel:
            with pytest.raises(grpc.aio.AioRpcError, match=r"scout\.example"):
                await ModelServiceStub(channel).GetModel(GetModelRequest(), timeout=SECONDS)
    finally:
        await server.stop(0)


def read_certificate(target: str, authority: Authority) -> bytes:
    """Return the certificate that the server presents to a new connection."""
    host, _, port = target.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), ca_certs=str(authority.file)).encode()


def replace_file(new: Path, old: Path) -> None:
    os.replace(new, old)  # noqa: PTH105  atomic, as a renewal is


def test_a_renewed_certificate_is_used_without_restart_and_an_invalid_one_never(
    small_repository: Path, transport: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "first")
    first = authority.sign("127.0.0.1")
    with (
        serving(small_repository, transport=transport, tls_certificate=first.certificate, tls_key=first.key) as server,
        grpc.secure_channel(server.target, authority.credentials()) as open_channel,
    ):
        assert can_predict(open_channel)
        before = read_certificate(server.target, authority)
        second_authority = Authority(tmp_path / "second")
        second = second_authority.sign("127.0.0.1")
        replace_file(second.certificate, first.certificate)  # without its key
        assert read_certificate(server.target, authority) == before
        replace_file(second.key, first.key)
        with grpc.secure_channel(server.target, second_authority.credentials()) as channel:
            assert can_predict(channel)
        first.certificate.write_text("nonsense")
        with grpc.secure_channel(server.target, second_authority.credentials()) as channel:
            assert can_predict(channel)
        assert can_predict(open_channel)


def test_the_command_line_and_the_client_support_mutual_tls(
    mutual_tls_server: RunningServer, authority: Authority
) -> None:
    client_pair = authority.sign("scout.example")
    words = [
        "predict",
        "batted-ball",
        "--launch-speed",
        "100",
        "--launch-angle",
        "20",
        "--target",
        mutual_tls_server.target,
    ]
    secured = ["--ca", authority.file, "--certificate", client_pair.certificate, "--key", client_pair.key]
    command = [sys.executable, "-m", "ondeck_cli", *map(str, [*words, *secured])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "answered by batted_ball" in done.stdout


def test_a_key_without_its_certificate_is_refused_with_a_reason(authority: Authority, server_pair: Pair) -> None:
    server = ServerAddress(target=None, ca=authority.file, certificate=None, key=server_pair.key)
    with pytest.raises(ServerCallError, match="a certificate needs its key, and a key its certificate"):
        credentials_for(server)


def test_a_server_with_unusable_certificates_does_not_start_and_gives_the_reason(
    small_repository: Path, server_pair: Pair
) -> None:
    command = [sys.executable, "-m", "ondeck_cli", "serve", "--model-repository", str(small_repository), "--port", "0"]
    environment = {
        **os.environ,
        "ONDECK_TLS_CERTIFICATE": str(server_pair.certificate),
        "ONDECK_TLS_KEY": "/nowhere/key.pem",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 1
    assert "ONDECK_TLS_KEY=/nowhere/key.pem: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
