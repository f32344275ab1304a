"""`pinnace ask`: one question through the route, printed as it streams, then the route taken."""

import asyncio
import sys
from contextlib import aclosing
from typing import Annotated
from uuid import uuid4

import typer

from pinnace.cli.app import DEFAULT_PATH, ConfigOption, app, quiet_engines, read_config, stderr
from pinnace.config import Config
from pinnace.models.completion import Delta, Message, Request
from pinnace.router.answer import Answered
from pinnace.router.dispatch import Dispatcher


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help="The question.")],
    model: Annotated[str, typer.Option(help="'auto', or the fleet member that is to answer.")] = "auto",
    max_tokens: Annotated[int, typer.Option(min=1)] = 512,
    config: ConfigOption = DEFAULT_PATH,
) -> None:
    """Ask one question through the route; the answer on stdout, the route taken on stderr.

    Example: [bold]pinnace ask "What is the capital of France?"[/bold]
    """
    quiet_engines()
    request = Request((Message("user", prompt),), id=f"ask-{uuid4().hex}", max_tokens=max_tokens)
    asyncio.run(_ask(read_config(config), request, model))


async def _ask(config: Config, request: Request, model: str) -> None:
    dispatcher = Dispatcher.from_config(config)
    try:
        with stderr.status("starting the fleet (about half a minute)"):
            await dispatcher.start()
        chosen = await dispatcher.route(request, model)
        hold = dispatcher.hold_tokens
        async with aclosing(dispatcher.run(request, chosen, hold_tokens=hold, model=model)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    sys.stdout.write(event.text)
                    sys.stdout.flush()
                elif isinstance(event, Answered):
                    _report(event)
    finally:
        await dispatcher.drain()


def _report(answered: Answered) -> None:
    sys.stdout.write("\n")
    tried = " > ".join(attempt.model for attempt in answered.attempts)
    stderr.print(
        f"[dim]{tried}; {answered.why}; confidence {answered.confidence:.2f}, ${answered.cost_usd:.8f}[/dim]",
        highlight=False,
    )
