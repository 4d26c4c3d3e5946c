"""Starts Envoy with the configuration of contrib/envoy, only its ports changed, and `mcpid authz` beside it."""

import contextlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers import HERE, Running, Harness, free_port, lines_in, listens, until
from wire import ACCEPT, JSON, Answer, Connection, ask, call, head

CONFIGURATION = HERE.parents[1] / "contrib/envoy/envoy.yaml"
CALL = call("delete_db", "outer")


@dataclass
class Received:
    line: str
    fields: list[tuple[str, str]]
    body: bytes

    def told(self) -> dict[str, str]:
        """What the server is told by fields that begin like ours, however they are written."""
        pairs = [(name.replace("_", "-"), value) for name, value in self.fields]
        found = [(name, value) for name, value in pairs if name.startswith("mcpid-")]
        assert len(found) == len(dict(found)), found
        return dict(found)


class Recorder(ThreadingHTTPServer):
    """An MCP server behind Envoy: it keeps what it got, in either framing, and answers `status`."""

    daemon_threads = True

    def __init__(self):
        self.got: list[Received] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self) -> list[Received]:
        found, self.got = self.got, []
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        if self.headers.get("transfer-encoding"):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fields = [(name.lower(), value) for name, value in self.headers.items()]
        self.server.got.append(Received(self.requestline, fields, body))
        answer = b'{"jsonrpc":"2.0","id":1,"result":{}}'
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class Authz(Running):
    """`mcpid authz` for clients that know the server by Envoy's port."""

    def __init__(self, harness: Harness, public: int, port: int, *flags):
        self.port = port
        self.requests = harness.log("authz-requests")
        # The number of the last request whose line was taken.
        self._taken = 0
        super().__init__(harness, "authz", [
            harness.tools.mcpid, "authz", "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{public}",
            "-r", harness.trust, "--nonces", f"sqlite:{harness.nonces}", "--trusted-proxy", "127.0.0.1",
            "--log", self.requests, *flags,
        ])
        until(lambda: self.process.poll() is not None or listens(port), "authz listens")
        assert self.process.poll() is None, self.said()

    def take(self) -> list[dict]:
        """Returns the lines of the log of all requests since the last call. Each line is written when the answer
        has gone, so the lines are complete when those of all requests up to a further one are there."""
        path = f"/taken-{self._taken}"
        ask(self.port, head("GET", path, [("Host", f"127.0.0.1:{self.port}")]), "GET")

        def complete() -> list[dict] | None:
            lines = {line["request"]: line for line in lines_in(self.requests)}
            last = next((number for number, line in lines.items() if line["path"] == path), None)
            if last is None or not all(number in lines for number in range(1, last)):
                return None
            found, self._taken = [lines[number] for number in range(self._taken + 1, last)], last
            return [*found, lines[last]]

        return until(complete, "the lines of authz")[:-1]


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the configuration"
    return text.replace(old, new)


@contextlib.contextmanager
def envoy(harness: Harness, ports: dict[int, int], *changes: tuple[str, str], patience: str = "120s"):
    """Envoy with the shipped configuration: these ports, and these changes. It waits for authz as long as
    `patience`, because on a busy machine authz may take longer than the 5 s of the configuration."""
    text = replaced(CONFIGURATION.read_text(), "timeout: 5s", f"timeout: {patience}")
    for theirs, ours in ports.items():
        text = replaced(text, f"port_value: {theirs} ", f"port_value: {ours} ")
    text = replaced(text, "http://127.0.0.1:9001", f"http://127.0.0.1:{ports[9001]}")
    for old, new in changes:
        text = replaced(text, old, new)
    file = harness.log("envoy-configuration").with_suffix(".yaml")
    file.write_text(text)
    program = Path(harness.tools.python2).parent / "envoy"
    running = Running(harness, "envoy", [
        program, "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warning",
    ])
    try:
        def starts():
            assert running.process.poll() is None, running.said()[-2000:]
            return listens(ports[8080])

        until(starts, "Envoy listens")
        yield running
    finally:
        running.end()


class Shared:
    """One Envoy with authz, and one gateway with the same rules, each before a server of its own."""

    def __init__(self, harness: Harness, *flags, changes: tuple = (), patience: str = "120s"):
        self.harness, self.context = harness, contextlib.ExitStack()
        self.server, self.other = Recorder(), Recorder()
        self.port, self.authz_port = free_port(), free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.flags = flags
        self.authz = Authz(harness, self.port, self.authz_port, *flags)
        ports = {8080: self.port, 9902: free_port(), 8000: self.server.server_port, 9001: self.authz_port}
        self.context.enter_context(envoy(harness, ports, *changes, patience=patience))
        before = f"http://127.0.0.1:{self.other.server_port}/mcp"
        self.gateway = self.context.enter_context(harness.gateway(before, "--origin", self.origin, *flags))

    def close(self) -> None:
        self.context.close()
        assert self.authz.end() == 0, self.authz.said()
        assert "panicked" not in self.authz.said(), self.authz.said()

    def signed(self, body: bytes = CALL, *, more: list = (), method: str = "POST", target: str = "/mcp",
               key=None, host: str = "", **options) -> list[tuple[str, str]]:
        """The fields of a signed request."""
        fields = [("Host", host or f"127.0.0.1:{self.port}"), *([JSON] if body else []), ACCEPT, *more]
        key = key or self.harness.key
        return fields + key.sign(method, self.origin + target, fields, body, **options)

    def ask(self, data: bytes, method: str = "POST") -> tuple[Answer, list[Received], dict | None]:
        """The answer, what reached the server, and the line of authz if Envoy asked."""
        self.server.take()
        self.authz.take()
        with Connection(self.port) as connection:
            answer = connection.send(data).answer(method)
        if answer.headers.get("server") != "envoy":
            raise AssertionError(f"not an answer of Envoy: {answer}")
        lines = self.authz.take()
        assert len(lines) <= 1, lines
        return answer, self.server.take(), lines[0] if lines else None


def written(fields: list[tuple[str, str]], body: bytes = CALL, method: str = "POST", target: str = "/mcp") -> bytes:
    length = [("Content-Length", str(len(body)))] if body or method == "POST" else []
    return head(method, target, [*fields, *length]) + body


def without(fields: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [(n, v) for n, v in fields if n.lower() != name]
