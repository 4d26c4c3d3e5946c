"""Witnesses of other projects cosign a log of ours, and another project's checker verifies the results.

Three aics-witness services, of which two are enough; aics-tlog on the proofs. Both need Python 3.12.
"""

import base64
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

from servers import Done, Harness

sys.path.append(str(Path(__file__).resolve().parents[1] / "machine"))
from free_ports import free_port  # noqa: E402

ORIGIN = "example.com/audit"


class Upstream(BaseHTTPRequestHandler):
    """A server that gives every request the same answer."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Witness:
    """A process of aics-witness with its own folder."""

    def __init__(self, aics: Path, folder: Path, name: str):
        self.program, self.folder, self.name = aics / "bin/aics-witness", folder, name
        self.port, self.process = free_port(), None
        folder.mkdir()
        self.vkey = self.run("init", "--name", f"{name}.example.com", "--listen", f"127.0.0.1:{self.port}")

    def run(self, *arguments: str) -> str:
        command = [self.program, arguments[0], "-c", self.folder / "witness.json", *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self):
        # The default address would be every interface of the machine.
        command = [self.program, "serve", "-c", self.folder / "witness.json", "--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not listen")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def line(self) -> str:
        return f"witness {self.name} {self.vkey} http://127.0.0.1:{self.port}/\n"


class Scene:
    """A log, three witnesses that know the log, and a policy that needs two of them."""

    def __init__(self, harness: Harness, aics: Path, name: str):
        self.harness, self.aics, self.folder = harness, aics, harness.folder / name
        self.folder.mkdir()
        self.log, self.policy = self.folder / "log", self.folder / "policy"
        made = harness.mcpid("audit", "init", "--audit", self.log, "--name", ORIGIN).expect(0)
        self.log_key = made.text
        self.witnesses = [Witness(aics, self.folder / w, w) for w in ("w1", "w2", "w3")]
        for witness in self.witnesses:
            witness.run("add-log", "--origin", ORIGIN, "--vkey", self.log_key)
        self.write_policy(self.witnesses)

    def write_policy(self, witnesses):
        lines = "".join(witness.line for witness in witnesses)
        self.policy.write_text(f"log {self.log_key}\n{lines}group two 2 w1 w2 w3\nquorum two\n")

    @contextmanager
    def running(self):
        for witness in self.witnesses:
            witness.start()
        try:
            yield self
        finally:
            for witness in self.witnesses:
                witness.stop()

    def requests(self, count: int, log: Path | None = None, *flags):
        """Sends signed requests through a gateway that writes the log."""
        upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        Thread(target=upstream.serve_forever, daemon=True).start()
        port, admin = free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        gateway = subprocess.Popen(
            [
                self.harness._mcpid, "gateway", "--upstream", f"http://127.0.0.1:{upstream.server_port}/mcp",
                "--listen", f"127.0.0.1:{port}", "--origin", url, "--admin", f"127.0.0.1:{admin}",
                "--nonces", "memory:", "-r", self.harness.trust, "--audit", log or self.log, *flags,
            ],
            env=self.harness.environment, stdout=subprocess.DEVNULL, stderr=(self.folder / "gateway.err").open("w"),
        )
        try:
            self.until(f"http://127.0.0.1:{admin}/readyz")
            for n in range(count):
                body = json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "pay"}})
                signed = self.harness.sign(
                    self.harness.ours, "--url", f"{url}/mcp", "-H", "content-type: application/json", body=body.encode()
                )
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(signed.wire())
                    answer = connection.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200"), answer
        finally:
            gateway.send_signal(signal.SIGTERM)
            code = gateway.wait(120)
            upstream.shutdown()
        assert code == 0, (self.folder / "gateway.err").read_text()

    @staticmethod
    def until(url: str):
        for _ in range(1200):
            try:
                with urllib.request.urlopen(url) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{url} is not ready")

    def ask(self, code: int, log: Path | None = None) -> dict:
        done = self.harness.mcpid("audit", "witness", log or self.log, "--witness-policy", self.policy, "--json")
        return json.loads(done.expect(code).out)

    def outcomes(self, code: int, log: Path | None = None) -> list[str]:
        return [witness["outcome"] for witness in self.ask(code, log)["witnesses"]]

    def aics_tlog(self, *arguments) -> Done:
        return self.harness.command(self.aics / "bin/aics-tlog", *arguments)


def cosigned_by_the_gateway(harness: Harness, aics: Path):
    scene = Scene(harness, aics, "witnesses-gateway")
    with scene.running():
        scene.requests(5, None, "--witness-policy", scene.policy)
        cosigned = scene.log / "checkpoint.cosigned"
        text = cosigned.read_text()
        assert text.splitlines()[1] == "5" and text.count("\u2014 w") >= 2, text
        scene.ask(0)
        assert cosigned.read_text().count("\u2014 w") == 3
        done = harness.mcpid(
            "audit", "verify", "--audit", scene.log, "-r", harness.trust, "--json", "--witness-policy", scene.policy
        )
        assert json.loads(done.expect(0).out)["witnessed_entries"] == 5

    # The other checker verifies the checkpoint, a proof, and the entries as tiles.
    pins = ["--log-key", scene.log_key, "--quorum", "2"]
    for witness in scene.witnesses:
        pins += ["--witness-key", witness.vkey]
    scene.aics_tlog("verify-checkpoint", "--note", cosigned, *pins).expect(0)
    proof = harness.mcpid("audit", "prove", "--audit", scene.log, "--format", "tlog-proof", "2").expect(0).out.decode()
    head, note = proof.split("\n\n", 1)
    magic, extra, index, *hashes = head.splitlines()
    assert (magic, index, note) == ("c2sp.org/tlog-proof@v1", "index 2", cosigned.read_text())
    leaf = harness.write("leaf", base64.b64decode(extra.removeprefix("extra ")))
    hashes = harness.write("hashes", "".join(f"{line}\n" for line in hashes).encode())
    root = note.splitlines()[2]
    inclusion = ("verify-inclusion", "--leaf", leaf, "--size", "5", "--root", root, "--proof", hashes)
    scene.aics_tlog(*inclusion, "--index", "2").expect(0)
    assert scene.aics_tlog(*inclusion, "--index", "3").code != 0, "the proof holds for another entry"
    (entries,) = scene.log.glob("entries-*.jsonl")
    tiles = scene.folder / "tiles"
    scene.aics_tlog("build-tiles", "--leaves", entries, "--out", tiles).expect(0)
    for n in range(5):
        line = harness.write("leaf", entries.read_bytes().split(b"\n")[n])
        in_tiles = ("verify-inclusion", "--tiles", tiles, "--checkpoint", cosigned, *pins, "--leaf", line)
        scene.aics_tlog(*in_tiles, "--index", str(n)).expect(0)
        assert scene.aics_tlog(*in_tiles, "--index", str((n + 1) % 5)).code != 0


def killed_and_rolled_back(harness: Harness, aics: Path):
    scene = Scene(harness, aics, "witnesses-killed")
    w1, w2, w3 = scene.witnesses
    with scene.running():
        scene.requests(2)
        w3.stop()
        assert scene.outcomes(0) == ["cosigned", "cosigned", "failed"]
        scene.requests(2)
        w2.stop()
        assert scene.outcomes(5) == ["cosigned", "failed", "failed"]
        w2.start()
        w3.start()
        assert scene.outcomes(0) == ["cosigned"] * 3
        # If a witness lost its database, the rollback is reported, and the witness cosigns again.
        w1.stop()
        (w1.folder / "witness.db").unlink()
        w1.run("init", "--new-database")
        w1.start()
        scene.requests(1)
        said = scene.ask(0)["witnesses"]
        assert [one["rollbacks"] for one in said] == [1, 0, 0], said
        # The policy has another key for these witnesses.
        w2.vkey, w3.vkey = w3.vkey, w2.vkey
        scene.write_policy(scene.witnesses)
        assert scene.outcomes(5) == ["cosigned", "failed", "failed"]


def rolled_back_and_forked(harness: Harness, aics: Path):
    scene = Scene(harness, aics, "witnesses-forked")
    with scene.running():
        scene.requests(2)
        copy = scene.folder / "copy"
        shutil.copytree(scene.log, copy)
        scene.requests(2)
        assert scene.outcomes(0) == ["cosigned"] * 3
        # The folder has its earlier state, without the later checkpoints.
        assert scene.outcomes(1, copy) == ["disputed"] * 3
        # The copy has the same number of entries, with other content.
        scene.requests(2, copy)
        assert scene.outcomes(1, copy) == ["disputed"] * 3
        # The copy has more entries, the first of which differ, so the proof is refused.
        scene.requests(1, copy)
        assert scene.outcomes(5, copy) == ["refused"] * 3
        assert scene.outcomes(0) == ["cosigned"] * 3


def unknown(harness: Harness, aics: Path):
    scene = Scene(harness, aics, "witnesses-unknown")
    other = scene.folder / "other"
    key = harness.mcpid("audit", "init", "--audit", other, "--name", "example.com/other").expect(0).text
    scene.log_key = key
    scene.write_policy(scene.witnesses)
    with scene.running():
        said = scene.ask(5, other)["witnesses"]
        assert [(one["outcome"], "404" in one["message"]) for one in said] == [("refused", True)] * 3, said


@contextmanager
def behind_tls(harness: Harness, witness: Witness):
    """Serves TLS for a witness, with a certificate of its own authority."""
    def made(name: str, *more) -> tuple[Path, Path]:
        chain, secret = harness.folder / f"{name}.pem", harness.folder / f"{name}.key"
        new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        harness.command(*new, "-days", "2", "-subj", f"/CN={name}", "-keyout", secret, "-out", chain, *more).expect(0)
        return chain, secret

    authority, its_key = made("authority")
    name = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE")
    chain, secret = made("localhost", "-CA", authority, "-CAkey", its_key, *name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)

    class Forward(StreamRequestHandler):
        def handle(self):
            with context.wrap_socket(self.request, server_side=True) as client:
                asked = b""
                while "\n\n\u2014 ".encode() not in asked or not asked.endswith(b"\n"):
                    asked += client.recv(65536)
                with socket.create_connection(("127.0.0.1", witness.port)) as inside:
                    inside.sendall(asked.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                    while part := inside.recv(65536):
                        client.sendall(part)

    class Server(ThreadingTCPServer):
        def handle_error(self, *_):
            """Ignores clients that do not trust the certificate and close the connection."""

    server = Server(("127.0.0.1", 0), Forward)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], authority
    finally:
        server.shutdown()


def over_tls(harness: Harness, aics: Path):
    scene = Scene(harness, aics, "witnesses-tls")
    w1 = scene.witnesses[0]
    w1.start()
    try:
        with behind_tls(harness, w1) as (port, authority):
            scene.policy.write_text(f"log {scene.log_key}\nwitness w1 {w1.vkey} https://localhost:{port}\nquorum w1\n")
            # No authority of this machine signed the certificate.
            assert scene.outcomes(5) == ["failed"]
            harness.environment["SSL_CERT_FILE"] = str(authority)
            assert scene.outcomes(0) == ["cosigned"]
    finally:
        harness.environment.pop("SSL_CERT_FILE", None)
        w1.stop()


def cases(harness: Harness, aics: Path | None):
    for case in (cosigned_by_the_gateway, killed_and_rolled_back, rolled_back_and_forked, unknown, over_tls):

        def run(case=case):
            assert aics, "aics-witness and aics-tlog need Python 3.12 or newer: none in PATH or ~/.pyenv/versions"
            case(harness, aics)

        yield f"aics-witness and aics-tlog: {case.__name__.replace('_', ' ')}", run
