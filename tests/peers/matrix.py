"""Runs every server with every client: directly, through a permissive gateway, and signed through a strict
one. A client must get the same each time.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from callers import CLIENTS, inspector, mcp_remote, walk
from servers import VARIANTS, Server, Harness

SERVERS = ["py1", "py2", "fastmcp", "ts1", "ts2"]

TOOLS = {
    "read_note": [True, None],
    "delete_db": [None, True],
    "fail": [True, None],
    "progress": [True, None],
    "echo": [True, None],
    "slow": [True, None],
}


def speaks(server: str, client: str) -> str:
    """Returns the revision that server and client agree on."""
    both = server in ("py2", "fastmcp", "ts2") and client in ("py2", "ts2")
    return "2026-07-28" if both else "2025-11-25"


def check(found: dict, server: str, variant: str, client: str, token: str) -> None:
    """Checks what a client got from all tools. It must be the same with and without a gateway."""
    assert found["tools"] == TOOLS, found["tools"]
    assert found["read_note"] == {"text": f"note {token}", "failed": False}, found["read_note"]
    assert found["delete_db"] == {"text": f"deleted {token}", "failed": False}, found["delete_db"]
    assert found["fail"]["failed"] is True, found["fail"]
    assert found["progress"] == {"text": "3 steps", "failed": False}, found["progress"]
    assert found["echo"] is True, "100 kB that are not ASCII came back otherwise"
    assert found["parallel"] is True, "20 calls at once were mixed up"
    assert found["protocol"] == speaks(server, client), found["protocol"]
    if variant.endswith("sse"):
        assert found["steps"] == [[1, 3], [2, 3], [3, 3]], found["steps"]


@cache
def direct(harness: Harness, server: str, variant: str, client: str) -> dict:
    """Returns what a client gets without a gateway."""
    token = f"direct-{variant}-{client}"
    found = walk(harness, client, harness.server(server).urls[variant], token)
    check(found, server, variant, client, token)
    return same(found, token)


def same(found: dict, token: str) -> dict:
    """Returns the result without its token, so that it can be compared with another."""
    return {name: repr(value).replace(token, "TOKEN") for name, value in found.items()}


def in_threads(work: list) -> None:
    """Runs all functions. The first failure is the failure of the case. Clients of one process wait for each
    other in `Client.do`."""
    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(*each) for each in work]:
            future.result()


def statuses(server: Server, after: int) -> set:
    """Returns the Mcpid-Status of every request that reached the server's endpoint since `after`."""
    reached = [line for line in server.record("head", after) if line["target"] == "/mcp"]
    return {tuple(v for n, v in line["headers"] if n == "mcpid-status") for line in reached}


def through(harness: Harness, server: str, variant: str, url: str) -> None:
    """All clients at `url` get the same as directly."""

    def one(client: str) -> None:
        token = f"through-{url.split(':')[2].split('/')[0]}-{variant}-{client}"
        found = walk(harness, client, url, token)
        check(found, server, variant, client, token)
        found, bare = same(found, token), direct(harness, server, variant, client)
        assert found == bare, f"{client}: {found}\ndirectly: {bare}"

    in_threads([(one, client) for client in CLIENTS])


def bridged(harness: Harness, server: str) -> None:
    """Runs mcp-remote between a client and the gateway, and the Inspector's command line."""
    there = harness.server(server)
    with harness.gateway(there.urls["stateful-sse"]) as gateway, harness.signing(gateway.origin) as origin:
        before, url = there.mark(), origin + "/mcp"

        def remote(process: str, says: dict) -> None:
            token = f"remote-{process}"
            job = {**says, **mcp_remote(harness, url)}
            answer = harness.client(process).do(do="walk", token=token, **job)
            assert "ok" in answer, f"{answer}\n{Path(job['log']).read_text()[-2000:]}"
            # mcp-remote chooses the revision itself, and drops progress that comes just before the answer.
            found = {**answer["ok"], "protocol": "2025-11-25"}
            check(found, "py1", "stateful-json", process, token)

        def inspect() -> None:
            call = ["--method", "tools/call", "--tool-name", "delete_db", "--tool-arg", "name=inspected"]
            done = inspector(harness, url, *call)
            assert done.returncode == 0 and b"deleted inspected" in done.stdout, done

        in_threads([(remote, "ts", {"sdk": 1}), (remote, "py1", {}), (inspect,)])
        assert there.calls("remote-ts", "delete_db") and there.calls("inspected", "delete_db")
        assert statuses(there, before) == {("verified",)}, statuses(there, before)


def cases(harness: Harness):
    many = f"{len(CLIENTS)} clients"
    for server in SERVERS:
        for variant in VARIANTS:

            def directly(server=server, variant=variant):
                in_threads([(direct, harness, server, variant, client) for client in CLIENTS])

            def permissive(server=server, variant=variant):
                there = harness.server(server)
                before = there.mark()
                with harness.gateway(there.urls[variant], "--mode", "permissive") as gateway:
                    through(harness, server, variant, gateway.url)
                assert statuses(there, before) == {("unsigned",)}, statuses(there, before)

            def strict(server=server, variant=variant):
                there = harness.server(server)
                with harness.gateway(there.urls[variant]) as gateway, harness.signing(gateway.origin) as origin:
                    before = there.mark()
                    through(harness, server, variant, origin + "/mcp")
                    # Every request is verified, also those for streams and for the end of a session.
                    assert statuses(there, before) == {("verified",)}, statuses(there, before)

            yield f"{server} {variant}, {many}: directly", directly
            yield f"{server} {variant}, {many}: through a permissive gateway", permissive
            yield f"{server} {variant}, {many}: signed, through a strict gateway", strict
        yield f"{server}: mcp-remote and the Inspector, signed, through a strict gateway", lambda server=server: bridged(harness, server)
