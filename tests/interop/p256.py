"""Keys of P-256: in and out by OpenSSL, OpenSSH and two JOSE libraries, signatures both ways, and
checking by hand, where OpenSSL takes r and s as DER."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from joserfc.jwk import ECKey
from jwcrypto.jwk import JWK

from keys import unbase58
from peers import Refused
from request import Request, tampered
from servers import Harness, unbase64url
from signatures import ALWAYS, CODES, MESSAGES, nonce

RFC9421 = ("--profile", "rfc9421")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class EcKey:
    name: str
    file: Path
    id: str
    private: ec.EllipticCurvePrivateKey

    @property
    def secret_pem(self) -> bytes:
        return self.private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)

    def point(self, compressed: bool = False) -> bytes:
        shape = form.PublicFormat.CompressedPoint if compressed else form.PublicFormat.UncompressedPoint
        return self.private.public_key().public_bytes(form.Encoding.X962, shape)


class EcStand:
    """The keys of these cases, and a trust file with all of them."""

    def __init__(self, harness: Harness):
        self.harness = harness

    def imported(self, name: str, source: Path, private) -> EcKey:
        file = self.harness.folder / f"{name}.key.json"
        flags = ("keygen", "--no-passphrase", "--name", name, "-o", file, "--algorithm", "p256", "--import", source)
        return EcKey(name, file, self.harness.mcpid(*flags).expect(0).text, private)

    @cached_property
    def ours(self) -> EcKey:
        file = self.harness.folder / "ec-ours.key.json"
        made = self.harness.mcpid("keygen", "--algorithm", "p256", "--no-passphrase", "-o", file).expect(0)
        number = int.from_bytes(unbase64url(json.loads(file.read_bytes())["secret"]), "big")
        return EcKey("ec-ours", file, made.text, ec.derive_private_key(number, ec.SECP256R1()))

    @cached_property
    def openssls(self) -> EcKey:
        source = self.harness.folder / "ec.pem"
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.harness.command("openssl", "genpkey", *curve, "-out", source).expect(0)
        return self.imported("ec-openssls", source, form.load_pem_private_key(source.read_bytes(), None))

    @cached_property
    def sec1s(self) -> EcKey:
        """The form that `openssl ecparam` writes: EC PARAMETERS, then EC PRIVATE KEY."""
        source = self.harness.folder / "sec1.pem"
        self.harness.command("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-out", source).expect(0)
        text = source.read_bytes()
        assert text.startswith(b"-----BEGIN EC PARAMETERS-----"), text
        private = form.load_pem_private_key(text[text.index(b"-----BEGIN EC PRIVATE") :], None)
        return self.imported("ec-sec1s", source, private)

    @cached_property
    def sshs(self) -> EcKey:
        source = self.harness.folder / "id_ecdsa"
        self.harness.command("ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", source).expect(0)
        return self.imported("ec-sshs", source, form.load_ssh_private_key(source.read_bytes(), None))

    @cached_property
    def joses(self) -> EcKey:
        source = self.harness.write("ec.jwk", JWK.generate(kty="EC", crv="P-256").export_private().encode())
        number = int.from_bytes(unbase64url(json.loads(source.read_bytes())["d"]), "big")
        return self.imported("ec-joses", source, ec.derive_private_key(number, ec.SECP256R1()))

    @cached_property
    def keys(self) -> list[EcKey]:
        return [self.ours, self.openssls, self.sec1s, self.sshs, self.joses]

    @cached_property
    def trust(self) -> Path:
        file = self.harness.folder / "ec-trust.json"
        for key in self.keys:
            self.harness.mcpid("trust", "add", "-r", file, key.file).expect(0)
        return file


def exports(harness: Harness, key: EcKey):
    def export(what: str, *flags) -> str:
        return harness.mcpid("export", "-k", key.file, "--format", what, *flags).expect(0).text

    text = export("jwk")
    members = json.loads(text)
    assert "d" not in members and (members["kty"], members["crv"]) == ("EC", "P-256"), members
    theirs = ECKey.import_key(members)
    assert not theirs.is_private and theirs.thumbprint() == key.id == members["kid"]
    assert JWK.from_json(text).thumbprint() == key.id == export("thumbprint")
    assert unbase64url(members["x"]) + unbase64url(members["y"]) == key.point()[1:]
    assert json.loads(export("jwk", "--jwk-alg", "ES256"))["alg"] == "ES256"
    harness.mcpid("export", "-k", key.file, "--jwk-alg", "EdDSA").expect(2)

    file = harness.write("ec-exported.pem", export("pem").encode() + b"\n")
    assert harness.command("openssl", "pkey", "-pubin", "-in", file).expect(0).text == export("pem")
    assert form.load_pem_public_key(file.read_bytes()) == key.private.public_key()
    line = harness.write("ec-exported.pub", export("openssh").encode() + b"\n")
    printed = harness.command("ssh-keygen", "-l", "-f", line).expect(0).text
    blob = base64.b64decode(export("openssh").split()[1], validate=True)
    fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    assert printed.startswith(f"256 SHA256:{fingerprint} ") and printed.endswith("(ECDSA)"), printed
    assert form.load_ssh_public_key(line.read_bytes()) == key.private.public_key()
    assert export("did").startswith("did:key:zDn")
    assert unbase58(export("did")[9:]) == b"\x80\x24" + key.point(compressed=True)
    assert bytes.fromhex(export("hex")) == key.point()
    number = key.private.private_numbers().private_value.to_bytes(32, "big")
    secrets = [number.hex(), base64.b64encode(number).decode()[:40], base64.urlsafe_b64encode(number).decode()[:40]]
    for what in ("jwk", "jwks", "pem", "openssh", "did", "hex", "thumbprint"):
        assert not any(secret in export(what) for secret in secrets), f"{what} shows the private key"


def trusted_forms(harness: Harness, ours: EcStand):
    key = ours.openssls
    forms = {
        "PEM": harness.command("openssl", "pkey", "-in", "ec.pem", "-pubout").expect(0).out,
        "compressed PEM": harness.command(
            "openssl", "ec", "-in", "ec.pem", "-pubout", "-conv_form", "compressed"
        ).expect(0).out,
        "JWK": JWK.from_pem(key.public_pem).export_public().encode(),
        "OpenSSH": key.private.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH),
        "hex": key.point().hex().encode(),
        "compressed hex": key.point(compressed=True).hex().encode(),
    }
    for what, content in forms.items():
        file = harness.folder / f"ec-trust-{what.replace(' ', '-')}.json"
        added = harness.mcpid("trust", "add", "-r", file, harness.write("ec-public", content)).expect(0)
        assert added.text == key.id, (what, added.text)
    # What names another curve, or names it by its parameters, is refused.
    explicit = ("openssl", "ec", "-in", "ec.pem", "-pubout", "-param_enc", "explicit")
    for other in (
        harness.command(*explicit).expect(0).out,
        ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
            form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
        ),
        ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(
            form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
        ),
    ):
        refused = harness.mcpid("trust", "add", "-r", "ec-none.json", harness.write("ec-other", other)).expect(4)
        assert "does not name P-256" in refused.err, refused.err
    assert not (harness.folder / "ec-none.json").exists()


def encrypted(harness: Harness, ours: EcStand):
    """A private key under a passphrase is refused with the command that opens it."""
    ours.sec1s
    flags = ("-aes128", "-passout", "pass:secret", "-out", "sealed.pem")
    harness.command("openssl", "ec", "-in", "sec1.pem", *flags).expect(0)
    assert b"Proc-Type: 4,ENCRYPTED" in (harness.folder / "sealed.pem").read_bytes()
    refused = harness.mcpid("keygen", "-o", "never.json", "--no-passphrase", "--import", "sealed.pem").expect(4)
    assert "an encrypted PEM key" in refused.err and "openssl pkey -in sealed.pem |" in refused.err, refused.err
    opened = harness.command("openssl", "pkey", "-in", "sealed.pem", "-passin", "pass:secret").expect(0).out
    done = harness.mcpid("keygen", "-o", "opened.json", "--no-passphrase", "--import", "-", stdin=opened).expect(0)
    assert done.text == ours.sec1s.id


def raw(der: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))


def signed_by_openssl(harness: Harness, ours: EcStand):
    """OpenSSL signs the base of `inspect --base`; its DER is refused, and r and s are accepted."""
    key, message = ours.openssls, MESSAGES["tools/call"]
    signed = harness.sign(key, *RFC9421, "--url", message.url, body=message.body)
    base = harness.mcpid("inspect", "--base", harness.write("ec-signed.http", signed.wire())).expect(0).out
    der = harness.command(
        "openssl", "dgst", "-sha256", "-sign", "ec.pem", harness.write("ec-base.txt", base)
    ).expect(0).out

    def judge(signature: bytes, code: int) -> dict:
        field = f"mcp=:{base64.b64encode(signature).decode()}:"
        return harness.verify(signed.with_headers(("Signature", field)).wire(), *RFC9421, "-r", ours.trust, code=code)

    assert judge(raw(der), 0)["key"]["id"] == key.id
    r, s = decode_dss_signature(der)
    other = r.to_bytes(32, "big") + (ORDER - s).to_bytes(32, "big")
    assert judge(other, 0)["verdict"] == "accepted", "ECDSA has two forms of one signature"
    for bad in (der, raw(der)[:63], raw(der) + b"\0", bytes(64), raw(der)[32:] + raw(der)[:32]):
        assert judge(bad, 1)["code"] == "signature_invalid", bad.hex()


def by_hand(harness: Harness, key: EcKey):
    """The commands of docs/captures.md."""
    message = MESSAGES["tools/call"]
    signed = harness.sign(key, *RFC9421, "--url", message.url, body=message.body)
    base = harness.mcpid("inspect", "--base", harness.write("ec-signed.http", signed.wire())).expect(0).out
    harness.write("ec-base.txt", base)
    harness.write("ec-key.pem", harness.mcpid("export", "-k", key.file, "--format", "pem").expect(0).out)
    signature = base64.b64decode(signed.header("signature").split(":")[1], validate=True)
    assert len(signature) == 64
    check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "ec-key.pem", "-rawin", "-in", "ec-base.txt")

    def openssl(signature: bytes) -> int:
        r, s = signature[:32].hex(), signature[32:].hex()
        harness.write("rs.txt", f"asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x{r}\ns=INTEGER:0x{s}\n".encode())
        harness.command("openssl", "asn1parse", "-genconf", "rs.txt", "-noout", "-out", "ec-sig.der").expect(0)
        der = (harness.folder / "ec-sig.der").read_bytes()
        assert der == encode_dss_signature(int(r, 16), int(s, 16))
        return harness.command(*check, "-sigfile", "ec-sig.der").code

    assert openssl(signature) == 0
    key.private.public_key().verify((harness.folder / "ec-sig.der").read_bytes(), base, ec.ECDSA(hashes.SHA256()))
    assert openssl(bytes([signature[0] ^ 1]) + signature[1:]) != 0
    assert openssl(signature[:63] + bytes([signature[63] ^ 1])) != 0
    harness.write("ec-base.txt", base.replace(b"POST", b"POSS"))
    assert openssl(signature) != 0


def profiles(harness: Harness, ours: EcStand):
    """`mcp` and `sep2752` leave such keys out, when signing and when verifying."""
    message, key = MESSAGES["tools/call"], ours.ours
    signed = harness.sign(key, *RFC9421, "--url", message.url, body=message.body)
    for profile in ("mcp", "sep2752"):
        flags = ("--profile", profile)
        refused = harness.mcpid("sign", "-k", key.file, *flags, "--url", message.url, "-", stdin=b"{}").expect(4)
        assert "such keys sign with --profile" in refused.err, refused.err
        code = harness.verify(signed.wire(), *flags, "-r", ours.trust, code=1)["code"]
        assert code in ("alg_not_allowed", "parameter_missing", "coverage_insufficient"), code


def theirs(harness: Harness, ours: EcStand, peer, key: EcKey):
    for parameters in (
        {"nonce": nonce(), "keyid": key.id},
        {"alg": "ecdsa-p256-sha256", "nonce": nonce(), "keyid": key.id, "tag": key.id},
    ):
        now = harness.command("date", "+%s").expect(0).text
        parameters = {"created": int(now), **parameters}
        signed = peer.sign(MESSAGES["tools/call"].digested(), ALWAYS, parameters, "sig1", key.secret_pem)
        verdict = harness.verify(signed.wire(), *RFC9421, "-r", ours.trust)
        assert verdict["verdict"] == "accepted" and verdict["key"]["id"] == key.id, verdict
        for changed, twin in tampered(signed).items():
            refused = harness.verify(twin.wire(), *RFC9421, "-r", ours.trust, code=1)
            assert refused["code"] == CODES[changed], (changed, refused)
        # The same signature with another key's id.
        other = signed.with_headers(("Signature-Input", signed.header("signature-input").replace(key.id, ours.sshs.id)))
        assert harness.verify(other.wire(), *RFC9421, "-r", ours.trust, code=1)["code"] == "signature_invalid"


def sent_to(harness: Harness, peers, key: EcKey):
    for message in MESSAGES.values():
        url = ("--url", message.url, "--method", message.method)
        headers = [part for name, value in message.headers for part in ("-H", f"{name}: {value}")]
        signed: Request = harness.sign(key, *RFC9421, *url, *headers, body=message.body)
        tag = signed.header("signature-input").split(';tag="')[1].split('"')[0]
        for peer in peers:
            peer.verify(signed, "mcp", key.public_pem, key.id, tag)
            for changed, twin in tampered(signed).items():
                try:
                    peer.verify(twin, "mcp", key.public_pem, key.id, tag)
                except Refused:
                    continue
                raise AssertionError(f"{peer.name} accepted another {changed}")


def cases(harness: Harness, peers):
    ours = EcStand(harness)
    for what in ("ours", "openssls", "sec1s", "sshs", "joses"):
        yield f"the exports of a P-256 key are read by others, {what}", lambda what=what: exports(
            harness, getattr(ours, what)
        )
    yield "a P-256 key is trusted in each public form", lambda: trusted_forms(harness, ours)
    yield "an encrypted EC PRIVATE KEY is refused with a hint", lambda: encrypted(harness, ours)
    yield "a P-256 signature of openssl is accepted, and its DER is not", lambda: signed_by_openssl(harness, ours)
    yield "openssl verifies a P-256 signature by hand", lambda: by_hand(harness, ours.ours)
    yield "the profiles mcp and sep2752 leave P-256 out", lambda: profiles(harness, ours)
    # The other npm library has no ECDSA.
    peers = [peer for peer in peers if peer.name != "npm http-message-sig"]
    for peer in peers:
        yield f"{peer.name} signs with P-256", lambda peer=peer: theirs(harness, ours, peer, ours.openssls)
    yield "mcpid signs with P-256 what all peers accept", lambda: sent_to(harness, peers, ours.ours)
