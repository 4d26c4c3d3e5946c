"""HTTP/2 without prior negotiation, with heads that no client library would send."""

import contextlib
import socket
from functools import cache

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from framing import INNER, POLICY, READ, check
from servers import Harness
from upstream import Upstream

CLOSED = "reset"


def ask(port: int, fields: list[tuple[str, str]], body: bytes, trailers: list | None = None) -> int | str:
    """Returns the status of the answer to one request, or CLOSED for a stream or connection that was
    reset."""
    config = h2.config.H2Configuration(
        client_side=True, header_encoding="utf-8",
        validate_outbound_headers=False, normalize_outbound_headers=False,
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=120) as there:
        connection.send_headers(1, fields, end_stream=not body and not trailers)
        if body:
            connection.send_data(1, body, end_stream=not trailers)
        if trailers:
            connection.send_headers(1, trailers, end_stream=True)
        there.sendall(connection.data_to_send())
        # A gateway that is late is none that closes: a time-out is an error.
        with contextlib.suppress(ConnectionError, h2.exceptions.ProtocolError):
            while data := there.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        return int(dict(event.headers)[":status"])
                    if isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                        return CLOSED
                there.sendall(connection.data_to_send())
    return CLOSED


def heads(us: str) -> dict[str, tuple]:
    """By name: (fields, body, trailers, expected answer)."""
    length = ("content-length", str(len(READ)))

    def head(method=":method POST", scheme=":scheme http", authority=f":authority {us}", path=":path /mcp", more=()):
        pseudo = [tuple(field.split(" ", 1)) for field in (method, scheme, authority, path) if field]
        return [*pseudo, ("content-type", "application/json"), ("accept", "application/json, text/event-stream"), *more]

    inner = [(":method", "POST")]
    return {
        "as it should be": (head(), READ, None, 200),
        "with its length": (head(more=[length]), READ, None, 200),
        "a host that agrees": (head(more=[("host", us)]), READ, None, 200),
        "a host that differs": (head(more=[("host", "evil.example")]), READ, None, 400),
        "an authority that is not ours, our host": (head(authority=":authority evil.example", more=[("host", us)]), READ, None, 400),
        "an authority that is not ours": (head(authority=":authority evil.example"), READ, None, 421),
        "two hosts": (head(more=[("host", us), ("host", us)]), READ, None, 400),
        "no authority, a host": (head(authority="", more=[("host", us)]), READ, None, 200),
        "neither authority nor host": (head(authority=""), READ, None, 400),
        "user information": (head(authority=f":authority a@{us}"), READ, None, 400),
        "two authorities": (head(more=[(":authority", us)]), READ, None, CLOSED),
        "a pseudo field behind the others": (head(more=inner), READ, None, CLOSED),
        "a name in upper case": (head(more=[("X-Upper", "a")]), READ, None, CLOSED),
        "a line break in a value": (head(more=[("x-a", "b\r\ntransfer-encoding: chunked")]), READ, None, CLOSED),
        "a line break in the path": (head(path=":path /mcp HTTP/1.1\r\nX: y"), READ, None, CLOSED),
        "a transfer coding": (head(more=[("transfer-encoding", "chunked")]), READ, None, CLOSED),
        "a connection field": (head(more=[("connection", "close")]), READ, None, CLOSED),
        "an upgrade": (head(more=[("upgrade", "h2c")]), READ, None, CLOSED),
        "te: trailers": (head(more=[("te", "trailers")]), READ, None, 200),
        "te: gzip": (head(more=[("te", "gzip")]), READ, None, CLOSED),
        "a length that is too short": (head(more=[("content-length", "5")]), READ, None, CLOSED),
        "a length that is too long": (head(more=[("content-length", "5000")]), READ, None, CLOSED),
        "two lengths": (head(more=[length, ("content-length", "5")]), READ, None, CLOSED),
        "trailers": (head(more=[("x-a", "b")]), READ, [("mcpid-status", "verified"), ("x-late", "y")], 200),
        "pseudo fields in trailers, which go nowhere": (head(), READ, inner, 200),
        "CONNECT": (head(method=":method CONNECT", scheme="", path=""), b"", None, 405),
        "the inner call": (head(), INNER, None, 403),
        "the inner call by GET": (head(method=":method GET"), INNER, None, 403),
        "a path without a slash": (head(path=":path mcp"), READ, None, CLOSED),
        "an absolute path": (head(path=f":path http://{us}/mcp"), READ, None, CLOSED),
        "no path": (head(path=""), READ, None, CLOSED),
        "forged fields": (head(more=[("mcpid-status", "verified"), ("x_a", "b")]), READ, None, 200),
    }


def cases(harness: Harness):
    shared: dict = {}

    @cache
    def started():
        shared["upstream"] = Upstream()
        shared["context"] = harness.gateway(shared["upstream"].url, *POLICY)
        return shared["context"].__enter__()

    for name in heads(""):

        def asked(name=name):
            gateway = started()
            fields, body, trailers, expected = heads(f"127.0.0.1:{gateway.port}")[name]
            shared["upstream"].take()
            status = ask(gateway.port, fields, body, trailers)
            assert status == expected, f"answered {status}, not {expected}"
            check(shared["upstream"], [status])

        yield f"http/2: {name}", asked

    def ended():
        started()
        shared["context"].__exit__(None, None, None)

    yield "http/2: the gateway lived through all that", ended
