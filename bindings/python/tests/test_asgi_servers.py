"""The middleware in real servers, by raw bytes: uvicorn with its loops and parsers, and hypercorn."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asgi_harness import CALL, Wire, free_port

for package in ("uvicorn", "uvloop", "httptools", "hypercorn"):
    pytest.importorskip(package)

UVICORN = ["uvicorn", "served_app:app", "--no-access-log", "--port", "{port}"]
SERVERS = {
    "uvicorn-h11": [*UVICORN, "--loop", "asyncio", "--http", "h11"],
    "uvicorn-httptools": [*UVICORN, "--loop", "uvloop", "--http", "httptools"],
    "hypercorn": ["hypercorn", "served_app:app", "--bind", "127.0.0.1:{port}"],
}
WORKERS = [*UVICORN, "--workers", "2"]


class Server:
    """A server in a process of its own."""

    def __init__(self, command, key, folder, store):
        self.port = free_port()
        self.origin, self.folder = f"http://127.0.0.1:{self.port}", folder
        (folder / "trust.json").write_text(key.public_key.jwks())
        here = str(Path(__file__).parent)
        settings = {
            "SERVED_REPORT": str(folder / "report"),
            "SERVED_STORE": store,
            "SERVED_TRUST": str(folder / "trust.json"),
            "SERVED_ORIGIN": self.origin,
            "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", *(word.format(port=self.port) for word in command)]
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | settings, cwd=folder, stdout=log, stderr=log
            )

    def wait(self, key):
        until = time.monotonic() + 120
        while True:
            try:
                # A new store waits for some seconds.
                if self.ask(self.signed(key))[0] != 503:
                    return self
            except OSError:
                pass
            assert time.monotonic() < until and self.process.poll() is None, self.log()
            time.sleep(0.2)

    def log(self):
        return (self.folder / "log").read_text()

    def report(self):
        path = self.folder / "report"
        return path.read_text().splitlines() if path.exists() else []

    def wire(self, **changes):
        return Wire(host=self.origin.removeprefix("http://").encode(), **changes)

    def signed(self, key, *, target=None, **changes):
        wire = self.wire(**changes)
        query = "?" + wire.query.decode() if wire.query else ""
        return wire.signed(key, url=self.origin + (target or wire.path + query))

    def ask(self, wire, *, target=None, chunks=0):
        with self.begin(wire, target=target, chunks=chunks) as stream:
            return read_answer(stream)

    def begin(self, wire, *, target=None, chunks=0):
        query = "?" + wire.query.decode() if wire.query else ""
        head = [f"{wire.method} {target or wire.path + query} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in wire.headers]
        body = wire.body
        if chunks:
            head.append(b"transfer-encoding: chunked")
            parts = [body[at : at + chunks] for at in range(0, len(body), chunks)]
            framed = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts]
            body = b"".join(framed) + b"0\r\n\r\n"
        elif body or wire.method == "POST":
            head.append(b"content-length: " + str(len(body)).encode())
        stream = socket.create_connection(("127.0.0.1", self.port), 120)
        stream.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
        return stream

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(120)
        finally:
            self.process.kill()


def read_answer(stream):
    """Status, fields, and the body, which ends by its length, its last chunk, or the connection."""
    answer = b""
    while True:
        start, end, body = answer.partition(b"\r\n\r\n")
        lines = start.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        if end:
            if "content-length" in fields and len(body) >= int(fields["content-length"]):
                break
            if fields.get("transfer-encoding") == "chunked" and body.endswith(b"0\r\n\r\n"):
                body = unchunked(body)
                break
        more = stream.recv(65536)
        if not more:
            break
        answer += more
    if not answer:
        raise ConnectionError("closed without an answer")
    return int(lines[0].split()[1]), fields, body


def unchunked(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole


@pytest.fixture(scope="module")
def servers(key, tmp_path_factory, settled_store):
    """All servers, started at the same time."""
    started = {}
    for name, command in SERVERS.items():
        started[name] = Server(command, key, tmp_path_factory.mktemp(name), settled_store)
        started[name].name = name
    yield {name: server.wait(key) for name, server in started.items()}
    for server in started.values():
        server.close()
    for server in started.values():
        assert server.report()[-1] == "lifespan.shutdown", server.log()
        for word in ("Traceback", "panicked", "Error"):
            assert word not in server.log(), server.log()


@pytest.fixture(params=SERVERS)
def server(request, servers):
    return servers[request.param]


def test_a_signed_request_is_served_once(server, key):
    wire = server.signed(key)
    status, fields, body = server.ask(wire)
    assert (status, fields["x-status"], body) == (200, "verified", CALL)
    status, fields, body = server.ask(wire)
    assert status == 403 and b"nonce_replayed" in body and b'"id":7' in body
    assert fields["cache-control"] == "no-store" and '"@target-uri"' in fields["accept-signature"]


def test_a_request_that_is_not_signed_is_refused(server, key, other):
    changed = server.signed(key)
    changed.headers.append((b"mcp-session-id", b"one"))
    for wire, reason in [
        (server.wire(), b"signature_missing"),
        (server.signed(other), b"key_unknown"),
        (changed, b"coverage_insufficient"),
        (server.signed(key, query=b"a=1", target="/mcp?a=2"), b"key_unknown"),
    ]:
        status, _, body = server.ask(wire)
        assert status == 403 and reason in body
    assert server.ask(Wire(host=b"other.example"))[0] == 421


def test_a_body_in_chunks_is_verified(server, key):
    body = CALL[:-1] + b',"x":"' + b"y" * 700_000 + b'"}'
    for chunks in (10_000, 64 * 1024):
        status, fields, echoed = server.ask(server.signed(key, body=body), chunks=chunks)
        assert (status, fields["x-status"]) == (200, "verified") and echoed == body


def test_a_long_body_is_refused(server, key):
    wire = server.signed(key, body=b" " * ((4 << 20) + 1))
    try:
        assert server.ask(wire)[0] == 413
    except OSError:
        pass  # The server closes the connection while the client is still sending.


def test_a_query_is_covered_as_it_was_sent(server, key):
    status, fields, _ = server.ask(server.signed(key, query=b"a=%2F&b&c=%c3%a4"))
    assert (status, fields["x-status"]) == (200, "verified")


def test_an_empty_query_is_not_seen(server, key):
    # ASGI says the same of `/mcp` and `/mcp?`: SECURITY.md names it.
    assert server.ask(server.signed(key, target="/mcp?"), target="/mcp?")[0] == 403
    assert server.ask(server.signed(key), target="/mcp?")[0] == 200


def test_a_fragment_is_refused_where_the_server_lets_it_through(server, key):
    status, _, body = server.ask(server.signed(key), target="/mcp#x")
    if server.name == "uvicorn-httptools":
        # That parser drops the fragment: SECURITY.md names it.
        assert status == 200
    else:
        assert status == 400 and (b'"target"' in body or server.name == "hypercorn")


def test_the_absolute_form_is_that_of_the_origin(server, key):
    assert server.ask(server.signed(key), target=server.origin + "/mcp")[0] == 200
    if server.name != "uvicorn-httptools":
        # That parser drops scheme and host of the absolute form.
        assert server.ask(server.signed(key), target="http://other.example/mcp")[0] in (400, 421)


def test_other_paths_pass_unjudged(server):
    status, fields, _ = server.ask(server.wire(path="/health"))
    assert (status, fields["x-status"]) == (200, "none")
    for path in ("/%6dcp", "/mcp/", "//mcp", "/MCP"):
        assert server.ask(server.wire(path=path))[0] in (400, 403), path


def test_a_stream_begins_at_once_and_its_end_reaches_the_application(server, key):
    before = server.report().count("disconnected")
    wire = server.signed(key, method="GET", body=b"")
    with server.begin(wire) as stream:
        answer = b""
        while b"data: one\n\n" not in answer:
            more = stream.recv(65536)
            assert more, answer
            answer += more
        assert b"verified" in answer
        assert server.report().count("disconnected") == before
    until = time.monotonic() + 120
    while server.report().count("disconnected") == before:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_websocket_at_the_endpoint_is_refused(server, key):
    def upgrade(path):
        wire = server.wire(method="GET", path=path, body=b"")
        for name, value in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]:
            wire.having(name, value)
        return server.ask(wire)[0]

    assert upgrade("/mcp") == 403
    assert "websocket /mcp" not in server.report()


def test_a_client_that_goes_while_it_sends_leaves_nothing(server, key):
    wire = server.signed(key, body=CALL)
    wire.headers.append((b"content-length", b"76"))
    for _ in range(20):
        head = [b"POST /mcp HTTP/1.1", *(name + b": " + value for name, value in wire.headers)]
        with socket.create_connection(("127.0.0.1", server.port), 120) as stream:
            stream.sendall(b"\r\n".join(head) + b"\r\n\r\n" + CALL[:10])
    assert server.ask(server.signed(key))[0] == 200


def test_two_workers_accept_a_nonce_once(key, tmp_path, settled_store):
    server = Server(WORKERS, key, tmp_path, settled_store).wait(key)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(10):
                wire = server.signed(key)
                answers = list(pool.map(lambda _: server.ask(wire)[0], range(8)))
                assert sorted(answers) == [200] + [403] * 7
    finally:
        server.close()


def test_a_second_worker_with_a_store_in_memory_is_refused(key, tmp_path):
    server = Server(WORKERS, key, tmp_path, "memory:")
    try:
        until = time.monotonic() + 120
        while "another worker of this server has one" not in server.log():
            assert time.monotonic() < until and server.process.poll() is None, server.log()
            time.sleep(0.1)
        server.wait(key)
        for _ in range(5):
            wire = server.signed(key)
            assert sorted(server.ask(wire)[0] for _ in range(4)) == [200] + [403] * 3
    finally:
        server.close()
