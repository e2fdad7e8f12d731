"""Settings of the commands that talk to a running server, and of the one that runs everything."""

from typing import Final

from pydantic import Field

from ondeck_store.settings import StoreSettings

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  compared with, not listened on


class CallerSettings(StoreSettings):
    """Where the server is."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address of the server")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port of the server")

    @property
    def target(self) -> str:
        """Where to connect; a server that listens on every address is asked on this machine."""
        return f"{_EVERY_ADDRESS.get(self.host, self.host)}:{self.port}"
