"""The middleware and ``mcpid gateway`` refuse the same bytes in the same way.

The variable MCPID_PROGRAM names the program.
"""

import http.server
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from asgi_harness import (
    CALL,
    INITIALIZE,
    LIST,
    ORIGIN,
    Wire,
    ask,
    call,
    free_port,
    guarded,
    mcp_server,
)
from test_asgi_requests import refused_requests

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")

# A server refuses these before it has an application's request.
BY_THE_SERVER = {
    "another path",
    "two hosts",
    "a bad field name",
    "a bad field value",
    "a bad method",
}
COMPARED = [
    "content-type",
    "cache-control",
    "retry-after",
    "accept-signature",
    "accept-encoding",
    "www-authenticate",
    "mcp-session-id",
    "content-length",
]


class Upstream(http.server.BaseHTTPRequestHandler):
    """The same application as ``mcp_server``."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["content-length"] or 0)))
        tools = [{"name": "list_users", "annotations": {"readOnlyHint": True}}]
        method = sent.get("method")
        answers = {"initialize": (1, {}), "tools/list": (8, {"tools": tools})}
        number, result = answers.get(method, (7, {}))
        answer = {"jsonrpc": "2.0", "id": number, "result": result}
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if method == "initialize":
            self.send_header("mcp-session-id", "one")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Gateway:
    """A gateway at a free port, in front of an upstream."""

    def __init__(self, folder, store, keys, *flags):
        program = os.environ.get("MCPID_PROGRAM")
        if not program:
            pytest.skip("MCPID_PROGRAM does not name the program mcpid")
        self.upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        serve = self.upstream.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()
        trust = folder / "trust"
        trust.mkdir()
        for number, key in enumerate(keys):
            (trust / f"{number}.json").write_text(key.public_key.jwks())
        self.port = free_port()
        upstream = f"http://127.0.0.1:{self.upstream.server_port}/mcp"
        command = [program, "gateway", "--upstream", upstream, "--origin", ORIGIN]
        command += ["--listen", f"127.0.0.1:{self.port}", "--trust", trust, "--nonces", store]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([*command, *flags], stdout=quiet, stderr=quiet)
        until = time.monotonic() + 120
        while True:
            try:
                if self.ask(Wire().signed(keys[0]))[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < until and self.process.poll() is None
            time.sleep(0.05)

    def ask(self, wire):
        target = wire.path + ("?" + wire.query.decode() if wire.query else "")
        head = [f"{wire.method} {target} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in wire.headers]
        if wire.body:
            head.append(b"content-length: " + str(len(wire.body)).encode())
        with socket.create_connection(("127.0.0.1", self.port), 120) as stream:
            try:
                stream.sendall(b"\r\n".join(head) + b"\r\n\r\n" + wire.body)
            except OSError:
                pass  # The gateway refuses a long request before it has all of it.
            answer = b""
            while True:
                start, end, body = answer.partition(b"\r\n\r\n")
                lines = start.decode("latin-1").split("\r\n")
                fields = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
                if end and len(body) >= int(fields.get("content-length", 0)):
                    return int(lines[0].split()[1]), fields, body
                more = stream.recv(65536)
                assert more, answer
                answer += more

    def close(self):
        self.process.terminate()
        self.process.wait(120)
        self.upstream.shutdown()
        self.upstream.server_close()


@pytest.fixture
def gateway(tmp_path, settled_store, key, other, request):
    gateway = Gateway(tmp_path, settled_store, [key, other], *getattr(request, "param", ()))
    yield gateway
    gateway.close()


def compare(gateway, app, what, wire):
    answer = ask(app, wire)
    status, fields, body = gateway.ask(wire)
    assert (answer.status, answer.body) == (status, body), what
    for name in COMPARED:
        assert answer.headers.get(name, None) == fields.get(name), (what, name)
    return answer


def test_each_refusal_is_the_same(gateway, key, other):
    app = guarded([key, other], mcp_server, path="/mcp")
    stranger = type(key).generate()
    for what, wire, status, reason in refused_requests(key, stranger):
        if what not in BY_THE_SERVER:
            answer = compare(gateway, app, what, wire)
            assert (answer.status, answer.reason) == (status, reason), what
    wire = Wire().signed(key)
    for what in ("first", "replayed"):
        compare_without_length(gateway, app, what, wire)


def compare_without_length(gateway, app, what, wire):
    """The application behind sends no length here, and a server adds it."""
    answer = ask(app, wire)
    status, fields, body = gateway.ask(wire)
    assert (answer.status, answer.body) == (status, body), what
    for name in ("content-type", "mcp-session-id", "accept-signature"):
        assert answer.headers.get(name) == fields.get(name), (what, name)


def test_sessions_are_bound_in_the_same_way(gateway, key, other):
    app = guarded([key, other], mcp_server, path="/mcp")
    for what, wire in [
        ("opened", Wire(body=INITIALIZE).signed(key)),
        ("used", Wire().having("mcp-session-id", "one").signed(key)),
        ("another key's", Wire().having("mcp-session-id", "one").signed(other)),
        ("opened again", Wire(body=INITIALIZE).signed(other)),
        ("still used", Wire().having("mcp-session-id", "one").signed(key)),
    ]:
        compare_without_length(gateway, app, what, wire)


FLAGS = ["--mode", "permissive", "--strict", "destructive", "--refuse-with", "401"]


@pytest.mark.parametrize("gateway", [[*FLAGS, "--realm", "a b", "--budget", "16KiB"]], indirect=True)
def test_tools_are_learned_in_the_same_way(gateway, key):
    settings = {"mode": "permissive", "strict": ["destructive"], "refuse_with": 401}
    app = guarded(key, mcp_server, realm="a b", budget=16 * 1024, path="/mcp", **settings)
    for what, wire in [
        ("not listed yet", Wire(body=call("list_users"))),
        ("the list", Wire(body=LIST)),
        ("listed as harmless", Wire(body=call("list_users"))),
        ("not listed", Wire(body=call("delete_db"))),
        ("over the budget", Wire(body=call("x" * 14_000))),
        ("signed", Wire().signed(key)),
        ("unreadable", Wire(body=CALL[:-1])),
    ]:
        compare_without_length(gateway, app, what, wire)
