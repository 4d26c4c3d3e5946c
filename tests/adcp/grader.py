"""The grader of AdCP's SDK for npm against the gateway.

The grader signs the vectors of AdCP 3.0 anew. That version writes signatures as base64url without
padding, which AdCP 3.2 calls malformed. So the gateway is graded twice: as it is, where every signed
vector has to be refused as malformed, and behind a rewriter that writes the same signature bytes as
base64, where the fault of each vector itself decides.
"""

import base64
import http.server
import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path

from harness import Gateway, Harness, Upstream, free_port

PREFIX = "request_signature_"
REQUIRED, MALFORMED = PREFIX + "required", PREFIX + "header_malformed"
INCOMPLETE = PREFIX + "components_incomplete"

# Why a vector says nothing about the gateway, in either run.
NOT_GRADED = {
    "negative/025-jwk-alg-crv-mismatch": "the grader judges it with its own verifier, and sends nothing",
    "negative/026-non-ascii-host": "the grader cannot send it",
    **{
        f"positive/{vector}": "the grader cannot send another path than that of the endpoint"
        for vector in ("005-default-port-stripped", "006-dot-segment-path", "007-query-byte-preserved", "008-percent-encoded-path")
    },
}

# The negative vectors that count in the first run: what they change is found before the signature is read.
COUNTED = {
    "001-no-signature-header": REQUIRED,
    "011-malformed-header": MALFORMED,
    "019-signature-without-signature-input": MALFORMED,
    "021-duplicate-signature-input-label": MALFORMED,
    "022-multi-valued-content-type": MALFORMED,
    "023-multi-valued-content-digest": MALFORMED,
    "024-unquoted-string-param": MALFORMED,
    "027-webhook-registration-authentication-unsigned": REQUIRED,
}

# The vectors that do not count in the second run, with the code that the gateway gives, and why. AdCP 3.2
# demands that content-digest is covered; the grader covers it only where a vector demands it.
UNCOVERED = "content-digest is not covered, and that is found first"
OTHERWISE = {
    "negative/008-unknown-keyid": (INCOMPLETE, UNCOVERED),
    "negative/009-key-ops-missing-verify": (INCOMPLETE, UNCOVERED),
    "negative/015-signature-invalid": (INCOMPLETE, UNCOVERED),
    "negative/016-replayed-nonce": (INCOMPLETE, UNCOVERED),
    "negative/017-key-revoked": (INCOMPLETE, UNCOVERED),
    "negative/020-rate-abuse": (INCOMPLETE, UNCOVERED),
    "negative/018-digest-covered-when-forbidden": (None, "AdCP 3.2 never forbids content-digest: it is accepted"),
}


class Rewriter:
    """A server that passes each request on to the gateway, with its signature as base64."""

    def __init__(self, port: int, gateway: Gateway):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                lines = [f"POST {self.path} HTTP/1.1", "Connection: close"]
                for name, value in self.headers.items():
                    if name.lower() == "signature":
                        value = re.sub(r":([A-Za-z0-9_-]{86}):", lambda found: f":{as_base64(found[1])}:", value)
                    if name.lower() != "connection":
                        lines.append(f"{name}: {value}")
                answer = gateway.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
                self.send_response(answer.status)
                for name in ("content-type", "www-authenticate"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def as_base64(text: str) -> str:
    return base64.b64encode(base64.urlsafe_b64decode(text + "==")).decode()


def report(url: str, npm: Path) -> dict:
    """Each vector: (whether it was sent, status, code that was answered, verdict of the grader)."""
    grade = Path(__file__).with_name("grade.cjs")
    # Of the 60 seconds that a signer may be ahead, some are left for the clock of the test.
    done = subprocess.run(
        ["node", grade, npm, url, "55"], capture_output=True, timeout=600, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr.decode()
    found = {}
    given = json.loads(done.stdout)
    for vector in given["positive"] + given["negative"]:
        code = vector.get("actual_error_code") or re.search(r'got \d+ with WWW-Authenticate error="(\w+)"', vector.get("diagnostic", ""))
        code = code if code is None or isinstance(code, str) else code[1]
        name = f"{vector['kind']}/{vector['vector_id']}"
        found[name] = (vector["http_status"] != 0, vector["http_status"], code, vector["passed"], vector.get("expected_error_code"))
    return found


def graded(harness: Harness, upstream: Upstream, npm: Path, is_rewritten: bool) -> dict:
    port = free_port()
    keys = json.loads(next(npm.glob("node_modules/@adcp/sdk/compliance/cache/3.*[0-9]/test-vectors/request-signing/keys.json")).read_text())
    for key in keys["keys"]:
        key.pop("$comment", None)
        if key["kid"] == "test-revoked-2026":
            key["mcpid"] = {"revoked_at": "2026-01-01T00:00:00Z"}
    registry = harness.file("npm-registry.json", keys)
    url = f"http://127.0.0.1:{port}/mcp"
    where = {} if is_rewritten else {"port": port}
    gateway = harness.gateway(upstream, "-r", registry, origin=f"http://127.0.0.1:{port}", **where)
    if is_rewritten:
        harness.closing(Rewriter(port, gateway).server.shutdown)
    # What is signed 55 seconds ahead lies after the floor of the new store from its sixth second on.
    time.sleep(max(0.0, gateway.begun + 6.5 - time.monotonic()))
    return report(url, npm)


def check(found: dict, name: str, is_rewritten: bool) -> None:
    kind, vector = name.split("/")
    is_sent, status, code, passed, expected = found[name]
    if name in NOT_GRADED:
        assert not is_sent, (NOT_GRADED[name], status, code)
    elif not is_rewritten and kind == "negative" and vector in COUNTED:
        assert (passed, status, code) == (True, 401, COUNTED[vector]), (passed, status, code)
    elif not is_rewritten:
        # Its signature is base64url: that is found before the change of the vector.
        assert (status, code) == (401, MALFORMED), (status, code)
        assert not passed or expected == MALFORMED, (status, code)
    elif name in OTHERWISE:
        code_given, why = OTHERWISE[name]
        assert code == code_given and not passed, (why, status, code)
        assert status == (200 if code_given is None else 401), (why, status, code)
    elif kind == "positive":
        # Accepted if content-digest is covered, and if so, only then.
        wanted = (200, None) if vector == "002-post-with-content-digest" else (401, INCOMPLETE)
        assert (status, code) == wanted, (status, code)
    else:
        assert (passed, status, code) == (True, 401, expected), (passed, status, code, expected)


def cases(harness: Harness, npm: Path):
    upstream = harness.upstream()
    folder = next(npm.glob("node_modules/@adcp/sdk/compliance/cache/3.*[0-9]/test-vectors/request-signing"))
    names = sorted(f"{path.parent.name}/{path.stem}" for path in folder.glob("*itive/*.json")) + sorted(
        f"{path.parent.name}/{path.stem}" for path in folder.glob("negative/*.json")
    )
    for is_rewritten in (False, True):
        found: dict = {}

        def case(name: str, found: dict = found, is_rewritten: bool = is_rewritten) -> None:
            if not found:
                found.update(graded(harness, upstream, npm, is_rewritten))
                assert sorted(found) == sorted(names), set(found) ^ set(names)
            check(found, name, is_rewritten)

        for name in names:
            yield f"npm's grader, {'as base64' if is_rewritten else 'as it is'}, {name}", lambda name=name, case=case: case(name)
