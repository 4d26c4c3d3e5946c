"""Signing clients of httpx (mcp 1.x, fastmcp 3) and httpx2 (mcp 2.x, fastmcp 4).

:class:`SignatureAuth` signs each request of a client, and refuses to follow redirects.
:class:`SigningTransport` also signs each hop of a redirect, within one origin. Either works with both
libraries, whichever is installed.
"""

import importlib
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ._headers import before_signing, signed_headers
from ._native import Signer, SigningKey

__all__ = ["RedirectRefused", "SignatureAuth", "SigningTransport"]

# Bodies above this size, in bytes, are hashed and signed off the event loop.
_LARGE_BODY = 256 * 1024
# The request extension that remembers for which origin the first request of a call was.
_FIRST_ORIGIN = "mcpid_attest.origin"


def _libraries() -> list[Any]:
    found = []
    for name in ("httpx", "httpx2"):
        try:
            found.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    if not found:
        raise ImportError("SignatureAuth needs httpx or httpx2: pip install httpx")
    return found


if TYPE_CHECKING:
    import httpx
    import httpx2

    class _Auth(httpx.Auth, httpx2.Auth):  # type: ignore[misc]
        pass

    class _Transport(  # type: ignore[misc]
        httpx.BaseTransport, httpx.AsyncBaseTransport, httpx2.BaseTransport, httpx2.AsyncBaseTransport
    ):
        pass
else:
    _installed = _libraries()
    _Auth = type("_Auth", tuple(library.Auth for library in _installed), {})
    _Transport = type(
        "_Transport",
        tuple(
            base
            for library in _installed
            for base in (library.BaseTransport, library.AsyncBaseTransport)
        ),
        {},
    )


class RedirectRefused(Exception):
    """A server redirected a signed request to a URL for which it is not signed."""


def _refused(method: str, url: object, to: object) -> RedirectRefused:
    return RedirectRefused(
        f"the server redirects {method} {_shown(url)} to {_shown(to)}; a signature is for one URL: "
        "use the new URL, or a SigningTransport, which signs each hop within one origin"
    )


def _shown(url: object) -> str:
    """Returns a URL for a message: printable, at most 200 characters."""
    text = "".join(c if c.isprintable() else "?" for c in str(url))
    return text if len(text) <= 200 else text[:199] + "…"


class _Signing:
    """What both ways of signing share."""

    def __init__(
        self,
        key: SigningKey,
        profile: str,
        client_id: str | None,
        ttl: int | Literal["none"] | None,
    ) -> None:
        self.signer = Signer(key, profile=profile, client_id=client_id, ttl=ttl)

    def sign(self, request: Any) -> dict[str, str]:
        return self.signer.sign(request.method, request.url, request.headers, request.content)

    async def sign_async(self, request: Any) -> dict[str, str]:
        if not self.signer.signs_elsewhere and len(request.content) <= _LARGE_BODY:
            return self.sign(request)
        from anyio import to_thread

        return await to_thread.run_sync(self.sign, request)


class SignatureAuth(_Auth):
    """Signs each request, anew for every attempt::

        httpx.AsyncClient(auth=SignatureAuth(key))
        streamablehttp_client(url, auth=SignatureAuth(key))             # mcp 1.x
        fastmcp.Client(StreamableHttpTransport(url, auth=SignatureAuth(key)))

    ``profile``, ``client_id`` and ``ttl`` (seconds, or the word ``none``) mean what the flags of
    ``mcpid sign`` mean. A redirect that the client would follow raises :class:`RedirectRefused`: the
    libraries call an ``Auth`` once for a whole chain of redirects.
    """

    requires_request_body = True

    def __init__(
        self,
        key: SigningKey,
        *,
        profile: str = "mcp",
        client_id: str | None = None,
        ttl: int | Literal["none"] | None = None,
    ) -> None:
        self._signing = _Signing(key, profile, client_id, ttl)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        request.read()
        request.headers = before_signing(request.headers)
        guard = _Guard(request, self._signing.sign(request))
        request.extensions = {**request.extensions, "trace": guard.trace}
        guard.check((yield request))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        await request.aread()
        request.headers = before_signing(request.headers)
        guard = _Guard(request, await self._signing.sign_async(request))
        request.extensions = {**request.extensions, "trace": guard.async_trace}
        guard.check((yield request))

    def __repr__(self) -> str:
        return f"SignatureAuth({self._signing.signer!r})"


class _Guard:
    """Puts the signature on a request, and refuses to send what follows from it unsigned."""

    def __init__(self, request: Any, added: dict[str, str]) -> None:
        self._method, self._url = request.method, request.url
        self._signature = added["Signature-Input"].encode()
        self._earlier: Callable[[str, Any], Any] | None = request.extensions.get("trace")
        of = getattr(self._earlier, "__self__", None)
        if isinstance(of, _Guard):  # of an earlier attempt to send the same request
            self._earlier = of._earlier
        request.headers = signed_headers(request.headers, added)

    def _look(self, event: str, info: Any) -> None:
        """Looks at a request whose head is about to be sent.

        The request that follows a redirect has no signature. A CONNECT to a proxy has none either.
        """
        request = info.get("request") if event.endswith("send_request_headers.started") else None
        if request is None or request.method == b"CONNECT":
            return
        if not any(value == self._signature for _, value in request.headers):
            url = request.url
            path = url.target.decode("latin-1")
            to = f"{url.scheme.decode()}://{url.host.decode()}{f':{url.port}' if url.port else ''}{path}"
            raise _refused(self._method, self._url, to)

    def trace(self, event: str, info: Any) -> None:
        self._look(event, info)
        if self._earlier is not None:
            self._earlier(event, info)

    async def async_trace(self, event: str, info: Any) -> None:
        self._look(event, info)
        if self._earlier is not None:
            await self._earlier(event, info)

    def check(self, response: Any) -> None:
        """Refuses the answer to a redirected request, for transports that call no trace."""
        if response.history:
            first = response.history[0]
            raise _refused(self._method, self._url, first.headers.get("location"))


class SigningTransport(_Transport):
    """Signs each request that passes, and each hop of a redirect, within one origin::

        httpx.AsyncClient(transport=SigningTransport(httpx.AsyncHTTPTransport(), key))

    A redirect to another origin raises :class:`RedirectRefused`. With ``origin``, only requests for
    that origin are signed, and all others pass as they are.
    """

    def __init__(
        self,
        transport: Any,
        key: SigningKey,
        *,
        origin: str | None = None,
        profile: str = "mcp",
        client_id: str | None = None,
        ttl: int | Literal["none"] | None = None,
    ) -> None:
        self._transport = transport
        self._signing = _Signing(key, profile, client_id, ttl)
        self._origin: tuple[str, str, int | None] | None = None
        if origin is not None:
            self._origin = _parsed_origin(_library_of(transport), origin)

    def _is_signed(self, request: Any) -> bool:
        """Returns whether the request is to be signed. Refuses a redirect to or from its origin."""
        here = _origin(request.url)
        first = request.extensions.get(_FIRST_ORIGIN, here)
        request.extensions = {**request.extensions, _FIRST_ORIGIN: first}
        if first != here and (self._origin is None or self._origin in (first, here)):
            raise _refused(request.method, f"{first[0]}://{first[1]}", request.url)
        return self._origin is None or self._origin == here

    @staticmethod
    def _with(request: Any, added: dict[str, str]) -> Any:
        """Returns a signed copy. The client copies the request itself to follow a redirect."""
        copy = type(request)(
            request.method,
            request.url,
            headers=request.headers.raw,
            stream=request.stream,
            extensions=request.extensions,
        )
        for name, value in added.items():
            copy.headers[name] = value
        return copy

    def handle_request(self, request: Any) -> Any:
        if self._is_signed(request):
            request.read()
            request = self._with(request, self._signing.sign(request))
        return self._transport.handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        if self._is_signed(request):
            await request.aread()
            request = self._with(request, await self._signing.sign_async(request))
        return await self._transport.handle_async_request(request)

    def close(self) -> None:
        self._transport.close()

    async def aclose(self) -> None:
        await self._transport.aclose()

    def __enter__(self) -> "SigningTransport":
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(exc_type, exc_value, traceback)

    async def __aenter__(self) -> "SigningTransport":
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    def __repr__(self) -> str:
        return f"SigningTransport({self._signing.signer!r})"


def _origin(url: Any) -> tuple[str, str, int | None]:
    """Returns scheme, host and port of a URL of httpx or httpx2, the default port as a number."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port


def _parsed_origin(library: Any, text: str) -> tuple[str, str, int | None]:
    """Returns the origin that a setting names. The error does not repeat it: it may be a key."""
    try:
        url = library.URL(text)
        is_origin = url.scheme in ("http", "https") and bool(url.host)
        is_origin = is_origin and not url.userinfo and url.raw_path == b"/" and not url.fragment
    except library.InvalidURL:
        is_origin = False
    if is_origin:
        return _origin(url)
    raise ValueError(
        'origin is scheme and host of a server, such as origin="https://mcp.example.com"'
    )


def _library_of(transport: object) -> Any:
    """Returns the library that a transport belongs to, else the first one that is installed."""
    for kind in type(transport).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return importlib.import_module(name)
    return _libraries()[0]
