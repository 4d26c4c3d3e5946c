"""A security key in software: it signs the structure of FIDO with flags that a test chooses.

The curve arithmetic is that of RFC 8032 section 6, in pure Python.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _x(y: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    return P - x if x % 2 else x


Y = 4 * pow(5, P - 2, P) % P
BASE = (_x(Y), Y, 1, _x(Y) * Y % P)


def _add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    one, two = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    three, four = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = two - one, four - three, four + three, two + one
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(n: int, point: tuple[int, ...]) -> bytes:
    sum_ = (0, 1, 1, 0)
    while n:
        if n & 1:
            sum_ = _add(sum_, point)
        point, n = _add(point, point), n >> 1
    inverse = pow(sum_[2], P - 2, P)
    x, y = sum_[0] * inverse % P, sum_[1] * inverse % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % Q


@dataclass
class TouchKey:
    """A security key whose private half is in memory."""

    seed: bytes = b"a seed of the middleware's tests"
    application: str = "ssh:mcpid"
    flags: int = 0x01
    counter: int = 7

    def _secret(self) -> tuple[int, bytes]:
        digest = hashlib.sha512(self.seed).digest()
        scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        return scalar, digest[32:]

    @property
    def public(self) -> bytes:
        return _times(self._secret()[0], BASE)

    @property
    def key_id(self) -> str:
        text = f'{{"crv":"Ed25519","kty":"OKP","x":"{_b64(self.public)}"}}'
        return _b64(hashlib.sha256(text.encode()).digest())

    def sign(self, message: bytes) -> bytes:
        rest = bytes([self.flags]) + self.counter.to_bytes(4, "big")
        digests = [hashlib.sha256(part).digest() for part in (self.application.encode(), message)]
        return self.sign_bare(digests[0] + rest + digests[1]) + rest

    def sign_bare(self, message: bytes) -> bytes:
        """The signature of the key itself, as of an ordinary one."""
        scalar, prefix = self._secret()
        r = _number(prefix, message)
        point = _times(r, BASE)
        s = (r + _number(point, self.public, message) * scalar) % Q
        return point + s.to_bytes(32, "little")

    def entry(self, signers: list[str]) -> dict[str, object]:
        rules = {"application": "ssh:mcpid", "for": signers}
        ours = {"name": "security key", "security_key": rules}
        return {"kty": "OKP", "crv": "Ed25519", "x": _b64(self.public), "mcpid": ours}

    def touch(self, headers: list[tuple[bytes, bytes]], method: str, url: str) -> None:
        """Adds the touch to the signature fields of a request."""
        fields = {name.decode().lower(): value.decode() for name, value in headers}
        covered, params = re.match(
            r"mcp=\(([^)]*)\)(.*)$", fields["signature-input"]
        ).groups()  # type: ignore[union-attr]
        values = {**fields, "@method": method, "@target-uri": url}
        signature = fields["signature"].removeprefix("mcp=")
        lines = [f'"{name}": {values[name]}' for name in re.findall(r'"([^"]*)"', covered)]
        lines.append(f'"signature";key="mcp": {signature}')
        lines.append(f'"signature-input";key="mcp": ({covered}){params}')
        both = f'{covered} "signature";key="mcp" "signature-input";key="mcp"'
        own = re.sub(r';(keyid|tag)="[^"]*"', rf';\1="{self.key_id}"', params)
        lines.append(f'"@signature-params": ({both}){own}')
        made = base64.b64encode(self.sign("\n".join(lines).encode())).decode()
        for at, (name, value) in enumerate(headers):
            if name.lower() == b"signature-input":
                headers[at] = (name, value + f", touch=({both}){own}".encode())
            if name.lower() == b"signature":
                headers[at] = (name, value + f", touch=:{made}:".encode())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
