"""Checks a request by hand as docs/captures.md shows: with openssl over the signature base, and sha256 over
the body."""

import base64
import hashlib
import json

from signatures import MESSAGES
from servers import Key, Stand


def by_hand(stand: Stand, key: Key, flags: tuple[str, ...]):
    message = MESSAGES["tools/call"]
    signed = stand.sign(key, "--url", message.url, *flags, body=message.body)
    file = stand.write("signed.http", signed.wire())
    base = stand.mcpid("inspect", "--base", file).expect(0).out
    assert not base.endswith(b"\n") and base.startswith(b'"@method": POST\n'), base
    told = json.loads(stand.mcpid("inspect", "--json", file).expect(0).out)
    field = signed.header("signature")
    signature = base64.b64decode(field.split(":")[1], validate=True)
    assert told["base"].encode() == base and told["signature"] in field, told
    pem = stand.write("key.pem", stand.mcpid("export", "-k", key.file, "--format", "pem").expect(0).out)
    base_file, signature_file = stand.write("base.txt", base), stand.write("sig.bin", signature)
    check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", base_file, "-sigfile", signature_file)
    stand.command(*check).expect(0)
    stand.write("base.txt", base.replace(b"POST", b"POSS"))
    assert stand.command(*check).code != 0, "openssl accepts another base"
    stand.write("base.txt", base)
    stand.write("sig.bin", signature[:32] + bytes([signature[32] ^ 1]) + signature[33:])
    assert stand.command(*check).code != 0, "openssl accepts another signature"
    digest = base64.b64decode(signed.header("content-digest").removeprefix("sha-256=:").removesuffix(":"))
    assert digest == hashlib.sha256(signed.body).digest()


def cases(stand: Stand):
    for key in stand.keys:
        for flags in ((), ("--cover", "@query", "--label", "a-label", "--ttl", "none")):
            yield (
                f"openssl pkeyutl verifies the base of inspect --base, {' '.join(flags) or 'by default'}, {key.name}",
                lambda key=key, flags=flags: by_hand(stand, key, flags),
            )
