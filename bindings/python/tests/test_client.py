"""Signing clients of httpx and httpx2: what is sent."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from client_harness import ORIGIN, SIGNED, URL, Recorder, either, post, signing, ways

from mcpid_attest import Rejected, SignatureAuth, SigningKey, SigningTransport, Verifier


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
