"""Signing clients of httpx and httpx2: what is sent, and where a signature must not go."""

import asyncio
import importlib
import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mcpid_attest import (
    RedirectRefused,
    Rejected,
    SignatureAuth,
    SigningKey,
    SigningTransport,
    Verifier,
)

LIBRARIES = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
SIGNED = {"signature", "signature-input", "content-digest"}
ORIGIN = "https://mcp.example.com"
URL = f"{ORIGIN}/mcp"


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


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


@either
@ways
def test_what_is_sent_is_verified(library: Any, key: SigningKey, is_async: bool, way: str) -> None:
    sent = Recorder(library)
    assert post(library, is_async, **signing(way, key, sent.transport)).json() == {"ok": True}
    verifier = Verifier(trust=key.public_key, origin=ORIGIN)
    (one,) = sent.seen
    assert verifier.verify(one["request"]).key_id == key.key_id
    with pytest.raises(Rejected, match="step 12"):
        verifier.verify(one["request"])
    # Once each, beside the headers of the client.
    names = [name for name, _ in one["headers"]]
    assert all(names.count(name) == 1 for name in (*SIGNED, "host", "content-type", "content-length"))


@either
@ways
def test_each_attempt_has_a_signature_of_its_own(
    library: Any, key: SigningKey, is_async: bool, way: str
) -> None:
    sent = Recorder(library)
    options = signing(way, key, sent.transport)
    if is_async:

        async def at_once() -> None:
            async with library.AsyncClient(**options) as client:
                await asyncio.gather(*(client.get(URL) for _ in range(3)))

        asyncio.run(at_once())
    else:
        with library.Client(**options) as client:
            request = client.build_request("GET", URL)
            for _ in range(3):
                client.send(request)
    signatures = {dict(one["headers"])["signature"] for one in sent.seen}
    assert len(signatures) == len(sent.seen) == 3


@either
def test_streamed_and_large_bodies_are_signed_whole(
    library: Any, key: SigningKey, is_async: bool
) -> None:
    big = "пять ☃ 字 𝄞 ".encode() * 40_000

    def parts() -> Iterator[bytes]:
        for at in range(0, len(big), 65_536):
            yield big[at : at + 65_536]

    async def async_parts() -> Any:
        for part in parts():
            yield part

    for way in ("auth", "transport"):
        sent = Recorder(library)
        options = signing(way, key, sent.transport)
        if is_async:
            async def send() -> None:
                async with library.AsyncClient(**options) as client:
                    await client.post(URL, content=async_parts(), headers={"Content-Type": "text/plain"})
            asyncio.run(send())
        else:
            with library.Client(**options) as client:
                client.post(URL, content=parts(), headers={"Content-Type": "text/plain"})
        (one,) = sent.seen
        assert one["body"] == big
        assert Verifier(trust=key.public_key, origin=ORIGIN).verify(one["request"])


@either
def test_a_url_is_signed_as_it_is_sent(library: Any, key: SigningKey, is_async: bool) -> None:
    for url in (
        f"{URL}?a=1&b=%2F%20x",
        f"{URL}?",
        "https://MCP.example.com:443/mcp",
        f"{ORIGIN}/a/../mcp",
        f"{ORIGIN}/grün?ü=ß",
        "https://user:geheim@mcp.example.com/mcp",
        ORIGIN,
    ):
        for way in ("auth", "transport"):
            sent = Recorder(library)
            options = signing(way, key, sent.transport)
            if way == "auth" and "@" in url:
                continue
            post(library, is_async, url, **options)
            (one,) = sent.seen
            assert Verifier(trust=key.public_key, origin=ORIGIN).verify(one["request"])


SAME, OTHER = f"{ORIGIN}/mcp/", "https://evil.example.com/mcp"
elsewhere = pytest.mark.parametrize(
    "to", [OTHER, "http://mcp.example.com/mcp", "https://mcp.example.com:8443/mcp", "//evil.example.com/"]
)
codes = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])


@either
@codes
@pytest.mark.parametrize("to", [SAME, "/mcp/", OTHER])
def test_an_auth_refuses_to_follow_a_redirect(
    library: Any, key: SigningKey, is_async: bool, status: int, to: str
) -> None:
    sent = Recorder(library, {URL: (status, to)})
    options = signing("auth", key, sent.transport)
    with pytest.raises(RedirectRefused, match="the server redirects POST https://mcp.example.com/mcp to"):
        post(library, is_async, follow_redirects=True, **options)
    assert sent.signed()[0] and not any(sent.signed()[1:])


@either
@codes
def test_a_client_that_follows_none_gets_the_redirect(
    library: Any, key: SigningKey, is_async: bool, status: int
) -> None:
    for way in ("auth", "transport"):
        sent = Recorder(library, {URL: (status, OTHER)})
        answer = post(library, is_async, **signing(way, key, sent.transport))
        assert answer.status_code == status and len(sent.seen) == 1
        # What a program would send next bears no signature.
        raw = {name.lower() for name, _ in answer.next_request.headers.raw}
        assert not raw & {b"signature", b"signature-input"}


@either
@codes
def test_a_transport_signs_each_hop_within_one_origin(
    library: Any, key: SigningKey, is_async: bool, status: int
) -> None:
    sent = Recorder(library, {URL: (status, "/mcp/"), SAME: (status, f"{ORIGIN}/third")})
    post(library, is_async, follow_redirects=True, **signing("transport", key, sent.transport))
    assert [one["url"] for one in sent.seen] == [URL, SAME, f"{ORIGIN}/third"]
    verifier = Verifier(trust=key.public_key, origin=ORIGIN)
    for one in sent.seen:
        verifier.verify(one["request"])
    assert sent.seen[-1]["method"] == ("POST" if status in (307, 308) else "GET")


@either
@codes
@elsewhere
def test_a_transport_sends_nothing_to_another_origin(
    library: Any, key: SigningKey, is_async: bool, status: int, to: str
) -> None:
    for origin in (None, ORIGIN):
        sent = Recorder(library, {URL: (status, to)})
        options = signing("transport", key, sent.transport, origin=origin)
        with pytest.raises(RedirectRefused):
            post(library, is_async, follow_redirects=True, **options)
        assert len(sent.seen) == 1


@either
def test_another_site_cannot_have_a_request_signed(
    library: Any, key: SigningKey, is_async: bool
) -> None:
    """A site that gets unsigned requests redirects one to the server that trusts the key."""
    sent = Recorder(library, {OTHER: (307, URL)})
    options = signing("transport", key, sent.transport, origin=ORIGIN)
    with pytest.raises(RedirectRefused):
        post(library, is_async, OTHER, follow_redirects=True, **options)
    assert sent.signed() == [False]


@either
def test_a_transport_with_an_origin_signs_for_it_only(
    library: Any, key: SigningKey, is_async: bool
) -> None:
    sent = Recorder(library, {OTHER: (302, "https://evil.example.com/next")})
    options = signing("transport", key, sent.transport, origin=f"{ORIGIN}:443")
    post(library, is_async, OTHER, follow_redirects=True, **options)
    post(library, is_async, URL, **options)
    assert sent.signed() == [False, False, True]


@either
def test_an_agent_that_is_asked_does_not_hold_the_loop(
    library: Any, key: SigningKey, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key elsewhere, and a large body, are signed on another thread."""
    auth, threads = SignatureAuth(key), []
    real = auth._signing.sign
    monkeypatch.setattr(auth._signing, "sign",
                        lambda request: (threads.append(threading.current_thread()), real(request))[1])
    sent = Recorder(library)
    options = {"auth": auth, "transport": sent.transport}
    if is_async:
        async def send() -> None:
            async with library.AsyncClient(**options) as client:
                await client.post(URL, content=b"x" * 300_000, headers={"Content-Type": "a/b"})
        asyncio.run(send())
        assert threads != [threading.main_thread()]
    else:
        with library.Client(**options) as client:
            client.post(URL, content=b"x" * 300_000, headers={"Content-Type": "a/b"})
    assert sent.signed() == [True]


class Site(BaseHTTPRequestHandler):
    """A real server, for the transports that write to a socket."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        to = self.server.redirects.get(self.path)  # type: ignore[attr-defined]
        self.send_response(307 if to else 200)
        if to:
            self.send_header("Location", to)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sites() -> Iterator[list[Any]]:
    servers: list[Any] = [ThreadingHTTPServer(("127.0.0.1", 0), Site) for _ in range(2)]
    for server in servers:
        server.seen, server.redirects = [], {}
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@either
def test_on_a_network_nothing_follows_a_redirect_of_an_auth(
    library: Any, key: SigningKey, is_async: bool, sites: list[Any]
) -> None:
    one, other = sites
    one.redirects = {"/same": "/mcp", "/other": f"{other.url}/mcp"}
    events: list[str] = []

    def trace(event: str, info: object) -> None:
        events.append(event)

    async def async_trace(event: str, info: object) -> None:
        events.append(event)

    async def asynchronous(path: str) -> None:
        async with library.AsyncClient(auth=SignatureAuth(key), follow_redirects=True) as client:
            await client.post(one.url + path, json={}, extensions={"trace": async_trace})

    for path in ("/same", "/other"):
        with pytest.raises(RedirectRefused, match="to http://127.0.0.1:"):
            if is_async:
                asyncio.run(asynchronous(path))
            else:
                with library.Client(auth=SignatureAuth(key), follow_redirects=True) as client:
                    client.post(one.url + path, json={}, extensions={"trace": trace})
    assert [seen[1] for seen in one.seen] == ["/same", "/other"]
    assert not other.seen, "the body of a signed request went to another site"
    # A trace of the program is still called.
    assert "http11.send_request_headers.started" in events


@either
def test_on_a_network_one_request_can_be_sent_again(
    library: Any, key: SigningKey, is_async: bool, sites: list[Any]
) -> None:
    site, events = sites[0], []

    def trace(event: str, info: object) -> None:
        events.append(event)

    async def async_trace(event: str, info: object) -> None:
        events.append(event)

    async def asynchronous() -> None:
        async with library.AsyncClient(auth=SignatureAuth(key)) as client:
            request = client.build_request("GET", site.url, extensions={"trace": async_trace})
            for _ in range(3):
                await client.send(request)

    if is_async:
        asyncio.run(asynchronous())
    else:
        with library.Client(auth=SignatureAuth(key)) as client:
            request = client.build_request("GET", site.url, extensions={"trace": trace})
            for _ in range(3):
                client.send(request)
    assert len({headers["Signature"] for _, _, headers, _ in site.seen}) == 3
    assert {headers["Signature-Input"].count("@method") for _, _, headers, _ in site.seen} == {1}
    assert events.count("http11.send_request_headers.started") == 3


@either
def test_on_a_network_a_transport_signs_what_arrives(
    library: Any, key: SigningKey, is_async: bool, sites: list[Any]
) -> None:
    one, other = sites
    one.redirects = {"/same": "/mcp", "/other": f"{other.url}/mcp"}
    inner = library.AsyncHTTPTransport if is_async else library.HTTPTransport
    post(library, is_async, f"{one.url}/same", follow_redirects=True,
         transport=SigningTransport(inner(), key))
    with pytest.raises(RedirectRefused):
        post(library, is_async, f"{one.url}/other", follow_redirects=True,
             transport=SigningTransport(inner(), key))
    assert [seen[1] for seen in one.seen] == ["/same", "/mcp", "/other"] and not other.seen
    nonces = set()
    for method, path, headers, body in one.seen:
        capture = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
        verifier = Verifier(trust=key.public_key, origin=one.url)
        assert verifier.verify(capture.encode() + b"\r\n" + body).key_id == key.key_id
        nonces.add(headers["Signature-Input"])
    assert len(nonces) == 3


def test_the_headers_of_a_signed_request_can_be_used(library: Any, key: SigningKey) -> None:
    """Event hooks and logs of a program read and change them."""
    seen: list[Any] = []

    def hook(request: Any) -> None:
        seen.append(request.headers)
        request.headers["X-Trace"] = "1"
        del request.headers["Accept"]
        request.headers.update({"X-More": "2"})

    sent = Recorder(library)
    with library.Client(auth=SignatureAuth(key), transport=sent.transport,
                        event_hooks={"request": [hook]}) as client:
        client.post(URL, json={})
    (headers,) = seen
    assert isinstance(headers, library.Headers)
    assert SIGNED < set(headers) == set(headers.keys()) == {name for name, _ in headers.multi_items()}
    assert dict(headers)["signature"] == headers.get("Signature") == headers.get_list("signature")[0]
    assert "signature-input" in headers and "signature" in repr(headers)
    assert headers == library.Headers(headers.raw)
    assert dict(sent.seen[0]["headers"])["x-trace"] == "1" and len(headers) == len(headers.raw)
    assert "accept" not in dict(sent.seen[0]["headers"])
    copied = {name.decode().lower() for name, _ in library.Headers(headers).raw}
    assert "x-trace" in copied and not copied & SIGNED


def test_a_wrong_setting_is_refused_at_once(library: Any, key: SigningKey) -> None:
    for wrong in ({"profile": "mpc"}, {"ttl": 0}, {"client_id": ""}):
        with pytest.raises(ValueError):
            SignatureAuth(key, **wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            SigningTransport(library.HTTPTransport(), key, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        SignatureAuth("key.json")  # type: ignore[arg-type]
    assert key.key_id in repr(SignatureAuth(key))


@pytest.mark.parametrize(
    "origin",
    [
        "mcp.example.com",
        "d4ee72dbf913584ad5b6d8f1f769f8ad55c1e1a0",
        "https://user:d4ee72dbf913584a@mcp.example.com",
        "https://mcp.example.com/mcp",
        "https://mcp.example.com?a",
        "ftp://mcp.example.com",
        "https://",
        "https://mcp.example.com:port",
        "",
    ],
)
def test_a_text_that_is_no_origin_is_refused_and_not_repeated(
    library: Any, key: SigningKey, origin: str
) -> None:
    # Such a transport would sign nothing, unnoticed.
    with pytest.raises(ValueError, match="such as origin=") as caught:
        SigningTransport(Recorder(library).transport, key, origin=origin)
    assert "d4ee72dbf913584a" not in f"{caught.value!r} {caught.value.__context__!r}"
