"""Verdicts and refusals: the same codes as the gateway's (tests/gateway/front.rs)."""

import json
import time

import pytest
from asgi_harness import CALL, INITIALIZE, LIST, ORIGIN, URL, Wire, ask, call, guarded, mcp_server

pytestmark = pytest.mark.filterwarnings("ignore:dev=True:RuntimeWarning")


def test_a_signed_request_is_verified_and_its_body_unchanged(key):
    app = guarded(key)
    answer = ask(app, Wire().signed(key))
    identity = answer.scope["mcp_identity"]
    assert (answer.status, answer.body) == (200, CALL)
    assert identity.status == "verified" and identity.did == key.did
    assert identity.key_id == key.key_id and identity.tag == key.key_id
    assert identity.reason is None and not identity.would_refuse
    assert abs(identity.created - time.time()) < 60


def refused_requests(key, other):
    now = int(time.time())
    good = Wire().signed(key)
    changed = Wire().signed(key)
    changed.body = LIST
    wide = Wire().having("x-wide", "x" * 66_000)
    return [
        ("unsigned", Wire(), 403, "signature_missing"),
        ("another key", Wire().signed(other), 403, "key_unknown"),
        ("another body", changed, 403, "digest_mismatch"),
        ("old", Wire().signed(key, created=now - 1000), 403, "expired"),
        ("early", Wire().signed(key, created=now + 1000), 403, "not_yet_valid"),
        ("another host", Wire(host=b"other.example"), 421, "target_mismatch"),
        ("another path", Wire(path="/x").signed(key, url=URL), 403, "key_unknown"),
        ("another method", Wire(method="DELETE", headers=good.headers), 403, "key_unknown"),
        ("no JSON", Wire(body=b"{").signed(key), 403, "body_ambiguous"),
        (
            "two methods",
            Wire(body=b'{"method":"a","method":"b"}').signed(key),
            403,
            "body_ambiguous",
        ),
        (
            "compressed",
            Wire().having("content-encoding", "gzip").signed(key),
            415,
            "body_ambiguous",
        ),
        ("an expectation", Wire().having("expect", "tea"), 417, "expectation_failed"),
        (
            "a header that lies",
            Wire().having("mcp-method", "tools/list").signed(key),
            400,
            "header_body_mismatch",
        ),
        ("a long head", wide, 431, "too_large"),
        ("a long body", Wire(body=b" " * ((4 << 20) + 1)).signed(key), 413, "too_large"),
        (
            "an uncovered session",
            Wire().signed(key).having("mcp-session-id", "one"),
            403,
            "coverage_insufficient",
        ),
        ("two hosts", Wire().having("host", "127.0.0.1:8000"), 421, "target_mismatch"),
        (
            "a broken signature",
            Wire().having("signature-input", "x").having("signature", "y"),
            403,
            "signature_malformed",
        ),
        ("a bad field name", Wire().having("a b", "c"), 400, "head_invalid"),
        ("a bad field value", Wire().having("x-a", "b\nc"), 400, "head_invalid"),
        ("a bad method", Wire(method="GET /"), 400, "head_invalid"),
    ]


def test_each_refusal_has_the_status_and_code_of_the_gateway(key, other):
    app = guarded(key)
    for what, wire, status, reason in refused_requests(key, other):
        answer = ask(app, wire)
        assert (answer.status, answer.reason) == (status, reason), what
        assert answer.scope["mcp_identity"] is None, what
        assert answer.headers["cache-control"] == "no-store", what
        assert answer.headers["content-type"] == "application/json", what
        assert int(answer.headers["content-length"]) == len(answer.body), what


def test_a_request_is_accepted_once(key):
    app = guarded(key)
    wire = Wire().signed(key)
    assert ask(app, wire).status == 200
    again = ask(app, wire)
    assert (again.status, again.reason) == (403, "nonce_replayed")


def test_a_refusal_echoes_the_id_and_says_what_to_sign(key):
    answer = ask(guarded(key), Wire())
    assert b'"id":7' in answer.body and b'"code":-31401' in answer.body
    wanted = answer.headers["accept-signature"]
    for name in ("@method", "@target-uri", "content-digest", "content-type"):
        assert f'"{name}"' in wanted


def test_a_401_has_a_challenge_and_a_200_hides_the_refusal(key):
    answer = ask(guarded(key, refuse_with=401, realm='a "b"'), Wire())
    assert answer.status == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge == 'HTTPSig realm="a \\"b\\"", error="signature_missing"'
    assert ask(guarded(key, refuse_with=200), Wire()).status == 200
    assert ask(guarded(key, refuse_with=200), Wire(method="GET", body=b"")).status == 403


def test_permissive_mode_lets_requests_through_with_the_verdict(key, other):
    app = guarded(key, mode="permissive")
    cases = [
        (Wire(), "unsigned", "signature_missing"),
        (Wire().signed(other), "unknown_key", "key_unknown"),
        (Wire().signed(key, created=int(time.time()) - 1000), "invalid", "expired"),
        (Wire(body=b"{").signed(key), "invalid", "body_ambiguous"),
    ]
    for wire, status, reason in cases:
        answer = ask(app, wire)
        identity = answer.scope["mcp_identity"]
        assert (answer.status, answer.body) == (200, wire.body)
        assert (identity.status, identity.reason, identity.would_refuse) == (status, reason, True)
        proven = [identity.did, identity.key_id, identity.name, identity.tag, identity.created]
        assert proven == [None] * 5
    # The host and the sizes are checked in every mode.
    assert ask(app, Wire(host=b"other.example")).status == 421
    assert ask(app, Wire(body=b" " * ((4 << 20) + 1))).status == 413


def test_patterns_change_the_mode(key):
    app = guarded(key, mode="permissive", strict=["tools/call:delete_*"])
    assert ask(app, Wire()).status == 403
    assert ask(app, Wire(body=call("list"))).status == 200
    assert ask(app, Wire(body=b"{")).status == 403
    app = guarded(key, permissive=["tools/list"])
    assert ask(app, Wire(body=LIST)).status == 200
    assert ask(app, Wire()).status == 403


def test_destructive_tools_are_learned_from_the_application(key):
    app = guarded(key, mcp_server, mode="permissive", strict=["destructive"])
    harmless, other = Wire(body=call("list_users")), Wire(body=call("delete_db"))
    assert ask(app, harmless).status == 403
    listing = Wire(body=LIST).having("accept-encoding", "gzip")
    assert ask(app, listing).status == 200
    assert ask(app, harmless).status == 200
    assert ask(app, other).status == 403
    assert ask(app, Wire(body=call("delete_db")).signed(key)).status == 200


def test_the_application_must_not_compress_the_list_that_is_learned(key):
    seen = []

    async def app(scope, receive, send):
        seen.append(dict(scope["headers"]))
        await mcp_server(scope, receive, send)

    guard = guarded(key, app, mode="permissive", strict=["destructive"])
    ask(guard, Wire(body=LIST).having("Accept-Encoding", "gzip"))
    ask(guard, Wire(body=INITIALIZE).having("accept-encoding", "gzip"))
    assert seen[0].get(b"accept-encoding") == b"identity" and b"Accept-Encoding" not in seen[0]
    assert seen[1].get(b"accept-encoding") == b"gzip"


def test_a_session_belongs_to_the_key_that_opened_it(key, other):
    app = guarded([key, other], mcp_server)

    def in_session(who):
        return Wire().having("mcp-session-id", "one").signed(who)

    assert ask(app, Wire(body=INITIALIZE).signed(key)).headers["mcp-session-id"] == "one"
    assert ask(app, in_session(key)).status == 200
    taken = ask(app, in_session(other))
    assert (taken.status, taken.reason) == (403, "not_allowed")
    # The application gives the same session to another key: the answer is replaced.
    opened = ask(app, Wire(body=INITIALIZE).signed(other))
    assert (opened.status, opened.reason) == (403, "not_allowed")
    assert "mcp-session-id" not in opened.headers and len(opened.messages) == 2
    assert ask(app, in_session(key)).status == 200


def test_a_client_cannot_pose_as_verified(key):
    seen = []

    async def app(scope, receive, send):
        seen.append([name for name, _ in scope["headers"]])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    names = ["mcpid-status", "Mcpid-Key-Id", "MCPID_NAME", "mcpid-x"]
    for path in (None, "/other"):
        wire = Wire()
        for name in names:
            wire.having(name, "verified")
        wire.having("mcpidx", "kept")
        scope = wire.scope(mcp_identity="verified")
        answer = ask(guarded(key, app, mode="permissive", path=path), wire, scope=scope)
        assert answer.status == 200
        assert seen[-1] == [b"host", b"content-type", b"mcpidx"]
        identity = scope["mcp_identity"]
        assert identity is None if path else identity.status == "unsigned"


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_path": b"/mcp#x"},
        {"query_string": b"a=1#b"},
        {"raw_path": b"/mcp\xff"},
        {"raw_path": b"/m p"},
        {"raw_path": b"127.0.0.1:8000"},
    ],
)
def test_a_target_that_cannot_be_read_is_refused_in_every_mode(key, changes):
    wire = Wire().signed(key)
    for mode in ("strict", "permissive"):
        answer = ask(guarded(key, mode=mode), wire, scope=wire.scope(**changes))
        assert (answer.status, answer.reason) == (400, "target")


def test_the_target_is_that_of_the_wire(key):
    app = guarded(key)
    # The application sees the decoded path; the signature covers the path as sent.
    wire = Wire(path="/%6dcp", query=b"a=%2F&b")
    wire.signed(key)
    assert ask(app, wire, scope=wire.scope(path="/mcp")).status == 200
    wire = Wire(path="/%6dcp").signed(key)
    assert ask(app, wire, scope=wire.scope(raw_path=b"/mcp", path="/mcp")).status == 403
    wire = Wire(query=b"a=1").signed(key)
    assert ask(app, wire, scope=wire.scope(query_string=b"a=2")).status == 403
    # A proxy sends the absolute form.
    wire = Wire().signed(key)
    assert ask(app, wire, scope=wire.scope(raw_path=URL.encode())).status == 200
    wire = Wire().signed(key)
    foreign = wire.scope(raw_path=b"http://other.example/mcp")
    assert ask(app, wire, scope=foreign).status == 421


def test_a_server_without_raw_path_is_judged_by_what_the_application_sees(key):
    app = guarded(key)
    for absent in ({}, {"raw_path": None}, {"raw_path": b""}):
        wire = Wire(query=b"a=1").signed(key)
        scope = wire.scope() | absent
        if not absent:
            del scope["raw_path"]
        assert ask(app, wire, scope=scope).status == 200
    wire = Wire(path="/k%C3%A4se").signed(key)
    scope = wire.scope(path="/k\xe4se", raw_path=None)
    assert ask(app, wire, scope=scope).status == 200


def test_root_path_is_never_added_and_a_removed_prefix_is_named(key):
    wire = Wire().signed(key)
    assert ask(guarded(key), wire, scope=wire.scope(root_path="/api")).status == 200
    wire = Wire().signed(key, url=ORIGIN + "/api/mcp")
    assert ask(guarded(key), wire, scope=wire.scope(root_path="/api")).status == 403
    app = guarded(key, target_prefix="/api")
    wire = Wire().signed(key, url=ORIGIN + "/api/mcp")
    assert ask(app, wire).status == 200
    assert ask(app, Wire().signed(key)).status == 403


def test_other_paths_pass_unjudged_and_no_spelling_of_the_endpoint_does(key):
    app = guarded(key, path="/mcp")
    for path in ("/", "/health", "/mcpx", "/.well-known/oauth-protected-resource"):
        answer = ask(app, Wire(path=path))
        assert (answer.status, answer.scope["mcp_identity"]) == (200, None), path
    for path in (
        "/mcp",
        "/mcp/",
        "/MCP",
        "/mcp/x",
        "/%6dcp",
        "//mcp",
        "/a/../mcp",
        "/a/%2e%2e/mcp",
        "/mcp;a",
        "/a%2fmcp",
        "\\mcp",
    ):
        wire = Wire(path=path)
        assert ask(app, wire).status in (400, 403), path
    # What the server or a router decoded counts too.
    for changes in (
        {"path": "/mcp"},
        {"path": "/api/mcp", "root_path": "/api"},
        {"path": "/mcp\0"},
        {"path": "/MCP "},
    ):
        scope = Wire(path="/x").scope(**changes)
        assert ask(app, Wire(path="/x"), scope=scope).status == 403, changes
    assert ask(app, Wire(path="/x"), scope=Wire(path="/x").scope(path="/k\xe4se")).status == 200


def test_mcp_at_another_path_is_told_once(key, caplog):
    app = guarded(key, path="/mcp")
    ask(app, Wire(path="/health"))
    assert "looks like MCP" not in caplog.text
    for _ in range(2):
        ask(app, Wire(path="/srv/mcp").having("Mcp-Session-Id", "one"))
    assert caplog.text.count('a request to "/srv/mcp" looks like MCP') == 1


def test_the_root_can_be_the_endpoint(key):
    app = guarded(key, path="/")
    assert ask(app, Wire(path="/")).status == 403
    assert ask(app, Wire(path="/x")).status == 200
    assert ask(app, Wire(path="/").signed(key)).status == 200


def test_field_names_of_any_case_are_read(key):
    wire = Wire().signed(key)
    wire.headers = [(name.title(), value) for name, value in wire.headers]
    assert ask(guarded(key), wire).status == 200
    wire = Wire().signed(key)
    scope = wire.scope(headers=[list(field) for field in wire.headers])
    assert ask(guarded(key), wire, scope=scope).status == 200
    # A sequence that can be read only once reaches the application too.
    wire = Wire().having("mcpid-status", "verified").signed(key)
    answer = ask(guarded(key), wire, scope=wire.scope(headers=iter(wire.headers)))
    assert answer.status == 200 and list(answer.scope["headers"]) == wire.headers
    scope = Wire(method="GET", body=b"").scope()
    del scope["headers"]
    assert ask(guarded(key), Wire(), scope=scope).status == 421
    wire = Wire().signed(key)
    with pytest.raises(TypeError):
        text = [(name.decode(), value.decode()) for name, value in wire.headers]
        ask(guarded(key), wire, scope=wire.scope(headers=text))


def test_an_expectation_of_http_1_0_is_ignored(key):
    wire = Wire(version="1.0").having("expect", "tea").signed(key)
    assert ask(guarded(key), wire).status == 200


def test_get_and_delete_need_a_signature_too(key):
    app = guarded(key)
    for method in ("GET", "DELETE", "HEAD"):
        assert ask(app, Wire(method=method, body=b"")).status == 403, method
        assert ask(app, Wire(method=method, body=b"").signed(key)).status == 200, method
    assert ask(app, Wire(method="HEAD", body=b"")).body == b""


def test_a_websocket_at_the_endpoint_is_refused(key):
    passed = []

    async def app(scope, receive, send):
        passed.append(scope["path"])

    def connect(guard, path, **extensions):
        scope = Wire(path=path, method="GET").scope(type="websocket", extensions=extensions)
        del scope["method"]
        messages = [{"type": "websocket.connect"}]
        return ask(guard, Wire(), scope=scope, messages=messages).messages

    for mode in ("strict", "permissive"):
        guard = guarded(key, app, path="/mcp", mode=mode)
        assert connect(guard, "/mcp") == [{"type": "websocket.close", "code": 1008}]
        assert connect(guard, "/%6dcp")[0]["type"] == "websocket.close"
        answer = connect(guard, "/mcp", **{"websocket.http.response": {}})
        assert answer[0]["type"] == "websocket.http.response.start" and answer[0]["status"] == 403
        assert connect(guard, "/chat") == []
    assert passed == ["/chat", "/chat"]
    assert connect(guarded(key, app), "/chat")[0]["type"] == "websocket.close"


def test_lifespan_passes_and_unknown_types_do_not(key):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    ask(guarded(key, app), Wire(), scope={"type": "lifespan"})
    assert seen == ["lifespan"]
    with pytest.raises(RuntimeError, match="webtransport"):
        ask(guarded(key, app), Wire(), scope={"type": "webtransport"})
    assert seen == ["lifespan"]


def test_only_the_normal_form_of_a_target_is_judged_where_that_is_signed(key, tmp_path):
    trust = tmp_path / "trust.json"
    purpose = {"use": "sig", "key_ops": ["verify"], "adcp_use": "request-signing"}
    jwk = json.loads(key.public_key.jwk()) | purpose
    trust.write_text(json.dumps({"keys": [jwk]}))
    app = guarded(key, trust=trust, profile="adcp")
    answer = ask(app, Wire().signed(key, profile="adcp"))
    assert (answer.status, answer.scope["mcp_identity"].status) == (200, "verified")
    assert ask(app, Wire(query=b"b=/../2&a=%7e").signed(key, profile="adcp")).status == 200
    for path in ("/x/../mcp", "/./mcp", "/%6Dcp", "/%2e%2e/mcp", "/mcp/..", "/mcp/%2f"):
        answer = ask(app, Wire(path=path).signed(key, profile="adcp", url=URL))
        assert (answer.status, answer.reason) == (401, "request_target_uri_malformed"), path
    # Other profiles sign the target as it is sent.
    plain = guarded(key)
    assert ask(plain, Wire(path="/x/../mcp").signed(key, url=URL)).status == 403
    assert ask(plain, Wire(path="/x/../mcp").signed(key)).status == 200
