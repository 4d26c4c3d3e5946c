"""A signer of the profile for these tests, written from the RFCs and not from our code: RFC 9421 signatures
over Ed25519, RFC 9530 digests, RFC 7638 thumbprints. The gateway must accept its signatures.
"""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The fields that are covered if the request carries them, in this order; then every mcp-param-*, then
# last-event-id.
COVERED = ["content-type", "content-encoding", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"]


@dataclass(frozen=True)
class Key:
    file: Path
    id: str
    private: Ed25519PrivateKey

    @classmethod
    def read(cls, file: Path) -> "Key":
        """Reads the key from a keyfile without a passphrase."""
        secret = json.loads(file.read_bytes())["secret"]
        private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(secret + "=="))
        x = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).rstrip(b"=").decode()
        thumb = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
        return cls(file, base64.urlsafe_b64encode(thumb).rstrip(b"=").decode(), private)

    def sign(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *,
             created: int | None = None, nonce: str | None = None) -> list[tuple[str, str]]:
        """Returns the three fields to add."""
        created = int(time.time()) if created is None else created
        nonce = nonce or secrets.token_urlsafe(16)
        digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
        sent: dict[str, list[str]] = {}
        for name, value in headers:
            sent.setdefault(name.lower(), []).append(value.strip(" \t"))
        parts = urlsplit(url)
        target = f"{parts.scheme}://{parts.netloc}{url[len(parts.scheme) + 3 + len(parts.netloc):] or '/'}"
        values = {"@method": method, "@target-uri": target, "content-digest": digest}
        params = sorted(name for name in sent if name.startswith("mcp-param-"))
        for name in [*COVERED, *params, "last-event-id"]:
            if name in sent:
                values[name] = ", ".join(sent[name])
        listed = " ".join(f'"{name}"' for name in values)
        parameters = (
            f'({listed});created={created};expires={created + 30};nonce="{nonce}";keyid="{self.id}";tag="{self.id}"'
        )
        base = "".join(f'"{name}": {value}\n' for name, value in values.items())
        base += f'"@signature-params": {parameters}'
        signature = base64.b64encode(self.private.sign(base.encode("latin-1"))).decode()
        return [
            ("Content-Digest", digest),
            ("Signature-Input", f"mcp={parameters}"),
            ("Signature", f"mcp=:{signature}:"),
        ]
