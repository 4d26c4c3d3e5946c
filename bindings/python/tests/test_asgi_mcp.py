"""Real MCP servers behind the middleware, with whichever ``mcp`` (1.x, 2.x) and ``fastmcp`` are
installed: stateful and stateless, JSON and event streams. Clients sign by ``SignatureAuth`` and by
``mcpid connect``.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time

import pytest

pytest.importorskip("mcp")
uvicorn = pytest.importorskip("uvicorn")

from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware
from mcpid_attest.client import SignatureAuth

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.server.mcpserver import Context, MCPServer
    from mcp_types import ToolAnnotations

    TWO = True
except ImportError:
    import httpx
    from mcp import ClientSession
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.types import ToolAnnotations

    TWO = False

pytestmark = pytest.mark.filterwarnings("ignore")

# 100 kB of UTF-8 with two, three and four bytes a character.
LONG = "пять ☃ 字 𝄞 " * 4546
VARIANTS = [(stateless, json) for stateless in (False, True) for json in (False, True)]


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
        config = uvicorn.Config(guard, log_level="warning", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True
        )

    def __enter__(self):
        self.thread.start()
        until = time.monotonic() + 30
        while not self.server.started:
            assert time.monotonic() < until and self.thread.is_alive()
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)


class Session:
    """The same few calls on both major versions."""

    def __init__(self, inner):
        self.inner = inner

    async def tools(self):
        return sorted(tool.name for tool in (await self.inner.list_tools()).tools)

    async def call(self, name, arguments, **options):
        result = await self.inner.call_tool(name, arguments, **options)
        failed = result.is_error if TWO else result.isError
        return "".join(part.text for part in result.content), bool(failed)


@contextlib.asynccontextmanager
async def connected(transport, mode=None):
    async with contextlib.AsyncExitStack() as stack:
        if TWO:
            client = await stack.enter_async_context(Client(transport, mode=mode or "auto", cache=None))
            yield Session(client)
            return
        read, write = (await stack.enter_async_context(transport))[:2]
        session = await stack.enter_async_context(ClientSession(read, write))
        await session.initialize()
        yield Session(session)


@contextlib.asynccontextmanager
async def over_http(url, auth, mode=None):
    async with httpx.AsyncClient(auth=auth, timeout=30, trust_env=False) as client:
        async with connected(streamable_http_client(url, http_client=client), mode) as session:
            yield session


async def walk(session):
    """Every kind of call: list, read, destructive call, error, progress, long text, 20 at once."""
    assert await session.tools() == ["delete_db", "echo", "fail", "progress", "read_note"]
    assert await session.call("read_note", {"name": "x"}) == ("note x", False)
    assert await session.call("delete_db", {"name": "x"}) == ("deleted x", False)
    assert (await session.call("fail", {"name": "x"}))[1]
    steps = []

    async def progress(done, total, message=None):
        steps.append((int(done), int(total)))

    answer = await session.call("progress", {"steps": 3}, progress_callback=progress)
    assert answer == ("3 steps", False)
    assert await session.call("echo", {"text": LONG}) == (LONG, False)
    calls = (session.call("echo", {"text": f"{number}"}) for number in range(20))
    assert await asyncio.gather(*calls) == [(f"{number}", False) for number in range(20)]
    return steps


@pytest.mark.parametrize("package", APPS)
@pytest.mark.parametrize("stateless, json", VARIANTS)
def test_a_signing_client_does_everything(package, stateless, json, key):
    async def run(url):
        for mode in ("auto", "legacy") if TWO else (None,):
            async with over_http(url, SignatureAuth(key), mode) as session:
                steps = await walk(session)
                assert json or steps == [(1, 3), (2, 3), (3, 3)]

    with Served(APPS[package](stateless, json), key) as served:
        asyncio.run(run(served.url))
    assert len(served.seen) > 25
    assert {status for _, status in served.seen} == {"verified"}


@pytest.mark.parametrize("package", APPS)
def test_a_client_that_does_not_sign_is_refused(package, key, other):
    async def run(url, auth):
        with pytest.raises(BaseException):
            async with over_http(url, auth) as session:
                await session.tools()

    with Served(APPS[package](True, True), key) as served:
        asyncio.run(run(served.url, None))
        asyncio.run(run(served.url, SignatureAuth(other)))
    assert served.seen == []


@pytest.mark.parametrize("package", APPS)
def test_destructive_tools_are_learned_from_a_real_server(package, key):
    async def run(url):
        async with over_http(url, None) as session:
            await session.tools()
            assert await session.call("read_note", {"name": "x"}) == ("note x", False)
        # The client of mcp 1.x ends its session when a call is refused.
        with pytest.raises(BaseException):
            async with over_http(url, None) as session:
                await session.call("delete_db", {"name": "x"})
                await asyncio.sleep(5)
        async with over_http(url, SignatureAuth(key)) as session:
            assert await session.call("delete_db", {"name": "x"}) == ("deleted x", False)

    settings = {"mode": "permissive", "strict": ["destructive"]}
    for json in (False, True):
        with Served(APPS[package](True, json), key, **settings) as served:
            asyncio.run(run(served.url))
        assert {status for _, status in served.seen} == {"unsigned", "verified"}


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
            await walk(session)

    for stateless, json in VARIANTS:
        with Served(APPS[package](stateless, json), key) as served:
            asyncio.run(run(served.url))
        assert {status for _, status in served.seen} == {"verified"}
