"""Envoy with `mcpid authz` beside it. Each request goes to Envoy and to a gateway; what authz judges has the
gateway's verdict, and what either refuses does not reach the server.
"""

import contextlib
import socket
import threading
import time
from functools import cache

import framing
from envoy_setup import CALL, Authz, Shared, without, written
from servers import Harness, until
from wire import ACCEPT, JSON, Connection, head

POLICY = framing.POLICY
READ = framing.READ
# The gateway refuses these. Envoy reads them in one way and writes a head of its own, which is the one that
# is judged and that the server gets.
REWRITTEN = {
    "chunked, folded", "bare line feeds", "a bare carriage return", "a folded field",
    "an absolute target, the host elsewhere", "a target with user information",
}


def requests(there: Shared | None) -> dict:
    """Name: a function that makes one request, each time with a new nonce."""
    def signed(*arguments, **options):
        return there.signed(*arguments, **options)

    def now():
        return int(time.time())

    signature = lambda value: lambda: written([*without(without(signed(), "signature-input"), "signature"), *value])
    return {
        "signed": lambda: written(signed()),
        "signed, in chunks": lambda: head("POST", "/mcp", [*signed(), ("Transfer-Encoding", "chunked")])
        + framing.chunked(CALL),
        "signed with a query": lambda: written(signed(target="/mcp?a=%2F&b"), target="/mcp?a=%2F&b"),
        "signed with an empty query": lambda: written(signed(target="/mcp?"), target="/mcp?"),
        "signed, covering more": lambda: written(signed(more=[("Mcp-Param-City", "Oslo"), ("Last-Event-Id", "7")])),
        "an empty field": lambda: written(signed(more=[("Mcp-Param-City", "")])),
        "a GET": lambda: written(signed(b"", method="GET"), b"", "GET"),
        "a DELETE": lambda: written(signed(b"", method="DELETE"), b"", "DELETE"),
        "a DELETE with a body": lambda: written(signed(b"{}", method="DELETE"), b"{}", "DELETE"),
        "a body of 3 MiB": lambda: written(signed(body := b" " * (3 << 20) + CALL), body),
        "unsigned": lambda: written([("Host", f"127.0.0.1:{there.port}"), JSON, ACCEPT]),
        "an unsigned read": lambda: written([("Host", f"127.0.0.1:{there.port}"), JSON, ACCEPT], READ),
        "a stranger": lambda: written(signed(key=there.harness.stranger)),
        "another body": lambda: written(signed(), CALL.replace(b"outer", b"inner")),
        "a longer body": lambda: written(signed(), CALL + b" "),
        "another method": lambda: written(signed(), method="PUT"),
        "another query": lambda: written(signed(), target="/mcp?a"),
        "old": lambda: written(signed(created=now() - 1000)),
        "early": lambda: written(signed(created=now() + 1000)),
        "another host": lambda: written(signed(host="evil.example")),
        "not JSON": lambda: written(signed(b"{"), b"{"),
        "two methods": lambda: written(signed(b'{"method":"a","method":"b"}'), b'{"method":"a","method":"b"}'),
        "a batch": lambda: written(signed(b"[" + CALL + b"]"), b"[" + CALL + b"]"),
        "a coding": lambda: written(signed(more=[("Content-Encoding", "gzip")])),
        "a field that lies": lambda: written(signed(more=[("Mcp-Method", "tools/list")])),
        "a field that is not covered": lambda: written([*signed(), ("Mcp-Session-Id", "one")]),
        "a field that was changed": lambda: written(
            [*without(signed(more=[("Mcp-Param-A", "1")]), "mcp-param-a"), ("Mcp-Param-A", "2")]),
        "no digest": lambda: written(without(signed(), "content-digest")),
        "no signature": lambda: written(without(signed(), "signature")),
        "no input": lambda: written(without(signed(), "signature-input")),
        "malformed input": signature([("Signature-Input", "mcp=("), ("Signature", "mcp=:AAAA:")]),
        "a label twice": signature([("Signature-Input", 'mcp=("@method"), mcp=("@method")'), ("Signature", "mcp=:AAAA:")]),
        "empty signature fields": signature([("Signature-Input", ""), ("Signature", "")]),
        "another path": lambda: written(signed(target="/x"), target="/x"),
        "a trailing slash": lambda: written(signed(target="/mcp/"), target="/mcp/"),
        "two slashes": lambda: written(signed(target="//mcp"), target="//mcp"),
        "an encoded letter": lambda: written(signed(target="/%6dcp"), target="/%6dcp"),
        "a dot segment": lambda: written(signed(target="/x/../mcp"), target="/x/../mcp"),
        "capitals": lambda: written(signed(target="/MCP"), target="/MCP"),
        "a page": lambda: written(signed(more=[("Origin", "https://evil.example")])),
        "an expectation": lambda: written(signed(more=[("Expect", "200-maybe")])),
        "a document for OAuth": lambda: written(
            [("Host", f"127.0.0.1:{there.port}")], b"", "GET", "/.well-known/oauth-protected-resource"),
        "a document for OAuth, elsewhere": lambda: written(
            [("Host", "evil.example")], b"", "GET", "/.well-known/oauth-protected-resource"),
    }


def alike(there: Shared, make) -> None:
    """Envoy with authz decides as the gateway does."""
    data = make()
    method = data.split(b" ")[0].decode()
    answer, behind, line = there.ask(data, method)
    there.other.take()
    before = len(there.gateway.lines())
    with Connection(there.gateway.port) as connection:
        theirs = connection.send(make()).answer(method)
    passed = there.other.take()
    if line is None:
        # Envoy refused it without asking.
        assert answer.status >= 400 and not behind, f"{answer}, {behind}"
        return
    assert (answer.status, answer.reason) == (theirs.status, theirs.reason), f"{answer}\nthe gateway: {theirs}"
    assert len(behind) == len(passed), f"{behind}\nthe gateway: {passed}"
    lines = until(lambda: there.gateway.lines()[before:], "a line of the gateway")
    assert line["code"] == lines[0]["code"], f"{line}, {lines}"
    if behind:
        wanted = {name: value for name, value in passed[0].told().items()}
        assert behind[0].told() == wanted, f"{behind[0].told()}, not {wanted}"
        assert (behind[0].line, behind[0].body) == (passed[0].line, passed[0].body)


def forged(there: Shared) -> None:
    """No spelling of a client's own Mcpid-* reaches the server, on any answer."""
    names = ["Mcpid-Status", "mcpid-name", "MCPID-KEY-ID", "Mcpid-Tag", "Mcpid-Touch", "Mcpid-Reason", "Mcpid-More",
             "Mcpid_Status", "MCPID_NAME", "mcpid-Key_Id"]
    host = ("Host", f"127.0.0.1:{there.port}")
    for name in names:
        lie = [(name, "verified"), (name, "bob")]
        # Each is signed when it is sent: a signature is valid for 30 seconds.
        for what, make, method in [
            ("verified", lambda: written([*there.signed(), *lie]), "POST"),
            ("unsigned", lambda: written([host, JSON, ACCEPT, *lie], READ), "POST"),
            ("refused", lambda: written([host, JSON, ACCEPT, *lie]), "POST"),
            ("open", lambda: written([host, *lie], b"", "GET", "/.well-known/oauth-protected-resource"), "GET"),
        ]:
            answer, behind, _ = there.ask(make(), method)
            if "_" in name or what == "refused":
                assert answer.status >= 400 and not behind, f"{name}, {what}: {answer}"
                continue
            assert answer.status == 200 and len(behind) == 1, f"{name}, {what}: {answer}"
            told = behind[0].told()
            wanted = {
                "verified": {"mcpid-status": "verified", "mcpid-name": "alice", "mcpid-tag": there.harness.key.id,
                             "mcpid-key-id": there.harness.key.id},
                "unsigned": {"mcpid-status": "unsigned", "mcpid-reason": "signature_missing"},
                "open": {},
            }[what]
            assert told == wanted, f"{name}, {what}: {told}"


def repeated(there: Shared) -> None:
    """Lines that Envoy joins are never verified as something else."""
    param = [("Mcp-Param-A", "1"), ("Mcp-Param-A", "2")]
    joined = lambda: there.signed(more=[("Mcp-Param-A", "1,2")])
    session = lambda: there.signed(more=[("Mcp-Session-Id", "a")])
    # Each is signed when it is sent: a signature is valid for 30 seconds.
    cases = [
        ("two covered lines", lambda: there.signed(more=param), 403, "head_unseen"),
        ("one line with a comma", joined, 403, "head_unseen"),
        ("a joined line taken apart", lambda: [*without(joined(), "mcp-param-a"), *param], 403, "head_unseen"),
        ("bytes outside of UTF-8", lambda: there.signed(more=[("Mcp-Param-A", "\xe9")]), 403, "head_unseen"),
        ("two content types", lambda: [*there.signed(), ("Content-Type", "text/plain")], 400, "repeated_field"),
        ("two Mcp-Name", lambda: there.signed(more=[("Mcp-Name", "a"), ("Mcp-Name", "b")]), 400, "repeated_field"),
        ("two sessions", lambda: [*session(), ("Mcp-Session-Id", "b")], 400, "repeated_field"),
    ]
    for what, make, status, reason in cases:
        answer, behind, _ = there.ask(written(make()))
        assert (answer.status, answer.reason, behind) == (status, reason, []), f"{what}: {answer}, {behind}"
    # Two signatures on two lines are one dictionary, and fields that are not covered may be repeated.
    first, second = there.signed(), there.signed(key=there.harness.stranger)
    two = [(n, v.replace("mcp=", "two=", 1)) for n, v in second if n in ("Signature-Input", "Signature")]
    answer, behind, _ = there.ask(written([*first, *two, ("Accept", "text/plain"), ("X-A", "1"), ("X-A", "2")]))
    assert answer.status == 200 and behind[0].told()["mcpid-name"] == "alice", answer


def bodies(harness: Harness) -> None:
    """A body that is hidden, cut or too long is never verified."""
    shown = "with_request_body:\n                max_request_bytes: 4194304\n                allow_partial_message: false"
    cases = [
        ("hidden", [(shown, "")], 403, "body_unseen", "with_request_body"),
        ("cut", [("max_request_bytes: 4194304", "max_request_bytes: 20"),
                 ("allow_partial_message: false", "allow_partial_message: true")], 403, "body_unseen", "with_request_body"),
        ("too long for Envoy", [("max_request_bytes: 4194304", "max_request_bytes: 20")], 413, None, ""),
        ("without fields", [('allowed_headers:\n                patterns:\n                - safe_regex: { regex: ".*" }', "")],
         403, "signature_missing", 'allowed_headers: { patterns: [{ safe_regex: { regex: ".*" } }] }'),
    ]
    for what, changes, status, reason, hint in cases:
        there = Shared(harness, changes=changes)
        try:
            # Not even if the client says that the body is whole.
            for more in [[], [("X-Envoy-Auth-Partial-Body", "false")]]:
                answer, behind, line = there.ask(written([*there.signed(), *more]))
                assert (answer.status, answer.reason, behind) == (status, reason, []), f"{what}: {answer}, {behind}"
                assert line is None or hint in line["hint"], f"{what}: {line}"
        finally:
            there.close()


def too_long(there: Shared) -> None:
    body = b" " * (4 << 20) + CALL
    answer, behind, _ = there.ask(written(there.signed(body), body))
    assert (answer.status, behind) == (413, []), answer
    # Envoy does not say whether a body that is empty is whole.
    answer, behind, _ = there.ask(written(there.signed(b""), b""))
    assert (answer.status, answer.reason, behind) == (403, "body_unseen", []), answer


def peer(there: Shared) -> None:
    """The log has the address that Envoy saw, and not the one that the client claims."""
    lie = [("X-Forwarded-For", "203.0.113.7"), ("X-Real-Ip", "203.0.113.7")]
    there.authz.take()
    # Another address than that of Envoy, which is trusted.
    with socket.create_connection(("127.0.0.1", there.port), 120, source_address=("127.0.0.2", 0)) as client:
        client.sendall(written([*there.signed(), *lie]))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    (line,) = there.authz.take()
    assert line["peer"] == "127.0.0.2", line


def steered(there: Shared) -> None:
    """A client of Envoy's own network cannot make Envoy send a request twice, nor name an address to the server."""
    more = [("X-Envoy-Retry-On", "5xx"), ("X-Envoy-Max-Retries", "3"), ("X-Envoy-Retriable-Status-Codes", "503"),
            ("X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms", "5000"), ("X-Real-Ip", "203.0.113.7"), ("X-Forwarded-Port", "1")]
    there.server.status = 503
    try:
        answer, behind, _ = there.ask(written([*there.signed(), *more]))
    finally:
        there.server.status = 200
    assert (answer.status, len(behind)) == (503, 1), f"{answer}, {behind}"
    names = {name for name, _ in behind[0].fields}
    assert not names & {name.lower() for name, _ in more}, names


def upgrades(there: Shared) -> None:
    for value in ["websocket", "h2c"]:
        more = [("Connection", "Upgrade"), ("Upgrade", value)]
        answer, behind, _ = there.ask(written([*there.signed(), *more]))
        # Envoy drops an offer that it does not know, and refuses the others.
        assert answer.status >= 400 or behind[0].told()["mcpid-status"] == "verified", answer
        assert all(name != "upgrade" for request in behind for name, _ in request.fields), behind


def without_answer(harness: Harness) -> None:
    """Authz that is down, slow or broken means no; when it is back, requests pass again."""
    there = Shared(harness)
    authz, port = there.authz, there.authz_port

    def ends_with(status: int, behind: int, what: str, there: Shared = there) -> None:
        there.server.take()
        with Connection(there.port) as connection:
            answer = connection.send(written(there.signed())).answer()
        assert answer.status == status, f"{what}: {answer}"
        found = there.server.take()
        assert len(found) == behind, f"{what}: {found}"

    ends_with(200, 1, "up")
    assert authz.end() == 0
    ends_with(503, 0, "down")
    hasty = Shared(harness, patience="1s")
    hasty.authz.end()
    with socket.create_server(("127.0.0.1", hasty.authz_port)):
        ends_with(503, 0, "slow", hasty)
    hasty.close()
    for answer in [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 O", b"\x16\x03\x01",
                   b"HTTP/1.1 204 No Content\r\nMcpid-Status: verified\r\n\r\n", b""]:
        with socket.create_server(("127.0.0.1", port)) as broken:
            def serve(broken=broken, answer=answer):
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = broken.accept()
                        with connection:
                            connection.recv(65536)
                            connection.sendall(answer)
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            there.server.take()
            with Connection(there.port) as connection:
                status = connection.send(written(there.signed())).answer_head()[0]
            assert status != 200 and not there.server.take(), f"{answer}: {status}"
            broken.shutdown(socket.SHUT_RDWR)
            thread.join(120)
    there.authz = Authz(harness, there.port, port, *there.flags)

    def back():
        with Connection(there.port) as connection:
            return connection.send(written(there.signed())).answer().status == 200

    until(back, "requests pass again")
    # A nonce that was used before the restart stays used.
    data = written(there.signed())
    assert there.ask(data)[0].status == 200
    there.authz.end()
    there.authz = Authz(harness, there.port, port, *there.flags)

    def judged():
        answer, behind, _ = there.ask(data)
        assert not behind, answer
        # 503 until Envoy has noticed that its connection to authz has ended.
        return answer.status != 503 and answer

    answer = until(judged, "authz is asked again")
    assert (answer.status, answer.reason) == (403, "nonce_replayed"), answer
    there.close()


def attacked(there: Shared, name: str, attack: framing.Attack) -> None:
    """Behind Envoy there is only what the policy lets through, for each 200 once."""
    there.server.take()
    data = attack.data.replace(b"HOST", f"127.0.0.1:{there.port}".encode())
    # For a body that never comes, Envoy waits in silence.
    timeout = 5 if name == "5 MiB announced" else 120
    answers = framing.all_answers(there.port, data, len(attack.answers), timeout)
    behind = there.server.take()
    assert len(behind) == answers.count(200), f"{answers}: {behind}"
    for request in behind:
        assert request.line.startswith("POST /mcp HTTP/1.1"), request
        assert request.body == READ, request
        assert request.told() == {"mcpid-status": "unsigned", "mcpid-reason": "signature_missing"}, request
    most = 1 if name in REWRITTEN else attack.answers.count(200)
    assert answers.count(200) <= most, f"{answers}, and the gateway {attack.answers}"


def cases(harness: Harness):
    strict = cache(lambda: Shared(harness))
    policy = cache(lambda: Shared(harness, *POLICY))
    for rules, name in [(strict, "strict"), (policy, "policy")]:
        for request in requests(None):
            yield f"envoy, {name}: {request}", lambda rules=rules, request=request: alike(
                rules(), requests(rules())[request])
    yield "envoy: forged fields never reach the server", lambda: forged(policy())
    yield "envoy: repeated fields are never verified as another", lambda: repeated(strict())
    yield "envoy: a body over the limit, or an empty one, is refused", lambda: too_long(strict())
    yield "envoy: the client's address is the one that Envoy saw", lambda: peer(strict())
    yield "envoy: a client cannot steer Envoy", lambda: steered(strict())
    yield "envoy: offers to upgrade are not passed on", lambda: upgrades(strict())
    for name, attack in framing.attacks().items():
        yield f"envoy, framing: {name}", lambda name=name, attack=attack: attacked(policy(), name, attack)
    yield "envoy: a body that is not shown whole is never verified", lambda: bodies(harness)
    yield "envoy: authz without an answer means no", lambda: without_answer(harness)
    yield "envoy: authz lived through all that", lambda: (strict().close(), policy().close())
