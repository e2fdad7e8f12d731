"""Settings of the server."""

from pathlib import Path
from typing import Final

from pydantic import Field

from ondeck_server.cores import cores
from ondeck_store.settings import StoreSettings

ROWS_A_RUN: Final = 256  # a run of so many takes a few milliseconds, in which nobody else is answered


class ServerSettings(StoreSettings):
    """Where the models are, where to listen, and how much to take on."""

    models: Path = Field(default=Path("onnx_models"), description="folder of the model repository")
    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="address to listen on; 0.0.0.0: every one")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port; 0: any free one")
    admin_port: int = Field(default=8080, ge=0, le=65535, description="HTTP port of the admin pages; 0: any free one")
    processes: int = Field(
        default_factory=cores, ge=1, le=1024, description="processes that answer calls; unset: one for each core"
    )
    notice_seconds: float = Field(
        default=1, ge=0, le=600, description="seconds between saying NOT_SERVING at shutdown and taking no more calls"
    )
    drain_seconds: float = Field(default=10, ge=0, le=600, description="seconds that calls in flight get at shutdown")
    max_message_mb: int = Field(default=16, ge=1, le=512, description="largest message taken, in MiB")
    connection_age_seconds: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="seconds after which a connection takes no more calls, so that clients spread anew; 0: no limit",
    )
    players_refresh_seconds: float = Field(
        default=300, gt=0, le=86400, description="seconds between two looks for new players in the database"
    )
    max_waiting_rows: int = Field(
        default=100_000, ge=ROWS_A_RUN, description="rows of one model that may wait for a run"
    )
