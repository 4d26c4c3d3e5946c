"""Tests faults around the gateway: of its clients, of signatures, and of its files. Each answer must be correct,
and no refused request may reach the server. Faults of the server behind it are in upstream_faults.py.
"""

import contextlib
import json
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import upstream_faults
from callers import CLIENTS
from servers import Harness, free_port, until
from upstream import EVENTS, OK, Upstream, chunk, event
from upstream_faults import PERMISSIVE, READ, request, signed
from wire import ACCEPT, Connection, ask, call, head, post

# ---- its clients ------------------------------------------------------------------------------


def vanishing(harness: Harness) -> None:
    """Clients disconnect during a head, during a body, before the answer, and during a stream."""
    streaming = []

    def behave(connection, received):
        if b"slow" in received.body:
            streaming.append(received)
            connection.sendall(EVENTS + event("one"))
            connection.settimeout(120)
            assert connection.recv(1) == b"", "the gateway sent more"
            upstream.ended.append(time.monotonic())
            raise StopIteration
        if b"silent" in received.body:
            streaming.append(received)
            connection.settimeout(120)
            connection.recv(1)
            upstream.ended.append(time.monotonic())
            raise StopIteration
        connection.sendall(OK)

    with Upstream(behave) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway:
        whole = request(gateway.port)
        for part in (whole[:20], whole[: len(whole) - len(READ)], whole[:-1]):
            for way in (Connection.close, Connection.vanish):
                way(Connection(gateway.port).send(part))
        time.sleep(0.3)
        assert not upstream.take(), "half a request was passed on"
        for token in ("slow", "silent"):
            for way in (Connection.close, Connection.vanish):
                streaming.clear(), upstream.ended.clear()
                client = Connection(gateway.port).send(request(gateway.port, call(token, token)))
                until(lambda: streaming, "the request arrives")
                if token == "slow":
                    client.answer_head()
                way(client)
                # Without a client that is gone, the gateway would end the connection after 75 seconds.
                until(lambda: upstream.ended, f"{token}: the server learns that its client is gone", 60)
        assert post(gateway.port, "/mcp", READ).status == 200


def cancels(harness: Harness, server: str, client: str) -> None:
    """If a client cancels a call, the tool in the real server stops."""
    there, token = harness.server(server), f"cancel-{server}-{client}"
    process, says = CLIENTS[client]
    with harness.gateway(there.urls["stateful-sse"], *PERMISSIVE) as gateway:
        answer = harness.client(process).do(do="abandon", url=gateway.url, token=token, stay=1, **says)
        assert "ok" in answer, answer
        until(lambda: there.calls(token, "slow", "cancelled"), "the tool is cancelled")
        assert not there.calls(token, "slow", "finished")


def slow_senders(harness: Harness) -> None:
    # The usual limits are 10 s for a head, 30 s for a body and 75 s between requests. On a busy machine, only
    # "later than the usual limit", or "much earlier", says that a limit counts.
    limits = ["--head-timeout", "14s", "--body-timeout", "1s", "--idle-timeout", "2s"]
    with Upstream() as upstream, harness.gateway(upstream.url, *PERMISSIVE, *limits) as gateway:
        whole = request(gateway.port)
        body = len(whole) - len(READ)
        long = request(gateway.port, more=[("X-Long", "x" * 1000)])

        def drip(data: bytes) -> tuple[float, list[int]]:
            """Sends a byte each tenth of a second. Returns how long the gateway accepted that, and its
            answer."""
            begun = time.monotonic()
            with Connection(gateway.port, timeout=0.1) as client:
                while data:
                    client.send(data[:1])
                    data = data[1:]
                    with contextlib.suppress(TimeoutError, EOFError):
                        return time.monotonic() - begun, [client.answer_head()[0]]
                    if client.closed(0.01):
                        return time.monotonic() - begun, []
            raise AssertionError("still open after the whole request")

        def started_body() -> tuple[float, list[int]]:
            begun = time.monotonic()
            with Connection(gateway.port) as client:
                return [client.send(whole[: body + 5]).answer().status], time.monotonic() - begun

        def idle() -> float:
            begun = time.monotonic()
            with Connection(gateway.port) as client:
                assert client.send(whole).answer().status == 200
                assert client.closed(70), "an unused connection stays open"
            return time.monotonic() - begun

        def mute() -> float:
            begun = time.monotonic()
            with Connection(gateway.port) as client:
                assert client.closed(120), "a connection without a request stays open"
            return time.monotonic() - begun

        with ThreadPoolExecutor() as pool:
            dripped, started, unused, silent = [
                pool.submit(*work) for work in ((drip, long), (started_body,), (idle,), (mute,))
            ]
            took, answers = dripped.result()
            # A late connection has two more seconds to end in good order.
            assert took > 13.9 and answers in ([], [408]), (took, answers)
            answers, took = started.result()
            assert 0.9 < took < 29 and answers == [408], (took, answers)
            assert unused.result() > 1.5, unused.result()
            assert silent.result() > 13.9, silent.result()
        assert len(upstream.take()) == 1


# ---- who signs what ---------------------------------------------------------------------------


def only_verified(harness: Harness) -> None:
    """Strict mode: only the first of these requests reaches the server, and only once."""
    with Upstream() as upstream, harness.gateway(upstream.url) as gateway:
        good = signed(harness, gateway, READ)
        fresh = lambda **how: signed(harness, gateway, READ, **how)  # noqa: E731
        now = lambda: int(time.time())  # noqa: E731

        def without(name: bytes) -> bytes:
            return b"\r\n".join(line for line in fresh().split(b"\r\n") if not line.lower().startswith(name))

        def replaced(old: bytes, new: bytes) -> bytes:
            return fresh().replace(old, new, 1)

        def swapped() -> bytes:
            before, after = fresh().split(b"Content-Digest:")
            other = signed(harness, gateway, call("delete_db", "fault")).split(b"Content-Digest:")[1].split(b"\r\n")[0]
            rest = after.split(b"\r\n", 1)[1].split(b"\r\n\r\n")[0]
            return before + b"Content-Digest:" + other + b"\r\n" + rest + b"\r\n\r\n" + call("delete_db", "fault")

        # Each is signed when it is sent: a signature is valid for 30 seconds.
        end = b"\r\n\r\n"
        bad = {
            "the same again": (lambda: good, 403, "nonce_replayed"),
            "unsigned": (lambda: request(gateway.port), 403, "signature_missing"),
            "half of it": (lambda: without(b"signature-input:"), 403, "signature_missing"),
            "without digest": (lambda: without(b"content-digest:"), 403, None),
            "another body": (lambda: replaced(b"read_note", b"delete_db"), 403, "digest_mismatch"),
            "another digest and body": (swapped, 403, "key_unknown"),
            "another method": (lambda: replaced(b"POST", b"PUT"), 403, None),
            "a query more": (lambda: replaced(b"/mcp HTTP", b"/mcp?x HTTP"), 403, "key_unknown"),
            "another type": (
                lambda: replaced(b"application/json\r\n", b"application/json; charset=utf-8\r\n"), 403, "key_unknown"),
            "a session more": (lambda: replaced(end, b"\r\nMcp-Session-Id: x" + end), 403, "coverage_insufficient"),
            "a header that steers": (lambda: replaced(end, b"\r\nMcp-Name: delete_db" + end), 403, "coverage_insufficient"),
            "too old": (lambda: fresh(created=now() - 40), 403, "expired"),
            "too new": (lambda: fresh(created=now() + 1000), 403, "not_yet_valid"),
            "a stranger's key": (lambda: fresh(key=harness.stranger), 403, "key_unknown"),
            "a short nonce": (lambda: fresh(nonce="short"), 403, "parameter_invalid"),
            "the digest in another header": (lambda: replaced(b"Content-Digest:", b"X-Digest:"), 403, None),
            "for another gateway": (
                lambda: replaced(f"127.0.0.1:{gateway.port}".encode(), b"127.0.0.1:9"), 421, "target_mismatch"),
        }
        answer = ask(gateway.port, good)
        assert answer.status == 200, answer
        (received,) = upstream.take()
        assert received.all("mcpid-status") == ["verified"], received
        assert received.all("mcpid-key-id") == [harness.key.id] and received.all("mcpid-name") == ["alice"], received
        wrong = []
        for name, (make, status, reason) in bad.items():
            answer = ask(gateway.port, make())
            if answer.status != status or reason not in (None, answer.reason):
                wrong.append((name, answer.status, answer.reason))
            if "accept-signature" not in answer.headers and status == 403:
                wrong.append((name, "no Accept-Signature"))
        assert not wrong, wrong
        assert not upstream.take(), "something else reached the server"
        assert ask(gateway.port, fresh()).status == 200


def sessions(harness: Harness) -> None:
    """A session of 2025-11-25 is bound to the key that opened it."""
    bob = harness.new_key("bob")
    trust = harness.folder / "two.json"
    for name, key in (("alice", harness.key), ("bob", bob)):
        harness.command(harness.tools.mcpid, "trust", "add", "-r", trust, "--name", name, key.file)
    there = harness.server("py1")
    hello = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}}).encode()
    ready = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    with harness.gateway(there.urls["stateful-json"], trust=trust) as gateway:
        answer = ask(gateway.port, signed(harness, gateway, hello))
        session = [("Mcp-Session-Id", answer.headers["mcp-session-id"]), ("MCP-Protocol-Version", "2025-11-25")]
        assert ask(gateway.port, signed(harness, gateway, ready, fields=session)).status == 202
        before = there.mark()
        for key in (bob, harness.stranger):
            answer = ask(gateway.port, signed(harness, gateway, call("read_note", "stolen"), fields=session, key=key))
            assert answer.status == 403, answer
        assert post(gateway.port, "/mcp", call("read_note", "stolen"), session).status == 403
        fields = [("Host", f"127.0.0.1:{gateway.port}"), ACCEPT, *session]
        for method in ("GET", "DELETE"):
            data = head(method, "/mcp", fields + bob.sign(method, gateway.url, fields, b""))
            assert ask(gateway.port, data, method).status == 403, method
        assert not there.record("head", before), there.record("head", before)
        answer = ask(gateway.port, signed(harness, gateway, call("read_note", "own"), fields=session))
        assert answer.status == 200 and there.calls("own"), answer
        data = head("DELETE", "/mcp", fields + harness.key.sign("DELETE", gateway.url, fields, b""))
        assert ask(gateway.port, data, "DELETE").status == 200


# ---- operation --------------------------------------------------------------------------------


def trust_deleted(harness: Harness) -> None:
    trust = harness.folder / "comes-and-goes.json"
    content = harness.trust.read_bytes()
    admin = free_port()
    trust.touch(0o600)
    trust.write_bytes(content)

    def readiness() -> int:
        return ask(admin, head("GET", "/readyz", [("Host", f"127.0.0.1:{admin}")]), "GET").status

    with Upstream() as upstream, \
            harness.gateway(upstream.url, "--admin", f"127.0.0.1:{admin}", trust=trust) as gateway:
        until(lambda: readiness() == 200, "the gateway is ready")
        for damage in (trust.unlink, lambda: trust.write_text("{")):
            said = len(gateway.said())
            damage()
            until(lambda: readiness() == 503, "the gateway says that it is not ready")
            until(lambda: "comes-and-goes" in gateway.said()[said:], "it says which file")
            assert ask(gateway.port, signed(harness, gateway, READ)).status == 200, "the old registry is kept"
            assert ask(gateway.port, signed(harness, gateway, READ, key=harness.stranger)).status == 403
            trust.unlink(missing_ok=True)
            trust.touch(0o600)
            trust.write_bytes(content)
            until(lambda: readiness() == 200, "the gateway is ready again")
        # A trust file with fewer keys has an effect at once.
        trust.write_text('{"keys":[]}')
        until(lambda: ask(gateway.port, signed(harness, gateway, READ)).status == 403, "the key is forgotten")


def nonce_file(harness: Harness) -> None:
    """Another program locks the file of nonces, and then deletes it. No replay is accepted."""
    file = Path(shutil.copy(harness.nonces, harness.folder / "locked.db"))
    with Upstream() as upstream, harness.gateway(upstream.url, nonces=f"sqlite:{file}") as gateway:
        until(lambda: ask(gateway.port, signed(harness, gateway, READ)).status == 200, "the copy is believed")
        upstream.take()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = ask(gateway.port, signed(harness, gateway, READ))
            assert (answer.status, answer.reason) == (503, "unavailable") and "retry-after" in answer.headers, answer
            assert not upstream.take()
            other.execute("ROLLBACK")
        once = signed(harness, gateway, READ)
        assert ask(gateway.port, once).status == 200
        upstream.take()
        for part in harness.folder.glob("locked.db*"):
            part.unlink()
        end = time.monotonic() + 300
        while True:
            replayed = ask(gateway.port, once)
            assert replayed.status in (403, 503) and not upstream.take(), replayed
            if ask(gateway.port, signed(harness, gateway, READ)).status == 200:
                upstream.take()
                break
            assert time.monotonic() < end, "a new file is never believed"
            time.sleep(0.5)
        assert ask(gateway.port, once).status in (403, 503) and not upstream.take()


def drains(harness: Harness) -> None:
    """After SIGTERM, requests in flight end normally, and new requests are not accepted."""

    refused = threading.Event()

    def behave(connection, _):
        # A request that arrives before the gateway handles the signal is answered at once. If it waited
        # too, the gateway would end the stream by its own limit.
        if len(upstream.requests) > 1:
            return connection.sendall(EVENTS + chunk(b""))
        connection.sendall(EVENTS + event("one"))
        refused.wait(300)
        connection.sendall(event("two") + chunk(b""))

    def refuses() -> bool:
        with contextlib.suppress(OSError, EOFError):
            return post(gateway.port, "/mcp", READ).status == 503
        return True

    with Upstream(behave) as upstream, \
            harness.gateway(upstream.url, *PERMISSIVE, "--drain-timeout", "300s", checked=False) as gateway, \
            Connection(gateway.port) as client:
        client.send(request(gateway.port)).answer_head()
        gateway.process.terminate()
        until(refuses, "new requests are refused")
        refused.set()
        assert b"two" in client.until(b"0\r\n\r\n")
        assert gateway.process.wait(120) == 0


def cases(harness: Harness):
    yield from upstream_faults.cases(harness)
    for name, case in {
        "clients vanish": vanishing,
        "senders are slow": slow_senders,
        "of 18 signed and unsigned requests one reaches the server": only_verified,
        "a session belongs to the key that opened it": sessions,
        "the trust file is deleted, broken, emptied": trust_deleted,
        "the nonce file is locked, and deleted": nonce_file,
        "SIGTERM lets a stream end": drains,
    }.items():
        yield f"faults: {name}", lambda case=case: case(harness)
    for server, client in [("py1", "py1"), ("ts1", "ts1"), ("py2", "py2"), ("py2", "ts2"), ("ts2", "ts2"), ("ts2", "py2"), ("fastmcp", "py2-legacy")]:
        yield f"faults: {client} cancels a call in {server}", lambda server=server, client=client: cancels(harness, server, client)
