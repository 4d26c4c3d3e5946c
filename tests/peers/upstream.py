"""A server behind the gateway that records every byte, and whose answers each case determines: correct, late,
partial, or random bytes.
"""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n{"jsonrpc":"2.0","id":1,"result":{}}'
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(text: str) -> bytes:
    """Returns a server-sent event in a separate chunk."""
    return chunk(f"event: message\ndata: {text}\n\n".encode())


@dataclass
class Received:
    """A request as received, framed by its only Content-Length."""

    first: bytes
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]


@dataclass
class Upstream:
    """Answers each request with `behave(connection, request)`, which may raise an error to close the
    connection."""

    behave: object = None
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    # The received bytes that are no request in the form that a gateway sends.
    nonsense: list[bytes] = field(default_factory=list)
    # The times at which the gateway ended each connection.
    ended: list[float] = field(default_factory=list)

    def __post_init__(self):
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Closing the socket does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        kept = b""
        with contextlib.suppress(OSError, StopIteration), connection:
            while True:
                while b"\r\n\r\n" not in kept:
                    more = connection.recv(65536)
                    if not more:
                        self.ended.append(time.monotonic())
                        if kept:
                            self.nonsense.append(kept)
                        return
                    kept += more
                head, kept = kept.split(b"\r\n\r\n", 1)
                first, *lines = head.split(b"\r\n")
                pairs = [line.decode("latin-1").split(": ", 1) for line in lines if b": " in line]
                fields = [(name.lower(), value) for name, value in pairs]
                lengths = [value for name, value in fields if name == "content-length"]
                framed = (
                    len(pairs) == len(lines)
                    and len(lengths) <= 1
                    and all(length.isdigit() for length in lengths)
                    and not any(name == "transfer-encoding" for name, _ in fields)
                    and b"\n" not in head.replace(b"\r\n", b"")
                )
                if not framed:
                    self.nonsense.append(head)
                    return
                length = int(lengths[0]) if lengths else 0
                while len(kept) < length:
                    more = connection.recv(65536)
                    if not more:
                        self.nonsense.append(head + kept)
                        return
                    kept += more
                body, kept = kept[:length], kept[length:]
                request = Received(first, fields, body)
                self.requests.append(request)
                if self.behave:
                    self.behave(connection, request)
                else:
                    connection.sendall(OK)

    def take(self) -> list[Received]:
        """Returns the requests since the last call. Other bytes are an error."""
        assert not self.nonsense, self.nonsense
        found, self.requests = self.requests, []
        return found


def reset(connection: socket.socket) -> None:
    """Ends the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    raise StopIteration
