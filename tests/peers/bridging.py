"""`mcpid connect` between every client and every server: on stdio and as an HTTP proxy, directly and
before a strict gateway that keeps its nonces in Redis. What a client gets must be what it gets with
nothing between, and all that reaches the server must be verified.
"""

import contextlib
import os
import subprocess
from pathlib import Path

import conformance
from callers import CLIENTS, inspector, walk
from matrix import SERVERS, check, direct, in_threads, same, speaks, statuses
from stand import VARIANTS, Running, Stand, free_port, listens, until


def command(stand: Stand, url: str, *flags) -> list[str]:
    return [str(a) for a in (stand.tools.mcpid, "connect", "-v", "-k", stand.key.file, *flags, url)]


@contextlib.contextmanager
def listening(stand: Stand, url: str, *flags):
    """The bridge as an HTTP server; gives the URL that it prints."""
    running = Running(stand, "connect", command(stand, url, "--listen", "127.0.0.1:0", *flags))
    try:
        yield running.line().strip()
        assert "panicked" not in running.said(), running.said()[-2000:]
    finally:
        code = running.end()
    assert code == 0, f"after SIGTERM the bridge ended with {code}: {running.said()[-2000:]}"


@contextlib.contextmanager
def redis(stand: Stand):
    """A Redis on a free port, and its URL as a nonce store."""
    port = free_port()
    flags = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction"]
    running = Running(stand, "redis", ["redis-server", *flags, "--dir", stand.folder])
    try:
        until(lambda: listens(port), "redis listens", 10)
        yield f"redis://127.0.0.1:{port}"
    finally:
        running.end()


def by_stdio(stand: Stand, client: str, url: str, token: str, *flags) -> dict:
    process, says = CLIENTS[client]
    log = stand.log("connect-stdio")
    job = {**says, "stdio": command(stand, url, *flags), "env": stand.environment, "log": str(log)}
    answer = stand.client(process).do(do="walk", token=token, **job)
    said = Path(log).read_text(errors="replace") if Path(log).exists() else ""
    assert "ok" in answer, f"{client}: {answer}\n{said[-2000:]}"
    assert "panicked" not in said, said[-2000:]
    return answer["ok"]


def both_fronts(stand: Stand, server: str, variant: str, url: str, way: str) -> None:
    """All clients, by both fronts, against `url`."""
    with listening(stand, url) as there:

        def one(client: str, front: str) -> None:
            token = f"{way}-{front}-{variant}-{client}"
            if front == "stdio":
                found = by_stdio(stand, client, url, token)
            else:
                found = walk(stand, client, there, token)
            check(found, server, variant, client, token)
            found, bare = same(found, token), direct(stand, server, variant, client)
            assert found == bare, f"{client} by {front}: {found}\ndirectly: {bare}"

        in_threads([(one, client, front) for client in CLIENTS for front in ("stdio", "http")])


def inspected(stand: Stand, url: str, server) -> None:
    """The Inspector's command line starts the bridge as it would any server, and by HTTP."""
    call = ["--method", "tools/call", "--tool-name", "delete_db", "--tool-arg"]
    with listening(stand, url) as there:
        done = inspector(stand, there, *call, "name=inspected-http")
        assert done.returncode == 0 and b"deleted inspected-http" in done.stdout, done
    launcher = stand.tools.npm / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    start = [stand.tools.node, launcher, "--cli", *command(stand, url)]
    done = stand.command(*start, *call, "name=inspected-stdio", code=None, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and b"deleted inspected-stdio" in done.stdout, done
    for name in ("inspected-http", "inspected-stdio"):
        assert server.calls(name, "delete_db"), name


def scenarios(stand: Stand) -> None:
    """The official suite's server scenarios, through the proxy and a strict gateway."""
    with stand.gateway(stand.server("conformance").urls["stateful-sse"]) as gateway:
        with listening(stand, gateway.url) as url:
            for suite in conformance.SUITES:
                conformance.compare(stand, suite, url)


def cases(stand: Stand):
    for server in SERVERS:
        for variant in VARIANTS:

            def directly(server=server, variant=variant):
                both_fronts(stand, server, variant, stand.server(server).urls[variant], "direct")

            def strict(server=server, variant=variant):
                there = stand.server(server)
                with redis(stand) as nonces:
                    # Its floor lies some seconds ahead: the bridge waits for that by itself.
                    with stand.gateway(there.urls[variant], "--mode", "strict", nonces=nonces) as gateway:
                        before = there.mark()
                        both_fronts(stand, server, variant, gateway.url, "strict")
                        assert statuses(there, before) == {("verified",)}, statuses(there, before)

            yield f"connect, {server} {variant}, both fronts: directly", directly
            yield f"connect, {server} {variant}, both fronts: through a strict gateway with Redis", strict

    def inspector_case():
        there = stand.server("ts1")
        with stand.gateway(there.urls["stateful-sse"]) as gateway:
            inspected(stand, gateway.url, there)

    yield "connect: the Inspector, on stdio and by HTTP", inspector_case
    yield "connect: conformance of the server, through the proxy and a strict gateway", lambda: scenarios(stand)
