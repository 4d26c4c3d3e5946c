"""The faults of the vectors at the gateway, in JSON-RPC requests that are signed anew, with the exact code and answer."""

import base64
import json

import vectors
from harness import CALL, COVERED, Gateway, Request, Signer

MALFORMED = "request_signature_header_malformed"


def keys(**limits) -> dict:
    return {"keys": [{k: v for k, v in key.items() if k != "$comment"} | limits for key in vectors.KEYS["keys"]]}


def refused(gateway: Gateway, raw: bytes, code: str) -> None:
    before = len(gateway.seen)
    answer = gateway.send(raw)
    assert answer.status == 401, (answer.status, answer.body)
    assert answer.headers["www-authenticate"] == f'Signature error="{code}"', answer.headers
    assert answer.headers["cache-control"] == "no-store", answer.headers
    error = json.loads(answer.body)
    assert (error["error"]["code"], error["error"]["data"]["reason"]) == (-31401, code), error
    assert len(gateway.seen) == before, "it reached the upstream"


def accepted(gateway: Gateway, raw: bytes) -> dict:
    before = len(gateway.seen)
    answer = gateway.send(raw)
    assert answer.status == 200, (answer.status, answer.headers, answer.body)
    assert len(gateway.seen) == before + 1
    path, fields, body = gateway.seen[-1]
    assert path.split("?")[0] == "/behind", path
    return {"path": path, "fields": {name.lower(): value for name, value in fields.items()}, "body": body}


def after(request: Request, **fields) -> bytes:
    """The request with fields changed after it was signed; None removes one."""
    for name, value in fields.items():
        name = name.replace("_", "-").title()
        request.fields.pop(name, None)
        if value is not None:
            request.fields[name] = value
    return request.raw()


def faults(signer: Signer):
    """(name, code, bytes), each a request that is accepted but for one thing."""

    def made(**params) -> Request:
        return Request(signer, **params)

    def lasting(seconds: int) -> Request:
        request = made()
        request.params["expires"] = request.params["created"] + seconds
        return request

    def covered(*without) -> Request:
        return made(covered=[name for name in COVERED if name not in without])

    def with_body(body: bytes) -> Request:
        request = made()
        request.body = body
        return request

    signed = made().sign()
    now = signed.params["created"] - 60
    zero = base64.b64encode(bytes(64)).decode()
    yield "no signature", "request_signature_required", after(made().sign(), signature=None, signature_input=None)
    yield "another tag", "request_signature_tag_invalid", made(tag="example-org/signing/v1").sign().raw()
    old = made(created=now - 800, expires=now - 500).sign()
    yield "expired", "request_signature_window_invalid", old.raw()
    yield "a window too long", "request_signature_window_invalid", lasting(301).sign().raw()
    yield "no window", "request_signature_window_invalid", lasting(0).sign().raw()
    yield "another algorithm", "request_signature_alg_not_allowed", made(alg="rsa-pss-sha512").sign().raw()
    for name in COVERED:
        yield f"{name} uncovered", "request_signature_components_incomplete", covered(name).sign().raw()
    yield "unknown key", "request_signature_key_unknown", made(keyid="not-a-real-kid").sign().raw()
    yield "a key for governance", "request_signature_key_purpose_invalid", Request(Signer("test-gov-2026")).sign().raw()
    revoked = Request(Signer("test-revoked-2026")).sign()
    yield "a revoked key", "request_signature_key_revoked", revoked.raw()
    digest = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
    wrong = made()
    wrong.fields["Content-Digest"] = digest
    yield "another digest", "request_signature_digest_mismatch", wrong.sign().raw()
    swapped = made().sign()
    swapped.body = CALL.replace(b'"budget": 1', b'"budget": 9')
    yield "another body", "request_signature_digest_mismatch", swapped.raw()
    yield "no signature-input", MALFORMED, after(made().sign(), signature_input=None)
    yield "no signature field", MALFORMED, after(made().sign(), signature=None)
    yield "no dictionary", MALFORMED, after(made().sign(), signature_input="this-is-not-a-valid-signature-input")
    for name in ("created", "expires", "nonce", "keyid", "alg", "tag"):
        yield f"no {name}", "request_signature_params_incomplete", made(**{name: None}).sign().raw()
    yield "a signature of zeros", "request_signature_invalid", after(made().sign(), signature=f"sig1=:{zero}:")
    request = made().sign()
    request.method = "PUT"
    yield "another method", "request_signature_invalid", request.raw()
    twice = made().sign()
    twice.fields["Signature-Input"] += ", " + twice.fields["Signature-Input"]
    yield "a label twice in the input", MALFORMED, twice.raw()
    twice = made().sign()
    twice.fields["Signature"] += ", " + twice.fields["Signature"]
    yield "a label twice in the signature", MALFORMED, twice.raw()
    multi = made()
    multi.fields["Content-Type"] = "application/json, text/plain"
    yield "two media types", MALFORMED, multi.sign().raw()
    for name, double in (("twice", "{0}, {0}"), ("in capitals too", "SHA-256{1}, {0}")):
        request = made().sign()
        one = request.fields.pop("Content-Digest")
        again = made()
        again.fields["Content-Digest"] = double.format(one, one.removeprefix("sha-256"))
        yield f"a digest {name}", MALFORMED, again.sign().raw()
    token = made().sign()
    token.fields["Signature-Input"] = token.fields["Signature-Input"].replace(f'"{signer.kid}"', signer.kid)
    yield "a token for a string", MALFORMED, token.raw()
    for _ in range(50):
        legacy = made().sign()
        if set("+/") & set(legacy.fields["Signature"]):
            break
    url = legacy.fields["Signature"].replace("+", "-").replace("/", "_")
    yield "legacy base64url", MALFORMED, after(legacy, signature=url)
    yield "legacy without padding", MALFORMED, after(made().sign(), signature=made().sign().fields["Signature"].replace("==", ""))
    for host in ("seller.example.com..", "b\u00fccher.example.com", "::1", "[::1"):
        yield f"host {host}", "request_target_uri_malformed", after(made().sign(), host=host)
    yield "a body with a key twice", "request_body_malformed", with_body(CALL.replace(b'"id": 1', b'"id": 1, "id": 2')).sign().raw()
    yield "a body that is no JSON-RPC", "request_body_malformed", with_body(b'{"plan_id":"plan_001"}').sign().raw()
    yield "mcp-param uncovered", "request_signature_components_incomplete", after(made().sign(), mcp_param_city="Oslo")
    yield "a padded nonce", MALFORMED, made(nonce=signed.params["nonce"] + "==").sign().raw()
    yield "a short nonce", MALFORMED, made(nonce=signed.params["nonce"][:20]).sign().raw()


def spellings(gateway: Gateway) -> None:
    """Each spelling of the target that was signed reaches the upstream in the one form that was signed."""
    for target in ("/a/../mcp", "/./mcp", "/%6dcp", "/mc%70", "/a/b/../../mcp"):
        request = Request(Signer()).sign()
        request.target = target + "?x=%7e&y"
        refused(gateway, request.raw(), "request_signature_invalid")
        request = Request(Signer())
        request.target = "/mcp?x=%7e&y"
        request.sign()
        request.target = target + "?x=%7e&y"
        for name in ("Seller.Example.com", "seller.example.com:443", "seller.example.com."):
            request.fields["Host"] = name
        got = accepted(gateway, request.raw())
        assert got["path"] == "/behind?x=%7e&y", got
        assert got["fields"]["x-forwarded-host"] == "seller.example.com", got
        assert got["fields"]["host"] in ("seller.example.com", gateway_host(gateway)), got
    for target in ("//mcp", "/mcp/", "/mcp%2f", "/MCP", "/%2e%2e/mcp", "/a/%2e%2e/mcp", "/mcp;x"):
        request = Request(Signer())
        request.target = target
        answer = gateway.send(request.sign().raw())
        assert answer.status in (401, 404), (target, answer.status, answer.body)


def gateway_host(gateway: Gateway) -> str:
    return gateway.upstream_host


def replay_and_cap(harness, upstream, registry) -> None:
    gateway = harness.gateway(upstream, "-r", registry)
    raw = Request(Signer()).sign().raw()
    accepted(gateway, raw)
    refused(gateway, raw, "request_signature_replayed")
    # A malformed body uses its nonce up.
    request = Request(Signer())
    request.body = b"not JSON"
    raw = request.sign().raw()
    refused(gateway, raw, "request_body_malformed")
    refused(gateway, raw, "request_signature_replayed")
    small = harness.gateway(upstream, "-r", registry, "--nonces", "memory:?max=8")
    accepted(small, Request(Signer()).sign().raw())
    refused(small, Request(Signer()).sign().raw(), "request_signature_rate_abuse")
    zeros = Request(Signer()).sign()
    zeros.fields["Signature"] = f"sig1=:{base64.b64encode(bytes(64)).decode()}:"
    refused(small, zeros.raw(), "request_signature_rate_abuse")


def permissive(harness, upstream, registry) -> None:
    """Permissive mode passes what is not verified, but for malformed fields; strict patterns hold for their method only."""
    gateway = harness.gateway(
        upstream, "-r", registry, "--mode", "permissive",
        "--strict", "tools/call:create_media_buy", "--strict", "tools/call:tasks/*", "--strict", "tasks/cancel",
    )

    def unsigned(body: bytes) -> bytes:
        request = Request(Signer())
        request.body = body
        return after(request.sign(), signature=None, signature_input=None)

    def call(method: str, **params) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()

    got = accepted(gateway, unsigned(call("tools/call", name="get_products")))
    assert (got["fields"]["mcpid-status"], got["fields"]["mcpid-reason"]) == ("unsigned", "signature_missing"), got
    refused(gateway, unsigned(call("tools/call", name="create_media_buy")), "request_signature_required")
    refused(gateway, unsigned(call("tasks/cancel", taskId="t-1")), "request_signature_required")
    refused(gateway, unsigned(call("tools/call", name="tasks/cancel")), "request_signature_required")
    # A rule for a tool is none for a method of that name, and the reverse.
    accepted(gateway, unsigned(call("tasks/get", taskId="create_media_buy")))
    accepted(gateway, unsigned(call("prompts/get", name="create_media_buy")))
    accepted(gateway, unsigned(call("tools/call", name="tasks.cancel")))
    products = Request(Signer())
    products.body = call("tools/call", name="get_products")
    raw = products.sign().raw()
    for name, code, fault in faults(Signer()):
        if code == MALFORMED:
            refused(gateway, fault, code)
    accepted(gateway, raw)
    for fields in ({"signature": None}, {"signature_input": None}):
        request = Request(Signer())
        request.body = products.body
        refused(gateway, after(request.sign(), **fields), MALFORMED)
    # A signature that does not hold establishes nothing, and blocks nothing that is permissive.
    request = Request(Signer(), tag="example/v1")
    request.body = products.body
    got = accepted(gateway, request.sign().raw())
    assert (got["fields"]["mcpid-status"], "mcpid-key-id" in got["fields"]) == ("invalid", False), got


def sessions(harness, upstream, registry) -> None:
    """What the profile leaves unbound is passed on, and the verdict of the command line names it."""
    request = Request(Signer())
    capture = request.sign()
    capture.fields["Mcp-Session-Id"] = "s-1"
    capture.fields["Last-Event-ID"] = "7"
    done = harness.run("verify", "--profile", "adcp", "-r", registry, harness.file("open", capture.raw()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"open" in done.stdout and b"mcp-session-id last-event-id" in done.stdout, done.stdout


def audited(harness, upstream, registry) -> None:
    """An audit log of the gateway is good to an auditor who knows the keys."""
    done = harness.run("audit", "init", "--audit", "log")
    assert done.returncode == 0, done.stderr
    gateway = harness.gateway(upstream, "-r", registry, "--audit", "log")
    for kid in ("test-ed25519-2026", "test-es256-2026"):
        request = Request(Signer(kid)).sign()
        request.target = "/a/../mcp"
        accepted(gateway, request.raw())
    refused(gateway, Request(Signer("test-gov-2026")).sign().raw(), "request_signature_key_purpose_invalid")
    gateway.close()
    key = (harness.folder / "log" / "log-key.pub").read_text().split("\n")[0]
    done = harness.run("audit", "verify", "--audit", "log", "--log-key", key, "-r", registry)
    assert (done.returncode, done.stdout.split(b":")[0].split(b"\n")[0][:4]) == (0, b"good"), done.stdout + done.stderr


def cases(harness):
    upstream = harness.upstream()
    registry = harness.file("registry.json", revoke(keys(), "test-revoked-2026"))
    gateway = None

    def running() -> Gateway:
        nonlocal gateway
        if gateway is None:
            gateway = harness.gateway(upstream, "-r", registry)
            gateway.upstream_host = upstream.url.removeprefix("http://").removesuffix("/behind")
        return gateway

    for kid in ("test-ed25519-2026", "test-es256-2026"):
        yield f"gateway, accepted, {kid}", lambda kid=kid: accepted(running(), Request(Signer(kid)).sign().raw())
    for name, code, raw in faults(Signer()):
        yield f"gateway, {name}", lambda raw=raw, code=code: refused(running(), raw, code)
    yield "gateway, spellings of a target", lambda: spellings(running())
    yield "gateway, replays and the cap of a key", lambda: replay_and_cap(harness, upstream, registry)
    yield "gateway, permissive mode", lambda: permissive(harness, upstream, registry)
    yield "gateway, an audited log", lambda: audited(harness, upstream, registry)
    yield "gateway, what the profile leaves open", lambda: sessions(harness, upstream, registry)


def revoke(registry: dict, kid: str) -> dict:
    for key in registry["keys"]:
        if key["kid"] == kid:
            key["mcpid"] = {"name": "revoked", "revoked_at": "2026-01-01T00:00:00Z"}
    return registry
