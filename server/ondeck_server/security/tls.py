"""TLS certificates: read, check, and reload them when their files change."""

import os
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from ondeck_core.errors import OndeckError
from ondeck_server.settings import ServerSettings

log = structlog.get_logger()


class InvalidCertificatesError(OndeckError):
    """A certificate file is missing or invalid."""


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Paths of the certificates; with `client_ca` every client needs a certificate that it signed."""

    certificate: Path
    key: Path
    client_ca: Path | None

    def each(self) -> Iterator[tuple[str, Path]]:
        """Yield the setting and the path of each file."""
        yield "ONDECK_TLS_CERTIFICATE", self.certificate
        yield "ONDECK_TLS_KEY", self.key
        if self.client_ca is not None:
            yield "ONDECK_TLS_CLIENT_CA", self.client_ca


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Contents of the files, as PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


def certificate_files(settings: ServerSettings) -> CertificateFiles | None:
    """Return the configured files; None: no TLS.

    Raises:
        InvalidCertificatesError: a setting is there, another that it needs is not.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is not None and key is not None:
        return CertificateFiles(certificate=certificate, key=key, client_ca=client_ca)
    if certificate is None and key is None and client_ca is None:
        return None
    unset = [name for name, path in (("ONDECK_TLS_CERTIFICATE", certificate), ("ONDECK_TLS_KEY", key)) if path is None]
    raise InvalidCertificatesError(f"TLS needs a certificate and its key; unset: {' and '.join(unset)}")


def check_certificates(settings: ServerSettings) -> None:
    """Check the configured files.

    Raises:
        InvalidCertificatesError: one is invalid; the text names its setting.
    """
    files = certificate_files(settings)
    if files is not None:
        read_certificates(files)


def read_certificates(files: CertificateFiles) -> Certificates:
    """Read and check the files.

    Raises:
        InvalidCertificatesError: one is invalid; the text names its setting.
    """
    content = {name: _read(name, path) for name, path in files.each()}
    for name in content.keys() - {"ONDECK_TLS_KEY"}:
        _check_certificate(name, dict(files.each())[name], content[name])
    _check_key_pair(files)
    return Certificates(
        certificate=content["ONDECK_TLS_CERTIFICATE"],
        key=content["ONDECK_TLS_KEY"],
        client_ca=content.get("ONDECK_TLS_CLIENT_CA"),
    )


class CertificateReloader:
    """Reads the files again when they change; keeps the certificates in use while the new ones are invalid."""

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files for the first time.

        Raises:
            InvalidCertificatesError: one is invalid.
        """
        self._files = files
        self._stamps = self._file_stamps()
        self.initial = self._last = read_certificates(files)
        self._lock = threading.Lock()

    def reload_if_changed(self) -> Certificates | None:
        """Return the certificates if they differ from the last ones, else None; never raises."""
        with self._lock:
            stamps = self._file_stamps()
            if stamps == self._stamps:
                return None
            try:
                found = read_certificates(self._files)
            except InvalidCertificatesError as error:
                log.warning(
                    "certificates_rejected", detail="changed files are invalid, keep the old ones", reason=str(error)
                )
                self._stamps = stamps
                return None
            if stamps != self._file_stamps():  # another process is still writing them
                return None
            self._stamps = stamps
            changed = found != self._last
            self._last = found
            return found if changed else None

    def _file_stamps(self) -> list[tuple[int, int, int] | None]:
        return [_file_stamp(path) for _, path in self._files.each()]


def create_ssl_context(reloader: CertificateReloader, alpn_protocols: Sequence[str]) -> ssl.SSLContext:
    """Return a server context that reloads changed certificates at each handshake."""
    latest = _load_context(reloader.initial, alpn_protocols)

    def use_latest(connection: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> None:
        nonlocal latest
        changed = reloader.reload_if_changed()
        if changed is not None:
            latest = _load_context(changed, alpn_protocols)
        connection.context = latest

    first = _load_context(reloader.initial, alpn_protocols)
    first.sni_callback = use_latest
    return first


def _load_context(certificates: Certificates, alpn_protocols: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(alpn_protocols)
    file = os.memfd_create("certificate")  # the ssl module loads files only; load the bytes that were checked
    try:
        os.write(file, certificates.certificate + b"\n" + certificates.key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    if certificates.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=certificates.client_ca.decode("ascii", "ignore"))  # comments may be UTF-8
    return context


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidCertificatesError(f"{name}={path}: cannot be read ({error.strerror})") from error


def _check_certificate(name: str, path: Path, content: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise InvalidCertificatesError(f"{name}={path}: contains no certificate in PEM") from error


def _check_key_pair(files: CertificateFiles) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, password=lambda: "")
    except ssl.SSLError as error:
        is_mismatch = error.reason == "KEY_VALUES_MISMATCH"
        problem = (
            "is not the key of ONDECK_TLS_CERTIFICATE" if is_mismatch else "contains no unencrypted private key in PEM"
        )
        raise InvalidCertificatesError(f"ONDECK_TLS_KEY={files.key}: {problem}") from error
    except OSError as error:  # deleted or changed since it was read
        raise InvalidCertificatesError(f"ONDECK_TLS_KEY={files.key}: cannot be read ({error.strerror})") from error
