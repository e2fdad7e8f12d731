"""The server's certificates: read, content against each other, and read again once they are renewed."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from ondeck_core.errors import OndeckError
from ondeck_server.settings import ServerSettings

log = structlog.get_logger()


class InvalidCertificatesError(OndeckError):
    """A file that secures the connections is missing, or is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Where the certificates are; with `client_ca`, a client needs one that it signed."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def each(self) -> Iterator[tuple[str, Path]]:
        """Name each file by its setting."""
        yield "ONDECK_TLS_CERTIFICATE", self.certificate
        yield "ONDECK_TLS_KEY", self.key
        if self.client_ca is not None:
            yield "ONDECK_TLS_CLIENT_CA", self.client_ca


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """What the files hold, as PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


def certificate_files(settings: ServerSettings) -> CertificateFiles | None:
    """Tell which files secure the connections; None: nothing does.

    Raises:
        InvalidCertificatesError: some of the settings are there, and others that belong to them are not.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is not None and key is not None:
        return CertificateFiles(certificate=certificate, key=key, client_ca=client_ca)
    if certificate is None and key is None and client_ca is None:
        return None
    lacking = [
        name for name, path in (("ONDECK_TLS_CERTIFICATE", certificate), ("ONDECK_TLS_KEY", key)) if path is None
    ]
    raise InvalidCertificatesError(f"TLS needs a certificate and its key; unset: {' and '.join(lacking)}")


def check_certificates(settings: ServerSettings) -> None:
    """See that what should secure the connections can.

    Raises:
        InvalidCertificatesError: it cannot; the text names the setting.
    """
    files = certificate_files(settings)
    if files is not None:
        read_certificates(files)


def read_certificates(files: CertificateFiles) -> Certificates:
    """Read the files, and see that they can secure a connection.

    Raises:
        InvalidCertificatesError: one cannot; the text names its setting.
    """
    content = {name: _read(name, path) for name, path in files.each()}
    for name in content.keys() - {"ONDECK_TLS_KEY"}:
        _check_certificates(name, dict(files.each())[name], content[name])
    _check_key_pair(files)
    return Certificates(
        certificate=content["ONDECK_TLS_CERTIFICATE"],
        key=content["ONDECK_TLS_KEY"],
        client_ca=content.get("ONDECK_TLS_CLIENT_CA"),
    )


class CertificateReloader:
    """Notices that the files have changed, and never trades certificates that work for some that do not."""

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files for the first time.

        Raises:
            InvalidCertificatesError: they cannot secure a connection.
        """
        self._files = files
        self._seen = self._file_stamps()
        self.initial = self._last = read_certificates(files)
        self._lock = threading.Lock()

    def reload_if_changed(self) -> Certificates | None:
        """Give the certificates if they are others than before, else None; never raises."""
        with self._lock:
            stamps = self._file_stamps()
            if stamps == self._seen:
                return None
            try:
                found = read_certificates(self._files)
            except InvalidCertificatesError as refused:
                log.warning("renewed certificates are refused; the old ones stay", reason=str(refused))
                self._seen = stamps
                return None
            if stamps != self._file_stamps():  # they are being written just now
                return None
            self._seen = stamps
            changed = found != self._last
            self._last = found
            return found if changed else None

    def _file_stamps(self) -> list[tuple[int, int, int] | None]:
        return [_file_stamp(path) for _, path in self._files.each()]


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failed:
        raise InvalidCertificatesError(f"{name}={path}: cannot be read ({failed.strerror})") from failed


def _check_certificates(name: str, path: Path, content: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as failed:
        raise InvalidCertificatesError(f"{name}={path}: holds no certificate in PEM") from failed


def _check_key_pair(files: CertificateFiles) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, password=lambda: "")
    except ssl.SSLError as failed:
        mismatch = failed.reason == "KEY_VALUES_MISMATCH"
        wrong = (
            "is not the key of ONDECK_TLS_CERTIFICATE" if mismatch else "holds no private key, without password, in PEM"
        )
        raise InvalidCertificatesError(f"ONDECK_TLS_KEY={files.key}: {wrong}") from failed
    except OSError as failed:  # gone, or changed, since it was read
        raise InvalidCertificatesError(f"ONDECK_TLS_KEY={files.key}: cannot be read ({failed.strerror})") from failed
