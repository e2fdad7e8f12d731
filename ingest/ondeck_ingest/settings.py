"""Settings of the ingest worker."""

from pydantic import Field

from ondeck_store.settings import StoreSettings


class IngestSettings(StoreSettings):
    """Where Statcast is asked for, and how patiently."""

    savant_url: str = Field(
        default="https://baseballsavant.mlb.com", pattern=r"^https?://.+", description="root address of Baseball Savant"
    )
    savant_timeout: float = Field(default=120, gt=0, le=3600, description="seconds a request to Savant may take")
    chadwick_url: str = Field(
        default="https://github.com/chadwickbureau/register/archive/refs/heads/master.zip",
        pattern=r"^https?://.+",
        description="address of the Chadwick register, as a ZIP archive",
    )
    savant_attempts: int = Field(default=3, ge=1, le=20, description="requests for a day before it counts as failed")
    breaker_failures: int = Field(
        default=6, ge=1, le=1000, description="failed requests in a row after which Savant is left alone"
    )
    breaker_seconds: float = Field(default=300, gt=0, le=86400, description="seconds for which it is left alone then")
    lookback_days: int = Field(default=7, ge=1, le=366, description="days before today that the worker keeps complete")
    poll_seconds: float = Field(default=900, gt=0, le=86400, description="seconds between two looks at the calendar")
    correction_days: int = Field(
        default=14, ge=0, le=366, description="days before today that are asked for again once a day"
    )
    job_attempts: int = Field(default=8, ge=1, le=100, description="times a queued day is tried before it is given up")
    heartbeat_seconds: float = Field(
        default=60, ge=1, le=3600, description="seconds of silence after which other workers take a worker's days"
    )
