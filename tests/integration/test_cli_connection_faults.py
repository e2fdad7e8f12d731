"""`ondeck predict` and `ondeck models list --target` state why a call fails: who answers, and what is in between."""

import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from ondeck_cli.connection_faults import describe_fault, proxy_variable
from ondeck_client import BattedBall, Client
from ondeck_core.manifest import MODEL_FILE
from ondeck_registry.import_onnx import publish_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.tls import Authority

BALL: Final = ("predict", "batted-ball", "--launch-speed", "100", "--launch-angle", "20")
LIST: Final = ("models", "list")
PROXIES: Final = ("http_proxy", "https_proxy", "grpc_proxy")
SECRET: Final = "hunter2"  # noqa: S105  a password that no message may show


def ondeck(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@contextmanager
def dead_proxy() -> Iterator[str]:
    """Reserve a port without a listener, as the URL of a proxy with a password."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://user:{SECRET}@127.0.0.1:{port_of(reserved)}"


@pytest.mark.parametrize("variable", PROXIES)
def test_a_server_on_this_machine_is_called_without_the_proxy(running_server: RunningServer, variable: str) -> None:
    port = running_server.target.rpartition(":")[2]
    with dead_proxy() as proxy:
        done = ondeck(*BALL, "--target", f"localhost:{port}", **{variable: proxy})
        assert done.returncode == 0, done.stderr
    assert "answered by batted_ball" in done.stdout


def test_the_client_calls_this_machine_without_the_proxy(
    running_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = running_server.target.rpartition(":")[2]
    with dead_proxy() as proxy:
        for variable in PROXIES:
            monkeypatch.setenv(variable, proxy)
        for target in (running_server.target, f"ipv4:127.0.0.1:{port}", f"dns:///localhost:{port}"):
            with Client(target) as client:
                assert client.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20)).outcomes


def test_another_machine_behind_a_dead_proxy_names_the_variable_and_no_secret() -> None:
    with dead_proxy() as proxy:
        done = ondeck(*BALL, "--target", "192.0.2.1:50051", http_proxy=proxy)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no Ondeck server answers at 192.0.2.1:50051; start one with: ondeck up; the environment's http_proxy "
        "makes gRPC call it through a proxy, unless no_grpc_proxy lists the host\n"
    )


@pytest.mark.parametrize(
    ("target", "environment", "expected"),
    [
        ("ondeck.example:50051", {"http_proxy": "p"}, "http_proxy"),
        ("ondeck.example:50051", {"http_proxy": "p", "grpc_proxy": "p"}, "grpc_proxy"),
        ("ondeck.example:50051", {"https_proxy": "p", "http_proxy": "p"}, "https_proxy"),
        ("ondeck.example:50051", {"http_proxy": ""}, None),
        ("ondeck.example:50051", {"HTTP_PROXY": "p"}, None),
        ("ondeck.example:50051", {"http_proxy": "p", "no_proxy": "other, .example"}, None),
        ("dns:///ondeck.example:50051", {"http_proxy": "p", "no_grpc_proxy": "ondeck.example"}, None),
        ("ondeck.example:50051", {"http_proxy": "p", "no_grpc_proxy": "other", "no_proxy": ".example"}, "http_proxy"),
        ("10.1.2.3:50051", {"http_proxy": "p", "no_proxy": "10.0.0.0/8"}, None),
        ("192.0.2.1:50051", {"http_proxy": "p", "no_proxy": "10.0.0.0/8"}, "http_proxy"),
        ("127.0.0.1:50051", {"http_proxy": "p"}, None),
        ("[::1]:50051", {"http_proxy": "p"}, None),
        ("unix:/run/ondeck", {"http_proxy": "p"}, None),
    ],
)
def test_the_proxy_of_a_target_is_the_one_that_grpc_takes(
    target: str, environment: dict[str, str], expected: str | None
) -> None:
    assert proxy_variable(target, environment) == expected


def test_a_refused_version_differs_from_a_server_that_does_not_answer(small_repository: Path, tmp_path: Path) -> None:
    models = Path(shutil.copytree(small_repository, tmp_path / "models"))
    (models / "batted_ball" / "1" / MODEL_FILE).write_bytes(b"no graph")
    with serving(models, log=tmp_path / "log") as server:
        done = ondeck(*BALL, "--target", server.target)
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"error: the server at {server.target} answers, but does not serve this version: batted_ball version 1 is "
            "not loaded: model.onnx is not the file that was published"
        )
        other = ondeck("predict", "called-strike", "--plate-x", "0", "--plate-z", "2", "--target", server.target)
        assert other.returncode == 0, other.stderr
        listed = ondeck(*LIST, "--target", server.target)
        assert "batted_ball 1 refused: model.onnx is not the file that was published" in listed.stdout


def test_tls_and_plaintext_are_distinguished(
    tmp_path: Path, authority: Authority, untrusted_authority: Authority
) -> None:
    publish_graph(tmp_path / "models", "scores", scoring_graph())
    pair = authority.sign("127.0.0.1", "localhost")
    tls: dict[str, Any] = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    trusted, untrusted = ("--ca", str(authority.file)), ("--ca", str(untrusted_authority.file))
    with serving(tmp_path / "models", log=tmp_path / "log", **tls) as server:
        to = (*LIST, "--target", server.target)
        assert ondeck(*to, *trusted).returncode == 0
        assert f"{server.target} answers with TLS; name the CA of its certificate with --ca" in ondeck(*to).stderr
        assert "answers, but the CA of --ca did not sign its certificate" in ondeck(*to, *untrusted).stderr
    with serving(tmp_path / "models", log=tmp_path / "log", **tls, tls_client_ca=authority.file) as server:
        to = (*LIST, "--target", server.target)
        assert (
            "answers and closes the connection: it may require --certificate and --key" in ondeck(*to, *trusted).stderr
        )
    with serving(tmp_path / "models", log=tmp_path / "log") as server:
        to = (*LIST, "--target", server.target)
        assert "answers without TLS; leave out --ca, --certificate and --key" in ondeck(*to, *trusted).stderr


def test_another_program_at_the_port_is_no_server_of_ours() -> None:
    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    done = ondeck(*BALL, "--target", f"127.0.0.1:{page.server_port}")
    page.shutdown()
    page.server_close()
    assert "answers, but it is no gRPC server" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = ondeck(*BALL, "--target", f"127.0.0.1:{port_of(silent)}")
    assert "accepts connections and does not answer" in done.stderr


RESET: Final = "connections to all backends failing; last error: UNAVAILABLE: recvmsg:Connection reset by peer"
CLOSED: Final = "connections to all backends failing; last error: UNAVAILABLE: Socket closed"
WRITE: Final = "connections to all backends failing; last error: UNAVAILABLE: sendmsg:Broken pipe"


@pytest.mark.parametrize("details", [RESET, CLOSED, WRITE, "a text of a later gRPC"])
def test_the_text_of_a_closed_connection_does_not_matter(
    tmp_path: Path, authority: Authority, running_server: RunningServer, details: str
) -> None:
    pair = authority.sign("127.0.0.1", "localhost")
    publish_graph(tmp_path / "models", "scores", scoring_graph())
    with serving(
        tmp_path / "models",
        log=tmp_path / "log",
        tls_certificate=pair.certificate,
        tls_key=pair.key,
        tls_client_ca=authority.file,
    ) as server:
        assert "it may require --certificate and --key" in describe_fault(details, server.target, is_tls=True)
        assert "answers with TLS; name the CA" in describe_fault(details, server.target, is_tls=False)
    assert "no Ondeck server answers" in describe_fault(details, server.target, is_tls=True)
    assert "answers without TLS" in describe_fault(details, running_server.target, is_tls=True)


@pytest.mark.parametrize("is_reset", [True, False])
def test_a_listener_that_closes_every_connection_is_reported(is_reset: bool) -> None:  # noqa: FBT001  a parameter
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = threading.Thread(target=close_connections, args=(listener,), kwargs={"is_reset": is_reset})
        closing.start()
        target = f"127.0.0.1:{port_of(listener)}"
        done = ondeck(*BALL, "--target", target)
        listener.shutdown(socket.SHUT_RDWR)
        closing.join()
    assert f"{target} accepts connections and closes them" in done.stderr


def close_connections(listener: socket.socket, *, is_reset: bool) -> None:
    with suppress(OSError):  # the listener is shut down
        while True:
            connection, _ = listener.accept()
            if is_reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


def test_a_name_without_an_address_is_reported() -> None:
    done = ondeck(*BALL, "--target", "no-such-host.invalid:50051")
    assert done.stderr == "error: no-such-host.invalid:50051 cannot be found: its host name has no address\n"
