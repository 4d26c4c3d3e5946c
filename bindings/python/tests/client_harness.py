"""Sends requests of httpx and httpx2 without a network, and keeps what was sent."""

import asyncio
from typing import Any

import pytest

from mcpid_attest import SignatureAuth, SigningKey, SigningTransport

SIGNED = {"signature", "signature-input", "content-digest"}
ORIGIN = "https://mcp.example.com"
URL = f"{ORIGIN}/mcp"


class Recorder:
    """Answers requests without a network, and keeps them."""

    def __init__(self, library: Any, redirects: dict[str, tuple[int, str]] | None = None) -> None:
        self.library, self.redirects, self.seen = library, redirects or {}, []

    def __call__(self, request: Any) -> Any:
        # As a server that reads the bytes would see it.
        raw = [(name.decode().lower(), value.decode()) for name, value in request.headers.raw]
        self.seen.append({"method": request.method, "url": str(request.url), "headers": raw,
                          "body": request.content, "request": request})
        if str(request.url) in self.redirects:
            status, to = self.redirects[str(request.url)]
            return self.library.Response(status, headers={"Location": to})
        return self.library.Response(200, json={"ok": True})

    @property
    def transport(self) -> Any:
        return self.library.MockTransport(self)

    def signed(self) -> list[bool]:
        """Whether each request that was sent bore a signature."""
        return [bool({name for name, _ in one["headers"]} & {"signature", "signature-input"}) for one in self.seen]


def post(library: Any, is_async: bool, url: str = URL, **client: Any) -> Any:
    """One POST of a synchronous or asynchronous client."""
    options = {"json": {"jsonrpc": "2.0", "id": 1, "method": "ping"}}
    if not is_async:
        with library.Client(**client) as sync:
            return sync.post(url, **options)

    async def asynchronous() -> Any:
        async with library.AsyncClient(**client) as http:
            return await http.post(url, **options)

    return asyncio.run(asynchronous(), debug=True)


either = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
ways = pytest.mark.parametrize("way", ["auth", "transport"])


def signing(way: str, key: SigningKey, inner: Any, **more: Any) -> dict[str, Any]:
    if way == "auth":
        return {"auth": SignatureAuth(key, **more), "transport": inner}
    return {"transport": SigningTransport(inner, key, **more)}
