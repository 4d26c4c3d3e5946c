"""An HTTP request, as exact bytes and as the values that other libraries need.

The parser is the test's own and knows only what the tests write or record, so that nothing here
shares code with what is tested.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def digest_of(body: bytes) -> str:
    """Content-Digest (RFC 9530) of `body`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Returns the value of a field, with its lines joined as RFC 9421 section 2.1 demands."""
        lines = [v.strip(" \t") for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(lines) if lines else None

    def with_headers(self, *more: tuple[str, str]) -> "Request":
        """Returns the same request with these fields. Fields of the same names are replaced."""
        names = {n.lower() for n, _ in more}
        kept = tuple((n, v) for n, v in self.headers if n.lower() not in names)
        return replace(self, headers=kept + more)

    def digested(self) -> "Request":
        return self.with_headers(("Content-Digest", digest_of(self.body)))

    def wire(self) -> bytes:
        """Returns the HTTP/1.1 message in origin form, with the necessary Host and Content-Length."""
        scheme, rest = self.url.split("://", 1)
        ends = [i for i in (rest.find("/"), rest.find("?")) if i >= 0]
        authority, target = (rest[: min(ends)], rest[min(ends) :]) if ends else (rest, "/")
        # A capture does not state its scheme: https, or http on loopback.
        host = urlsplit(self.url).hostname or ""
        loopback = host in ("localhost", "127.0.0.1", "::1")
        if scheme != ("http" if loopback else "https") or not target.startswith("/"):
            target = self.url
        lines = [f"{self.method} {target} HTTP/1.1"]
        if self.header("host") is None:
            lines.append(f"Host: {authority}")
        lines += [f"{n}: {v}" for n, v in self.headers]
        if self.header("content-length") is None and (self.body or self.method == "POST"):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body

    @staticmethod
    def parse(raw: bytes) -> "Request":
        """Parses the request in `raw`. Raises ValueError if it is not one that these tests expect."""
        head, gap, body = raw.partition(b"\r\n\r\n")
        if not gap:
            raise ValueError("no end of the head")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        if version != "HTTP/1.1":
            raise ValueError(f"version {version}")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError(f"header line {line!r}")
            headers.append((name, value.strip(" \t")))
        request = Request(method, target, tuple(headers), body)
        length = request.header("content-length")
        if int(length or 0) != len(body):
            raise ValueError(f"Content-Length {length}, and {len(body)} bytes")
        if "://" in target:
            return request
        host = request.header("host") or ""
        scheme = "http" if host.startswith(LOOPBACK) else "https"
        return replace(request, url=f"{scheme}://{host}{target}")


def _one_other(text: str, at: int, letters: str) -> str:
    """Returns `text` with the character at `at` replaced by another one of `letters`."""
    other = letters[(letters.index(text[at]) + 1) % len(letters)] if text[at] in letters else letters[0]
    return text[:at] + other + text[at + 1 :]


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + _LETTERS + "0123456789+/"


def tampered(request: Request) -> dict[str, Request]:
    """Returns copies of a signed request with exactly one byte changed, by the name of the changed part."""
    twins = {}
    if request.body:
        middle = len(request.body) // 2
        changed = bytes([request.body[middle] ^ 1])
        twins["body"] = replace(request, body=request.body[:middle] + changed + request.body[middle + 1 :])
    path = request.url.find("/", request.url.index("://") + 3)
    letter = next((i for i in range(len(request.url) - 1, path, -1) if request.url[i] in _LETTERS), None)
    if path > 0 and letter is not None:
        twins["path"] = replace(request, url=_one_other(request.url, letter, _LETTERS))
    covered = request.header("signature-input") or ""
    kind = request.header("content-type")
    if kind and '"content-type"' in covered:
        twins["content-type"] = request.with_headers(("Content-Type", _one_other(kind, len(kind) - 1, _LETTERS)))
    digest = request.header("content-digest")
    if digest and '"content-digest"' in covered and request.body:
        twins["content-digest"] = request.with_headers(("Content-Digest", _one_other(digest, 12, _BASE64)))
    signature = request.header("signature")
    if signature:
        # In the middle of the base64, every bit is significant.
        at = signature.index(":") + 40
        twins["signature"] = request.with_headers(("Signature", _one_other(signature, at, _BASE64)))
    if 'nonce="' in covered:
        at = covered.index('nonce="') + 12
        twins["nonce"] = request.with_headers(("Signature-Input", _one_other(covered, at, _BASE64)))
    twins["method"] = replace(request, method=_one_other(request.method, 0, "GPHD"))
    return twins
