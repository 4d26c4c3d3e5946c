"""Drives an ASGI application without a server, message by message."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from dataclasses import dataclass, field
from typing import Any

from mcpid_attest import InMemoryNonceStore, MCPIdentityMiddleware, SigningKey, sign_request

ORIGIN = "http://127.0.0.1:8000"
URL = ORIGIN + "/mcp"
CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"delete_db"}}'
LIST = b'{"jsonrpc":"2.0","id":8,"method":"tools/list"}'
INITIALIZE = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}'


_ports: list[socket.socket] = []


def free_port() -> int:
    """A port for a server in another process.

    The system gives none of these ports to a connection, and no other run of these tests gets the same
    one: this process holds a name of Linux's abstract namespace for each.
    """
    for port in random.sample(range(10_000, 32_000), 1_000):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0mcpid-test-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            held.close()
            continue
        _ports.append(held)
        return port
    raise OSError("no port is free")


def call(name: str) -> bytes:
    params = {"name": name}
    return json.dumps(
        {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params},
        separators=(",", ":"),
    ).encode()


@dataclass
class Answer:
    """What the client received, and what the application saw."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    scope: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {n.decode().lower(): v.decode() for n, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages[1:])

    @property
    def reason(self) -> str:
        try:
            return json.loads(self.body)["error"]["data"]["reason"]
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass
class Wire:
    """A request as a server hands it over."""

    body: bytes = CALL
    method: str = "POST"
    path: str = "/mcp"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    host: bytes = b"127.0.0.1:8000"
    version: str = "1.1"

    def __post_init__(self) -> None:
        if not self.headers:
            self.headers = [(b"host", self.host)]
            if self.method == "POST":
                self.headers.append((b"content-type", b"application/json"))

    def having(self, name: str, value: str) -> Wire:
        self.headers.append((name.encode(), value.encode()))
        return self

    def signed(self, key: SigningKey, *, url: str | None = None, **options: Any) -> Wire:
        query = b"?" + self.query if self.query else b""
        url = url or f"{ORIGIN}{self.path}{query.decode()}"
        given = [(n.decode(), v.decode()) for n, v in self.headers]
        for name, value in sign_request(key, self.method, url, given, self.body, **options).items():
            self.headers.append((name.lower().encode(), value.encode()))
        return self

    def scope(self, **changes: Any) -> dict[str, Any]:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self.version,
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "root_path": "",
            "headers": self.headers,
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        return scope | changes

    def messages(self) -> list[dict[str, Any]]:
        return [{"type": "http.request", "body": self.body, "more_body": False}]


async def exchange(
    app: Any,
    wire: Wire,
    *,
    messages: list[Any] | None = None,
    scope: dict[str, Any] | None = None,
) -> Answer:
    """Sends a request and returns the answer. After the messages, the client has gone."""
    answer = Answer(scope=wire.scope() if scope is None else scope)
    left = list(wire.messages() if messages is None else messages)

    async def receive() -> Any:
        await asyncio.sleep(0)
        if not left:
            return {"type": "http.disconnect"}
        message = left.pop(0)
        if isinstance(message, BaseException):
            raise message
        return message

    async def send(message: dict[str, Any]) -> None:
        answer.messages.append(dict(message))

    await app(answer.scope, receive, send)
    return answer


def ask(app: Any, wire: Wire, **options: Any) -> Answer:
    return asyncio.run(exchange(app, wire, **options))


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that sends the body back."""
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        more = message["more_body"]
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def mcp_server(scope: Any, receive: Any, send: Any) -> None:
    """An application that opens sessions and lists one harmless tool."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    method = json.loads(body)["method"] if body else None
    headers = [(b"content-type", b"application/json")]
    text = b'{"jsonrpc":"2.0","id":7,"result":{}}'
    if method == "initialize":
        headers.append((b"mcp-session-id", b"one"))
        text = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    elif method == "tools/list":
        text = (
            b'{"jsonrpc":"2.0","id":8,"result":{"tools":[{"name":"list_users",'
            b'"annotations":{"readOnlyHint":true}}]}}'
        )
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def guarded(keys: Any, app: Any = echo, **settings: Any) -> MCPIdentityMiddleware:
    """A middleware whose memory store works at once, as it does for development."""
    settings.setdefault("nonce_store", InMemoryNonceStore())
    settings.setdefault("origin", ORIGIN)
    if isinstance(settings["nonce_store"], InMemoryNonceStore):
        settings.setdefault("dev", True)
    keys = keys if isinstance(keys, list) else [keys]
    settings.setdefault("trust", [key.public_key for key in keys])
    return MCPIdentityMiddleware(app, **settings)
