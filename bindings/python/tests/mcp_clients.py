"""Signing clients of the MCP packages that are installed (mcp 1.x with fastmcp 3, or mcp 2.x with fastmcp 4),
and what each of them does against a server.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

pytest.importorskip("mcp")

from fastmcp import Client as FastMCPClient
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.streamable_http import streamable_http_client

from mcpid_attest import SignatureAuth, SigningKey, SigningTransport

try:
    import httpx2 as httpx
    from mcp import Client

    TWO = True
except ImportError:
    import httpx  # type: ignore[no-redef]
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    TWO = False

# 100 kB of UTF-8 with two, three and four bytes a character; only the spaces are ASCII.
LONG = "пять ☃ 字 𝄞 " * 4546


class Calls:
    """The same few calls, of the SDK or of FastMCP."""

    def __init__(self, session: Any) -> None:
        self.session, self.is_fastmcp = session, isinstance(session, FastMCPClient)

    async def tools(self) -> set[str]:
        listed = await self.session.list_tools()
        return {tool.name for tool in (listed if self.is_fastmcp else listed.tools)}

    async def call(self, tool: str, arguments: dict[str, Any], progress: Any = None) -> tuple[str, bool]:
        if self.is_fastmcp:
            answer = await self.session.call_tool(
                tool, arguments, raise_on_error=False, progress_handler=progress)
        else:
            answer = await self.session.call_tool(tool, arguments, progress_callback=progress)
        failed = answer.is_error if self.is_fastmcp or TWO else answer.isError
        return "".join(part.text for part in answer.content), bool(failed)

    async def walk(self) -> list[tuple[int, int]]:
        """Makes every kind of call: list, read, destructive call, error, progress, long text, 20 at once. Returns
        the steps of the progress."""
        assert {"read_note", "delete_db", "fail", "progress", "echo"} <= await self.tools()
        assert await self.call("read_note", {"name": "a"}) == ("note a", False)
        assert await self.call("delete_db", {"name": "b"}) == ("deleted b", False)
        assert (await self.call("fail", {"name": "c"}))[1]
        steps: list[tuple[int, int]] = []

        async def progress(done: float, total: float | None, message: str | None = None) -> None:
            steps.append((int(done), int(total or 0)))

        assert await self.call("progress", {"steps": 3}, progress) == ("3 steps", False)
        assert await self.call("echo", {"text": LONG}) == (LONG, False)
        calls = (self.call("echo", {"text": f"{number}"}) for number in range(20))
        assert await asyncio.gather(*calls) == [(f"{number}", False) for number in range(20)]
        return steps


@contextlib.asynccontextmanager
async def connected(transport: Any, mode: str = "auto") -> AsyncIterator[Calls]:
    """The client of the SDK over a transport. `mode` is for mcp 2.x."""
    if TWO:
        async with Client(transport, mode=mode, cache=None) as client:
            yield Calls(client)
        return
    async with transport as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        yield Calls(session)


@contextlib.asynccontextmanager
async def over_http(url: str, mode: str = "auto", **options: Any) -> AsyncIterator[Calls]:
    """The client of the SDK with an HTTP client of these options."""
    async with httpx.AsyncClient(timeout=120, trust_env=False, **options) as http:
        async with connected(streamable_http_client(url, http_client=http), mode) as calls:
            yield calls


def sdk(url: str, key: SigningKey) -> AbstractAsyncContextManager[Calls]:
    if TWO:
        return over_http(url, auth=SignatureAuth(key))
    return connected(streamablehttp_client(url, auth=SignatureAuth(key)))


def sdk_legacy(url: str, key: SigningKey) -> AbstractAsyncContextManager[Calls]:
    """The client of mcp 2.x in the protocol of 1.x."""
    return over_http(url, "legacy", auth=SignatureAuth(key))


def sdk_transport(url: str, key: SigningKey) -> AbstractAsyncContextManager[Calls]:
    inner = SigningTransport(httpx.AsyncHTTPTransport(), key, origin=url.removesuffix("/mcp"))
    return over_http(url, transport=inner, follow_redirects=True)


@contextlib.asynccontextmanager
async def fastmcp(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    async with FastMCPClient(url, auth=SignatureAuth(key)) as client:
        yield Calls(client)


@contextlib.asynccontextmanager
async def fastmcp_transport(url: str, key: SigningKey) -> AsyncIterator[Calls]:
    async with FastMCPClient(StreamableHttpTransport(url, auth=SignatureAuth(key))) as client:
        yield Calls(client)


# The clients that speak to a server in different ways; the others differ only in who signs.
SPEAKERS = [sdk, fastmcp, *([sdk_legacy] if TWO else [])]
CLIENTS = [*SPEAKERS, sdk_transport, fastmcp_transport]
VARIANTS = ["stateful-sse", "stateful-json", "stateless-sse", "stateless-json"]
PAIRS = [(client, variant) for client in SPEAKERS for variant in VARIANTS]
PAIRS += [(client, "stateful-sse") for client in CLIENTS if client not in SPEAKERS]


def plain_calls(url: str, key: SigningKey, stranger: SigningKey) -> None:
    """A client of HTTP that knows nothing of MCP: a signed call passes once, and nothing else passes."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "read_note", "arguments": {"name": "plain"}}}
    both = {"Accept": "application/json, text/event-stream"}

    def post(http: Any, **changes: Any) -> tuple[int, str]:
        answer = http.post(url, **{"json": call, "headers": both, **changes})
        return answer.status_code, answer.text

    def reason(answer: tuple[int, str]) -> tuple[int, str]:
        return answer[0], json.loads(answer[1])["error"]["data"]["reason"]

    sent: list[Any] = []
    with httpx.Client(auth=SignatureAuth(key), timeout=120, trust_env=False,
                      event_hooks={"request": [sent.append]}) as http:
        status, text = post(http)
        assert status == 200 and "note plain" in text, text
    fields = [(name.decode(), value.decode()) for name, value in sent[0].headers.raw]
    with httpx.Client(timeout=120, trust_env=False) as http:
        for body, code in [
            (sent[0].content, "nonce_replayed"),
            (sent[0].content.replace(b"read_note", b"delete_db"), "digest_mismatch"),
        ]:
            kept = [pair for pair in fields if pair[0].lower() != "content-length"]
            assert reason(post(http, json=None, content=body, headers=kept)) == (403, code)
        assert reason(post(http)) == (403, "signature_missing")
        assert reason(post(http, headers={**both, "Mcpid-Status": "verified"})) == (403, "signature_missing")
    with httpx.Client(auth=SignatureAuth(stranger), timeout=120, trust_env=False) as http:
        assert reason(post(http)) == (403, "key_unknown")
