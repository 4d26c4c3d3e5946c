"""Redirects of signing clients: a signature is for one URL, and must not go to another origin."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from client_harness import ORIGIN, URL, Recorder, either, post, signing

from mcpid_attest import RedirectRefused, SignatureAuth, SigningKey, SigningTransport, Verifier

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
