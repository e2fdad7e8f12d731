"""TLS files: validation and renewal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondeck_server.security.tls import (
    CertificateReloader,
    InvalidCertificatesError,
    certificate_files,
    read_certificates,
)
from ondeck_server.settings import ServerSettings
from tests.fixtures.tls import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.sign("server.example")


def settings(pair: Pair, client_ca: Path | None = None) -> ServerSettings:
    return ServerSettings(tls_certificate=pair.certificate, tls_key=pair.key, tls_client_ca=client_ca)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tls_certificate"}, "unset: ONDECK_TLS_KEY"),
        ({"tls_key"}, "unset: ONDECK_TLS_CERTIFICATE"),
        ({"tls_client_ca"}, "unset: ONDECK_TLS_CERTIFICATE and ONDECK_TLS_KEY"),
    ],
)
def test_an_incomplete_tls_configuration_is_refused_by_name(given: set[str], missing: str) -> None:
    fields: dict[str, Any] = {name: Path("x.pem") for name in given}
    with pytest.raises(InvalidCertificatesError, match=missing):
        certificate_files(ServerSettings(**fields))


def test_without_certificates_tls_is_off() -> None:
    assert certificate_files(ServerSettings()) is None


def delete(path: Path) -> None:
    path.unlink()


def replace_with_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WRONG: dict[str, Callable[[Pair, Authority], object]] = {
    r"ONDECK_TLS_CERTIFICATE=.*: cannot be read \(No such file or directory\)": lambda pair, _: delete(
        pair.certificate
    ),
    r"ONDECK_TLS_CERTIFICATE=.*: contains no certificate in PEM": lambda pair, _: pair.certificate.write_bytes(
        b"\xff?"
    ),
    r"ONDECK_TLS_CERTIFICATE=.*: contains no certificate": lambda pair, _: pair.certificate.write_bytes(
        pair.key.read_bytes()
    ),
    r"ONDECK_TLS_KEY=.*: cannot be read": lambda pair, _: replace_with_folder(pair.key),
    r"ONDECK_TLS_KEY=.*: contains no unencrypted private key in PEM": lambda pair, _: pair.key.write_text("?"),
    r"ONDECK_TLS_KEY=.*: is not the key of ONDECK_TLS_CERTIFICATE": lambda pair, authority: pair.key.write_bytes(
        authority.sign("other.example").key.read_bytes()
    ),
    r"ONDECK_TLS_CLIENT_CA=.*: contains no certificate": lambda _, authority: authority.file.write_text(""),
}


@pytest.mark.parametrize("complaint", WRONG)
def test_an_unusable_certificate_file_is_refused_by_name(authority: Authority, pair: Pair, complaint: str) -> None:
    WRONG[complaint](pair, authority)
    files = certificate_files(settings(pair, authority.file))
    assert files is not None
    with pytest.raises(InvalidCertificatesError, match=complaint):
        read_certificates(files)


def make_reloader(pair: Pair) -> CertificateReloader:
    files = certificate_files(settings(pair))
    assert files is not None
    return CertificateReloader(files)


def test_unchanged_files_are_not_read_again(pair: Pair) -> None:
    renewal = make_reloader(pair)
    assert renewal.reload_if_changed() is None
    pair.key.touch()
    assert renewal.reload_if_changed() is None


def test_a_renewal_applies_once_certificate_and_key_match(pair: Pair, authority: Authority) -> None:
    renewal, other = make_reloader(pair), authority.sign("new.example")
    pair.certificate.write_bytes(other.certificate.read_bytes())
    assert renewal.reload_if_changed() is None
    pair.key.write_bytes(other.key.read_bytes())
    found = renewal.reload_if_changed()
    assert found is not None
    assert found.certificate == other.certificate.read_bytes()
    assert renewal.reload_if_changed() is None


def test_deleted_files_keep_the_old_certificates(pair: Pair) -> None:
    renewal = make_reloader(pair)
    pair.key.unlink()
    assert renewal.reload_if_changed() is None
