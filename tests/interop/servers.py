"""The fixture of the cases: a temporary folder, the binary under test, keys, and a trust file."""

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto.jwk import JWK

from request import Request


def unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    command: list[str]
    code: int
    out: bytes
    err: str

    def expect(self, code: int) -> "Done":
        if self.code != code:
            shown = " ".join(self.command)
            raise AssertionError(f"exit {self.code}, not {code}: {shown}\n{self.out.decode(errors='replace')}{self.err}")
        return self

    @property
    def text(self) -> str:
        return self.out.decode().rstrip("\n")


@dataclass(frozen=True)
class Key:
    """One key in our format and in the formats of other programs."""

    name: str
    file: Path
    id: str
    private: Ed25519PrivateKey

    @property
    def secret_pem(self) -> bytes:
        return self.private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()


class Harness:
    def __init__(self, mcpid: Path, folder: Path):
        self.folder = folder
        self._mcpid = mcpid
        # No configuration of the user is used: no keys, no .curlrc, no proxy.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }

    # ---- commands -------------------------------------------------------------------------

    def command(self, *arguments, stdin: bytes = b"") -> Done:
        command = [str(a) for a in arguments]
        ended = subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.folder, env=self.environment, timeout=300
        )
        return Done(command, ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))

    def mcpid(self, *arguments, stdin: bytes = b"") -> Done:
        return self.command(self._mcpid, *arguments, stdin=stdin)

    def sign(self, key: Key, *flags, body: bytes = b"") -> Request:
        """Parses the output of `mcpid sign --format http` with the tests' own parser."""
        done = self.mcpid("sign", "-k", key.file, *flags, "--format", "http", "-", stdin=body).expect(0)
        return Request.parse(done.out)

    def verify(self, raw: bytes, *flags, code: int = 0) -> dict:
        """Returns the only verdict of `mcpid verify --json` on `raw`."""
        done = self.mcpid("verify", "--json", *flags, stdin=raw).expect(code)
        (line,) = done.out.splitlines()
        return json.loads(line)

    def write(self, name: str, content: bytes, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    # ---- keys -----------------------------------------------------------------------------

    def import_key(self, name: str, source: Path, private: Ed25519PrivateKey) -> Key:
        file = self.folder / f"{name}.key.json"
        made = self.mcpid("keygen", "--no-passphrase", "--name", name, "-o", file, "--import", source)
        return Key(name, file, made.expect(0).text, private)

    @cached_property
    def ours(self) -> Key:
        """Makes a key with `mcpid keygen`. Other programs get the private part from the plain keyfile."""
        file = self.folder / "ours.key.json"
        made = self.mcpid("keygen", "--no-passphrase", "--name", "ours", "-o", file).expect(0)
        seed = unbase64url(json.loads(file.read_bytes())["secret"])
        return Key("ours", file, made.text, Ed25519PrivateKey.from_private_bytes(seed))

    @cached_property
    def openssls(self) -> Key:
        source = self.folder / "openssl.pem"
        self.command("openssl", "genpkey", "-algorithm", "ed25519", "-out", source).expect(0)
        return self.import_key("openssls", source, form.load_pem_private_key(source.read_bytes(), None))

    @cached_property
    def sshs(self) -> Key:
        source = self.folder / "id_ed25519"
        self.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", source).expect(0)
        return self.import_key("sshs", source, form.load_ssh_private_key(source.read_bytes(), None))

    @cached_property
    def joses(self) -> Key:
        jwk = JWK.generate(kty="OKP", crv="Ed25519")
        source = self.write("jose.jwk", jwk.export_private().encode())
        seed = unbase64url(json.loads(source.read_bytes())["d"])
        return self.import_key("joses", source, Ed25519PrivateKey.from_private_bytes(seed))

    @cached_property
    def keys(self) -> list[Key]:
        return [self.ours, self.openssls, self.sshs, self.joses]

    @cached_property
    def trust(self) -> Path:
        """Makes a trust file of the four keys with `mcpid trust add`."""
        file = self.folder / "trust.json"
        for key in self.keys:
            self.mcpid("trust", "add", "-r", file, "--client-id", f"{key.name}-laptop", key.file).expect(0)
        return file

    @cached_property
    def kids(self) -> Path:
        """Returns a plain JWKS as other programs write it: without members of ours, and with a kid that is no
        thumbprint."""
        keys = [
            {**json.loads(JWK.from_pem(k.public_pem).export_public()), "kid": f"{k.name}-2026/1"} for k in self.keys
        ]
        return self.write("kids.json", json.dumps({"keys": keys}).encode())
