"""The harness of the cases: a temporary folder, the program under test, keys, servers, raw requests."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from adcp.signing.crypto import private_key_from_jwk

import vectors

sys.path.append(str(Path(__file__).resolve().parents[1] / "machine"))
from free_ports import free_port  # noqa: E402


class Harness:
    def __init__(self, mcpid: Path, folder: Path):
        self.folder = folder
        self.mcpid = mcpid
        # Nothing of the user's: no keys, no proxy.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self._closing = contextlib.ExitStack()

    def close(self) -> None:
        self._closing.close()

    def closing(self, end) -> None:
        """Calls `end` when the cases are over."""
        self._closing.callback(end)

    def run(self, *arguments, stdin: bytes = b"") -> subprocess.CompletedProcess:
        command = [str(self.mcpid), *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.folder, env=self.environment, timeout=300, check=False
        )

    def file(self, name: str, content: bytes | str | dict) -> Path:
        if isinstance(content, dict):
            content = json.dumps(content)
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    def upstream(self) -> "Upstream":
        upstream = Upstream()
        self._closing.callback(upstream.server.shutdown)
        return upstream

    def gateway(self, upstream: "Upstream", *flags: str, **where) -> "Gateway":
        gateway = Gateway(self, upstream, flags, **where)
        self._closing.callback(gateway.close)
        return gateway


class Upstream:
    """A server that keeps each request that reaches it, and answers with a JSON-RPC result."""

    def __init__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                seen.append((self.path, dict(self.headers.items()), body))
                answer = b'{"jsonrpc":"2.0","id":1,"result":{}}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/behind"


class Gateway:
    """A running gateway of profile adcp, with the endpoint /mcp and an empty store."""

    ORIGIN = "https://seller.example.com"

    def __init__(self, harness: Harness, upstream: Upstream, flags, origin: str = ORIGIN, port: int | None = None):
        self.port = port or free_port()
        self.seen = upstream.seen
        command = [
            harness.mcpid, "gateway", "--profile", "adcp", "--upstream", upstream.url, "--path", "/mcp",
            "--origin", origin, "--listen", f"127.0.0.1:{self.port}", *flags,
        ]
        if "--nonces" not in flags:
            command += ["--nonces", "memory:"]
        self.errors = open(harness.folder / f"gateway-{self.port}", "wb")
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=self.errors, stderr=self.errors, cwd=harness.folder, env=harness.environment
        )
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(Path(self.errors.name).read_text())
            time.sleep(0.05)
        self.begun = time.monotonic()
        # Requests that are made 60 s ahead lie after the floor of a new store from its second second on.
        time.sleep(2)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(120)
        self.errors.close()

    def send(self, raw: bytes) -> "Answer":
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as connection:
            connection.sendall(raw)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return Answer(answer)


class Answer:
    def __init__(self, raw: bytes):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1]) if status else 0
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    @property
    def reason(self) -> str:
        return json.loads(self.body)["error"]["data"]["reason"]


class Signer:
    """A signer that makes any signature, valid or not, for the vectors' own keys."""

    def __init__(self, kid: str = "test-ed25519-2026"):
        self.kid = kid
        self.jwk = next(key for key in vectors.KEYS["keys"] if key["kid"] == kid)
        self.private = private_key_from_jwk(self.jwk, d_field="_private_d_for_test_only")

    def sign(self, base: str) -> bytes:
        if self.jwk["kty"] == "OKP":
            return self.private.sign(base.encode())
        from adcp.signing.crypto import ALG_ES256, sign_signature_base

        return sign_signature_base(alg=ALG_ES256, private_key=self.private, signature_base=base.encode())

    @property
    def alg(self) -> str:
        return {"OKP": "ed25519", "EC": "ecdsa-p256-sha256"}[self.jwk["kty"]]


CALL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "create_media_buy", "arguments": {"budget": 1}}}
).encode()
COVERED = ("@method", "@target-uri", "@authority", "content-type", "content-digest")


class Request:
    """A signed JSON-RPC request. `change` edits the request before it is signed, `params` the parameters."""

    def __init__(self, signer: Signer, **params):
        now = int(time.time())
        self.method, self.target, self.authority, self.body = "POST", "/mcp", "seller.example.com", CALL
        self.fields = {"Host": "seller.example.com", "Content-Type": "application/json"}
        self.covered = list(params.pop("covered", COVERED))
        self.signer = signer
        self.params = {
            "created": now + 60,
            "expires": now + 300,
            "nonce": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
            "keyid": signer.kid,
            "alg": signer.alg,
            "tag": "adcp/request-signing/v1",
            **params,
        }
        self.label = "sig1"

    def sign(self) -> "Request":
        digest = base64.b64encode(hashlib.sha256(self.body).digest()).decode()
        self.fields.setdefault("Content-Digest", f"sha-256=:{digest}:")
        values = {
            "@method": self.method,
            "@target-uri": f"https://{self.authority}{self.target}",
            "@authority": self.authority,
            **{name.lower(): value for name, value in self.fields.items()},
        }
        written = "(" + " ".join(f'"{name}"' for name in self.covered) + ")"
        for name, value in self.params.items():
            if value is not None:
                written += f';{name}={value}' if isinstance(value, int) else f';{name}="{value}"'
        base = "\n".join([*(f'"{name}": {values[name]}' for name in self.covered), f'"@signature-params": {written}'])
        signature = base64.b64encode(self.signer.sign(base)).decode()
        self.fields["Signature-Input"] = f"{self.label}={written}"
        self.fields["Signature"] = f"{self.label}=:{signature}:"
        return self

    def raw(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        for name, value in self.fields.items():
            lines += [f"{name}: {one}" for one in ([value] if isinstance(value, str) else value)]
        lines += [f"Content-Length: {len(self.body)}", "Connection: close"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body
