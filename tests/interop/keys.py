"""Keys for and from other programs. OpenSSL, OpenSSH and two JOSE libraries read the keys that `mcpid export`
and `mcpid trust` write, and mcpid imports the keys that they make."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives import serialization as form
from joserfc.jwk import KeySet, OKPKey
from jwcrypto.jwk import JWK, JWKSet

from signatures import MESSAGES
from servers import Key, Harness, unbase64url

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def unbase58(text: str) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def export(harness: Harness, key: Key, what: str, *flags) -> str:
    return harness.mcpid("export", "-k", key.file, "--format", what, *flags).expect(0).text


def exports(harness: Harness, key: Key):
    def jwk():
        text = export(harness, key, "jwk")
        members = json.loads(text)
        assert "d" not in members and "alg" not in members, members
        theirs = OKPKey.import_key(members)
        assert not theirs.is_private and unbase64url(members["x"]) == key.public
        assert theirs.thumbprint() == key.id == members["kid"]
        assert JWK.from_json(text).thumbprint() == key.id

    yield "joserfc and jwcrypto read the JWK", jwk

    def jwk_alg():
        members = json.loads(export(harness, key, "jwk", "--jwk-alg", "EdDSA"))
        assert members["alg"] == "EdDSA" and OKPKey.import_key(members).thumbprint() == key.id

    yield "joserfc reads the JWK with an alg", jwk_alg

    def jwks():
        text = export(harness, key, "jwks")
        (theirs,) = KeySet.import_key_set(json.loads(text)).keys
        assert theirs.kid == key.id and theirs.thumbprint() == key.id
        assert JWKSet.from_json(text).get_key(key.id).thumbprint() == key.id

    yield "joserfc and jwcrypto read the JWKS", jwks

    def pem():
        text = export(harness, key, "pem")
        assert form.load_pem_public_key(text.encode()).public_bytes_raw() == key.public
        file = harness.write("exported.pem", text.encode() + b"\n")
        printed = harness.command("openssl", "pkey", "-pubin", "-in", file, "-noout", "-text").expect(0).text
        shown = "".join(printed.split("pub:")[1].split()).replace(":", "")
        assert bytes.fromhex(shown) == key.public, printed
        again = harness.command("openssl", "pkey", "-pubin", "-in", file).expect(0).text
        assert again == text, "openssl writes another PEM of it"
        assert JWK.from_pem(text.encode()).thumbprint() == key.id

    yield "openssl pkey -pubin and jwcrypto read the PEM", pem

    def openssh():
        text = export(harness, key, "openssh")
        assert form.load_ssh_public_key(text.encode()).public_bytes_raw() == key.public
        file = harness.write("exported.pub", text.encode() + b"\n")
        printed = harness.command("ssh-keygen", "-l", "-f", file).expect(0).text
        blob = base64.b64decode(text.split()[1], validate=True)
        fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        assert printed.startswith(f"256 SHA256:{fingerprint} ") and printed.endswith("(ED25519)"), printed

    yield "ssh-keygen -l reads the OpenSSH line", openssh

    def did():
        text = export(harness, key, "did")
        assert text.startswith("did:key:z") and unbase58(text[9:]) == b"\xed\x01" + key.public, text

    yield "the did:key is multicodec ed01 and the key", did

    def plain():
        assert bytes.fromhex(export(harness, key, "hex")) == key.public
        assert export(harness, key, "thumbprint") == key.id == OKPKey.import_key(key.public_pem).thumbprint()

    yield "hex and thumbprint are those of the key", plain

    def nothing_private():
        seed = key.private.private_bytes_raw()
        secrets = [seed.hex(), base64.b64encode(seed).decode()[:40], base64.urlsafe_b64encode(seed).decode()[:40]]
        for what in ("jwk", "jwks", "pem", "openssh", "did", "hex", "thumbprint"):
            text = export(harness, key, what)
            assert not any(secret in text for secret in secrets), f"{what} shows the seed"

    yield "no export shows the private key", nothing_private


def imports(harness: Harness):
    """Checks that an imported key has the public key that its own tool prints."""

    def openssl():
        told = harness.command("openssl", "pkey", "-in", "openssl.pem", "-pubout").expect(0).text
        assert export(harness, harness.openssls, "pem") == told

    yield "a key of openssl genpkey imports", openssl

    def ssh():
        told = harness.command("ssh-keygen", "-y", "-f", "id_ed25519").expect(0).text
        assert export(harness, harness.sshs, "openssh").split()[:2] == told.split()[:2]

    yield "a key of ssh-keygen imports", ssh

    def jose():
        told = JWK.from_json((harness.folder / "jose.jwk").read_text())
        assert harness.joses.id == told.thumbprint()

    yield "a key of jwcrypto imports", jose

    def other_kinds():
        # Keys of other kinds are refused, from every tool.
        harness.command("openssl", "genpkey", "-algorithm", "x25519", "-out", "x25519.pem").expect(0)
        curve = ("-pkeyopt", "ec_paramgen_curve:P-384")
        harness.command("openssl", "genpkey", "-algorithm", "EC", *curve, "-out", "p384.pem").expect(0)
        harness.command("ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", "id_ecdsa384").expect(0)
        harness.write("rsa.jwk", JWK.generate(kty="RSA", size=2048).export_private().encode())
        for source in ("x25519.pem", "p384.pem", "id_ecdsa384", "rsa.jwk"):
            output = harness.folder / f"{source}.json"
            done = harness.mcpid("keygen", "--no-passphrase", "-o", output, "--import", source)
            assert done.code in (3, 4) and not output.exists(), (source, done)

    yield "keys of other kinds do not import", other_kinds


def registry(harness: Harness):
    def read_by_jose():
        text = harness.trust.read_text()
        ids = {k.id for k in harness.keys}
        assert {k.thumbprint() for k in KeySet.import_key_set(json.loads(text)).keys} == ids
        assert {k.thumbprint() for k in JWKSet.from_json(text)["keys"]} == ids

    yield "joserfc and jwcrypto read the trust file", read_by_jose

    key = harness.ours
    forms = {
        "a keyfile": lambda: key.file,
        "a JWK of jwcrypto": lambda: harness.write("t.jwk", JWK.from_pem(key.public_pem).export_public().encode()),
        "a JWKS of joserfc": lambda: harness.write(
            "t.jwks", json.dumps(KeySet([OKPKey.import_key(key.public_pem)]).as_dict(private=False)).encode()
        ),
        "a PEM of openssl": lambda: harness.write(
            "t.pem", harness.command("openssl", "pkey", "-pubout", stdin=key.secret_pem).expect(0).out
        ),
        "a line of ssh-keygen": lambda: harness.write(
            "t.pub", harness.command("ssh-keygen", "-y", "-f", ssh_private(harness, key)).expect(0).out
        ),
        "a did:key": lambda: export(harness, key, "did"),
    }
    for what, make in forms.items():

        def case(what=what, make=make):
            file = harness.folder / f"trust-{what.replace(' ', '-').replace(':', '')}.json"
            harness.mcpid("trust", "add", "-r", file, "--name", "one", make()).expect(0)
            message = MESSAGES["tools/call"]
            signed = harness.sign(key, "--url", message.url, body=message.body)
            verdict = harness.verify(signed.wire(), "-r", file)
            assert verdict["key"] == {**verdict["key"], "id": key.id, "name": "one"}, verdict

        yield f"{what} can be trusted, and verifies", case


def ssh_private(harness: Harness, key: Key):
    text = key.private.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    return harness.write("ssh-of-ours", text)


def cases(harness: Harness):
    for key in harness.keys:
        for name, case in exports(harness, key):
            yield f"{name}, {key.name}", case
    yield from imports(harness)
    yield from registry(harness)
