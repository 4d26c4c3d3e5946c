"""Opens and seals encrypted keyfiles with independent code: Argon2id and ChaCha20-Poly1305 of the package
`cryptography`, and XChaCha's key derivation written here."""

import base64
import json
import os
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from joserfc.jwk import OKPKey

from signatures import MESSAGES
from servers import Key, Harness, unbase64url

PASSPHRASE = "korrekt pferd batterie ✓".encode()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """HChaCha20, the key derivation of XChaCha20 (draft-irtf-cfrg-xchacha section 2.2)."""
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def turn(x: int, by: int) -> int:
        return (x << by | x >> (32 - by)) & 0xFFFFFFFF

    def quarter(a, b, c, d):
        for to, add, mix, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[to] = (s[to] + s[add]) & 0xFFFFFFFF
            s[mix] = turn(s[mix] ^ s[to], by)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *s[:4], *s[12:])


def cipher(file: dict, passphrase: bytes) -> tuple[ChaCha20Poly1305, bytes, bytes]:
    """Returns the cipher XChaCha20-Poly1305 with its inner nonce, and the associated data."""
    kdf = file["kdf"]
    assert kdf["name"] == "argon2id" and file["cipher"]["name"] == "xchacha20-poly1305"
    key = Argon2id(
        salt=unbase64url(kdf["salt"]),
        length=32,
        iterations=kdf["passes"],
        lanes=kdf["lanes"],
        memory_cost=kdf["memory_kib"],
    ).derive(passphrase)
    nonce = unbase64url(file["cipher"]["nonce"])
    # RFC 8785 for the values in a keyfile: strings and small integers, with members in sorted order.
    rest = {name: value for name, value in file.items() if name != "secret"}
    aad = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:], aad


def cases(harness: Harness):
    def opened():
        passphrase = harness.write("passphrase", PASSPHRASE + b"\n")
        path = harness.folder / "sealed.json"
        flags = ("--name", "sealed", "--passphrase-file", passphrase, "-o", path)
        key_id = harness.mcpid("keygen", *flags).expect(0).text
        file = json.loads(path.read_bytes())
        assert (file["kdf"]["memory_kib"], file["kdf"]["passes"], file["kdf"]["lanes"]) == (65536, 3, 1), file["kdf"]
        aead, nonce, aad = cipher(file, PASSPHRASE)
        private = Ed25519PrivateKey.from_private_bytes(aead.decrypt(nonce, unbase64url(file["secret"]), aad))
        assert private.public_key().public_bytes_raw() == unbase64url(file["public"]["x"])
        assert key_id == file["public"]["kid"]

    yield "an encrypted keyfile opens by the description alone", opened

    def sealed():
        private = Ed25519PrivateKey.generate()
        x = base64url(private.public_key().public_bytes_raw())
        kid = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}).thumbprint()
        file = {
            "mcpid": "keyfile/1",
            "name": "Ünïcode \" \\ name",
            "created": "2026-11-23T15:00:00Z",
            "public": {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid},
            "kdf": {
                "name": "argon2id",
                "memory_kib": 8192,
                "passes": 1,
                "lanes": 2,
                "salt": base64url(os.urandom(16)),
            },
            "cipher": {"name": "xchacha20-poly1305", "nonce": base64url(os.urandom(24))},
        }
        aead, nonce, aad = cipher(file, PASSPHRASE)
        file["secret"] = base64url(aead.encrypt(nonce, private.private_bytes_raw(), aad))
        path = harness.write("theirs.json", json.dumps(file, ensure_ascii=False, indent=2).encode())
        passphrase = harness.write("passphrase", PASSPHRASE)
        key = Key("sealed", path, kid, private)
        message = MESSAGES["bytes"]
        flags = ("--url", message.url, "--passphrase-file", passphrase)
        signed = harness.sign(key, *flags, body=message.body)
        trust = harness.write("sealed-trust.json", harness.mcpid("export", "-k", path, "--format", "jwks").expect(0).out)
        assert harness.verify(signed.wire(), "-r", trust)["status"] == "verified"
        # The name is authenticated, so a file with another name does not open.
        renamed = harness.write("renamed.json", json.dumps({**file, "name": "someone else"}).encode())
        wrong = ("sign", "-k", renamed, "--passphrase-file", passphrase, "--url", message.url, "-")
        harness.mcpid(*wrong, stdin=b"x").expect(4)

    yield "a keyfile that other code sealed is opened, and is what was authenticated", sealed
