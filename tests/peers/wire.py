"""HTTP by hand: requests that no client library would send, and the answers as received."""

import contextlib
import json
import socket
import time
from dataclasses import dataclass, field

ACCEPT = ("Accept", "application/json, text/event-stream")
JSON = ("Content-Type", "application/json")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str | None:
        """Returns the code of our refusal, from its JSON-RPC error."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return json.loads(self.body)["error"]["data"]["reason"]
        return None

    @property
    def messages(self) -> list[dict]:
        """Returns the JSON-RPC messages, from JSON or from events."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            lines = self.body.decode().splitlines()
            return [json.loads(line[5:]) for line in lines if line.startswith("data:") and line[5:].strip()]
        return [json.loads(self.body)]


def head(method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class Connection:
    """A connection to 127.0.0.1. It reads the answers one after the other."""

    port: int
    timeout: float = 120
    _kept: bytes = field(default=b"", init=False)

    def __post_init__(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def vanish(self) -> None:
        """Closes with a reset, as if the machine had lost its network."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes) -> "Connection":
        """Sends as much as possible. A server may answer and close before it has read everything."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def _more(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self._kept += data
        return data

    def until(self, mark: bytes) -> bytes:
        """Reads up to `mark`, including it."""
        while mark not in self._kept:
            if not self._more():
                raise EOFError(f"closed after {self._kept[:200]!r}")
        found, self._kept = self._kept.split(mark, 1)
        return found + mark

    def again(self, data: bytes) -> "Connection":
        """Puts back what was read."""
        self._kept = data + self._kept
        return self

    def answer(self, to: str = "POST") -> Answer:
        """Reads the next complete answer."""
        status, headers = self.answer_head()
        if to == "HEAD" or status in (204, 304) or status < 200:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                while len(self._kept) < size + 2:
                    if not self._more():
                        raise EOFError("closed inside a chunk")
                body, self._kept = body + self._kept[:size], self._kept[size + 2 :]
                if size == 0:
                    break
        elif "content-length" in headers:
            length = int(headers["content-length"])
            while len(self._kept) < length:
                if not self._more():
                    raise EOFError("closed inside a body")
            body, self._kept = self._kept[:length], self._kept[length:]
        else:
            while self._more():
                pass
            body, self._kept = self._kept, b""
        return Answer(status, headers, body)

    def answer_head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        pairs = (line.split(":", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}

    def closed(self, seconds: float = 5) -> bool:
        """Returns whether the other side ends the connection, ignoring what it sends before."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self._more():
                    return True
            except TimeoutError:
                break
            finally:
                self.socket.settimeout(self.timeout)
        return False

    def answers(self, seconds: float = 2) -> list[Answer]:
        """Returns all answers until the connection ends or no more bytes come."""
        found = []
        self.socket.settimeout(seconds)
        with contextlib.suppress(EOFError, TimeoutError):
            while True:
                found.append(self.answer())
        return found


def ask(port: int, data: bytes, to: str = "POST") -> Answer:
    """Sends one request on a separate connection, and returns the answer."""
    with Connection(port) as connection:
        return connection.send(data).answer(to)


def post(port: int, target: str, body: bytes, headers: list[tuple[str, str]] = (), host: str | None = None) -> Answer:
    """Returns a POST with the headers of an MCP client, unless `headers` replaces them."""
    given = {name.lower() for name, _ in headers}
    usual = [("Host", host or f"127.0.0.1:{port}"), JSON, ACCEPT, ("Content-Length", str(len(body)))]
    sent = [pair for pair in usual if pair[0].lower() not in given] + list(headers)
    return ask(port, head("POST", target, sent) + body)


def call(tool: str, token: str, number: int | str = 1, **arguments) -> bytes:
    """Returns a tools/call of 2025-11-25."""
    return json.dumps({
        "jsonrpc": "2.0", "id": number, "method": "tools/call",
        "params": {"name": tool, "arguments": {"name": token, **arguments}},
    }).encode()
