"""RFC 9421 in both directions: mcpid accepts signatures of other implementations, and they accept those of
mcpid. Copies with one changed byte are refused on both sides."""

import json
import secrets
import time

from peers import Refused
from request import Request, tampered
from servers import Key, Harness

CALL = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {
            "name": "get_weather",
            "arguments": {"location": "Zürich"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    },
    ensure_ascii=False,
).encode()

JSON = ("Content-Type", "application/json")
OPAQUE = ("Content-Type", "application/octet-stream")
MCP_HEADERS = (
    JSON,
    ("Accept", "application/json, text/event-stream"),
    ("MCP-Protocol-Version", "2026-07-28"),
    ("Mcp-Method", "tools/call"),
    ("Mcp-Name", "get_weather"),
)

MESSAGES = {
    "tools/call": Request("POST", "https://mcp.example.com/mcp", MCP_HEADERS, CALL),
    "path and query": Request("POST", "https://mcp.example.com:8443/a/b%2Fc?x=1&y=%20z&x=2", (JSON,), b'{"a":1}'),
    "bytes": Request("PUT", "https://mcp.example.com/blob", (OPAQUE,), b"\x00\xff\r\n\r\n\xe2\x82" * 9),
    "empty body": Request("POST", "https://mcp.example.com/mcp", (OPAQUE,), b""),
    "loopback": Request("GET", "http://127.0.0.1:3000/mcp", (("Accept", "text/event-stream"),)),
}

ALWAYS = ("@method", "@target-uri", "content-digest")
MCP_FIELDS = ("content-type", "mcp-protocol-version", "mcp-method", "mcp-name")

# The code with which a changed byte is refused. A changed nonce changes the line @signature-params.
CODES = {
    "body": "digest_mismatch",
    "path": "signature_invalid",
    "content-type": "signature_invalid",
    "content-digest": "signature_invalid",
    "signature": "signature_invalid",
    "nonce": "signature_invalid",
    "method": "signature_invalid",
}


def nonce() -> str:
    return secrets.token_urlsafe(16)


def shapes(key: Key) -> dict[str, tuple[tuple[str, ...], dict]]:
    """Other ways to sign than ours: the components, and the order of the parameters."""
    now = int(time.time())
    full = {"created": now, "expires": now + 30, "nonce": nonce(), "keyid": key.id, "tag": key.id}
    return {
        "as mcpid signs": (ALWAYS, full),
        "keyid and alg first": (
            ALWAYS,
            {"keyid": key.id, "alg": "ed25519", "nonce": nonce(), "tag": "web", "created": now},
        ),
        "derived components": (
            (*ALWAYS, "@authority", "@scheme", "@path", "@query"),
            {"nonce": nonce(), "keyid": key.id, "created": now},
        ),
        "a dictionary member": (
            ("@method", "@authority", "@path", "@query", "content-digest", 'content-digest;key="sha-256"'),
            {"created": now, "keyid": key.id, "nonce": nonce()},
        ),
        "a kid that is no thumbprint": (
            ALWAYS,
            {"created": now, "keyid": f"{key.name}-2026/1", "nonce": nonce(), "expires": now + 60},
        ),
    }


def identifier(component: str) -> str:
    """Returns a component as a verdict names it: quoted only if it has parameters."""
    name, *parameters = component.split(";", 1)
    return f'"{name}";{parameters[0]}' if parameters else name


def theirs(harness: Harness, peer, key: Key):
    """The other implementation signs, and mcpid verifies."""
    trust = ("-r", harness.trust, "-r", harness.kids)
    for what, message in MESSAGES.items():
        for shape in shapes(key):

            def case(message=message, shape=shape):
                components, parameters = shapes(key)[shape]
                signed = peer.sign(message.digested(), components, parameters, "sig1", key.secret_pem)
                verdict = harness.verify(signed.wire(), "--profile", "rfc9421", *trust)
                assert verdict["verdict"] == "accepted" and verdict["code"] is None, verdict
                assert verdict["key"]["id"] == key.id and verdict["label"] == "sig1", verdict
                assert verdict["covered"] == [identifier(c) for c in components], verdict
                assert (verdict["method"], verdict["target"]) == (message.method, message.url), verdict
                for changed, twin in tampered(signed).items():
                    refused = harness.verify(twin.wire(), "--profile", "rfc9421", *trust, code=1)
                    assert refused["verdict"] == "rejected", (changed, refused)
                    assert refused["code"] == CODES[changed], (changed, refused)

            yield f"{peer.name} signs {what}, {shape}, {key.name}", case

    def strict():
        """Covers all that the profile demands, with a signer that does not know the profile."""
        components, parameters = (*ALWAYS, *MCP_FIELDS), shapes(key)["as mcpid signs"][1]
        signed = peer.sign(MESSAGES["tools/call"].digested(), components, parameters, "x", key.secret_pem)
        assert harness.verify(signed.wire(), "-r", harness.trust)["status"] == "verified"
        # With one component less, the signature is valid but covers too little.
        bare = peer.sign(MESSAGES["tools/call"].digested(), components[:-1], parameters, "x", key.secret_pem)
        refused = harness.verify(bare.wire(), "-r", harness.trust, code=1)
        assert refused["code"] == "coverage_insufficient", refused

    yield f"{peer.name} signs by the profile mcp, {key.name}", strict

    def stranger():
        components, parameters = shapes(key)["as mcpid signs"]
        signed = peer.sign(MESSAGES["tools/call"].digested(), components, parameters, "x", key.secret_pem)
        other = next(k for k in harness.keys if k.id != key.id)
        alone = harness.write("alone.json", harness.mcpid("export", "-k", other.file, "--format", "jwks").expect(0).out)
        refused = harness.verify(signed.wire(), "--profile", "rfc9421", "-r", alone, code=1)
        assert refused["code"] == "key_unknown" and refused["status"] == "unknown_key", refused

    yield f"{peer.name} signs with a key we do not know, {key.name}", stranger

    def wrong_key():
        components, parameters = shapes(key)["as mcpid signs"]
        other = next(k for k in harness.keys if k.id != key.id)
        signed = peer.sign(MESSAGES["tools/call"].digested(), components, parameters, "x", other.secret_pem)
        refused = harness.verify(signed.wire(), "--profile", "rfc9421", *trust, code=1)
        assert refused["code"] == "signature_invalid", refused

    yield f"{peer.name} signs with another key than keyid says, {key.name}", wrong_key


def headers_of(message: Request) -> list[str]:
    return [part for name, value in message.headers for part in ("-H", f"{name}: {value}")]


def ways(key: Key) -> dict[str, list[str]]:
    """The ways to call `mcpid sign`."""
    return {
        "by default": [],
        "--client-id": ["--client-id", f"{key.name}-laptop"],
        "--label, --ttl none": ["--label", "sig1", "--ttl", "none"],
        "--cover derived": ["--cover", "@authority", "--cover", "@scheme", "--cover", "@path", "--cover", "@query"],
        "--profile sep2752": ["--profile", "sep2752"],
    }


def ours(harness: Harness, peers, key: Key):
    """mcpid signs, and the other implementation verifies. mcpid must accept the same requests."""
    for what, message in MESSAGES.items():
        for way, flags in ways(key).items():

            def case(message=message, flags=flags):
                url = ("--url", message.url, "--method", message.method)
                signed = harness.sign(key, *url, *headers_of(message), *flags, body=message.body)
                assert (signed.method, signed.url, signed.body) == (message.method, message.url, message.body)
                accepted_by_all(harness, peers, key, signed)

            yield f"mcpid signs {what}, {way}, {key.name}", case

    def whole_request():
        # The input is a request, and the output is the request with a signature.
        signed = harness.sign(key, body=MESSAGES["tools/call"].wire())
        accepted_by_all(harness, peers, key, signed)
        assert harness.verify(signed.wire(), "-r", harness.trust)["status"] == "verified"

    yield f"mcpid signs a whole request, {key.name}", whole_request


def label_and_tag(signed: Request) -> tuple[str, str | None]:
    field = signed.header("signature-input")
    tag = field.split(';tag="')[1].split('"')[0] if ';tag="' in field else None
    return field.split("=")[0], tag


def accepted_by_all(harness: Harness, peers, key: Key, signed: Request) -> None:
    label, tag = label_and_tag(signed)
    for peer in peers:
        peer.verify(signed, label, key.public_pem, key.id, tag)
        for changed, twin in tampered(signed).items():
            try:
                peer.verify(twin, label, key.public_pem, key.id, tag)
            except Refused:
                continue
            raise AssertionError(f"{peer.name} accepted another {changed}")
    verdict = harness.verify(signed.wire(), "--profile", "rfc9421", "-r", harness.trust)
    assert verdict["key"]["id"] == key.id, verdict


def together(harness: Harness, peer, key: Key):
    """Two signatures of two keys on one request: first the other implementation's, then ours."""

    def case():
        other = next(k for k in harness.keys if k.id != key.id)
        components, parameters = shapes(other)["as mcpid signs"]
        theirs = peer.sign(MESSAGES["tools/call"].digested(), components, parameters, "peer", other.secret_pem)
        both = harness.sign(key, body=theirs.wire())
        labels = harness.verify(both.wire(), "-r", harness.trust)
        assert labels["status"] == "verified" and labels["key"]["id"] == key.id, labels
        assert both.header("signature").count(":") == 4, both.header("signature")
        # Without our signature, the other one is still valid. With our signature broken, the profile rfc9421
        # uses the other one.
        ours_broken = next(
            both.with_headers(("Signature", value))
            for value in [both.header("signature").replace("mcp=:", "mcp=:AAAA", 1)]
        )
        verdict = harness.verify(ours_broken.wire(), "--profile", "rfc9421", "-r", harness.trust)
        assert verdict["label"] == "peer" and verdict["key"]["id"] == other.id, verdict

    yield f"mcpid adds its signature to one of {peer.name}", case


def cases(harness: Harness, peers):
    for peer in peers:
        yield from theirs(harness, peer, harness.ours)
    for key in (harness.ours, harness.openssls, harness.sshs):
        yield from ours(harness, peers, key)
    for peer in peers:
        yield from together(harness, peer, harness.ours)
