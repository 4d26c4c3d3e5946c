"""Sends malformed and ambiguous framing to a gateway in front of a server that records every byte. The server
may receive only complete requests in one form, and never the request hidden in another one.
"""

from dataclasses import dataclass
from functools import cache

from servers import Harness
from upstream import Upstream
from wire import ACCEPT, JSON, Connection, call, head

POLICY = ["--mode", "permissive", "--strict", "tools/call:delete_*"]
READ = call("read_note", "outer")
# The hidden request: a call that the policy refuses, in the body of a permitted call.
INNER = call("delete_db", "inner")


@dataclass(frozen=True)
class Attack:
    """An attack: its bytes, and the expected statuses of the answers, in order."""

    data: bytes
    answers: list[int]


def request(body: bytes = READ, *, target: str = "/mcp", method: str = "POST", host: str = "HOST",
            length: bool = True, more: list = ()) -> bytes:
    fields = [("Host", host)] if host else []
    fields += [JSON, ACCEPT]
    if length:
        fields.append(("Content-Length", str(len(body))))
    return head(method, target, [*fields, *more]) + body


def chunked(body: bytes, *pieces: bytes) -> bytes:
    return b"".join(pieces) or f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def inner() -> bytes:
    return request(INNER)


def attacks() -> dict[str, Attack]:
    te = ("Transfer-Encoding", "chunked")
    bad, coding = [400], [501]

    def with_te(value: str, body: bytes, *more) -> bytes:
        return request(body, length=False, more=[("Transfer-Encoding", value), *more])

    def length(value: str) -> bytes:
        return request(length=False, more=[("Content-Length", value)])

    cl_te = with_te("chunked", b"0\r\n\r\n" + inner(), ("Content-Length", str(5 + len(inner()))))
    found = {
        # ---- two lengths
        "a length beside chunks, the rest a request": Attack(cl_te, bad),
        "chunks beside a length that ends inside them": Attack(
            with_te("chunked", chunked(READ) + inner(), ("Content-Length", "4")), bad),
        "two lengths": Attack(request(more=[("Content-Length", "0")]) + inner(), bad),
        "two lengths in one field": Attack(length(f"{len(READ)}, 0"), bad),
        "the same length twice": Attack(request(more=[("Content-Length", str(len(READ)))]), bad),
        "a length with a sign": Attack(length(f"+{len(READ)}"), bad),
        "a negative length": Attack(length("-1"), bad),
        "a length in hex": Attack(length(hex(len(READ))), bad),
        "a length with a space inside": Attack(length("1 0"), bad),
        "a length over 64 bits": Attack(length(str(2**64 + len(READ))), bad),
        "an empty length": Attack(length(""), bad),
        "a space before the colon": Attack(
            request(b"0\r\n\r\n" + inner()).replace(b"Content-Length:", b"Content-Length :"), bad),
        # ---- transfer codings
        "gzip, chunked": Attack(with_te("gzip, chunked", chunked(READ)), coding),
        "chunked, gzip": Attack(with_te("chunked, gzip", chunked(READ)), bad),
        "chunked twice": Attack(with_te("chunked, chunked", chunked(READ)), coding),
        "chunked in two fields": Attack(with_te("chunked", chunked(READ), te), coding),
        "xchunked": Attack(with_te("xchunked", chunked(READ)), bad),
        "identity": Attack(with_te("identity", READ), bad),
        "chunked behind a tab": Attack(with_te("\tchunked", chunked(READ)), [200]),
        "chunked behind a vertical tab": Attack(with_te("\x0bchunked", chunked(READ)), bad),
        "Chunked": Attack(with_te("Chunked", chunked(READ)), [200]),
        "chunked with a parameter": Attack(with_te("chunked;q=1", chunked(READ)), bad),
        "chunked, folded": Attack(with_te("\r\n chunked", chunked(READ)), bad),
        "a space before the colon of chunked": Attack(
            with_te("chunked", chunked(READ)).replace(b"Transfer-Encoding:", b"Transfer-Encoding :"), bad),
        # The few bytes after the length are no head.
        "chunked by an underscore": Attack(
            request(b"0\r\n\r\n" + inner(), more=[("Transfer_Encoding", "chunked")]), [403]),
        # ---- chunks
        "a size that wraps": Attack(with_te("chunked", chunked(b"", b"1" + b"0" * 16 + b"\r\n" + READ)), bad),
        "a size with a sign": Attack(with_te("chunked", chunked(b"", b"+3\r\nabc\r\n0\r\n\r\n")), bad),
        "a size with 0x": Attack(with_te("chunked", chunked(b"", b"0x3\r\nabc\r\n0\r\n\r\n")), bad),
        "no line end behind a chunk": Attack(with_te("chunked", chunked(b"", b"3\r\nabcX0\r\n\r\n")), bad),
        "a chunk extension with a line feed": Attack(
            with_te("chunked", chunked(b"", b"3;x=\n\r\nabc\r\n0\r\n\r\n")), bad),
        "64 KiB of chunk extensions": Attack(
            with_te("chunked", chunked(b"", b"3;" + b"x" * 65536 + b"\r\nabc\r\n0\r\n\r\n")), bad),
        # ---- lines
        "bare line feeds": Attack(request().replace(b"\r\n", b"\n"), bad),
        "a bare carriage return": Attack(request(more=[("X-A", "b\rContent-Length: 0")]), bad),
        "a NUL in a value": Attack(request(more=[("X-A", "b\0c")]), bad),
        "a folded field": Attack(request(more=[("X-A", "b\r\n c")]), bad),
        "a field without a colon": Attack(request().replace(b"Host: HOST", b"Host: HOST\r\nbare"), bad),
        "a space in a name": Attack(request(more=[("X A", "b")]), bad),
        "a line feed in the target": Attack(request(target="/mcp\nX: y"), bad),
        "white space before the first field": Attack(request().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\n X: y\r\n"), bad),
        "no version": Attack(request().replace(b" HTTP/1.1", b""), bad),
        "HTTP/1.0": Attack(request().replace(b"HTTP/1.1", b"HTTP/1.0"), [200]),
        "HTTP/1.2": Attack(request().replace(b"HTTP/1.1", b"HTTP/1.2"), bad),
        "HTTP/2 in a line": Attack(request().replace(b"HTTP/1.1", b"HTTP/2.0"), bad),
        "garbage": Attack(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", bad),
        # ---- where to
        "no host": Attack(request(host=""), bad),
        "two hosts": Attack(request(more=[("Host", "HOST")]), bad),
        "two hosts that differ": Attack(request(more=[("Host", "evil.example")]), bad),
        "two hosts in one field": Attack(request(host="HOST, evil.example"), [421]),
        "a foreign host": Attack(request(host="evil.example"), [421]),
        "an empty host": Attack(request(host=" "), [421]),
        "user information in the host": Attack(request(host="evil@HOST"), bad),
        "a host with a path": Attack(request(host="HOST/x"), [421]),
        "an absolute target": Attack(request(target="http://HOST/mcp"), [200]),
        "an absolute target elsewhere": Attack(request(target="http://evil.example/mcp"), bad),
        "an absolute target, the host elsewhere": Attack(request(target="http://HOST/mcp", host="evil.example"), bad),
        "an absolute target of another scheme": Attack(request(target="https://HOST/mcp"), [421]),
        "a target with user information": Attack(request(target="http://a@HOST/mcp"), bad),
        "CONNECT": Attack(request(b"", method="CONNECT", target="HOST"), [405]),
        "TRACE": Attack(request(b"", method="TRACE"), [405]),
        "OPTIONS of the server": Attack(request(b"", method="OPTIONS", target="*"), [404]),
        # ---- other protocols
        "an upgrade": Attack(request(more=[("Connection", "Upgrade"), ("Upgrade", "websocket")]), [200]),
        "an upgrade to h2c": Attack(
            request(more=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQ")]), [200]),
        "a field for this hop only": Attack(request(more=[("Connection", "close, Host")]), bad),
        "an expectation": Attack(request(more=[("Expect", "200-maybe")]), [417]),
        # ---- what is too large
        "a field of 100 KiB": Attack(request(more=[("X-A", "b" * 102400)]), [431]),
        "1,000 fields": Attack(request(more=[(f"X-{n}", "b") for n in range(1000)]), [431]),
        "a target of 100 KiB": Attack(request(target="/mcp?" + "a" * 102400), [414]),
        "5 MiB announced": Attack(request(b"", length=False, more=[("Content-Length", str(5 << 20))]), [413]),
        "5 MiB in chunks": Attack(with_te("chunked", chunked(b"", *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 80)), [413]),
    }
    # ---- paths that some server takes for the endpoint
    for path in ["/mcp/", "//mcp", "/MCP", "/%6dcp", "/mcp%2f", "/mcp;x", "/./mcp", "/x/../mcp", "/mcp%00", "/mcp\\",
                 "/.well-known/oauth-protected-resource/../../mcp", "/.well-known/oauth-protected-resource/mcp;/../../mcp"]:
        found[f"path {path}"] = Attack(request(INNER, target=path), [404])
    for method in ["GET", "HEAD", "DELETE", "PUT", "PATCH", "post", "OPTIONS", "BREW"]:
        found[f"{method} with the inner call"] = Attack(request(INNER, method=method), [403])
    # ---- requests behind one another: each is judged for itself
    found["two behind one another"] = Attack(request() + request(), [200, 200])
    found["the inner one behind another"] = Attack(request() + inner(), [200, 403])
    found["the inner one first"] = Attack(inner() + request(), [403, 200])
    return found


def check(upstream: Upstream, answers: list) -> None:
    """Behind the gateway there is one well-formed harmless request for each accepted request, and no
    other."""
    found = upstream.take()
    assert len(found) == answers.count(200), f"{answers}, and behind: {found}"
    for request in found:
        assert request.first.startswith(b"POST /mcp HTTP/1.1"), request
        assert request.body == READ, request
        for name, value in [("host", f"127.0.0.1:{upstream.port}"), ("mcpid-status", "unsigned")]:
            assert request.all(name) == [value], request
        assert not any("_" in name for name, _ in request.fields), request


def all_answers(port: int, data: bytes, count: int, timeout: float = 120) -> list:
    """Returns the statuses of the answers."""
    with Connection(port, timeout=timeout) as connection:
        connection.send(data)
        found = []
        while len(found) < count:
            try:
                found.append(connection.answer(data.split(b" ")[0].decode("latin-1")).status)
            except (EOFError, TimeoutError):
                break
        # By now, a server with another reading would have answered.
        found += [answer.status for answer in connection.answers(0.05)]
    return found


class Shared:
    """One gateway gets all attacks. The last case checks that it still works."""

    def __init__(self, harness: Harness):
        self.upstream = Upstream()
        # Some bytes behind a request are no head. The answer to them, at the limit for a head, must not be
        # taken for that to the request.
        self._context = harness.gateway(self.upstream.url, *POLICY, "--head-timeout", "120s", "--body-timeout", "120s")
        self.gateway = self._context.__enter__()
        self.port = self.gateway.port

    def close(self) -> None:
        self._context.__exit__(None, None, None)


def cases(harness: Harness):
    shared = cache(lambda: Shared(harness))
    for name, attack in attacks().items():

        def attacked(attack=attack):
            there = shared()
            there.upstream.take()
            data = attack.data.replace(b"HOST", f"127.0.0.1:{there.port}".encode())
            answers = all_answers(there.port, data, len(attack.answers))
            assert answers == attack.answers, f"answered {answers}, not {attack.answers}"
            check(there.upstream, answers)

        yield f"framing: {name}", attacked

    yield "framing: the gateway lived through all that", lambda: shared().close()
