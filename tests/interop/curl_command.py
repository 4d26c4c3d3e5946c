"""Runs the command that `mcpid sign --format curl` prints, against a server that records raw bytes.

What arrives must be what was signed: the body byte for byte, the target as it was given, whatever a
shell or curl would like to make of it.
"""

import contextlib
import json
import socket
import threading

from request import Request, tampered
from signatures import CALL
from servers import Harness


class Recorder:
    """A loopback server that answers every request with 200 and keeps its raw bytes."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.raw: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # A client that breaks off or hangs must not stop the server.
            with connection, contextlib.suppress(OSError):
                connection.settimeout(120)
                raw = self._one(connection)
                self.raw.append(raw)
                # The answer to a HEAD states a length and has no body (RFC 9110 section 9.3.2). The
                # connection stays open, so that a client that waits for a body is noticed.
                content = b"" if raw.startswith(b"HEAD ") else b"ok"
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + content)
                while connection.recv(65536):
                    pass

    @staticmethod
    def _one(connection) -> bytes:
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += connection.recv(65536) or b"\r\n\r\n"
        head, _, body = raw.partition(b"\r\n\r\n")
        fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in head.split(b"\r\n"))}
        if fields.get(b"expect") == b"100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < int(fields.get(b"content-length", 0)):
            more = connection.recv(65536)
            if not more:
                break
            body += more
        return head + b"\r\n\r\n" + body

    def close(self):
        self._listener.close()


BODIES = {
    "a tools/call": CALL,
    "no bytes": b"",
    "NUL and newlines": b"\x00a\r\nb\n\n\x00\r",
    "a last newline": b'{"a":1}\n',
    "bytes that are no UTF-8": bytes(range(256)),
    "an @ and quotes": b"@/etc/hostname'\"`$(id)`${HOME}\\",
    "2 MiB": b"0123456789abcdef" * (1 << 17),
}

TARGETS = [
    "/",
    "",
    "/mcp",
    "/a/../b",
    "/a/./b//c/",
    "/{x}/[1-3]",
    "/a%2Fb%2e%2E/%7euser",
    "/mcp?q=a%20b",
    "/mcp?q='$HOME'&r=`id`",
    "/mcp?",
    "?x=1",
    "/mcp?a=1&b[]=2&c={d,e}",
    "/semi;colon=1,2/!*()~$&+=:@",
    "/mcp?q=\\back|pipe^caret",
]

HEADERS = [
    ("X-Note", "it's $HOME `id` \"quoted\" \\ {x} [1]"),
    ("X-Empty", ""),
    ("X-At", "@/etc/hostname"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("User-Agent", "an agent"),
    ("Accept", "text/event-stream"),
    ("Authorization", "Bearer a;b$c"),
]


def sent(harness: Harness, recorder: Recorder, *flags, url: str, stdin: bytes = b"") -> tuple[Request, bytes]:
    """Runs the printed command. Returns the received bytes and the command."""
    signed = harness.mcpid("sign", "-k", harness.ours.file, "--url", url, "--format", "curl", *flags, stdin=stdin)
    script = signed.expect(0).out
    before = len(recorder.raw)
    # bash reads the command from a file, so that stdin is free for the body.
    harness.command("bash", harness.write("send.sh", script), stdin=stdin).expect(0)
    (raw,) = recorder.raw[before:]
    return Request.parse(raw), raw


def accepted(harness: Harness, raw: bytes, *flags) -> None:
    verdict = harness.verify(raw, "-r", harness.trust, *flags)
    assert verdict["status"] == "verified", verdict
    for changed, twin in tampered(Request.parse(raw)).items():
        refused = harness.verify(twin.wire(), "-r", harness.trust, *flags, code=1)
        assert refused["verdict"] == "rejected", (changed, refused)


def cases(harness: Harness):
    recorder = Recorder()
    origin = f"http://127.0.0.1:{recorder.port}"

    def body_case(content: bytes, name: str):
        harness.write(name, content)
        got, raw = sent(harness, recorder, "--", name, url=f"{origin}/mcp")
        assert got.body == content, f"{len(got.body)} bytes arrived"
        accepted(harness, raw)

    for what, content in BODIES.items():
        name = "body.json" if what in ("a tools/call", "a last newline") else "body.bin"
        yield f"curl sends {what}", lambda content=content, name=name: body_case(content, name)
    for name in ("a b.json", "it's.json", "$HOME.json", "@at.json", "-dash.json", "ümläut.json", "a;type=x.json"):
        yield f"curl sends a file named {name}", lambda name=name: body_case(CALL, name)

    def from_stdin():
        got, raw = sent(harness, recorder, "-", url=f"{origin}/mcp", stdin=CALL)
        assert got.body == CALL
        accepted(harness, raw)

    yield "curl sends what it reads from stdin", from_stdin

    for target in TARGETS:

        def target_case(target=target):
            harness.write("body.json", CALL)
            got, raw = sent(harness, recorder, "body.json", url=origin + target)
            shown = raw.split(b" ")[1].decode()
            # An empty path is sent as "/" (RFC 9110 section 4.2.3).
            expected = target if target.startswith("/") else f"/{target}"
            assert shown == expected, f"{shown} was sent"
            accepted(harness, raw)

        yield f"curl sends the target {target or 'of no path'}", target_case

    for name, value in HEADERS:

        def header_case(name=name, value=value):
            harness.write("body.json", CALL)
            flags = ("-H", f"{name}: {value}", "--cover", name.lower(), "body.json")
            got, raw = sent(harness, recorder, *flags, url=f"{origin}/mcp")
            lines = [v for n, v in got.headers if n.lower() == name.lower()]
            assert lines == [value], f"{lines} arrived"
            accepted(harness, raw)

        yield f"curl sends {name}: {value}", header_case

    def method_case(method: str):
        got, raw = sent(harness, recorder, "--method", method, url=f"{origin}/mcp")
        assert (got.method, got.body) == (method, b""), got
        accepted(harness, raw)

    for method in ("GET", "HEAD", "DELETE"):
        yield f"curl sends a {method} without a body", lambda method=method: method_case(method)

    def replayed():
        """One run judges the recording twice: the second is a replay."""
        harness.write("body.json", CALL)
        _, raw = sent(harness, recorder, "body.json", url=f"{origin}/mcp")
        file = harness.write("recorded.http", raw)
        done = harness.mcpid("verify", "--json", "-r", harness.trust, file, file).expect(1)
        first, second = map(json.loads, done.out.splitlines())
        assert first["status"] == "verified" and second["code"] == "nonce_replayed", (first, second)

    yield "a recording given twice is a replay", replayed
    recorder.close()
