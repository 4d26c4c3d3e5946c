"""The ASGI middleware: verifies each request before the application receives it.

Every rule is in Rust. This module speaks ASGI 3: it reads the messages of a request, waits for what
the engine waits for, and hands the request on.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Literal, TypeAlias

from ._native import InMemoryNonceStore, Judgement, Layer, MCPIdentity, NonceStore, SigningKey
from .own_store import NonceStoreProtocol, OwnStore

__all__ = [
    "InMemoryNonceStore",
    "MCPIdentity",
    "MCPIdentityMiddleware",
    "NonceStore",
    "NonceStoreProtocol",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
_Path: TypeAlias = str | os.PathLike[str]

logger = logging.getLogger("mcpid_attest")

# The states of a judgement.
_PLAIN, _PASSED, _REFUSED, _BODY, _WAIT, _CLAIM, _OFFLOAD, _GONE = range(8)

# The shortest time between two warnings that requests cannot be judged, in seconds.
_WARNING_PAUSE = 60.0

# The origins of a server that was not told its own: those of a development server.
_LOOPBACK = ("http://127.0.0.1:8000", "http://localhost:8000")


class MCPIdentityMiddleware:
    """Verifies the signature of each request to an MCP server, and says who signed it.

    The application finds the verdict in ``scope["mcp_identity"]``: ``.status``, ``.did``, ``.key_id``,
    ``.name``, ``.tag``, ``.touch``, ``.reason``, ``.created`` and ``.would_refuse``. In strict mode, only
    requests whose status is ``verified`` reach the application. The settings mean what the flags of
    ``mcpid gateway`` mean, and refusals are the same bytes.

    :param app: The ASGI application.
    :param nonce_store: Where used nonces are kept: a URL (``memory:``, ``sqlite:PATH``,
        ``redis://HOST``), a :class:`NonceStore`, or an object with ``claim`` and ``floor``
        (:class:`NonceStoreProtocol`). Workers share a store in SQLite or Redis.
    :param trust: Trust files or folders of them, which are read again when they change, or public
        keys. By default ``MCPID_TRUST``, else the user's own trust file.
    :param origin: Scheme and host by which clients know this server, such as
        ``https://mcp.example.com``; several are allowed.
    :param mode: ``strict`` refuses requests that are not verified, ``permissive`` lets them through
        with a verdict.
    :param strict: Patterns ``METHOD[:NAME]`` of what is strict in permissive mode, or
        ``destructive``: all tools that the application's own list does not call harmless.
    :param permissive: Patterns of what is permissive in strict mode.
    :param touch: Patterns of what needs a person's touch of a security key, in every mode, or
        ``destructive``. Needs a profile that knows security keys (``mcp``).
    :param profile: The rules to judge by.
    :param path: The path of the endpoint. Requests to other paths then pass unjudged, with
        ``scope["mcp_identity"]`` as None. Without it, every path is judged.
    :param max_body: The largest body, in bytes; 4 MiB by default.
    :param refuse_with: The status of refusals: 403, 401 or 200.
    :param realm: The realm that a 401 names.
    :param audit: The folder of an audit log that ``mcpid audit init`` has made.
    :param audit_key: Where the log's private key is, if not in its folder: a ``SigningKey``, a
        keyfile without a passphrase, or a reference such as ``exec:PROGRAM ARG``.
    :param timestamp_window_seconds: How old a signature may be; 30 by default.
    :param ahead_seconds: How far the signer's clock may be ahead; 5 by default.
    :param require: Components that a signature has to cover too, such as ``date``.
    :param allow_uncovered: Fields that a request may carry without a signature over them.
    :param target_prefix: The part of the path that a proxy removes, such as ``/api``.
    :param dev: Lets a store in memory work at once after a start, for servers on loopback.
    :param budget: Bytes of bodies that may wait for their verdict, of all requests together.

    :raises ValueError: A setting is wrong, or would change nothing.
    :raises OSError: A file or store cannot be used (``FileNotFoundError``, ``PermissionError``,
        ``ConnectionError``).
    """

    def __init__(
        self,
        app: ASGIApp,
        nonce_store: str | NonceStore | NonceStoreProtocol | None = None,
        *,
        trust: Any = None,
        origin: str | Iterable[str] | None = None,
        mode: Literal["strict", "permissive"] = "strict",
        strict: Iterable[str] = (),
        permissive: Iterable[str] = (),
        touch: Iterable[str] = (),
        profile: str = "mcp",
        path: str | None = None,
        max_body: int | None = None,
        refuse_with: Literal[403, 401, 200] = 403,
        realm: str | None = None,
        audit: _Path | None = None,
        audit_key: _Path | SigningKey | None = None,
        timestamp_window_seconds: int | None = None,
        ahead_seconds: int | None = None,
        require: Iterable[str] = (),
        allow_uncovered: Iterable[str] = (),
        target_prefix: str = "",
        dev: bool = False,
        budget: int | None = None,
    ) -> None:
        if not callable(app):
            raise TypeError(f"app is an ASGI application, not {type(app).__name__}")
        if origin is None:
            origin = _default_origin(mode)
        if nonce_store is None:
            nonce_store = _default_store()
        named_store: str | NonceStore | None = None
        self._own_store: OwnStore | None = None
        if isinstance(nonce_store, (str, NonceStore)):
            named_store = nonce_store
        else:
            self._own_store = OwnStore(nonce_store)
        self.app = app
        self._layer = Layer(
            trust=trust,
            origin=origin,
            nonce_store=named_store,
            mode=mode,
            strict=_several("strict", strict),
            permissive=_several("permissive", permissive),
            touch=_several("touch", touch),
            profile=profile,
            path=path,
            max_body=max_body,
            refuse_with=refuse_with,
            realm=realm,
            audit=audit,
            audit_key=audit_key,
            window=timestamp_window_seconds,
            ahead=ahead_seconds,
            require=_several("require", require),
            allow_uncovered=_several("allow_uncovered", allow_uncovered),
            target_prefix=target_prefix,
            dev=bool(dev),
            budget=budget,
        )
        self._warned = float("-inf")
        if dev:
            text = (
                "dev=True: after a restart of this server, a request can be used a second time; "
                "never set it where others can reach the server"
            )
            warnings.warn(text, RuntimeWarning, stacklevel=2)
            logger.warning(text)
        self._report_news()
        if audit is not None:
            # The last checkpoint of the log is written when the interpreter ends.
            atexit.register(_close, weakref.ref(self))

    def __repr__(self) -> str:
        return f"<MCPIdentityMiddleware of {self.app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "the middleware needs the event loop of asyncio or uvloop: trio is not supported"
            ) from None
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        scope["mcp_identity"] = None
        layer = self._layer
        judged = layer.judge(scope)
        if judged is None:
            await self.app(self._unjudged(scope), receive, send)
            return
        # All of a request is in this function: each coroutine and each call into Rust has its cost.
        state, judgement = judged
        try:
            while state > _REFUSED:
                if state == _BODY:
                    state = judgement.feed(await receive())
                elif state == _OFFLOAD:
                    state = await asyncio.get_running_loop().run_in_executor(None, judgement.poll)
                elif state == _CLAIM:
                    state = await _claim(self._own_store, judgement)
                elif state == _WAIT:
                    state = await _wait(judgement)
                else:
                    # The client has gone before its request was complete.
                    return
            scope["mcp_identity"], has_news = layer.passed(judgement)
            if has_news:
                self._report_news()
            if state == _REFUSED:
                await self._refuse(scope, judgement, send)
                return
            checks_answer = False
            if state == _PASSED:
                fields, wants_uncompressed, checks_answer = judgement.needs()
                if wants_uncompressed:
                    fields = _with_identity(scope.get("headers", ()) if fields is None else fields)
                if fields is not None:
                    scope = dict(scope)
                    scope["headers"] = fields

            async def receive_judged() -> Message:
                piece = judgement.body()
                if piece is not None:
                    body, more = piece
                    return {"type": "http.request", "body": body, "more_body": more}
                message = await receive()
                if message["type"] == "http.request":
                    # The body has ended: a server that sends more is not believed.
                    return {"type": "http.request", "body": b"", "more_body": False}
                return message

            if checks_answer:
                await self._answer_checked(scope, judgement, receive_judged, send)
            else:
                await self.app(scope, receive_judged, send)
        finally:
            judgement.close()

    async def _answer_checked(
        self, scope: Scope, judgement: Judgement, receive: Receive, send: Send
    ) -> None:
        is_refused = False

        async def send_checked(message: Message) -> None:
            nonlocal is_refused
            kind = message["type"]
            if is_refused:
                return
            if kind == "http.response.start" and judgement.checks_answer:
                refusal, event = judgement.start(message["status"], message.get("headers", ()))
                if event is not None:
                    path = str(scope.get("path", ""))[:128]
                    level = logging.INFO if refusal is None else logging.WARNING
                    logger.log(level, "session of %r %r: %s", scope["method"], path, event)
                if refusal is not None:
                    is_refused = True
                    await _respond(scope, refusal, send)
                    return
            elif kind == "http.response.body" and judgement.listens:
                judgement.listen(bytes(message.get("body", b"")), bool(message.get("more_body")))
            await send(message)

        await self.app(scope, receive, send_checked)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            scope["mcp_identity"] = None
            await self.app(scope, receive, send)
        else:
            raise RuntimeError(f"requests of the type {kind!r} cannot be judged")

    async def _refuse(self, scope: Scope, judgement: Judgement, send: Send) -> None:
        refusal, line, is_unavailable = judgement.refusal()
        if is_unavailable:
            now = time.monotonic()
            if now - self._warned >= _WARNING_PAUSE:
                self._warned = now
                logger.warning("requests cannot be judged: %s", line)
        if logger.isEnabledFor(logging.INFO):
            path = str(scope.get("path", ""))[:128]
            logger.info("refused %r %r with %s", scope["method"], path, line or refusal[0])
        await _respond(scope, refusal, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["mcp_identity"] = None
        if not self._layer.is_endpoint(scope):
            await self.app(self._unjudged(scope), receive, send)
            return
        # MCP has no websockets, and the messages of one are not signed.
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
            await send(
                {"type": "websocket.http.response.start", "status": 403, "headers": headers}
            )
            await send({"type": "websocket.http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _unjudged(self, scope: Scope) -> Scope:
        """Drops fields with which a client could pose as a gateway of ours."""
        fields = self._layer.unjudged_headers(scope)
        if self._layer.has_news:
            self._report_news()
        if fields is not None:
            scope = dict(scope)
            scope["headers"] = fields
        return scope

    def _report_news(self) -> None:
        for text in self._layer.take_news():
            logger.warning("%s", text)


async def _wait(judgement: Judgement) -> int:
    """Waits without polling until it is worth to go on."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    if judgement.wait(loop.call_soon_threadsafe, _resolve, future):
        await future
    return judgement.poll()


async def _claim(store: OwnStore | None, judgement: Judgement) -> int:
    """Asks the application's own store, which a judgement does only if there is one."""
    assert store is not None
    return judgement.answer_claim(*await store.claim(*judgement.take_claim()))


def _with_identity(fields: Iterable[Any]) -> list[Any]:
    """Returns header fields that let the application answer without compression only."""
    kept = [field for field in fields if field[0].lower() != b"accept-encoding"]
    return [*kept, (b"accept-encoding", b"identity")]


def _resolve(future: asyncio.Future[None]) -> None:
    # The request may have been cancelled.
    if not future.done():
        future.set_result(None)


async def _respond(
    scope: Scope, response: tuple[int, list[tuple[bytes, bytes]], bytes], send: Send
) -> None:
    status, headers, body = response
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["method"] == "HEAD":
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _default_origin(mode: str) -> Iterable[str]:
    if mode != "permissive":
        raise ValueError(
            "by which URL do clients know this server? origin is missing; such as "
            'origin="https://mcp.example.com"'
        )
    text = f"origin is missing: only requests to {' and '.join(_LOOPBACK)} are accepted"
    warnings.warn(text, RuntimeWarning, stacklevel=3)
    return _LOOPBACK


def _default_store() -> str:
    store = os.environ.get("MCPID_NONCES")
    if not store:
        raise ValueError(
            "where are used nonces kept? nonce_store is missing; such as "
            'nonce_store="sqlite:nonces.db"'
        )
    return store


def _several(name: str, texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError(f"{name} is a list: {name}=[...]")
    return list(texts)


def _close(middleware: weakref.ref[MCPIdentityMiddleware]) -> None:
    alive = middleware()
    if alive is not None:
        alive._layer.close()
