"""The signing client with real MCP packages, through the gateway: what each call brings home.

Run with MCPID_PROGRAM naming the program, in an environment that has mcp 1.x with fastmcp 3, or mcp 2.x
with fastmcp 4.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asgi_harness import free_port
from fastmcp import Client as FastMCPClient
from fastmcp.client.transports import StreamableHttpTransport

from mcpid_attest import SignatureAuth, SigningKey, SigningTransport

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    TWO = True
except ImportError:
    import httpx  # type: ignore[no-redef]
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    TWO = False

PEERS = Path(__file__).resolve().parents[3] / "tests" / "peers" / "servers"
VARIANTS = ["stateful-sse", "stateful-json", "stateless-sse", "stateless-json"]
# 100 kB of UTF-8, of which only the spaces are ASCII.
LONG = "пять ☃ 字 𝄞 " * 4546


@dataclass
class Server:
    """A real MCP server in four variants, and a strict gateway before each."""

    urls: dict[str, str]
    record: Path

    def statuses(self) -> set[Any]:
        """What the gateway said of each request that reached the endpoint."""
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        heads = [line for line in lines if line["kind"] == "head" and line["target"] == "/mcp"]
        return {value for head in heads for name, value in head["headers"] if name == "mcpid-status"}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, key: SigningKey, settled_store: str
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mcp")
    trust, record = folder / "trust.json", folder / "record"
    trust.write_text(key.public_key.jwks())
    trust.chmod(0o644)
    with contextlib.ExitStack() as stack:
        def start(name: str, *command: object, **options: Any) -> subprocess.Popen[bytes]:
            log = stack.enter_context(open(folder / f"{name}.log", "wb"))
            process = subprocess.Popen([str(word) for word in command], stderr=log, cwd=folder, **options)
            stack.callback(process.wait, 15)
            stack.callback(process.terminate)
            return process

        mcp = start("server", sys.executable, PEERS / "server.py", "mcp", record,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert mcp.stdout is not None
        upstreams, urls = json.loads(mcp.stdout.readline()), {}
        for variant in VARIANTS:
            port = free_port()
            urls[variant] = f"http://127.0.0.1:{port}/mcp"
            start(variant, os.environ["MCPID_PROGRAM"], "gateway", "--listen", f"127.0.0.1:{port}",
                  "--upstream", upstreams[variant], "--origin", f"http://127.0.0.1:{port}",
                  "-r", trust, "--nonces", settled_store, stdout=subprocess.DEVNULL)
        for url in urls.values():
            for _ in range(200):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))).close()
                    break
                time.sleep(0.05)
        yield Server(urls, record)


class Calls:
    """The same few calls, whichever package makes them."""

    def __init__(self, session: Any) -> None:
        self.session, self.is_fastmcp = session, isinstance(session, FastMCPClient)

    async def tools(self) -> set[str]:
        listed = await self.session.list_tools()
        return {tool.name for tool in (listed if self.is_fastmcp else listed.tools)}

    async def call(self, tool: str, arguments: dict[str, Any], progress: Any = None) -> tuple[str, bool]:
        if self.is_fastmcp:
            answer = await self.session.call_tool(
                tool, arguments, raise_on_error=False, progress_handler=progress)
            failed = answer.is_error
        else:
            answer = await self.session.call_tool(tool, arguments, progress_callback=progress)
            failed = answer.is_error if TWO else answer.isError
        return "".join(part.text for part in answer.content), bool(failed)


@contextlib.asynccontextmanager
async def sdk_auth(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    if TWO:
        async with httpx.AsyncClient(auth=SignatureAuth(key), timeout=30) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                yield Calls(client)
        return
    async with streamablehttp_client(url, auth=SignatureAuth(key)) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield Calls(session)


@contextlib.asynccontextmanager
async def sdk_transport(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    inner = SigningTransport(httpx.AsyncHTTPTransport(), key, origin=url.removesuffix("/mcp"))
    if TWO:
        async with httpx.AsyncClient(transport=inner, follow_redirects=True, timeout=30) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                yield Calls(client)
        return

    def factory(headers: Any = None, timeout: Any = None, auth: Any = None) -> Any:
        return httpx.AsyncClient(transport=inner, headers=headers, timeout=timeout, follow_redirects=True)

    async with streamablehttp_client(url, httpx_client_factory=factory) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            yield Calls(session)


@contextlib.asynccontextmanager
async def fastmcp_auth(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    async with FastMCPClient(url, auth=SignatureAuth(key)) as client:
        yield Calls(client)


@contextlib.asynccontextmanager
async def fastmcp_transport_auth(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    async with FastMCPClient(StreamableHttpTransport(url, auth=SignatureAuth(key))) as client:
        yield Calls(client)


CLIENTS = [sdk_auth, sdk_transport, fastmcp_auth, fastmcp_transport_auth]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_signing_client_gets_what_it_asks_for(
    server: Server, key: SigningKey, client: Any, variant: str
) -> None:
    steps: list[tuple[float, float | None]] = []

    async def progress(done: float, total: float | None, message: str | None = None) -> None:
        steps.append((done, total))

    async def walk() -> None:
        async with client(server.urls[variant], key) as calls:
            assert {"read_note", "delete_db", "fail", "progress", "echo"} <= await calls.tools()
            assert await calls.call("read_note", {"name": "a"}) == ("note a", False)
            assert await calls.call("delete_db", {"name": "b"}) == ("deleted b", False)
            assert (await calls.call("fail", {"name": "c"}))[1] is True
            assert await calls.call("progress", {"steps": 3}, progress) == ("3 steps", False)
            assert await calls.call("echo", {"text": LONG}) == (LONG, False)
            answers = await asyncio.gather(*(calls.call("echo", {"text": f"{i}"}) for i in range(20)))
            assert [text for text, _ in answers] == [f"{i}" for i in range(20)]

    asyncio.run(asyncio.wait_for(walk(), 60))
    if variant.endswith("sse"):
        assert steps == [(1, 3), (2, 3), (3, 3)]
    assert server.statuses() == {"verified"}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_key_that_is_not_trusted_gets_nothing(server: Server, client: Any) -> None:
    async def walk() -> None:
        async with client(server.urls["stateful-json"], SigningKey.generate()) as calls:
            await calls.call("read_note", {"name": "stranger"})

    with pytest.raises(BaseException):
        asyncio.run(asyncio.wait_for(walk(), 30))
    assert "stranger" not in server.record.read_text()
