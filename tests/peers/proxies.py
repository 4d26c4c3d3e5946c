"""nginx, HAProxy, Caddy and Envoy before `mcpid gateway`. Clients of both revisions sign by `mcpid connect`."""

import threading
import time
from pathlib import Path

import framing
from bridging import command
from callers import CLIENTS
from envoy_setup import Recorder, without, written
from matrix import check, direct, same, statuses
from proxy_setup import (
    CALL, CLIENT, CONTRIB, PROXIES, Front, TlsConnection, caddy_with, certificate, nginx_with, running,
)
from servers import HERE, Running, Harness, free_port, lines_in, listens, until
from upstream import EVENTS, Upstream, event
from wire import ACCEPT, JSON, Connection, head

LIES = [
    ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7;host=evil.example"), ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Port", "1"), ("Mcpid-Status", "verified"), ("Mcpid-Name", "bob"),
]


def both_revisions(harness: Harness, name: str) -> None:
    """Clients of both revisions get the same as without proxy and gateway; each request is verified."""
    server, port = harness.server("py2"), free_port()
    bare = {client: direct(harness, "py2", "stateful-sse", client) for client in ("py2", "py2-legacy")}
    flags = ["--origin", f"https://127.0.0.1:{port}", "--trusted-proxy", "127.0.0.1"]
    with harness.gateway(server.urls["stateful-sse"], *flags) as gateway, \
            running(harness, name, port, lambda folder: PROXIES[name](harness, folder, port, gateway.port)):
        before = server.mark()
        for client in bare:
            process, says = CLIENTS[client]
            token = f"behind-{name}-{client}"
            bridge = command(harness, f"https://127.0.0.1:{port}/mcp", "--ca", certificate(harness).authority)
            job = {**says, "stdio": bridge, "env": harness.environment, "log": str(harness.log(f"connect-{name}"))}
            answer = harness.client(process).do(do="walk", token=token, **job)
            assert "ok" in answer, f"{client}: {answer}\n{Path(job['log']).read_text()[-2000:]}"
            found = answer["ok"]
            check(found, "py2", "stateful-sse", client, token)
            found = same(found, token)
            assert found == bare[client], f"{client}: {found}\ndirectly: {bare[client]}"
        assert statuses(server, before) == {("verified",)}, statuses(server, before)


def judged(there: Front) -> None:
    """What was signed arrives as it was signed, and what was changed is refused as the gateway refuses it."""
    large = b" " * (3 << 20) + CALL
    # Each is signed when it is sent: a signature is valid for 30 seconds.
    for what, make, method in [
        ("signed", lambda: written(there.signed()), "POST"),
        ("in chunks",
         lambda: head("POST", "/mcp", [*there.signed(), ("Transfer-Encoding", "chunked")]) + framing.chunked(CALL), "POST"),
        ("with a query", lambda: written(there.signed(target="/mcp?a=%2F&b=c+d;e"), target="/mcp?a=%2F&b=c+d;e"), "POST"),
        ("a body of 3 MiB", lambda: written(there.signed(large), large), "POST"),
        ("a GET", lambda: written(there.signed(b"", method="GET"), b"", "GET"), "GET"),
        ("a DELETE", lambda: written(there.signed(b"", method="DELETE"), b"", "DELETE"), "DELETE"),
        ("a field with a comma", lambda: written(there.signed(more=[("Mcp-Param-City", "Oslo, Norway!")])), "POST"),
    ]:
        answer, behind, _ = there.ask(make(), method)
        assert answer.status == 200 and len(behind) == 1, f"{what}: {answer}, {behind}"
        assert behind[0].all("mcpid-status") == ["verified"], f"{what}: {behind}"
        assert behind[0].all("mcpid-name") == ["alice"], f"{what}: {behind}"
    for what, make, code, reason in [
        ("unsigned", lambda: written([("Host", f"127.0.0.1:{there.port}"), JSON, ACCEPT]), "signature_missing",
         "signature_missing"),
        ("a stranger", lambda: written(there.signed(key=there.harness.stranger)), "key_unknown", "key_unknown"),
        ("another body", lambda: written(there.signed(), CALL.replace(b"outer", b"inner")), "digest_mismatch",
         "digest_mismatch"),
        ("another query", lambda: written(there.signed(), target="/mcp?a"), "signature_invalid", "key_unknown"),
        ("a field less", lambda: written(without(there.signed(more=[("Mcp-Param-A", "1")]), "mcp-param-a")),
         "signature_invalid", "key_unknown"),
        ("another method", lambda: written(there.signed(), method="DELETE"), "signature_invalid", None),
    ]:
        answer, behind, line = there.ask(make())
        assert (answer.status >= 400, behind) == (True, []), f"{what}: {answer}, {behind}"
        assert reason is None or (answer.status, answer.reason) == (403, reason), f"{what}: {answer}"
        assert reason is None or line["code"] == code, f"{what}: {line}"
        assert reason is None or "accept-signature" in answer.headers, f"{what}: {answer}"
    # A signature counts once.
    data = written(there.signed())
    assert there.ask(data)[0].status == 200
    answer, behind, _ = there.ask(data)
    assert (answer.status, answer.reason, behind) == (403, "nonce_replayed", []), answer


def lies(there: Front) -> None:
    """What a client says about its address and about the verdict has no effect."""
    for data, method, told in [
        (written([*there.signed(), *LIES]), "POST", ["verified"]),
        (written([("Host", f"127.0.0.1:{there.port}"), *LIES], b"", "GET", "/.well-known/oauth-protected-resource"), "GET", []),
    ]:
        answer, behind, line = there.ask(data, method)
        assert answer.status == 200 and len(behind) == 1, f"{answer}, {behind}"
        got = behind[0]
        assert got.all("x-forwarded-for") == [CLIENT], got
        # The scheme of the origin that the request names, where the proxy ends TLS.
        assert got.all("x-forwarded-proto") == ["https"], got
        assert got.all("x-forwarded-host") == [f"127.0.0.1:{there.port}"], got
        assert not any(got.all(name) for name in ("x-real-ip", "forwarded", "x-forwarded-port")), got
        assert got.all("mcpid-status") == told, got
        assert got.all("mcpid-name") == (["alice"] if told else []), got
        assert line["peer"] == CLIENT, line
    answer, behind, line = there.ask(written([("Host", f"127.0.0.1:{there.port}"), JSON, ACCEPT, *LIES]))
    assert (answer.status, behind, line["peer"]) == (403, [], CLIENT), f"{answer}, {behind}, {line}"


def streams(there: Front) -> None:
    """Each event arrives before the next one is sent, and the server notices a client that goes away."""
    seen, gone = threading.Event(), threading.Event()
    progress = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d}}'

    def wait_for_end(connection, more: bytes = b"") -> None:
        """Waits until the gateway ends the connection, and sends `more` meanwhile."""
        end = time.monotonic() + 300
        connection.settimeout(0.2)
        while time.monotonic() < end:
            try:
                ended = connection.recv(1) == b""
            except TimeoutError:
                connection.sendall(more)
                continue
            except OSError:
                ended = True
            if ended:
                gone.set()
                break
        raise StopIteration

    def stream(connection, request):
        connection.sendall(EVENTS + event(progress % 1))
        if seen.wait(300):
            connection.sendall(event(progress % 2))
        # HAProxy notices that an HTTP/1.1 client went away when it sends the next event.
        wait_for_end(connection, event(progress % 3) if there.name == "haproxy" else b"")

    def silence(connection, request):
        wait_for_end(connection)

    there.server.take()
    try:
        there.server.behave = stream
        with there.connect() as connection:
            connection.send(written(there.signed()))
            status, fields = connection.answer_head()
            assert (status, fields["content-type"]) == (200, "text/event-stream"), (status, fields)
            connection.until((progress % 1).encode())
            seen.set()
            connection.until((progress % 2).encode())
            assert not gone.is_set()
        assert gone.wait(60), "the server does not notice that the client went away from a stream"
        if there.name == "haproxy":
            return
        gone.clear()
        there.server.behave = silence
        with there.connect() as connection:
            connection.send(written(there.signed()))
            until(lambda: len(there.server.requests) == 2, "the request reaches the server")
        assert gone.wait(60), "the server does not notice that the client went away from a call"
    finally:
        there.server.behave = None
        seen.set()


def outage(harness: Harness, name: str) -> None:
    """A gateway that is down means no, and no request is sent twice when it ends one."""
    def close(connection, request):
        raise StopIteration

    port, closing = free_port(), Upstream(behave=close)
    with running(harness, name, port, lambda folder: PROXIES[name](harness, folder, port, closing.port)):
        for what, behind in [("one that closes", 1), ("none", 0)]:
            with TlsConnection(port, authority=certificate(harness).authority) as connection:
                answer = connection.send(written([("Host", f"127.0.0.1:{port}"), JSON, ACCEPT])).answer()
            assert answer.status in (502, 503), f"{what}: {answer}"
            found = closing.take()
            assert len(found) == behind, f"{what}: {found}"
            closing.__exit__()


def mistakes(harness: Harness) -> None:
    """A line of nginx or a flag that is wrong is named in the gateway's log."""
    server = Upstream()
    ports = [free_port() for _ in range(5)]
    keep = "proxy_set_header Host $http_host;"
    with harness.gateway(server.url, *(flag for port in ports[:4] for flag in ("--origin", f"http://127.0.0.1:{port}")),
                       "--origin", f"https://127.0.0.1:{ports[4]}") as gateway:
        # nginx names the group of servers as the host.
        group, to = f"upstream gateways {{ server 127.0.0.1:{gateway.port}; }}\n", "proxy_pass http://gateways"
        wrong = [
            ("/mcp", f"location / {{ {to}; }}", 421, "target_mismatch", keep),
            ("/api/mcp", f"location /api/ {{ {to}/; {keep} }}", 403, "signature_invalid", "a proxy must keep path"),
            ("/mcp", f"location /mcp {{ {to}/mcp/; {keep} }}", 404, "not_found", "--path"),
            ("/mcp", f"location / {{ {to}; {keep} proxy_set_header Connection \"close, x-a\"; }}", 400, "connection",
             'proxy_set_header Connection "";'),
            # Clients sign what they call, and --origin says https.
            ("/mcp", f"location / {{ {to}; {keep} }}", 403, "signature_invalid", "--origin"),
        ]
        text = group + "\n".join(f"server {{ listen 127.0.0.1:{port}; {lines} }}" for port, (_, lines, *_) in zip(ports, wrong))
        with running(harness, "nginx", ports[-1], lambda folder: nginx_with(folder, text)):
            for port, (target, lines, status, reason, hint) in zip(ports, wrong):
                fields = [("Host", f"127.0.0.1:{port}"), JSON, ACCEPT]
                fields += harness.key.sign("POST", f"http://127.0.0.1:{port}{target}", fields, CALL)
                before = len(gateway.lines())
                with Connection(port) as connection:
                    answer = connection.send(written(fields, target=target)).answer()
                line = until(lambda: gateway.lines()[before:], "a line of the gateway")[0]
                assert answer.status == status and not server.take(), f"{lines}: {answer}"
                assert reason in (line["code"], line["note"]), f"{lines}: {line}"
                assert hint in line["hint"], f"{lines}: {line}"


def asked(harness: Harness) -> None:
    """nginx's auth_request and Caddy's forward_auth show authz no body, so nothing is verified behind them."""
    server = Recorder()
    for name, dialect, status, why in [("nginx", "envoy", 403, "signature_invalid"), ("caddy", "traefik", 403, "did not show the whole body")]:
        port, authz_port = free_port(), free_port()
        log = harness.log("asked-requests")
        authz = Running(harness, "authz", [
            harness.tools.mcpid, "authz", "--listen", f"127.0.0.1:{authz_port}", "--dialect", dialect,
            "--origin", f"http://127.0.0.1:{port}", "-r", harness.trust, "--nonces", f"sqlite:{harness.nonces}",
            "--log", log,
        ])
        nginx_lines = (
            f"server {{ listen 127.0.0.1:{port}; location / {{ auth_request /ask; proxy_pass http://127.0.0.1:{server.server_port}; }}\n"
            f"location = /ask {{ internal; proxy_pass http://127.0.0.1:{authz_port}$request_uri; proxy_pass_request_body off;\n"
            'proxy_set_header Content-Length ""; proxy_set_header Host $http_host; } }')
        caddy_lines = (f"http://127.0.0.1:{port} {{\n\tforward_auth 127.0.0.1:{authz_port} {{\n\t\turi /\n\t}}\n"
                       f"\treverse_proxy 127.0.0.1:{server.server_port}\n}}\n")
        make = {"nginx": lambda folder: nginx_with(folder, nginx_lines), "caddy": lambda folder: caddy_with(folder, caddy_lines)}
        try:
            until(lambda: listens(authz_port), "authz listens")
            with running(harness, name, port, make[name]):
                fields = [("Host", f"127.0.0.1:{port}"), JSON, ACCEPT]
                fields += harness.key.sign("POST", f"http://127.0.0.1:{port}/mcp", fields, CALL)
                with Connection(port) as connection:
                    answer = connection.send(written(fields)).answer()
                assert answer.status == status and not server.take(), f"{name}: {answer}"
                (said,) = until(lambda: lines_in(log), "a line of authz")
                assert why in said.values() or why in said.get("note", ""), f"{name}: {said}"
        finally:
            authz.end()


def shown() -> None:
    """Each line that docs/proxies.md shows of a configuration stands in its file."""
    page = (HERE.parents[1] / "docs/proxies.md").read_text()
    for name in ("nginx/mcpid.conf", "haproxy/haproxy.cfg", "caddy/Caddyfile"):
        section = page.split(f"](../contrib/{name})", 1)[1]
        lines = section.split("```text\n", 1)[1].split("```", 1)[0].splitlines()
        there = {line.strip() for line in (CONTRIB / name).read_text().splitlines()}
        assert lines and set(lines) <= there, set(lines) - there


def cases(harness: Harness):
    fronts = {}

    def front(name: str) -> Front:
        if name not in fronts:
            fronts[name] = Front(harness, name)
        return fronts[name]

    for name in PROXIES:
        yield f"behind {name}: clients of both revisions", lambda name=name: both_revisions(harness, name)
        yield f"behind {name}: what is signed arrives unchanged", lambda name=name: judged(front(name))
        yield f"behind {name}: a client's lies have no effect", lambda name=name: lies(front(name))
        yield f"behind {name}: streams", lambda name=name: streams(front(name))
        yield f"behind {name}: the gateway is down", lambda name=name: outage(harness, name)
    yield "behind nginx: the log names what is wrong", lambda: mistakes(harness)
    yield "docs/proxies.md shows the lines of contrib", shown
    yield "nginx's auth_request and Caddy's forward_auth show no body", lambda: asked(harness)
    yield "behind proxies: the gateways lived through all that", lambda: [front.close() for front in fronts.values()]
