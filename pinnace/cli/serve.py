"""`pinnace serve`: start the fleet and the endpoint."""

from functools import partial
from typing import Annotated

import typer

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, app, read_config


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Where to listen; router.yaml's server.host by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; router.yaml's server.port by default.")
    ] = None,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """Start the fleet and the OpenAI-compatible endpoint.

    Example: [bold]pinnace serve --port 9000[/bold]
    """
    from pinnace.router.dispatch import Dispatcher
    from pinnace.server.logs import set_up_logging
    from pinnace.server.serving import Source, run_server

    set_up_logging()
    found = read_config(config)
    chosen = {"host": host, "port": port}
    server = found.server.model_copy(
        update={key: value for key, value in chosen.items() if value is not None}
    )
    source = Source(found, partial(read_config, config))
    raise SystemExit(run_server(Dispatcher.from_config(found), server, source))
