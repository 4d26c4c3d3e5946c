"""Real MCP servers behind the middleware, with whichever ``mcp`` (1.x, 2.x) and ``fastmcp`` are
installed: stateful and stateless, JSON and event streams. Clients sign by ``SignatureAuth`` and by
``mcpid connect``.
"""

import asyncio
import os
import socket
import threading
import time

import pytest

uvicorn = pytest.importorskip("uvicorn")

from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_clients import PAIRS, TWO, VARIANTS, connected, fastmcp_transport, over_http, plain_calls, sdk

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware

if TWO:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp_types import ToolAnnotations
else:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.types import ToolAnnotations

pytestmark = pytest.mark.filterwarnings("ignore")


def sdk_app(stateless, json):
    if TWO:
        server = MCPServer("fixture")
        add_tools(server, Context)
        return server.streamable_http_app(stateless_http=stateless, json_response=json)
    server = MCPServer("fixture", stateless_http=stateless, json_response=json)
    add_tools(server, Context)
    return server.streamable_http_app()


def fastmcp_app(stateless, json):
    fastmcp = pytest.importorskip("fastmcp")
    server = fastmcp.FastMCP("fixture")
    add_tools(server, fastmcp.Context)
    return server.http_app(path="/mcp", stateless_http=stateless, json_response=json)


def add_tools(server, context):
    def tool(**hints):
        return server.tool(annotations=ToolAnnotations(**hints))

    @tool(readOnlyHint=True)
    async def read_note(name: str) -> str:
        """Reads a note."""
        return f"note {name}"

    @tool(destructiveHint=True)
    async def delete_db(name: str) -> str:
        """Deletes a database."""
        return f"deleted {name}"

    @tool(readOnlyHint=True)
    async def fail(name: str) -> str:
        """Fails."""
        raise ValueError(f"no such thing: {name}")

    @tool(readOnlyHint=True)
    async def echo(text: str) -> str:
        """Says the same."""
        return text

    async def progress(steps: int, ctx) -> str:
        """Reports its progress."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
            await asyncio.sleep(0.01)
        return f"{steps} steps"

    progress.__annotations__["ctx"] = context
    tool(readOnlyHint=True)(progress)


APPS = {"sdk": sdk_app, "fastmcp": fastmcp_app}


class Served:
    """An MCP server behind the middleware, in a thread of this process."""

    def __init__(self, app, key, **settings):
        self.seen = []

        async def recorded(scope, receive, send):
            if scope["type"] == "http":
                identity = scope["mcp_identity"]
                self.seen.append((scope["method"], identity and identity.status))
            await app(scope, receive, send)

        self.socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.url = self.origin + "/mcp"
        guard = MCPIdentityMiddleware(
            recorded,
            InMemoryNonceStore(),
            trust=key.public_key,
            origin=self.origin,
            path="/mcp",
            dev=True,
            **settings,
        )
        # A pooled connection must not be closed while a request is on its way.
        config = uvicorn.Config(
            guard, log_level="warning", timeout_graceful_shutdown=1, timeout_keep_alive=60
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True
        )

    def __enter__(self):
        self.thread.start()
        until = time.monotonic() + 120
        while not self.server.started:
            assert time.monotonic() < until and self.thread.is_alive()
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(120)


def served(package, variant, key, **settings):
    """A server of this package and variant, such as ``stateful-sse``."""
    stateless, json = variant.startswith("stateless"), variant.endswith("json")
    return Served(APPS[package](stateless, json), key, **settings)


@pytest.mark.parametrize("package", APPS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_signing_client_does_everything(package, variant, key):
    async def run(url):
        for client in [client for client, other in PAIRS if other == variant]:
            async with client(url, key) as calls:
                steps = await calls.walk()
                assert variant.endswith("json") or steps == [(1, 3), (2, 3), (3, 3)]

    with served(package, variant, key) as server:
        asyncio.run(run(server.url))
    assert len(server.seen) > 25
    assert {status for _, status in server.seen} == {"verified"}


@pytest.mark.parametrize("package", APPS)
def test_a_plain_client_passes_once_if_it_signs(package, key, other):
    with served(package, "stateless-json", key) as server:
        plain_calls(server.url, key, other)
    assert server.seen == [("POST", "verified")]


@pytest.mark.parametrize("package", APPS)
def test_a_client_that_does_not_sign_is_refused(package, key, other):
    async def run(calls):
        with pytest.raises(BaseException):
            async with calls as session:
                await session.tools()

    with served(package, "stateless-json", key) as server:
        asyncio.run(run(over_http(server.url)))
        for client in (sdk, fastmcp_transport):
            asyncio.run(run(client(server.url, other)))
    assert server.seen == []


@pytest.mark.parametrize("package", APPS)
def test_destructive_tools_are_learned_from_a_real_server(package, key):
    async def run(url):
        async with over_http(url) as session:
            await session.tools()
            assert await session.call("read_note", {"name": "x"}) == ("note x", False)
        # The client of mcp 1.x ends its session when a call is refused.
        with pytest.raises(BaseException):
            async with over_http(url) as session:
                await session.call("delete_db", {"name": "x"})
                await asyncio.sleep(120)
        async with sdk(url, key) as session:
            assert await session.call("delete_db", {"name": "x"}) == ("deleted x", False)

    settings = {"mode": "permissive", "strict": ["destructive"]}
    for variant in ("stateless-sse", "stateless-json"):
        with served(package, variant, key, **settings) as server:
            asyncio.run(run(server.url))
        assert {status for _, status in server.seen} == {"unsigned", "verified"}


@pytest.mark.parametrize("package", APPS)
def test_the_bridge_signs_for_a_client(package, key, tmp_path):
    program = os.environ.get("MCPID_PROGRAM")
    if not program:
        pytest.skip("MCPID_PROGRAM does not name the program mcpid")
    keyfile = tmp_path / "key.json"
    key.save(keyfile, encrypt=False)

    async def run(url):
        server = StdioServerParameters(command=program, args=["connect", "-k", str(keyfile), url])
        async with connected(stdio_client(server)) as session:
            await session.walk()

    for variant in VARIANTS:
        with served(package, variant, key) as server:
            asyncio.run(run(server.url))
        assert {status for _, status in server.seen} == {"verified"}
