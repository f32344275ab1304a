"""`pinnace rate`: say how good a served answer was."""

from typing import Annotated

import typer

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, JsonOption, app, console, print_json, read_config
from pinnace.errors import ConfigError, PinnaceError
from pinnace.router.ledger import Ledger, has_request


@app.command()
def rate(
    request_id: Annotated[str, typer.Argument(help="The answer, by its `id`.")],
    rating: Annotated[float, typer.Argument(min=0, max=1, help="From 0 (useless) to 1 (right).")],
    comment: Annotated[
        str | None, typer.Option(help="Kept only where the ledger stores text (ledger.store_text).")
    ] = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Rate the answer to a served request, for `pinnace fit --from-ledger`; the last rating counts.

    Example: [bold]pinnace rate chatcmpl-7f3a 1[/bold]
    """
    settings = read_config(config).ledger
    if not has_request(settings.path, request_id):
        raise ConfigError(f"{settings.path}: expected the id of a served request, got {request_id!r}")
    ledger = Ledger(settings.path, store_text=settings.store_text)
    ledger.start()
    ledger.rate(request_id, rating, comment)
    ledger.stop()
    if ledger.dropped:
        raise PinnaceError(f"{settings.path}: the rating could not be written")
    if json:
        print_json({"request_id": request_id, "rating": rating})
        return
    console.print(f"{request_id} is rated {rating:g}", highlight=False)
