"""`ondeck up`."""

import asyncio
from pathlib import Path

import click

from ondeck_cli.up.stack import Stack
from ondeck_ingest.settings import IngestSettings
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import read_settings


@click.command()
@click.option("--simulate", is_flag=True, help="Play a labelled simulated game day through ingest; touches no network.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long that day takes.")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
@click.option("--database-url", help="A PostgreSQL server instead of the embedded one (ONDECK_DATABASE_URL).")
@click.option(
    "--model-repository", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODEL_REPOSITORY)."
)
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port, 0 for any free one (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages, 0 for any free one (ONDECK_ADMIN_PORT).")
def up(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Run everything on this machine until Ctrl-C or SIGTERM: database, models, gRPC server, ingest worker."""
    settings = read_settings(ServerSettings, **flags)
    read_settings(IngestSettings)  # what the ingest worker would refuse is refused here, before anything starts
    everything = Stack(
        settings,
        log_words=_log_words(**click.get_current_context().find_root().params),
        simulate=["--simulate", "--seconds", str(seconds)] if simulate else [],
    )
    asyncio.run(everything.run())


def _log_words(log_level: str, log_format: str | None) -> list[str]:
    return ["--log-level", log_level, "--log-format", log_format or "text"]
