"""`ondeck serve`."""

from pathlib import Path

import click
import uvloop

from ondeck_server.main import Started
from ondeck_server.main import serve as run
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import read_settings


@click.command()
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port, 0 for any free one (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages, 0 for any free one (ONDECK_ADMIN_PORT).")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder, for its database of players (ONDECK_HOME).")
@click.option("--database-url", help="A PostgreSQL server with the players (ONDECK_DATABASE_URL).")
@click.option("--models", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODELS).")
@click.option(
    "--versions", help="Versions to load beside those with an alias, as latest:2 or whiff=all (ONDECK_VERSIONS)."
)
def serve(**flags: object) -> None:
    """Serve the models over gRPC, with health, reflection and admin pages, until SIGTERM."""
    uvloop.run(run(read_settings(ServerSettings, **flags), _tell))


def _tell(started: Started) -> None:
    what = ", ".join(started.serving) or "nothing"
    click.echo(f"serving {what} on {started.address}; admin pages on {started.admin}")
    for reason in started.missing:
        click.echo(f"not ready: {reason}", err=True)
