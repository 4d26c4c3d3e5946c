"""Measures the time that a bridge adds to a call. The same calls go by HTTP without a bridge, through `mcpid
connect` on stdio, and through mcp-remote, alternating in one run. No SDK is used: the messages are written
and read by hand. tests/long latency runs it.

    python tests/peers/latency.py --mcpid PATH --python2 VENV/bin/python --npm FOLDER [--calls N]
"""

import argparse
import http.client
import json
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from callers import mcp_remote
from servers import Harness, Tools

ROUND = 100
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "latency", "version": "1"},
}


def call(number: int) -> dict:
    arguments = {"text": "x" * 900}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "echo", "arguments": arguments}}


class Direct:
    """A persistent HTTP connection."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self.head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self.head += "Accept: application/json, text/event-stream\r\n"
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message: dict) -> bytes:
        body = json.dumps(message).encode()
        # The request is sent in one write, because a server that reads half of it has to wait again.
        self.socket.sendall(f"{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = http.client.HTTPResponse(self.socket)
        answer.begin()
        said = answer.read()
        assert not answer.will_close, "the connection is not kept"
        return said

    def end(self) -> None:
        self.socket.close()


class Bridge:
    """A process that is called with one line and answers with one line."""

    def __init__(self, command: list, log: Path, environment: dict):
        with open(log, "wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=environment
            )
        self.send({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE})
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        time.sleep(0.5)

    def write(self, message: dict) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def send(self, message: dict) -> bytes:
        self.write(message)
        return self.process.stdout.readline()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("mcpid", "python2", "npm"):
        arguments.add_argument(f"--{name}", type=lambda path: Path(path).absolute(), required=True)
    arguments.add_argument("--calls", type=int, default=2000)
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mcpid-latency-"))
    harness = Harness(Tools(given.mcpid, given.mcpid, given.python2, given.python2, given.npm), folder)
    try:
        url = harness.server("ts1").urls["stateless-json"]
        remote = mcp_remote(harness, url)
        ours = [str(word) for word in (given.mcpid, "connect", "-k", harness.key.file, url)]
        ways = {
            "direct": Direct(url),
            "mcpid connect": Bridge(ours, harness.log("connect"), harness.environment),
            "mcp-remote": Bridge(remote["stdio"], Path(remote["log"]), harness.environment),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        number = 0
        # The candidates alternate, so that other load of the machine affects all alike.
        for turn in range(given.calls // ROUND + 1):
            for name, way in ways.items():
                for _ in range(ROUND):
                    number += 1
                    message = call(number)
                    before = time.perf_counter()
                    answer = way.send(message)
                    after = time.perf_counter()
                    assert b"xxx" in answer and b'"error"' not in answer, answer
                    # The first round warms up.
                    if turn:
                        times[name].append((after - before) * 1000)
        for way in ways.values():
            way.end()
    finally:
        harness.close()
        shutil.rmtree(folder, ignore_errors=True)
    found = {name: (statistics.median(t), statistics.quantiles(t, n=100)[98]) for name, t in times.items()}
    base = found["direct"]
    print(f"{len(times['direct'])} calls each, about 1 KiB, one after another; ms a call")
    for name, (p50, p99) in found.items():
        print(f"{name:14} p50 {p50:7.3f}  p99 {p99:7.3f}  added: p50 {p50 - base[0]:7.3f}  p99 {p99 - base[1]:7.3f}")
    ratio = (found["mcp-remote"][0] - base[0]) / (found["mcpid connect"][0] - base[0])
    print(f"mcp-remote adds {ratio:.1f} times what mcpid connect adds, at p50")


if __name__ == "__main__":
    main()
