"""Tests many clients at once: idle connections, more connections than the gateway accepts, and the same
request from many connections. The gateway's memory must not grow.
"""

import contextlib
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from faults import READ, request, signed
from servers import Gateway, Harness, until
from upstream import Upstream
from wire import Connection, ask, call, post

IDLE = 10_000


def room_for(count: int) -> int:
    """Raises the limit on open files. A gateway inherits the limit and divides it by two. Returns how many
    connections fit."""
    want, (soft, hard) = 2 * count + 2000, resource.getrlimit(resource.RLIMIT_NOFILE)
    # Root may raise the hard limit too.
    for limits in ((max(soft, want), max(hard, want)), (hard, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    return min(count, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300) // 2)


def wave(gateway: Gateway, count: int) -> tuple[int, float]:
    """Opens connections that each send one request and then stay idle. Returns the gateway's memory with all
    of them, and the time in which another client gets its answer."""
    crowd = []
    try:
        for _ in range(count):
            crowd.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=120))
            crowd[-1].sendall(request(gateway.port))
        for one in crowd:
            assert one.recv(12) == b"HTTP/1.1 403", "one of the crowd was not answered"
        with_all = gateway.resident()
        before = time.monotonic()
        assert post(gateway.port, "/mcp", READ).status == 403
        return with_all, time.monotonic() - before
    finally:
        for one in crowd:
            one.close()


def idle(harness: Harness) -> None:
    count = room_for(IDLE)
    if count < IDLE:
        print(f"    note: {count} connections in place of {IDLE}: the limit on open files allows no more")
    with Upstream() as upstream, harness.gateway(
        upstream.url, "--max-connections", str(count + 10), "--head-timeout", "600s", "--idle-timeout", "600s"
    ) as gateway:
        assert post(gateway.port, "/mcp", READ).status == 403
        empty = gateway.resident()
        waves = [wave(gateway, count) for _ in range(3)]
        taken = [size - empty for size, _ in waves]
        print(f"    {count} connections, three times: {', '.join(str(t // count) for t in taken)} bytes each; "
              f"one more waits {max(waited for _, waited in waves) * 1000:.0f} ms")
        assert max(taken) < count * 64 * 1024, taken
        # The allocator keeps its memory in pieces, but the memory does not grow on.
        assert taken[2] < taken[1] * 1.2, taken
        assert ask(gateway.port, signed(harness, gateway, READ)).status == 200
        assert len(upstream.take()) == 1


def no_room(harness: Harness) -> None:
    """If more connections than --max-connections are open, the others wait until one is closed."""
    with Upstream() as upstream, harness.gateway(
        upstream.url, "--mode", "permissive", "--max-connections", "20", "--idle-timeout", "600s"
    ) as gateway:
        crowd = [Connection(gateway.port) for _ in range(20)]
        for one in crowd:
            assert one.send(request(gateway.port)).answer().status == 200
        with Connection(gateway.port, timeout=0.5) as late:
            late.send(request(gateway.port))
            with contextlib.suppress(TimeoutError, EOFError):
                raise AssertionError(f"one too many was answered: {late.answer()}")
        crowd.pop().close()
        until(lambda: served(gateway), "there is room again")
        for one in crowd:
            assert one.send(request(gateway.port)).answer().status == 200
            one.close()


def served(gateway: Gateway) -> bool:
    with contextlib.suppress(TimeoutError, EOFError, OSError), Connection(gateway.port, timeout=20) as one:
        return one.send(request(gateway.port)).answer().status == 200
    return False


def same_at_once(harness: Harness) -> None:
    """Twenty connections send one signed request to two gateways with one store. It reaches the server
    once."""
    with Upstream() as upstream, harness.gateway(upstream.url) as one:
        # The second gateway has the same origin, as behind a load balancer.
        with harness.gateway(upstream.url, "--origin", one.origin) as two:
            for round in range(5):
                data = signed(harness, one, call("delete_db", f"once-{round}"))
                with ThreadPoolExecutor(20) as pool:
                    ports = [one.port, two.port] * 10
                    answers = list(pool.map(lambda port: ask(port, data), ports))
                assert sorted(a.status for a in answers) == [200] + [403] * 19, [a.status for a in answers]
                assert len(upstream.take()) == 1


def flat(harness: Harness) -> None:
    """Sends thousands of requests of all kinds. The memory must be that after the first thousands."""
    with Upstream() as upstream, harness.gateway(upstream.url) as gateway:

        def some(count: int) -> None:
            with Connection(gateway.port) as client:
                for number in range(count):
                    kind = number % 4
                    if kind == 0:
                        data = signed(harness, gateway, call("read_note", "x" * (number % 50)))
                    elif kind == 1:
                        data = signed(harness, gateway, READ, key=harness.stranger)
                    elif kind == 2:
                        data = request(gateway.port, call("delete_db", f"{number}"), [("Mcp-Session-Id", f"s{number}")])
                    else:
                        data = request(gateway.port, b"\xff" * 20_000)
                    status = client.send(data).answer().status
                    assert status == (200 if kind == 0 else 403), (kind, status)

        def many() -> int:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(some, [400] * 4))
            upstream.requests.clear()
            return gateway.resident()

        many()
        first = many()
        last = [many() for _ in range(3)][-1]
        print(f"    {first >> 10} KiB after 3,200 requests, {last >> 10} KiB after 8,000")
        assert last < first + (6 << 20), f"{last - first} bytes more after 4,800 requests"


def cases(harness: Harness):
    yield f"crowd: {IDLE} idle connections, three times", lambda: idle(harness)
    yield "crowd: more connections than there is room for", lambda: no_room(harness)
    yield "crowd: one signed request from all sides at once", lambda: same_at_once(harness)
    yield "crowd: memory stays as it is", lambda: flat(harness)
