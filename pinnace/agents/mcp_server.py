"""Tools of an MCP server (Model Context Protocol, extra: `pinnace[mcp]`), as steps take them.

The server is a stranger: its schemas are bounded, its results cut as those of any tool, and what it asks of
its client (samples, roots, answers of a user) it does not get. Knows nothing of models and sessions.
"""

import asyncio
import importlib
import json
import re
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

from pinnace.agents.tool_schema import LONGEST_DESCRIPTION
from pinnace.agents.tools import MOST_BYTES, TIMEOUT_S, Tool
from pinnace.config import Limits
from pinnace.errors import AgentError, RequestError, StepError, ToolArgumentsError
from pinnace.models.json_fit import fits
from pinnace.models.json_schema import check_schema
from pinnace.models.short_line import error_line, first_error, short_line

Server: TypeAlias = str | list[str] | object
"""An address (`http://…/mcp`), the words of a command that talks over its standard input and output, or an
`MCPServer` of the `mcp` package in this process."""
MOST_TOOLS = 128
LEAVE_S = 5.0
"""How long a server may take to say goodbye."""
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_SECRET = re.compile(r"//[^/@]*@")


class McpError(Exception):
    """What a server says has gone wrong with a call."""


@asynccontextmanager
async def mcp_tools(
    server: Server,
    *,
    only: Collection[str] = (),
    prefix: str = "",
    timeout_s: float = TIMEOUT_S,
    most_bytes: int = MOST_BYTES,
) -> AsyncGenerator[tuple[Tool, ...], None]:
    """The tools of an MCP server, for steps that are asked while the block lasts.

    A model knows a tool by `prefix` and its name there, with `_` for what a name may not have.

    :param only: the names of those that are wanted; all where it is empty.
    :param timeout_s: what connecting may take until the tools are known, and one call of a tool, in seconds.
    :param most_bytes: what of a result is kept, in bytes of UTF-8.
    :raises AgentError: when the server cannot be reached, or says something else than its tools.
    :raises StepError: when a tool of `only` is not there, two come to one name, or one has a schema that no
        model can be told.
    """
    told = _told(server)
    async with _connected(server, timeout_s) as (client, listed):
        names = [each.name for each in listed]
        only = (only,) if isinstance(only, str) else only
        if missing := sorted(set(only) - set(names)):
            raise StepError(f"MCP server {told}: expected a tool {missing[0]!r}, it has {', '.join(names)}")
        wanted = [each for each in listed if not only or each.name in only]
        _check_apart(told, prefix, [each.name for each in wanted])
        yield tuple(_tool(client, each, prefix, timeout_s, most_bytes) for each in wanted)


@asynccontextmanager
async def _connected(server: Server, timeout_s: float) -> AsyncGenerator[tuple[Any, list[Any]], None]:
    """A client and what its server offers.

    The client lives in a task of its own: it makes groups of the errors that pass through it.
    """
    ready: asyncio.Future[tuple[Any, list[Any]]] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def keep() -> None:
        async with _client(server, timeout_s) as client:
            ready.set_result((client, await _listed(client)))
            await over.wait()

    keeper = asyncio.create_task(keep())
    try:
        await asyncio.wait({keeper, ready}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise _unreached(server, keeper, timeout_s)
        yield ready.result()
    finally:
        over.set()
        if ready.done():
            await asyncio.wait({keeper}, timeout=LEAVE_S)
        keeper.cancel()
        await asyncio.wait({keeper}, timeout=LEAVE_S)


def _unreached(server: Server, keeper: "asyncio.Task[None]", timeout_s: float) -> AgentError:
    """Why there are no tools: the client's own error, or that it took too long."""
    expected = f"MCP server {_told(server)}: expected its tools"
    error = keeper.exception() if keeper.done() else None
    if error is None:
        return AgentError(f"{expected} within {timeout_s:g} s, got none")
    if isinstance(error, AgentError):
        return error
    return AgentError(f"{expected}, got {error_line(first_error(error))}")


def _client(server: Server, timeout_s: float) -> Any:
    try:
        mcp: Any = importlib.import_module("mcp")
    except ImportError:
        raise AgentError("tools of MCP servers need `pip install pinnace[mcp]`") from None
    if isinstance(server, list):
        command, *arguments = cast(list[str], server)
        server = mcp.StdioServerParameters(command=command, args=arguments)
    return mcp.Client(server, read_timeout_seconds=timeout_s)


async def _listed(client: Any) -> list[Any]:
    """What the server offers, page by page."""
    page = await client.list_tools()
    found: list[Any] = list(page.tools)
    while page.next_cursor and len(found) <= MOST_TOOLS:
        page = await client.list_tools(cursor=page.next_cursor)
        found += page.tools
    if len(found) > MOST_TOOLS:
        raise McpError(f"more than {MOST_TOOLS} of them")
    return found


def _named(prefix: str, name: str) -> str:
    return _ODD.sub("_", f"{prefix}{name}")


def _check_apart(told: str, prefix: str, names: list[str]) -> None:
    """Refuse tools that a model could not tell apart.

    :raises StepError: names two of them.
    """
    known: dict[str, str] = {}
    for name in names:
        called = _named(prefix, name)
        if called in known:
            raise StepError(
                f"MCP server {told}: its tools {known[called]!r} and {name!r} would both be called "
                f"{called!r}: leave one out with `only`"
            )
        known[called] = name


def _tool(client: Any, listed: Any, prefix: str, timeout_s: float, most_bytes: int) -> Tool:
    name = _named(prefix, listed.name)
    if not 1 <= len(name) <= 64:
        raise StepError(
            f"MCP tool {listed.name!r:.100}: expected a name of 1 to 64 characters, got {len(name)}"
        )
    schema: dict[str, Any] = listed.input_schema
    try:
        check_schema(schema, f"MCP tool {name!r}", Limits())
    except RequestError as error:
        raise StepError(f"{error}: leave it out with `only`") from None

    def parse(arguments: str) -> dict[str, Any]:
        return _parsed(name, arguments, schema)

    async def run(**given: Any) -> str:
        return _text(await client.call_tool(listed.name, given))

    description = short_line(listed.description or "", LONGEST_DESCRIPTION)
    return Tool(name, description, schema, timeout_s, most_bytes, _run=run, _parse=parse)


def _parsed(name: str, arguments: str, schema: dict[str, Any]) -> dict[str, Any]:
    try:
        given: Any = json.loads(arguments)
        json.dumps(given, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise ToolArgumentsError(name, f"expected JSON, got {short_line(arguments)!r} ({error})") from None
    if not isinstance(given, dict) or not fits(given, schema):
        expected = short_line(json.dumps(schema))
        raise ToolArgumentsError(name, f"expected what fits {expected}, got {short_line(arguments)!r}")
    return cast(dict[str, Any], given)


def _text(result: Any) -> str:
    """What the server says, as text; what is none is only named.

    :raises McpError: where it says that the call failed.
    """
    said = "\n".join(_piece(each) for each in result.content)
    if not said and result.structured_content is not None:
        said = json.dumps(result.structured_content, ensure_ascii=False)
    if result.is_error:
        raise McpError(said)
    return said


def _piece(block: Any) -> str:
    if block.type == "text":
        return block.text
    return f"[{block.type} left out]"


def _told(server: Server) -> str:
    """The server as errors name it, without what an address or a command may keep secret."""
    if isinstance(server, str):
        return repr(_SECRET.sub("//", server.partition("?")[0])[:200])
    return repr(cast(list[str], server)[:1]) if isinstance(server, list) else type(server).__name__
