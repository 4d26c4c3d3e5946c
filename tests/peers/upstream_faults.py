"""Tests faults of the server behind the gateway. Each answer must be correct, and no request may reach the
server twice.
"""

import contextlib
import socket
import threading
import time

from servers import Gateway, Harness, free_port, until
from upstream import EVENTS, OK, Upstream, chunk, event, reset
from wire import ACCEPT, JSON, Connection, ask, call, head, post

PERMISSIVE = ["--mode", "permissive"]
READ = call("read_note", "fault")


def request(port: int, body: bytes = READ, more: list = ()) -> bytes:
    fields = [("Host", f"127.0.0.1:{port}"), JSON, ACCEPT, ("Content-Length", str(len(body))), *more]
    return head("POST", "/mcp", fields) + body


def signed(harness: Harness, gateway: Gateway, body: bytes, *, key=None, fields: list = (), **how) -> bytes:
    """Returns a complete signed request for `gateway`."""
    sent = [("Host", f"127.0.0.1:{gateway.port}"), JSON, ACCEPT, *fields]
    sent += (key or harness.key).sign("POST", gateway.url, sent, body, **how)
    return head("POST", "/mcp", [*sent, ("Content-Length", str(len(body)))]) + body


def down_and_up(harness: Harness) -> None:
    port = free_port()
    with harness.gateway(f"http://127.0.0.1:{port}/mcp", *PERMISSIVE) as gateway:
        answer = post(gateway.port, "/mcp", READ)
        assert (answer.status, answer.reason) == (502, "upstream_unreachable"), answer
        with harness.gateway(f"http://127.0.0.1:{port}/mcp", path="/mcp") as strict:
            # In strict mode, a signed request gets the same answer.
            assert post(strict.port, "/mcp", READ).status == 403
            assert ask(strict.port, signed(harness, strict, READ)).status == 502
        upstream = Upstream(port=port)
        with upstream:
            assert post(gateway.port, "/mcp", READ).status == 200
        # The server goes down again, while the gateway keeps a dead connection.
        time.sleep(0.1)


def late(harness: Harness) -> None:
    over = threading.Event()
    with contextlib.ExitStack() as ending, Upstream(lambda *_: over.wait(300)) as upstream, \
            harness.gateway(upstream.url, *PERMISSIVE, "--answer-timeout", "1s") as gateway:
        ending.callback(over.set)
        before = time.monotonic()
        answer = post(gateway.port, "/mcp", READ)
        took = time.monotonic() - before
        assert (answer.status, answer.reason) == (504, "upstream_timeout"), answer
        assert took > 0.9, took


NONSENSE = {
    "nothing": b"",
    "a word": b"garbage\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "a status without a number": b"HTTP/1.1 OK\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a field with a NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nbare\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
    "a head of 1 MiB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "1,000 fields": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 1000 + b"Content-Length: 0\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


def nonsense(harness: Harness) -> None:
    answers = iter(NONSENSE.values())

    def answer_and_close(connection, _):
        connection.sendall(next(answers))
        raise StopIteration

    with Upstream(answer_and_close) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway:
        wrong = []
        for name in NONSENSE:
            answer = post(gateway.port, "/mcp", READ)
            if (answer.status, answer.reason) != (502, "upstream_broken"):
                wrong.append((name, answer.status, answer.reason))
        assert not wrong, wrong
        upstream.behave = None
        assert post(gateway.port, "/mcp", READ).status == 200
        assert len(upstream.take()) == len(NONSENSE) + 1, "a request was sent twice, or not at all"


# Answers that end too early. The client must notice that.
CUT_SHORT = {
    "a reset in a stream": (EVENTS + event("one"), True),
    "an end in a stream": (EVENTS + event("one"), False),
    "an end in a chunk": (EVENTS + event("one") + b"ff\r\nhalf", False),
    "a bad chunk": (EVENTS + event("one") + b"zz\r\n\r\n", False),
    "an end before the length": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ndata: one\n\n", False),
}


def cut_short(harness: Harness) -> None:
    for name, (answer, hard) in CUT_SHORT.items():

        begun = threading.Event()

        def behave(connection, _, answer=answer, hard=hard, begun=begun):
            head, mark, rest = answer.partition(b"\r\n\r\n")
            connection.sendall(head + mark)
            # A gateway that has not read the head when the connection ends may answer that there is none.
            begun.wait(120)
            connection.sendall(rest)
            if hard:
                reset(connection)
            raise StopIteration

        with Upstream(behave) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway, \
                Connection(gateway.port) as client:
            kept = client.send(request(gateway.port)).until(b"\r\n\r\n")
            begun.set()
            with contextlib.suppress(EOFError):
                found = client.again(kept).answer()
                raise AssertionError(f"{name} looks like a whole answer: {found}")
            assert len(upstream.take()) == 1, f"{name}: sent again"


def kept_connection_dies(harness: Harness) -> None:
    """The server closes a connection that the gateway keeps. A later request uses a new connection. A request
    that is sent at that moment may fail with an error, but is never sent twice."""

    noticed = []

    def once(connection, _):
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_WR)
        # The gateway ends its side when it has noticed the end of the other.
        while connection.recv(65536):
            pass
        noticed.append(True)
        raise StopIteration

    with Upstream(once) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway:
        for number in range(5):
            answer = post(gateway.port, "/mcp", READ)
            assert answer.status == 200, answer
            until(lambda: len(noticed) > number, "the gateway notices that the connection ended")
        assert len(upstream.take()) == 5
        answers = [post(gateway.port, "/mcp", READ) for _ in range(20)]
        told = [answer.status for answer in answers]
        assert set(told) <= {200, 502}, told
        assert told.count(200) <= len(upstream.take()) <= 20, told


def kept_too_long(harness: Harness) -> None:
    """Python and Node servers close a connection that is unused for 5 seconds. A request that is sent at that
    moment fails, so the gateway must use another connection earlier."""
    used = []

    def behave(connection, _):
        used.append(connection.getpeername())
        connection.sendall(OK)

    with Upstream(behave) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway:
        assert post(gateway.port, "/mcp", READ).status == 200
        # A gateway on a busy machine may put the connection aside late, but not each time.
        while len(set(used)) < 2:
            assert len(used) < 6, "a connection is used again after 4.5 seconds"
            time.sleep(4.5)
            assert post(gateway.port, "/mcp", READ).status == 200
        assert len(upstream.take()) == len(used)


def streams_at_once(harness: Harness) -> None:
    """Each event arrives when it is sent, and not with the next. An event of 10 MB arrives too."""
    arrived = threading.Semaphore(0)

    def behave(connection, _):
        connection.sendall(EVENTS)
        for number in range(4):
            connection.sendall(event(f"number {number}"))
            # An event that waits for the next one would never arrive.
            assert arrived.acquire(timeout=120), f"event {number} was held back"
        connection.sendall(event("x" * 10_000_000) + chunk(b""))

    with Upstream(behave) as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway, \
            Connection(gateway.port) as client:
        client.send(request(gateway.port)).answer_head()
        for number in range(4):
            client.until(f"number {number}\n\n".encode())
            arrived.release()
        assert len(client.until(b"0\r\n\r\n")) > 10_000_000


def slow_reader(harness: Harness) -> None:
    """A client does not read 64 MiB. The bytes wait in the server and not in the gateway."""
    sent = []

    def behave(connection, _):
        connection.sendall(EVENTS)
        for _ in range(1024):
            connection.sendall(chunk(b"x" * 65536))
            sent.append(65536)

    with Upstream() as upstream, harness.gateway(upstream.url, *PERMISSIVE) as gateway:
        assert post(gateway.port, "/mcp", READ).status == 200
        upstream.behave = behave
        before = gateway.resident()
        with Connection(gateway.port) as client:
            client.send(request(gateway.port)).answer_head()
            time.sleep(1)
            grown, passed = gateway.resident() - before, sum(sent)
            assert passed < 32 << 20, f"{passed} bytes went somewhere"
            assert grown < 16 << 20, f"grew by {grown} bytes"


def cases(harness: Harness):
    for name, case in {
        "the server is down, comes up": down_and_up,
        "the server is late": late,
        f"the server answers nonsense, {len(NONSENSE)} kinds": nonsense,
        f"the server breaks off, {len(CUT_SHORT)} kinds": cut_short,
        "the server closes a kept connection": kept_connection_dies,
        "a connection is not kept until the server closes it": kept_too_long,
        "events arrive as they are sent, and 10 MB in one": streams_at_once,
        "a client does not read": slow_reader,
    }.items():
        yield f"faults: {name}", lambda case=case: case(harness)
