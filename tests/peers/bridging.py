"""Runs `mcpid connect` between every client and every server: on stdio and as an HTTP proxy, directly and in
front of a strict gateway with nonces in Redis. The client must get the same as without a bridge, and every
request that reaches the server must be verified.
"""

import ast
import contextlib
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import conformance
from callers import CLIENTS, inspector, walk
from matrix import SERVERS, check, direct, in_threads, same, speaks, statuses
from servers import HERE, VARIANTS, Running, Harness, free_port, listens, until


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "by hand", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
# The official suite's scenarios for clients, except those about OAuth, which the bridge does not handle.
SCENARIOS = [
    "initialize",
    "tools_call",
    "elicitation-sep1034-client-defaults",
    "sse-retry",
    "request-metadata",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref",
    "json-schema-2020-12-preservation",
]
STEPS = [[1, 3], [2, 3], [3, 3]]
DISCOVER = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}).encode()


def command(harness: Harness, url: str, *flags) -> list[str]:
    key = harness.key_flags or ["-k", harness.key.file]
    return [str(a) for a in (harness.tools.mcpid, "connect", "-v", *key, *flags, url)]


@contextlib.contextmanager
def listening(harness: Harness, url: str, *flags, port: int = 0):
    """Starts the bridge as an HTTP server. Returns the URL that it prints."""
    running = Running(harness, "connect", command(harness, url, "--listen", f"127.0.0.1:{port}", *flags))
    try:
        yield running.line().strip()
        assert "panicked" not in running.said(), running.said()[-2000:]
    finally:
        code = running.end()
    assert code == 0, f"after SIGTERM the bridge ended with {code}: {running.said()[-2000:]}"


@cache
def redis(harness: Harness) -> str:
    """Starts a Redis as a nonce store, and waits until it accepts requests: a new one refuses for half a
    minute."""
    port = free_port()
    flags = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--maxmemory-policy", "noeviction"]
    Running(harness, "redis", ["redis-server", *flags, "--dir", harness.folder])
    until(lambda: listens(port), "redis listens")
    store = f"redis://127.0.0.1:{port}"
    assert b"trying again in" in until_accepting(harness, store)
    return store


def until_accepting(harness: Harness, store: str) -> bytes:
    """Waits until the store accepts requests, and returns what the bridge said meanwhile. A store without
    claims for a minute is like a new one: it refuses at first."""
    there = harness.server("py2").urls["stateless-json"]
    with harness.gateway(there, nonces=store) as gateway:
        # The server asks the first call to wait, and the bridge waits.
        process = subprocess.run(
            command(harness, gateway.url), input=DISCOVER, capture_output=True, timeout=300, env=harness.environment
        )
        assert b'"result"' in process.stdout, process
        return process.stderr


def by_stdio(harness: Harness, server: str, variant: str, client: str, url: str, token: str) -> dict:
    process, says = CLIENTS[client]
    log = harness.log("connect-stdio")
    job = {**says, "stdio": command(harness, url), "env": harness.environment, "log": str(log)}
    answer = harness.client(process).do(do="walk", token=token, **job)
    said = Path(log).read_text(errors="replace") if Path(log).exists() else ""
    assert "ok" in answer, f"{client}: {answer}\n{said[-2000:]}"
    assert "panicked" not in said, said[-2000:]
    found = answer["ok"]
    if process == "ts":
        # This client states the revision only over HTTP.
        found["protocol"] = found["protocol"] or speaks(server, client)
        # If this client reads progress and answer at once, it drops the progress. That happens on a busy
        # machine.
        if found["steps"] == STEPS[: len(found["steps"])]:
            found["steps"] = ast.literal_eval(direct(harness, server, variant, client)["steps"])
    return found


def both_fronts(harness: Harness, server: str, variant: str, url: str, way: str) -> None:
    """Runs all clients over stdio and over HTTP against `url`."""
    with listening(harness, url) as there:

        def one(client: str, front: str) -> None:
            token = f"{way}-{front}-{variant}-{client}"
            if front == "stdio":
                found = by_stdio(harness, server, variant, client, url, token)
            else:
                found = walk(harness, client, there, token)
            try:
                check(found, server, variant, client, token)
            except AssertionError as error:
                raise AssertionError(f"{client} by {front}: {error}") from error
            found, bare = same(found, token), direct(harness, server, variant, client)
            assert found == bare, f"{client} by {front}: {found}\ndirectly: {bare}"

        in_threads([(one, client, front) for client in CLIENTS for front in ("stdio", "http")])


def inspected(harness: Harness, url: str, server) -> None:
    """The Inspector's command line starts the bridge as it starts any server, and connects to it by HTTP."""
    call = ["--method", "tools/call", "--tool-name", "delete_db", "--tool-arg"]
    with listening(harness, url) as there:
        done = inspector(harness, there, *call, "name=inspected-http")
        assert done.returncode == 0 and b"deleted inspected-http" in done.stdout, done
    launcher = harness.tools.npm / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
    start = [harness.tools.node, launcher, "--cli", *command(harness, url)]
    done = harness.command(*start, *call, "name=inspected-stdio", code=None, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and b"deleted inspected-stdio" in done.stdout, done
    for name in ("inspected-http", "inspected-stdio"):
        assert server.calls(name, "delete_db"), name


def consented(harness: Harness) -> None:
    """Each client is asked for consent in the way of its revision. A yes is executed, a no is not."""
    server = harness.server("py2")
    bridge = command(harness, server.urls["stateful-sse"], "--confirm", "tools/call:delete_*", "--confirm-via", "client")

    def one(client: str, approve: bool) -> None:
        process, says = CLIENTS[client]
        token = f"asked-{client}-{approve}"
        log = harness.log("connect-asks")
        job = {**says, "stdio": bridge, "env": harness.environment, "log": str(log), "tool": "delete_db"}
        answer = harness.client(process).do(do="try", token=token, approve=approve, **job)
        said = f"{client}: {answer}\n{log.read_text(errors='replace')[-2000:]}"
        if approve:
            assert answer.get("ok", {}).get("answer") == f"deleted {token}", said
        else:
            assert "was not agreed to: declined" in answer.get("shown", ""), said
        assert len(server.calls(token, "delete_db")) == int(approve), said

    in_threads([(one, client, approve) for client in CLIENTS for approve in (True, False)])


def scenarios(harness: Harness, suite: str) -> None:
    """Runs the official suite's server scenarios through the proxy and a strict gateway."""
    with harness.gateway(harness.server("conformance").urls["stateful-sse"]) as gateway:
        port = free_port()
        # One scenario expects that a page of the server's own origin is accepted.
        own = [word for host in ("127.0.0.1", "localhost") for word in ("--allow-origin", f"http://{host}:{port}")]
        with listening(harness, gateway.url, *own, port=port) as url:
            conformance.compare(harness, suite, url)


def scenario(harness: Harness, name: str, *bridge) -> tuple[int, int]:
    """Runs a client scenario of the official suite. Returns how many of its checks passed, and how many there
    are."""
    tools = harness.tools
    suite = tools.npm / "node_modules/conformance-2026/dist/index.js"
    client = HERE / "clients/conformant.mjs"
    words = " ".join(str(word) for word in (tools.node, client, tools.npm, *bridge))
    # On a busy machine, the suite sometimes ends with 0 and without output.
    for _ in range(2):
        done = harness.command(tools.node, suite, "client", "--command", words, "--scenario", name, code=None)
        text = (done.stdout + done.stderr).decode()
        harness.log(f"scenario-{name}").write_bytes(done.stdout + done.stderr)
        found = re.search(r"Passed: (\d+)/(\d+), (\d+) failed", text)
        if found or text:
            break
    assert found, f"exit {done.returncode}: {text[-2000:]}"
    return int(found[1]), int(found[2])


def clients_scenarios(harness: Harness) -> None:
    """Runs each scenario without and with the bridge. With the bridge, at least as many checks must pass, and
    most of all checks."""
    bridge = command(harness, "")[:-1]
    for name in SCENARIOS:
        bare, bridged = scenario(harness, name), scenario(harness, name, *bridge)
        assert bridged >= bare, f"{name}: {bare} with nothing between, {bridged} with the bridge"
        assert bridged[0] == bridged[1], f"{name}: {bridged}"


def cases(harness: Harness):
    for server in SERVERS:
        for variant in VARIANTS:

            def directly(server=server, variant=variant):
                both_fronts(harness, server, variant, harness.server(server).urls[variant], "direct")

            def strict(server=server, variant=variant):
                there = harness.server(server)
                # The run without the bridge comes first, because it reaches the server unsigned.
                in_threads([(direct, harness, server, variant, client) for client in CLIENTS])
                store = redis(harness)
                until_accepting(harness, store)
                with harness.gateway(there.urls[variant], "--mode", "strict", nonces=store) as gateway:
                    before = there.mark()
                    both_fronts(harness, server, variant, gateway.url, "strict")
                    assert statuses(there, before) == {("verified",)}, statuses(there, before)

            yield f"connect, {server} {variant}, both fronts: directly", directly
            yield f"connect, {server} {variant}, both fronts: through a strict gateway with Redis", strict

    def inspector_case():
        there = harness.server("ts1")
        with harness.gateway(there.urls["stateful-sse"]) as gateway:
            inspected(harness, gateway.url, there)

    yield "connect: the Inspector, on stdio and by HTTP", inspector_case
    yield "connect: every client is asked itself, and its answer counts", lambda: consented(harness)
    yield "connect: conformance of the client, with the bridge between", lambda: clients_scenarios(harness)
    for suite in conformance.SUITES:
        name = f"connect: conformance of the server, {suite}: the same totals through the proxy and a strict gateway"
        yield name, lambda suite=suite: scenarios(harness, suite)
