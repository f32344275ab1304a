"""Tools of MCP servers: real ones of the `mcp` package, in this process, behind a pipe and at an address."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from pinnace.agents import ScriptedFleet, Step, mcp_server, mcp_tools
from pinnace.agents.scripted_fleet import Say
from pinnace.errors import AgentError, StepError, ToolArgumentsError, ToolFailedError, ToolTimeoutError


def weather_server() -> MCPServer:
    server = MCPServer("weather")

    @server.tool()
    def weather(city: str, days: int = 1) -> str:
        """The weather of a city."""
        return f"{city}: rain for {days} d"

    @server.tool(name="weather.warn")
    def warn(city: str) -> str:
        """Never works."""
        raise ToolError(f"no warnings for {city}")

    @server.tool()
    def archive() -> str:
        """All that ever was."""
        return "rain\n" * 100_000

    @server.tool()
    async def forecast() -> str:
        """Takes its time."""
        await asyncio.sleep(60)
        return "sun"

    return server


PIPED = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo")


@server.tool()
def echo(text: str) -> str:
    return text


server.run("stdio")
"""


async def test_a_step_uses_the_tools_of_a_server() -> None:
    fleet = ScriptedFleet(
        Say(calls={"weather": '{"city": "Bergen", "days": 2}'}), Say("Take an umbrella.", when="rain for 2 d")
    )
    async with mcp_tools(weather_server(), only=["weather"]) as tools, fleet.session() as run:
        step = Step("Answer.", tools=tools)
        assert await run.ask(step, "What is it like in Bergen?") == "Take an umbrella."
    offered = fleet.requests[0].tools[0]["function"]
    assert (offered["name"], offered["description"]) == ("weather", "The weather of a city.")
    assert offered["parameters"]["required"] == ["city"]
    assert [span.kind for span in run.trace.spans()].count("tool") == 1


async def test_names_are_made_such_as_models_can_call() -> None:
    async with mcp_tools(weather_server(), prefix="met_") as tools:
        assert [each.name for each in tools] == [
            "met_weather",
            "met_weather_warn",
            "met_archive",
            "met_forecast",
        ]


@pytest.mark.parametrize(
    ("arguments", "got"),
    [("{}", "got '{}'"), ('{"city": 3}', "city"), ("[1]", "got '[1]'"), ("{", "expected JSON, got '{'")],
)
async def test_arguments_that_do_not_fit_never_reach_the_server(arguments: str, got: str) -> None:
    async with mcp_tools(weather_server()) as (weather, *_):
        with pytest.raises(ToolArgumentsError, match=r"weather") as refused:
            await weather.call(arguments)
    assert got in str(refused.value)


async def test_what_goes_wrong_there_is_an_error_here() -> None:
    async with mcp_tools(weather_server(), timeout_s=5) as (_, warn, *_):
        with pytest.raises(ToolFailedError, match="no warnings for Oslo"):
            await warn.call('{"city": "Oslo"}')


async def test_a_tool_that_hangs_is_given_up() -> None:
    async with mcp_tools(weather_server(), timeout_s=0.5) as (*_, forecast):
        with pytest.raises((ToolTimeoutError, ToolFailedError)):
            await forecast.call("{}")


async def test_a_result_of_half_a_megabyte_is_cut() -> None:
    async with mcp_tools(weather_server(), most_bytes=10_000) as (_, _, archive, _):
        said = await archive.call("{}")
    assert len(said) < 10_100
    assert said.endswith("of 500000 bytes left out]")


async def test_tools_that_come_to_one_name_are_named() -> None:
    server = MCPServer("twins")
    for name in ("a.b", "a_b"):
        server.add_tool(lambda: "", name=name, description="One of two.")
    with pytest.raises(StepError, match=r"'a\.b' and 'a_b' would both be called 'a_b'"):
        async with mcp_tools(server):
            pass
    async with mcp_tools(server, only="a_b", prefix="it's ") as (tool,):
        assert tool.name == "it_s_a_b"


async def test_arguments_that_json_does_not_have_are_refused() -> None:
    server = MCPServer("numbers")

    @server.tool()
    def half(of: float) -> float:
        return of / 2

    async with mcp_tools(server) as (half_of,):
        with pytest.raises(ToolArgumentsError):
            await half_of.call('{"of": 1e999}')
        assert await half_of.call('{"of": 3}') == "1.5"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a connection, and says nothing."""
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(8):
            with pytest.raises(AgentError, match=r"within 0\.5 s, got none") as refused:
                async with mcp_tools(f"http://me:secret@127.0.0.1:{port}/mcp?key=secret", timeout_s=0.5):
                    pass
    assert "secret" not in str(refused.value)


async def test_a_server_that_does_not_say_goodbye_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_server, "LEAVE_S", 0.2)
    app = weather_server().streamable_http_app()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") == "DELETE":
            await asyncio.sleep(60)
        await app(scope, receive, send)

    async with served(deaf) as url, asyncio.timeout(20), mcp_tools(url, only=["weather"]) as (weather,):
        assert await weather.call('{"city": "Oslo"}') == "Oslo: rain for 1 d"


async def test_a_tool_that_is_not_there_is_named() -> None:
    with pytest.raises(StepError, match=r"expected a tool 'snow', it has weather, weather\.warn"):
        async with mcp_tools(weather_server(), only=["snow"]):
            pass


async def test_an_error_within_the_block_is_not_the_servers() -> None:
    with pytest.raises(KeyError):
        async with mcp_tools(weather_server()):
            raise KeyError("mine")


async def test_a_server_behind_a_pipe(tmp_path: Path) -> None:
    script = tmp_path / "echo.py"
    script.write_text(PIPED)
    async with mcp_tools([sys.executable, str(script)]) as (echo,):
        assert await echo.call('{"text": "; rm -rf $HOME"}') == "; rm -rf $HOME"


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[str, None]:
    """The app at an address of this machine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        task = asyncio.create_task(running.serve([listening]))
        try:
            while not running.started:  # noqa: ASYNC110 (uvicorn has no event for it)
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            running.should_exit = True
            await task


async def test_a_server_at_an_address() -> None:
    async with (
        served(weather_server().streamable_http_app()) as url,
        mcp_tools(url, only=["weather"]) as (weather,),
    ):
        assert await weather.call('{"city": "Oslo"}') == "Oslo: rain for 1 d"


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1/mcp", ["/no/such/command"], [sys.executable, "-c", "print('hello')"]]
)
async def test_what_is_no_server_is_named(server: Any) -> None:
    with pytest.raises(AgentError, match="expected its tools, got") as refused:
        async with mcp_tools(server, timeout_s=5):
            pass
    assert str(server)[:20] in str(refused.value)
