"""Settings of the ingest worker."""

from datetime import timedelta
from typing import Final

from pydantic import Field

from ondeck_store.settings import StoreSettings

LOOKUP_INTERVAL: Final = timedelta(days=1)  # until a missing player is looked up in the registers again


class IngestSettings(StoreSettings):
    """Sources, retries and schedule of ingest."""

    savant_url: str = Field(
        default="https://baseballsavant.mlb.com", pattern=r"^https?://.+", description="base URL of Baseball Savant"
    )
    savant_timeout: float = Field(default=120, gt=0, le=3600, description="timeout of a request to Savant, in seconds")
    chadwick_url: str = Field(
        default="https://github.com/chadwickbureau/register/archive/refs/heads/master.zip",
        pattern=r"^https?://.+",
        description="URL of the Chadwick register, a ZIP archive",
    )
    savant_attempts: int = Field(default=3, ge=1, le=20, description="requests for a day before it counts as failed")
    breaker_failures: int = Field(
        default=6, ge=1, le=1000, description="consecutive failed requests that open the circuit breaker of a source"
    )
    breaker_reset_seconds: float = Field(
        default=300, gt=0, le=86400, description="seconds that the circuit breaker stays open"
    )
    lookback_days: int = Field(default=7, ge=1, le=366, description="days before today that the worker keeps complete")
    schedule_interval_seconds: float = Field(
        default=900, gt=0, le=86400, description="seconds between runs of the scheduler"
    )
    refetch_days: int = Field(
        default=14, ge=0, le=366, description="days before today that are fetched again once a day"
    )
    job_attempts: int = Field(default=8, ge=1, le=100, description="attempts of a queued job before it is dead")
    ingest_admin_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="HTTP port on 127.0.0.1 for metrics and health of the ingest worker; 0: any free port",
    )
    heartbeat_timeout_seconds: float = Field(
        default=60, ge=1, le=3600, description="seconds without a heartbeat after which a worker's jobs are requeued"
    )
