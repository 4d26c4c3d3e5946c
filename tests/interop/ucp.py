"""The profile `ucp` both ways, with both algorithms, against PyPI and npm http-message-signatures."""

import json
import time

from cryptography.hazmat.primitives import serialization as form

from peers import Refused
from request import Request, tampered
from servers import Key, Harness

AGENT = "https://platform.example/.well-known/ucp"
CHECKOUT = json.dumps({"line_items": [{"item": {"id": "item_123"}, "quantity": 2}]}).encode()
FIELDS = (
    ("Content-Type", "application/json"),
    ("UCP-Agent", f'profile="{AGENT}"'),
    ("Idempotency-Key", "550e8400-e29b-41d4-a716-446655440000"),
)
POST = Request("POST", "https://business.example/checkout-sessions?currency=EUR", FIELDS, CHECKOUT)
GET = Request("GET", "https://business.example/checkout-sessions/chk_123", FIELDS[1:2])

TARGET = ("@method", "@authority", "@path")
COVERED = {
    "POST": (*TARGET, "@query", "content-digest", "content-type", "ucp-agent", "idempotency-key"),
    "GET": (*TARGET, "ucp-agent"),
}
# What a changed byte is refused for.
CODES = {"body": "digest_mismatch"}


def keys(harness: Harness) -> dict[str, Key]:
    """A key of each algorithm that the protocol names and that we have."""
    source = harness.folder / "p256.pem"
    harness.command(
        "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", source
    ).expect(0)
    p256 = harness.import_key("p256", source, form.load_pem_private_key(source.read_bytes(), None))
    return {"ed25519": harness.ours, "ecdsa-p256-sha256": p256}


def trust(harness: Harness, key: Key, kid: str) -> object:
    """A trust file whose entry has this `kid` and the platform as its client."""
    jwk = json.loads(harness.mcpid("export", "-k", key.file, "--format", "jwk").expect(0).out)
    published = harness.write(f"{kid}.jwks.json", json.dumps({"keys": [{**jwk, "kid": kid}]}).encode())
    file = harness.folder / f"{kid}.trust.json"
    harness.mcpid("trust", "add", "-r", file, "--kid", kid, "--client-id", AGENT, published).expect(0)
    return file


def cases(harness: Harness, peers):
    for algorithm, key in keys(harness).items():
        kid = f"platform-{key.name}"
        entry = trust(harness, key, kid)
        for peer in peers:
            yield from theirs(harness, peer, key, (algorithm, kid, entry))
            yield from ours(harness, peer, key, (algorithm, kid, entry))


def theirs(harness: Harness, peer, key: Key, about):
    """They sign, we verify."""
    algorithm, kid, entry = about
    for message in (POST, GET):

        def case(message=message):
            covered = COVERED[message.method]
            digested = message.digested() if message.body else message
            parameters = {"keyid": kid, "created": int(time.time())}
            signed = peer.sign(digested, covered, parameters, "sig1", key.secret_pem)
            flags = ("--profile", "ucp", "-r", entry)
            verdict = harness.verify(signed.wire(), *flags)
            assert verdict["verdict"] == "accepted" and verdict["key"]["id"] == key.id, verdict
            for changed, twin in tampered(signed).items():
                refused = harness.verify(twin.wire(), *flags, code=1)
                assert refused["code"] == CODES.get(changed, "signature_invalid"), (changed, refused)

        yield f"{peer.name} signs a {message.method} by the profile ucp, {algorithm}", case


def ours(harness: Harness, peer, key: Key, about):
    """We sign, they verify."""
    algorithm, kid, entry = about
    for message in (POST, GET):

        def case(message=message):
            headers = [part for name, value in message.headers for part in ("-H", f"{name}: {value}")]
            flags = ("--profile", "ucp", "--keyid", kid, "--url", message.url, "--method", message.method)
            signed = harness.sign(key, *flags, *headers, body=message.body)
            assert harness.verify(signed.wire(), "--profile", "ucp", "-r", entry)["verdict"] == "accepted"
            required = COVERED[message.method]
            peer.verify(signed, "sig1", key.public_pem, kid, None, required)
            for changed, twin in tampered(signed).items():
                try:
                    peer.verify(twin, "sig1", key.public_pem, kid, None, required)
                except Refused:
                    continue
                raise AssertionError(f"{peer.name} accepted another {changed}")

        yield f"mcpid signs a {message.method} by the profile ucp for {peer.name}, {algorithm}", case
