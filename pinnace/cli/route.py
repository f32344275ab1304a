"""`pinnace route`: explain a decision without running a model."""

import asyncio
from typing import Annotated

import typer

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    app,
    console,
    print_json,
    quiet_engines,
    read_config,
)
from pinnace.config import Config
from pinnace.models.completion import Message, Request
from pinnace.models.fleet import Fleet
from pinnace.router.dispatch import make_router
from pinnace.router.explain import as_json, explain
from pinnace.router.route import Route


@app.command()
def route(
    prompt: Annotated[str, typer.Argument(help="The request to explain.")],
    json: JsonOption = False,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """Explain how a request would be routed, without running a model.

    Example: [bold]pinnace route "What is the capital of France?"[/bold]
    """
    quiet_engines()
    chosen = asyncio.run(_route(read_config(config), prompt))
    if json:
        print_json(as_json(chosen))
    else:
        console.print(explain(chosen), highlight=False, markup=False, soft_wrap=True)


async def _route(config: Config, prompt: str) -> Route:
    router = make_router(config)
    cards = [backend.card for backend in Fleet.from_config(config).backends.values()]
    router.start()
    try:
        return await router.route(Request((Message("user", prompt),)), cards)
    finally:
        router.stop()
