"""Checks a request by hand as docs/captures.md shows: with openssl over the signature base, and sha256 over
the body."""

import base64
import hashlib
import json

from signatures import MESSAGES
from servers import Key, Harness


def by_hand(harness: Harness, key: Key, flags: tuple[str, ...]):
    message = MESSAGES["tools/call"]
    signed = harness.sign(key, "--url", message.url, *flags, body=message.body)
    file = harness.write("signed.http", signed.wire())
    base = harness.mcpid("inspect", "--base", file).expect(0).out
    assert not base.endswith(b"\n") and base.startswith(b'"@method": POST\n'), base
    told = json.loads(harness.mcpid("inspect", "--json", file).expect(0).out)
    field = signed.header("signature")
    signature = base64.b64decode(field.split(":")[1], validate=True)
    assert told["base"].encode() == base and told["signature"] in field, told
    pem = harness.write("key.pem", harness.mcpid("export", "-k", key.file, "--format", "pem").expect(0).out)
    base_file, signature_file = harness.write("base.txt", base), harness.write("sig.bin", signature)
    check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", base_file, "-sigfile", signature_file)
    harness.command(*check).expect(0)
    harness.write("base.txt", base.replace(b"POST", b"POSS"))
    assert harness.command(*check).code != 0, "openssl accepts another base"
    harness.write("base.txt", base)
    harness.write("sig.bin", signature[:32] + bytes([signature[32] ^ 1]) + signature[33:])
    assert harness.command(*check).code != 0, "openssl accepts another signature"
    digest = base64.b64decode(signed.header("content-digest").removeprefix("sha-256=:").removesuffix(":"))
    assert digest == hashlib.sha256(signed.body).digest()


def cases(harness: Harness):
    for key in harness.keys:
        for flags in ((), ("--cover", "@query", "--label", "a-label", "--ttl", "none")):
            yield (
                f"openssl pkeyutl verifies the base of inspect --base, {' '.join(flags) or 'by default'}, {key.name}",
                lambda key=key, flags=flags: by_hand(harness, key, flags),
            )
