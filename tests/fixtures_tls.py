"""Certificates for tests: an authority of the tests' own, and what it signed, as files."""

from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates, and writes them into a folder."""

    def __init__(self, folder: Path) -> None:
        self._signing = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._signing.cert_pem.write_to_path(str(self.file))

    def sign(self, *names: str, common_name: str | None = None) -> Pair:
        """Make a certificate for hosts, addresses or mail addresses."""
        made = self._signing.issue_cert(*names, common_name=common_name)
        pair = Pair(certificate=self._folder / f"{names[0]}.pem", key=self._folder / f"{names[0]}.key")
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(pair.key))
        return pair

    def credentials(self, own: Pair | None = None) -> grpc.ChannelCredentials:
        """Trust this authority, and show a certificate of one's own, if there is one."""
        shown = None if own is None else (own.key.read_bytes(), own.certificate.read_bytes())
        return grpc.ssl_channel_credentials(self.file.read_bytes(), *(shown or (None, None)))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def strange_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that nobody was told to trust."""
    return Authority(tmp_path_factory.mktemp("strange_authority"))
